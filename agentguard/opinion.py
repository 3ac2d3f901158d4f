"""What another decision point says of a request: an effect, or that it has no opinion.

It reaches the policy core as a fact under `supplied.engines`, so that what was decided can be decided again
from the record alone. `to_fact` and `from_fact` are that form.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from agentguard.decision import Approve, Effect, Stage
from agentguard.errors import ConfigurationError

__all__ = ["Opinion", "named"]

_NOT_APPLICABLE: Final = "not_applicable"
_KEYS: Final = frozenset({"effect", "reason", "rules", "permits", "error", "approve", "redact"})
_APPROVE_KEYS: Final = frozenset({"stages", "expires_in_s", "local", "reason_required"})
_REASON: Final = 300
_RULES: Final = 32
_EFFECTS: Final = frozenset({Effect.ALLOW, Effect.STEP_UP, Effect.DENY})


@dataclass(frozen=True, slots=True, kw_only=True)
class Opinion:
    """The answer of one other decision point.

    `effect` is allow, step up or deny; None says that it does not apply. (A flag needs an owner and a
    constraint its rule: an operator who wants them writes a rule that reads `engines`.) `reason` is for
    people and the model, `rules` are its own names of what decided. `permits` says that its allow grants
    permission as an allow rule does; the flow sets it from the configuration. `error` names why there is no
    real answer; the effect is then deny. A step-up names in `approve` who can answer, or nobody can. `redact`
    are paths of the result to mask.
    """

    effect: Effect | None
    reason: str = ""
    rules: tuple[str, ...] = ()
    permits: bool = False
    error: str | None = None
    approve: Approve | None = None
    redact: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.effect is not None and self.effect not in _EFFECTS:
            raise ConfigurationError(f"another decision point cannot answer `{self.effect}`")
        if (self.approve is not None) != (self.effect is Effect.STEP_UP):
            raise ConfigurationError("a step-up needs `approve`, and nothing else has it")

    @classmethod
    def failed(cls, error: str) -> Opinion:
        """No answer, for this reason: a deny."""
        return cls(effect=Effect.DENY, error=error[:_REASON], reason="it could not be asked")

    def to_fact(self) -> dict[str, Any]:
        """As plain data; what says nothing has no key."""
        fact: dict[str, Any] = {
            "effect": _NOT_APPLICABLE if self.effect is None else self.effect.value,
            "permits": self.permits,
        }
        if self.reason:
            fact["reason"] = self.reason[:_REASON]
        if self.rules:
            fact["rules"] = [rule[:_REASON] for rule in self.rules[:_RULES]]
        if self.error is not None:
            fact["error"] = self.error
        if self.approve is not None:
            fact["approve"] = {
                "stages": [stage.to_json() for stage in self.approve.stages],
                "expires_in_s": self.approve.expires_in_s,
                "local": self.approve.local,
                "reason_required": self.approve.reason_required,
            }
        if self.redact:
            fact["redact"] = list(self.redact)
        return fact

    @classmethod
    def from_fact(cls, fact: object) -> Opinion:
        """Read `to_fact` back.

        Raises:
            ConfigurationError: it has another shape; whoever joins it takes that as a deny.
        """
        if not isinstance(fact, Mapping) or not set(fact) <= _KEYS:
            raise ConfigurationError("the opinion is not a mapping of known keys")
        word = _text(fact.get("effect"))
        try:
            effect = None if word == _NOT_APPLICABLE else Effect(word)
        except ValueError:
            raise ConfigurationError("the opinion's effect is unknown") from None
        error, permits = fact.get("error"), fact.get("permits", False)
        if not (error is None or isinstance(error, str)) or not isinstance(permits, bool):
            raise ConfigurationError("the opinion's `error` or `permits` has another type")
        return cls(
            effect=effect,
            reason=_text(fact.get("reason", "")),
            rules=_texts(fact.get("rules", ())),
            permits=permits,
            error=error,
            approve=_approve(fact.get("approve")),
            redact=_texts(fact.get("redact", ())),
        )


def named(opinion: Opinion, name: str) -> Opinion:
    """The same with its step-up under the name that it has in a decision."""
    if opinion.approve is None:
        return opinion
    return replace(opinion, approve=replace(opinion.approve, rules=(name,), reason=opinion.reason))


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ConfigurationError("the opinion holds something else than text")
    return value


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, (list, tuple)):
        raise ConfigurationError("the opinion holds something else than a list of texts")
    return tuple(_text(item) for item in value)


def _approve(value: object) -> Approve | None:
    if value is None:
        return None
    if not isinstance(value, Mapping) or not set(value) <= _APPROVE_KEYS:
        raise ConfigurationError("the opinion's `approve` is not a mapping of known keys")
    stages = value.get("stages", ())
    expires = value.get("expires_in_s")
    flags = value.get("local", False), value.get("reason_required", False)
    if not isinstance(stages, (list, tuple)) or type(expires) is not int or expires <= 0:
        raise ConfigurationError("the opinion's `approve` needs stages and a time to answer in seconds")
    if not all(isinstance(flag, bool) for flag in flags):
        raise ConfigurationError("the opinion's `approve` has a flag that is not true or false")
    return Approve(
        stages=tuple(_stage(stage) for stage in stages),
        expires_in_s=expires,
        rules=(),
        local=flags[0],
        reason_required=flags[1],
    )


def _stage(value: object) -> Stage:
    if not isinstance(value, Mapping) or set(value) - {"reviewers", "quorum"}:
        raise ConfigurationError("a stage of the opinion's `approve` has other keys")
    reviewers, quorum = _texts(value.get("reviewers", ())), value.get("quorum", 1)
    if not reviewers or not all(reviewers) or type(quorum) is not int or quorum < 1:
        raise ConfigurationError("a stage of the opinion's `approve` needs reviewers and a quorum")
    return Stage(reviewers, quorum)
