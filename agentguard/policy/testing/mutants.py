"""Mutants: policies with one change each, made on the document and the syntax trees of its expressions."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from agentguard.policy.source import Path, Source
from agentguard.policy.testing.flips import flips

__all__ = ["Mutant", "mutants_of"]

_KEPT: Final = (
    "id", "when", "tools", "description", "reason", "controls", "mode", "observe",
)  # fmt: skip
_CHANGED: Final = {
    "allow": "deny",
    "flag": "allow",
    "constrain": "allow",
    "step_up": "allow",
    "deny": "allow",
}
_SHOWN: Final = 200

Mapped = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """One changed policy.

    `rule` is `policy/id`, empty for a change of the policy as a whole. `before` and `after` are the text of
    what was changed. `document` makes the changed document of the one in `source`.
    """

    source: Source
    rule: str
    kind: str
    before: str
    after: str
    line: int
    col: int
    index: int | None
    changed: Mapped | None

    @property
    def at(self) -> str:
        """`file:line:col`."""
        return f"{self.source.file}:{self.line}:{self.col}"

    def document(self) -> dict[str, Any]:
        """The changed policy as data."""
        data: Mapped = self.source.data
        if self.index is None:
            return {**(self.changed or {}), "rules": data["rules"]}
        rules = data["rules"]
        new = [] if self.changed is None else [self.changed]
        return {**data, "rules": [*rules[: self.index], *new, *rules[self.index + 1 :]]}

    def to_json(self) -> dict[str, Any]:
        return {
            "at": self.at,
            "rule": self.rule,
            "kind": self.kind,
            "before": self.before,
            "after": self.after,
        }


def mutants_of(source: Source) -> Iterator[Mutant]:
    """Every mutant of a policy that loads, in the order of its rules."""
    data: Mapped = source.data
    header = {key: value for key, value in data.items() if key != "rules"}
    make = _Maker(source, "", (), None)
    if "observe" in data:
        bare = {key: value for key, value in header.items() if key not in ("observe", "mode")}
        yield make.mutant("enforce", ("observe",), "observed", "enforced", bare, key=True)
    for index, rule in enumerate(data["rules"]):
        yield from _of_rule(
            _Maker(source, f"{data['policy']}/{rule['id']}", ("rules", index), index), rule, "tools" in header
        )


@dataclass(frozen=True, slots=True)
class _Maker:
    source: Source
    rule: str
    base: tuple[str | int, ...]
    index: int | None

    def mutant(
        self,
        kind: str,
        path: Path,
        before: object,
        after: object,
        changed: Mapped | None,
        *,
        key: bool = False,
        offset: int | None = None,
    ) -> Mutant:
        at = (*self.base, *path)
        place = self.source.place(at, key=key) if offset is None else self.source.inside(at, offset)
        return Mutant(
            source=self.source,
            rule=self.rule,
            kind=kind,
            before=_text(before),
            after=_text(after),
            line=place.line,
            col=place.col,
            index=self.index,
            changed=changed,
        )


def _of_rule(make: _Maker, rule: Mapped, outer_tools: bool) -> Iterator[Mutant]:
    effect = rule["effect"]
    yield make.mutant("drop rule", ("id",), f"rule {rule['id']}", "(no rule)", None)
    other = _CHANGED[effect]
    bare = {key: rule[key] for key in _KEPT if key in rule}
    yield make.mutant("effect", ("effect",), effect, other, {**bare, "effect": other})
    yield from _of_condition(make, rule)
    yield from _of_switches(make, rule)
    if "tools" in rule and outer_tools:
        yield make.mutant("drop key", ("tools",), "tools", "(the policy's)", _less(rule, "tools"), key=True)
    yield from _of_approval(make, rule)
    yield from _of_sets(make, rule)
    yield from _of_results(make, rule)
    if "reserve" in rule:
        yield from _of_reserve(make, rule)


def _of_condition(make: _Maker, rule: Mapped) -> Iterator[Mutant]:
    when = rule.get("when", True)
    if isinstance(when, str):
        yield from _flipped(make, rule, ("when",), when)
    if when is False:
        yield make.mutant("always", ("when",), "false", "true", _with(rule, ("when",), True))
    elif when is not True and when.strip() != "true":
        yield make.mutant("always", ("when",), when, "true", _less(rule, "when"))


def _flipped(make: _Maker, rule: Mapped, path: Path, text: str) -> Iterator[Mutant]:
    for flip in flips(text):
        changed = _with(rule, path, flip.text)
        yield make.mutant("expression", path, flip.before, flip.after, changed, offset=flip.offset)


def _of_switches(make: _Maker, rule: Mapped) -> Iterator[Mutant]:
    """Keys that switch something on: each is taken out."""
    if rule.get("non_waivable"):
        changed = _less(rule, "non_waivable")
        yield make.mutant("drop key", ("non_waivable",), "non_waivable", "waivable", changed, key=True)
    if "observe" in rule:
        changed = _less(rule, "observe", "mode")
        yield make.mutant("enforce", ("observe",), "observed", "enforced", changed, key=True)
    elif rule.get("mode") == "enforce" and "observe" in make.source.data:
        yield make.mutant("drop key", ("mode",), "enforced", "observed", _less(rule, "mode"), key=True)
    flag = rule.get("flag")
    if flag is not None and rule["effect"] == "allow":
        changed = _less(rule, "flag", "approval")
        yield make.mutant("drop key", ("flag",), "flag", "(no flag)", changed, key=True)
    elif flag is not None and "converts" in flag:
        to = flag["converts"]["to"]
        changed = _less({**rule, "flag": _less(flag, "converts")}, "approval")
        yield make.mutant("drop key", ("flag", "converts"), f"converts to {to}", "flag", changed, key=True)


def _of_approval(make: _Maker, rule: Mapped) -> Iterator[Mutant]:
    approval = rule.get("approval")
    if approval is None:
        return
    path: tuple[str | int, ...] = ("approval",)
    stages = approval.get("stages")
    places = [(*path, "stages", i) for i in range(len(stages))] if stages else [path]
    for place in places:
        stage = _at(rule, place)
        quorum = stage.get("quorum", 1)
        other = quorum - 1 if quorum > 1 else 2
        changed = _with(rule, (*place, "quorum"), other)
        yield make.mutant("quorum", (*place, "quorum"), f"quorum {quorum}", f"quorum {other}", changed)
    stages = stages or []
    for i in range(len(stages)) if len(stages) > 1 else ():
        changed = _with(rule, (*path, "stages"), [*stages[:i], *stages[i + 1 :]])
        yield make.mutant("drop stage", (*path, "stages", i), f"stage {i + 1}", "(no stage)", changed)
    for key in ("local", "reason_required"):
        if key in approval:
            changed = _with(rule, (*path, key), not approval[key])
            old, new = (f"{key}: {str(value).lower()}" for value in (approval[key], not approval[key]))
            yield make.mutant("switch", (*path, key), old, new, changed)


def _of_sets(make: _Maker, rule: Mapped) -> Iterator[Mutant]:
    sets = rule.get("set", {})
    for name, value in sets.items():
        path = ("set", name)
        if len(sets) > 1:
            changed = {**rule, "set": _less(sets, name)}
            yield make.mutant("drop key", path, f"set {name}", "(not set)", changed, key=True)
        if isinstance(value, str):
            yield from _flipped(make, rule, path, value)
        else:
            other = not value if isinstance(value, bool) else value + 1
            yield make.mutant("set", path, f"{name}: {_text(value)}", other, _with(rule, path, other))


def _of_results(make: _Maker, rule: Mapped) -> Iterator[Mutant]:
    paths = rule.get("redact_result", ())
    for i, path in enumerate(paths):
        rest = [*paths[:i], *paths[i + 1 :]]
        changed = {**rule, "redact_result": rest} if rest else _less(rule, "redact_result")
        yield make.mutant("drop path", ("redact_result", i), path, "(not masked)", changed)


def _of_reserve(make: _Maker, rule: Mapped) -> Iterator[Mutant]:
    reserve = rule["reserve"]
    yield make.mutant("drop key", ("reserve",), "reserve", "(no limit)", _less(rule, "reserve"), key=True)
    limit = reserve["limit"]
    changed = _with(rule, ("reserve", "limit"), limit + 1)
    yield make.mutant("limit", ("reserve", "limit"), f"limit {limit}", f"limit {limit + 1}", changed)
    amount = reserve.get("amount", 1)
    path = ("reserve", "amount")
    if isinstance(amount, str):
        yield from _flipped(make, rule, path, amount)
    else:
        other = amount + 1
        yield make.mutant("amount", path, f"amount {amount}", f"amount {other}", _with(rule, path, other))


def _less(data: Mapped, *keys: str) -> dict[str, Any]:
    return {key: value for key, value in data.items() if key not in keys}


def _at(data: Any, path: Path) -> Any:
    for step in path:
        data = data[step]
    return data


def _with(data: Any, path: Path, value: Any) -> Any:
    """A copy with one value in place of another."""
    if not path:
        return value
    step, rest = path[0], path[1:]
    if isinstance(step, int):
        return [_with(item, rest, value) if i == step else item for i, item in enumerate(data)]
    return {**data, step: _with(data.get(step), rest, value)}


def _text(value: object) -> str:
    """One line of what a reader sees."""
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return " ".join(text.split())[:_SHOWN]
