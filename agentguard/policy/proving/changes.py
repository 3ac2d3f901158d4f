"""What the order of two sets does not see: other terms of an approval, another flag, limit or redaction."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final

from agentguard.policy.rules import Rule
from agentguard.policy.scalars import pattern_covers

__all__ = ["notes"]


def notes(today: Sequence[Rule], candidate: Sequence[Rule], tool: str) -> Iterator[str]:
    """What changed besides, rule by rule: in those of both sets, and in those that only one of them has."""
    old, new = _named(today, tool), _named(candidate, tool)
    for name in dict.fromkeys([*old, *new]):
        before, after = old.get(name), new.get(name)
        if before is not None and after is not None:
            yield from (f"`{name}`: {label} changed" for label in _changed(before, after))
            continue
        rule, word = (before, "deleted") if before is not None else (after, "added")
        carried = [label for label, get in _TERMS.items() if rule is not None and get(rule)]
        if carried:
            yield f"`{name}` was {word}, and with it {', '.join(carried)}"


def _named(rules: Iterable[Rule], tool: str) -> dict[str, Rule]:
    def concerned(rule: Rule) -> bool:
        return any(pattern_covers(tool, one) or pattern_covers(one, tool) for one in rule.tools)

    return {rule.name: rule for rule in rules if concerned(rule)}


def _changed(before: Rule, after: Rule) -> list[str]:
    return [label for label, get in {**_TERMS, **_EXCEPTIONS}.items() if get(before) != get(after)]


_TERMS: Final[dict[str, Callable[[Rule], Any]]] = {
    "the terms of the approval": lambda rule: rule.approve,
    "the flag": lambda rule: rule.flag,
    "the flag while it is observed": lambda rule: rule.observed_flag,
    "what is redacted": lambda rule: rule.redact,
    "what is written": lambda rule: tuple(
        (one.path, one.program.source if one.program else repr(one.constant)) for one in rule.sets
    ),
    "the counter": lambda rule: (
        None if rule.reserve is None else (rule.reserve.key, rule.reserve.limit, rule.reserve.window_s)
    ),
}
_EXCEPTIONS: Final[dict[str, Callable[[Rule], Any]]] = {
    "whether an exception may waive it": lambda rule: rule.non_waivable,
    "how long an exception from it may last": lambda rule: rule.max_exception_s,
}
