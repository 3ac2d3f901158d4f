"""Whether the user's words single out a value among the fields of what was looked up: by a name, or by a
superlative that it fulfils; and whether they single out another one instead."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Final

from agentguard.provenance.arguments import Value
from agentguard.provenance.lexicon import lexicons
from agentguard.provenance.names import name_words
from agentguard.provenance.origins import Origin, Reading, origin_of
from agentguard.provenance.request import Request
from agentguard.provenance.seen import Label, Place, Source
from agentguard.provenance.text import fold, number, tokens

__all__ = ["passed_over", "selected"]

_KEYED: Final[frozenset[Label]] = frozenset({"named", "enum", "chained"})
_SIBLINGS: Final = 64
_PLACES: Final = 8
_SHORT: Final = 3
_PREFIX: Final = re.compile(r"\b(?:start|begin)(?:s|n?ing)? with ['\"“‘]?([^\W_][\w.-]*)")


def selected(origin: Origin, reading: Reading) -> bool:
    """Whether the user's words single out the record: by name, or by a superlative that it fulfils."""
    for place in origin.places[:_PLACES]:
        source, label = place.source, reading.label(place.source)
        if label == "named" and source.tops == 1 and place.record not in source.parents:
            return True
        if label in _KEYED and _extreme(place, source, reading.request):
            return True
    return False


def passed_over(value: Value, origin: Origin, reading: Reading) -> bool:
    """Whether a field of a record is not what the user left open: their words single out another value of its
    column, it does not begin as they say, or it is not the one with the most or the least of something that
    they ask for. Where they hand over, it is not their words that say whom."""
    request = reading.request
    addressed = value.role in ("recipient", "destination")
    if origin.name != "structured" or not addressed or (request.delegated and not request.described):
        return False
    several, prefixes = _universal(request), _PREFIX.findall(request.text)
    if prefixes and not (several and fold(value.text).startswith(tuple(prefixes))):
        return True  # the only one that begins so would be designated
    if (request.most or request.least) and not several:
        extreme = selected(origin, reading) or any(
            _at_the_end(sizes, fold(value.text), request) for sizes in _sizes(value.text, origin, reading)
        )
        if not extreme:
            return True
    return all(_another_meant(place, reading, several or request.plural) for place in origin.places[:_PLACES])


def _universal(request: Request) -> bool:
    """Whether the user asks for all of something, outside of what they quote."""
    text = request.text
    for quoted in request.quoted:
        text = text.replace(quoted, " ")
    words = tokens(text)
    return any(
        word in one.open and word in one.plural and not one.topics_of(word)
        for one in lexicons().values()
        for word in words
    )


def _another_meant(place: Place, reading: Reading, several: bool) -> bool:
    """Whether the user's words lead to another value of the column. One that is too long to look through
    means each of its values only where the user wants several."""
    column = {
        one.text: one.raw
        for fields in place.source.fields.values()
        for one in fields
        if one.name == place.name and one.text != place.text
    }
    if len(column) > _SIBLINGS:
        return not several
    return any(
        len(text) >= _SHORT
        and number(text) is None
        and origin_of(raw, reading).name in ("user", "designated")
        for text, raw in column.items()
    )


def _sizes(text: str, origin: Origin, reading: Reading) -> Iterator[Mapping[str, float]]:
    """What may be counted of a value and of those beside it: the records of the look-ups that they were the
    only key of, the records in which they stand, and a number beside them that the user calls by its name."""
    mine = fold(text)
    tools = {source.tool for source in reading.seen.sources if _key(source) == mine}
    for tool in tools:
        sizes: Counter[str] = Counter()
        for source in reading.seen.sources:
            key = _key(source)
            if source.tool == tool and key is not None:
                sizes[key] = max(sizes[key], source.records)
        yield sizes
    tools = {place.source.tool for place in origin.places}
    for name in {place.name for place in origin.places if place.name}:
        yield Counter(
            one.text
            for source in reading.seen.sources
            if source.tool in tools and reading.label(source) in _KEYED
            for fields in source.fields.values()
            for one in fields
            if one.name == name
        )

    for place in origin.places[:_PLACES]:
        yield from _numbers(place, reading.request)


def _numbers(place: Place, request: Request) -> Iterator[Mapping[str, float]]:
    """By the values of a column, each field of numbers whose name is among the user's words."""
    columns: dict[str, dict[str, float]] = {}
    for fields in place.source.fields.values():
        mine = [one.text for one in fields if one.name == place.name]
        for one in fields:
            found = number(one.text)
            if mine and found is not None and request.words & {*name_words(one.name)}:
                columns.setdefault(one.name, {})[mine[0]] = found
    yield from columns.values()


def _key(source: Source) -> str | None:
    """What a look-up was keyed by, where that is one text."""
    return fold(source.keys[0]) if source.keys is not None and len(source.keys) == 1 else None


def _at_the_end(sizes: Mapping[str, float], text: str, request: Request) -> bool:
    """Whether a value has the largest, or the smallest, of different sizes."""
    if len({*sizes.values()}) < 2 or text not in sizes:
        return False
    return (request.most and sizes[text] == max(sizes.values())) or (
        request.least and sizes[text] == min(sizes.values())
    )


def _extreme(place: Place, source: Source, request: Request) -> bool:
    """Whether the record has the most or the least, as the user said, of what a field measures."""
    if not (request.most or request.least):
        return False
    columns: dict[str, list[tuple[float, int]]] = {}
    for record, fields in source.fields.items():
        for one in fields:
            found = number(one.text) if _measures() & set(name_words(one.name)) else None
            if found is not None:
                columns.setdefault(one.name, []).append((found, record))
    return any(
        len(column) > 1
        and (
            (request.most and place.record == max(column)[1])
            or (request.least and place.record == min(column)[1])
        )
        for column in columns.values()
    )


@lru_cache(maxsize=1)
def _measures() -> frozenset[str]:
    return frozenset[str]().union(*[one.measures for one in lexicons().values()])
