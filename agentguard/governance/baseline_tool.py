"""How an agent uses one tool, while its baseline is learned."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Final

from agentguard.governance.baseline_content import MAX_SHAPES
from agentguard.governance.baseline_shape import Digest, Shape, word_digest
from agentguard.governance.flag_fingerprint import Kinds

__all__ = ["MAX_WORDS", "MIN_USES", "ToolUse", "quantile"]

MAX_WORDS: Final = 8
"""Different words of a closed vocabulary."""
MIN_USES: Final = 30
"""Calls without which a vocabulary is not called closed."""

_SHAPES: Final = 1000
_SESSIONS: Final = 1000
_GROWN: Final = 2


def quantile(ordered: Sequence[int], share: float) -> int:
    """The smallest value that at least this share of the ordered values does not exceed; 0 of none."""
    if not ordered:
        return 0
    return ordered[max(0, -int(-share * len(ordered) // 1) - 1)]


class _Argument:
    """What was seen of one argument."""

    __slots__ = ("late", "length", "number", "open", "seen", "words")

    def __init__(self) -> None:
        self.length: int | None = None
        self.number: tuple[int, int] | None = None
        self.words: set[str] = set()
        self.open = False
        self.late = False
        self.seen = 0

    def measure(self, length: int | None, number: int | None) -> None:
        if length is not None:
            self.length = length if self.length is None else max(self.length, length)
        if number is not None:
            low, high = self.number or (number, number)
            self.number = min(low, number), max(high, number)

    def say(self, word: str | None, late: bool) -> None:
        """A word; None for a text that can be none."""
        self.seen += 1
        if word is None or self.open:
            self.open = True
        elif word not in self.words:
            self.late = self.late or late
            self.words.add(word)
            self.open = len(self.words) > MAX_WORDS
        if self.open:
            self.words.clear()

    def content(self) -> dict[str, Any]:
        closed = self.words and not self.open and not self.late and self.seen >= MIN_USES
        found = {"length": self.length, "number": self.number and list(self.number),
                 "words": sorted(self.words) if closed else None}  # fmt: skip
        return {name: value for name, value in found.items() if value is not None}


class ToolUse:
    """Takes in the calls of one tool, oldest first; `first` is when the first one was made."""

    def __init__(self, tool: str, first: str) -> None:
        self.tool = tool
        self.first = first
        self.calls = self.other_shapes = 0
        self._days: set[str] = set()
        self._sessions: set[int] = set()
        self._hours: dict[str, int] = {}
        self._shapes: Counter[Kinds] = Counter()
        self._since: dict[Kinds, str] = {}
        self._arguments: dict[str, _Argument] = {}

    def take(self, at: str, session: int, shape: Shape | None, digest: Digest | None, *, late: bool) -> None:
        """One call, at an instant as events write it."""
        self.calls += 1
        self._days.add(at[:10])
        self._hours[at[:13]] = self._hours.get(at[:13], 0) + 1
        if len(self._sessions) < _SESSIONS:
            self._sessions.add(session)
        if shape is None:
            return
        if shape.kinds not in self._shapes:
            if len(self._shapes) >= _SHAPES:
                self.other_shapes += 1
                return
            self._since[shape.kinds] = at
        self._shapes[shape.kinds] += 1
        for name, _ in shape.kinds:
            known = self._arguments.get(name)
            if known is None:
                known = self._arguments[name] = _Argument()
            length = shape.lengths.get(name)
            known.measure(length, shape.numbers.get(name))
            if length is not None and digest is not None:
                text = shape.words.get(name)
                if known.open or text is None:
                    known.say(None, late)
                else:
                    known.say(word_digest(digest, self.tool, name, text), late)

    def content(self) -> dict[str, Any]:
        """What is kept of it."""
        kept = sorted(self._shapes.items(), key=lambda one: (-one[1], one[0]))[:MAX_SHAPES]
        calls = sorted(self._hours.values())
        return {
            "calls": self.calls,
            "days": len(self._days),
            "sessions": len(self._sessions),
            "first": self.first,
            "shapes": [{"kinds": dict(kinds), "calls": count} for kinds, count in kept],
            "other_shapes": self.other_shapes + self._shapes.total() - sum(count for _, count in kept),
            "arguments": {name: one.content() for name, one in sorted(self._arguments.items())},
            "rate": {
                "hours": len(calls),
                "median": quantile(calls, 0.5),
                "p95": quantile(calls, 0.95),
                "maximum": calls[-1] if calls else 0,
            },
        }

    def notable(self, *, late: str, middle: str, sessions: int) -> Iterator[tuple[str, str]]:
        """What should be looked at; `sessions` are those of all tools."""
        name = f"`{self.tool}`"
        if self.first >= late:
            yield "late", f"{name} was first called on {self.first[:10]}, late in the period"
        if len(self._days) == 1 or (len(self._sessions) == 1 and sessions > 1):
            only = "on one day only" if len(self._days) == 1 else "in one session only"
            yield "rare", f"{name} was called {only} ({self.calls:,} calls)"
        for kinds, since in sorted(self._since.items()):
            if since >= late > self.first:
                shown = ", ".join(f"{argument}: {kind}" for argument, kind in kinds) or "none"
                yield "late", f"{name} was first called with the arguments {shown} on {since[:10]}"
        before = sorted(count for hour, count in self._hours.items() if hour < middle)
        after = sorted(count for hour, count in self._hours.items() if hour >= middle)
        was, became = quantile(before, 0.95), quantile(after, 0.95)
        if before and became > _GROWN * was and became > was + 5:
            yield "grew", f"{name} grew from {was:,} to {became:,} calls an hour (p95) within the period"
        if self.other_shapes or len(self._shapes) > MAX_SHAPES:
            yield "shapes", f"{name} has more argument shapes than are kept; others will be new ones"
