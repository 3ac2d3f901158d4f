"""A series: calls like one that a person approves, with other values out of the same places.

The call that is asked about is the example. Another one is like it where it is of the same tool, fills the
same arguments, and each value that the user did not give stands where the example's stood: in the same
column of a listing, or in the same text. What the person is shown is that listing or text, whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from agentguard.provenance.judged import Judged
from agentguard.provenance.literals import EXTERNAL, shape_of
from agentguard.provenance.origins import Reading
from agentguard.provenance.plans import LONGEST, text_of
from agentguard.provenance.seen import Place, Source
from agentguard.provenance.text import fold
from agentguard.provenance.wording import meddles

__all__ = ["Series", "series_of"]

_GIVEN: Final = frozenset({"user", "own", "trusted"})
_AT: Final = re.compile(r"\[\d+\]")
_KEPT: Final = frozenset({"permission", "permission_to", "amount"})
_SOURCES: Final = 4
_FEWEST: Final = 2


@dataclass(frozen=True, slots=True)
class Slot:
    """What one argument may hold besides what the user gave: the example's own value, other fields of its
    columns, values of its shape in its texts, or a name of the agent's own."""

    values: frozenset[str]
    columns: frozenset[tuple[str, str]]
    shapes: frozenset[str]
    free: bool
    instructed: bool

    def said(self) -> str:
        """For a person."""
        parts = [f"`{name}` of `{tool}`" for tool, name in sorted(self.columns) if name]
        if self.columns and not parts:
            parts.append("any entry of " + " and ".join(sorted(f"`{tool}`" for tool, _ in self.columns)))
        parts += [f"any {shape} in the text" for shape in sorted(self.shapes & EXTERNAL)]
        if self.shapes - EXTERNAL:
            parts.append("anything in the text that is no address")
        if self.free:
            parts.append("a name that the agent gives")
        return " or ".join(parts) or "what you gave"


@dataclass(frozen=True, slots=True)
class Series:
    """`texts` are the results that are shown, by number, each after its tool; `kept` the arguments that must
    not change."""

    tool: str
    texts: Mapping[int, tuple[str, str]]
    slots: Mapping[str, Slot]
    kept: frozenset[tuple[str, str]]
    items: int

    def said(self) -> tuple[str, ...]:
        """The tool, and what each argument may be, for a person: part of what they approve."""
        lines = [f"{path.removeprefix('args.')}: {slot.said()}" for path, slot in sorted(self.slots.items())]
        return (
            self.tool,
            *lines,
            *[f"{path.removeprefix('args.')} = {text}" for path, text in sorted(self.kept)],
            "everything else, such as what is written: as the agent says",
        )

    def covers(self, tool: str, judged: Sequence[Judged], reading: Reading) -> bool:
        """Whether a call is like the example. `reading` is under the user's own words."""
        deciding = [one for one in judged if one.value.key or one.value.link]
        paths = {_path(one) for one in deciding if one.value.key}
        if tool != self.tool or not paths or paths != {path for path in self.slots if not _linked(path)}:
            return False
        if _kept(judged) != self.kept:
            return False
        return all(self._fits(one, reading) for one in deciding)

    def _fits(self, one: Judged, reading: Reading) -> bool:
        if one.origin.name in _GIVEN:
            return True
        slot = self.slots.get(_path(one))
        if slot is None:
            return False
        if fold(one.value.text) in slot.values:
            return True
        for place in one.origin.places:
            shown = place.source.number in self.texts
            led = shown or (not one.facts["external"] and self._shows(place.source, reading))
            if led and (place.source.tool, place.name) in slot.columns:
                return True
        if one.facts["instructed"] and not slot.instructed:
            return False
        shape = shape_of(one.value.text)
        shown = any(source.number in self.texts for source in one.origin.sources)
        plain = shape not in EXTERNAL and bool(slot.shapes - EXTERNAL)
        if shown and (shape in slot.shapes or plain):
            return True
        named = not any(char.isdigit() for char in one.value.text)
        return slot.free and named and one.origin.name == "nowhere" and not one.facts["external"]

    def _shows(self, source: Source, reading: Reading) -> bool:
        """Whether a result is shown, or was looked up by nothing but what is shown."""
        if source.number in self.texts:
            return True
        return bool(source.keys) and all(
            reading.request.holds(key) or self._holds(key, reading) for key in source.keys or ()
        )

    def _holds(self, text: str, reading: Reading) -> bool:
        seen = reading.seen
        if any(place.source.number in self.texts for place in seen.whole(text)):
            return True
        # A single word of a text leads anywhere.
        return " " in text.strip() and any(part.source.number in self.texts for part in seen.parts(text))


def series_of(tool: str, judged: Sequence[Judged], reading: Reading) -> Series | None:
    """The calls like this one; None where there is nothing that they could share, or too much to show."""
    deciding = [one for one in judged if one.value.key or one.value.link]
    if not any(one.value.key for one in deciding):
        return None
    shown: dict[int, Source] = {}
    slots: dict[str, list[Judged]] = {}
    for one in deciding:
        slots.setdefault(_path(one), []).append(one)
        if one.origin.name not in _GIVEN:
            for source in _shown(one, reading):
                shown[source.number] = source
    if not shown or len(shown) > _SOURCES:
        return None
    texts = {number: (source.tool, text_of(source)) for number, source in sorted(shown.items())}
    items = max(_items(source) for source in shown.values())
    whole = "\n".join(text for _, text in texts.values())
    if items < _FEWEST or len(whole) > LONGEST or meddles(fold(whole)):
        return None
    return Series(
        tool=tool,
        texts=texts,
        slots={path: _slot(ones) for path, ones in slots.items()},
        kept=_kept(judged),
        items=items,
    )


def _shown(one: Judged, reading: Reading) -> Iterable[Source]:
    """The results that a person is shown for a value: where it stands, and what its look-up was keyed by."""
    places = [place for place in one.origin.places if place.source.action in ("read", "fetch")]
    listing = [place.source for place in places if place.source.records > 1]
    texts = sorted(one.origin.sources, key=lambda source: reading.label(source) != "named")
    held = listing[:1] or [place.source for place in places[:1]] or texts[:1]
    for source in held:
        yield source
        for key in source.keys or ():
            if not reading.request.holds(key):
                above = reading.seen.whole(key)
                found = [place.source for place in above if place.source.number < source.number]
                found += [
                    part.source for part in reading.seen.parts(key) if part.source.number < source.number
                ]
                yield from found[:1]


def _slot(ones: Sequence[Judged]) -> Slot:
    told = [one for one in ones if one.origin.name not in _GIVEN]
    places: list[Place] = [place for one in told for place in one.origin.places]
    return Slot(
        values=frozenset(fold(one.value.text) for one in told),
        columns=frozenset((place.source.tool, place.name) for place in places),
        shapes=frozenset(
            shape_of(one.value.text) for one in told if not one.origin.places and one.origin.sources
        ),
        free=any(one.origin.name == "nowhere" and not one.facts["external"] for one in told),
        instructed=any(one.facts["instructed"] for one in told),
    )


def _kept(judged: Sequence[Judged]) -> frozenset[tuple[str, str]]:
    return frozenset((_path(one), fold(one.value.text)) for one in judged if one.value.role in _KEPT)


def _path(one: Judged) -> str:
    path = _AT.sub("", one.value.path)
    return f"{path} (link)" if one.value.link else path


def _linked(path: str) -> bool:
    return path.endswith(" (link)")


def _items(source: Source) -> int:
    lines = sum(sum(text.count(mark) for mark in (". ", "\n", ";")) + 1 for text in source.texts)
    return max(source.records, lines)
