"""Comparing a decision with what a case wants."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel

from agentguard.decision import Decision
from agentguard.policy.testing.document import ItemsDocument, NamesDocument, WantDocument

__all__ = ["Difference", "differences", "names_wanted"]

Sign = Literal["missing", "unexpected", "different"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One respect in which a decision is not what was wanted.

    `about` is the key of `want`. `missing` was wanted and is not there, `unexpected` the other way round.
    `rule` names the rule that it is about, where it is about one.
    """

    about: str
    sign: Sign
    wanted: str = ""
    found: str = ""
    rule: str = ""

    def to_json(self) -> dict[str, Any]:
        return {
            "about": self.about,
            "sign": self.sign,
            "wanted": self.wanted,
            "found": self.found,
            "rule": self.rule,
        }


def differences(want: WantDocument, decision: Decision) -> list[Difference]:
    """Everything that is not as wanted; empty where the case passes."""
    found: list[Difference] = []
    if decision.effect.value != want.effect:
        deciding = decision.deciding.name if decision.deciding is not None else ""
        found.append(
            Difference(
                about="effect",
                sign="different",
                wanted=want.effect,
                found=decision.effect.value,
                rule=deciding,
            )
        )
    matched = [match.name for match in decision.matched]
    found += _names("rules", want.rules, matched)
    found += _names("observed", want.observed, [match.name for match in decision.observed])
    found += _names("granted_by", want.granted_by, decision.granted_by)
    found += _names("exceptions", want.exceptions, [applied.id for applied in decision.exceptions])
    found += _errors(want, decision)
    if want.obligations is not None:
        found += _obligations(want.obligations, decision.to_json()["obligations"])
    return found


def names_wanted(want: WantDocument) -> Iterator[tuple[str, str]]:
    """Every name that a case names, with the key of `want` under which it stands."""
    for about in ("rules", "observed", "granted_by", "exceptions"):
        wanted: NamesDocument | None = getattr(want, about)
        if wanted is not None:
            for name in (*(wanted.exactly or ()), *(wanted.contains or ()), *(wanted.none_of or ())):
                yield about, name
    for name in want.errors.rules if want.errors is not None else ():
        yield "errors", name
    items = want.obligations
    if items is not None:
        for item in (*(items.exactly or ()), *(items.contains or ()), *(items.none_of or ())):
            for name in (getattr(item, "rule", None), *(getattr(item, "rules", None) or ())):
                if name is not None:
                    yield "obligations", name


def _names(about: str, wanted: NamesDocument | None, found: Sequence[str]) -> Iterator[Difference]:
    if wanted is None:
        return
    for name in dict.fromkeys((*(wanted.exactly or ()), *(wanted.contains or ()))):
        if name not in found:
            yield Difference(about=about, sign="missing", wanted=name, rule=name)
    refused = set(wanted.none_of or ())
    if wanted.exactly is not None:
        refused |= set(found) - set(wanted.exactly)
    for name in found:
        if name in refused:
            yield Difference(about=about, sign="unexpected", found=name, rule=name)


def _errors(want: WantDocument, decision: Decision) -> Iterator[Difference]:
    """A rule that fired because it could not be evaluated is a difference unless the case names it."""
    wanted = want.errors.rules if want.errors is not None else {}
    found = {
        match.name: match.error
        for match in (*decision.matched, *decision.observed)
        if match.error is not None
    }
    for name, words in wanted.items():
        if name not in found:
            yield Difference(about="errors", sign="missing", wanted=words or "an error", rule=name)
        elif words not in found[name]:
            yield Difference(about="errors", sign="different", wanted=words, found=found[name], rule=name)
    for name, error in found.items():
        if name not in wanted:
            yield Difference(about="errors", sign="unexpected", found=error, rule=name)


def _obligations(wanted: ItemsDocument, found: Sequence[Mapping[str, Any]]) -> Iterator[Difference]:
    required = [_fields(item) for item in (*(wanted.exactly or ()), *(wanted.contains or ()))]
    for item in required:
        if not any(_fits(item, one) for one in found):
            yield _difference("missing", item, found)
    refused = [_fields(item) for item in wanted.none_of or ()]
    for one in found:
        surplus = wanted.exactly is not None and not any(_fits(item, one) for item in required)
        if surplus or any(_fits(item, one) for item in refused):
            yield Difference(about="obligations", sign="unexpected", found=_shown(one), rule=_rule_of(one))


def _difference(sign: Sign, item: Mapping[str, Any], found: Iterable[Mapping[str, Any]]) -> Difference:
    """What is missing, beside the one of its kind that comes nearest."""
    near = [one for one in found if one["kind"] == item["kind"]]
    near.sort(key=lambda one: -sum(1 for key in item if _same(item[key], one.get(key))))
    best = {key: near[0].get(key) for key in item} if near else None
    return Difference(
        about="obligations",
        sign=sign,
        wanted=_shown(item),
        found=_shown(best) if best is not None else "",
        rule=_rule_of(near[0]) if near else _rule_of(item),
    )


def _fields(item: BaseModel) -> dict[str, Any]:
    """The fields of an obligation that a case names, as JSON has them."""
    return item.model_dump(mode="python", include=item.model_fields_set)


def _fits(item: Mapping[str, Any], found: Mapping[str, Any]) -> bool:
    return all(key in found and _same(value, found[key]) for key, value in item.items())


def _same(wanted: Any, found: Any) -> bool:
    """Equal as JSON has it: lists and tuples are the same, numbers and truth values are not."""
    if isinstance(wanted, (list, tuple)) and isinstance(found, (list, tuple)):
        return len(wanted) == len(found) and all(map(_same, wanted, found))
    if isinstance(wanted, Mapping) and isinstance(found, Mapping):
        return wanted.keys() == found.keys() and all(_same(wanted[key], found[key]) for key in wanted)
    return type(wanted) is type(found) and bool(wanted == found)


def _rule_of(one: Mapping[str, Any]) -> str:
    rules = one.get("rules") or (one.get("rule"),)
    return str(rules[0] or "")


def _shown(one: Mapping[str, Any]) -> str:
    """An obligation as one line, without what is empty."""
    kept = {key: value for key, value in one.items() if value not in (None, "") and key != "kind"}
    inner = ", ".join(f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in kept.items())
    return f"{one['kind']} {{{inner}}}"
