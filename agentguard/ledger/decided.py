"""The decision in an event, read back: without the values that an event never holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, cast

from agentguard.decision import (
    AppliedException,
    Approve,
    Decision,
    Effect,
    Escalation,
    Flag,
    FlagLevel,
    Matched,
    Mode,
    Obligation,
    RedactResult,
    Reserve,
    SetArgument,
    Stage,
    Suspend,
)

__all__ = ["decided"]

_EFFECTS: Final = {effect.value: effect for effect in Effect}
_KEPT: Final = 4096
_known: dict[tuple[Any, ...], Matched] = {}


def decided(data: Mapping[str, Any]) -> Decision:
    """The decision that an event's `decision` describes.

    Raises:
        KeyError, TypeError, ValueError: it describes none; the record is damaged.
    """
    return Decision(
        effect=_EFFECTS[data["effect"]],
        matched=tuple([_matched(one) for one in data.get("matched", ())]),
        granted_by=_texts(data.get("granted_by", ())),
        obligations=tuple([_obligation(one) for one in data["obligations"]])
        if data.get("obligations")
        else (),
        exceptions=tuple(
            [AppliedException(_text(one["id"]), _texts(one["waived"])) for one in data["exceptions"]]
        )
        if data.get("exceptions")
        else (),
        observed=tuple([_matched(one) for one in data["observed"]]) if data.get("observed") else (),
        snapshot=_text(data.get("snapshot", "")),
        register=_whole(data.get("register", 0)),
    )


def _matched(data: Mapping[str, Any]) -> Matched:
    get = data.get
    name = (
        data["rule_id"], data["policy"], data["effect"], get("mode", "enforce"), get("reason", ""),
        get("error"), get("at"), get("deviation") is True, _suspend(get("suspend")),
    )  # fmt: skip
    found = _known.get(name)
    if found is not None:
        return found
    rule, policy, effect, mode, reason, error, at, deviation, suspend = name
    if mode not in ("enforce", "observe"):
        raise ValueError("no such mode")
    found = Matched(
        rule_id=_text(rule),
        policy=_text(policy),
        effect=_EFFECTS[effect],
        mode=cast(Mode, mode),
        reason=_text(reason),
        error=_maybe(error),
        at=_maybe(at),
        deviation=deviation,
        suspend=suspend,
    )
    if len(_known) >= _KEPT:
        _known.clear()
    _known[name] = found
    return found


def _suspend(data: Any) -> Suspend | None:
    return None if data is None else Suspend(_whole(data["after"]), _whole(data["within_s"]))


def _obligation(data: Mapping[str, Any]) -> Obligation:
    return _KINDS[data["kind"]](data)


def _set(data: Mapping[str, Any]) -> Obligation:
    return SetArgument(path=_text(data["path"]), value=None, rule=_text(data["rule"]))


def _flag(data: Mapping[str, Any]) -> Obligation:
    observed, converts = data.get("observed"), data.get("converts_to")
    return Flag(
        rule=_text(data["rule"]),
        owner=_text(data["owner"]),
        reason=_text(data.get("reason", "")),
        review_in_s=None if data.get("review_in_s") is None else _whole(data["review_in_s"]),
        escalate_to=_escalation(data.get("escalate_to")),
        converts_on=_maybe(data.get("converts_on")),
        converts_to=None if converts is None else _EFFECTS[converts],
        observed=None if observed is None else _EFFECTS[observed],
        exception=_maybe(data.get("exception")),
        deviation=data.get("deviation") is True,
    )


def _escalation(value: object) -> str | tuple[FlagLevel, ...] | None:
    if type(value) is not list:
        return _maybe(value)
    return tuple([FlagLevel(_text(one["to"]), _whole(one.get("after_s", 0))) for one in value])


def _approve(data: Mapping[str, Any]) -> Obligation:
    return Approve(
        stages=tuple(
            [
                Stage(
                    _texts(one["reviewers"]),
                    _whole(one.get("quorum", 1)),
                    tuple(
                        [
                            Escalation(_whole(step["after_s"]), _texts(step["reviewers"]))
                            for step in one.get("escalate", ())
                        ]
                    ),
                )
                for one in data.get("stages", ())
            ]
        ),
        expires_in_s=_whole(data["expires_in_s"]),
        rules=_texts(data.get("rules", ())),
        reason=_text(data.get("reason", "")),
        local=data.get("local") is True,
        reason_required=data.get("reason_required") is True,
    )


def _reserve(data: Mapping[str, Any]) -> Obligation:
    window = data.get("window_s")
    return Reserve(
        key="",
        amount=0,
        limit=_whole(data["limit"]),
        rule=_text(data["rule"]),
        window_s=None if window is None else _whole(window),
    )


def _redact(data: Mapping[str, Any]) -> Obligation:
    return RedactResult(paths=_texts(data["paths"]), rule=_text(data["rule"]))


_KINDS: Final[dict[str, Callable[[Mapping[str, Any]], Obligation]]] = {
    "set": _set,
    "flag": _flag,
    "approve": _approve,
    "reserve": _reserve,
    "redact_result": _redact,
}


def _text(value: object) -> str:
    if type(value) is not str:
        raise TypeError("not a text")
    return value


def _maybe(value: object) -> str | None:
    return None if value is None else _text(value)


def _whole(value: object) -> int:
    if type(value) is not int:
        raise TypeError("not a whole number")
    return value


def _texts(values: object) -> tuple[str, ...]:
    if type(values) is not list and type(values) is not tuple:
        raise TypeError("not a list")
    return tuple([_text(value) for value in values])
