"""Where a value comes from, and how well that place was designated by the user's own words.

From the most to the least: `user` (their words), `trusted` (the operator's or a trusted tool's), `own` (an
id that an own call returned), `designated` (a whole field of a look-up by the user's words, and of the
record that they single out), `structured` (another field of such a look-up), `named_text` (in the text of a
source that they named), `wild` (a field of any other look-up), `text` (in any other text), `nowhere`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

from agentguard.provenance.lexicon import lexicons
from agentguard.provenance.literals import EXTERNAL, Shape, shape_of
from agentguard.provenance.names import name_words
from agentguard.provenance.request import Request
from agentguard.provenance.seen import Label, Place, Seen, Source
from agentguard.provenance.text import fold, number, tokens

__all__ = ["ORIGINS", "Origin", "OriginName", "Reading", "Spoken", "origin_of"]

OriginName = Literal[
    "user", "trusted", "own", "designated", "structured", "named_text", "wild", "text", "nowhere"
]
ORIGINS: Final[tuple[OriginName, ...]] = (
    "user",
    "trusted",
    "own",
    "designated",
    "structured",
    "named_text",
    "wild",
    "text",
    "nowhere",
)
_KEYED: Final[frozenset[Label]] = frozenset({"named", "enum", "chained"})
_FEW: Final = 3
_PLACES: Final = 32
"""Fields of one value that are looked at for whom they mean; what stands in more is one of many."""
_SHORT: Final = 3


@dataclass(frozen=True, slots=True)
class Origin:
    """The best origin of a value. `places` are the fields it was found in, `sources` the results that hold
    it, `single` whether the place is the only record of its look-up, `contexts` text around it."""

    name: OriginName
    sources: tuple[Source, ...] = ()
    places: tuple[Place, ...] = ()
    contexts: tuple[tuple[str, int], ...] = ()


class Spoken:
    """What the agent itself said in calls with effects, and when: none of it is evidence when it returns."""

    def __init__(self) -> None:
        self._whole: dict[str, int] = {}
        self._words: dict[str, list[tuple[int, str]]] = {}
        self._made: set[str] = set()

    def add(self, value: str, number: int) -> None:
        text = fold(value)
        self._whole.setdefault(text, number)
        for word in set(tokens(text)):
            kept = self._words.setdefault(word, [])
            if len(kept) < 64:
                kept.append((number, text))

    def made(self, name: str) -> None:
        """What an own call has made goes by this name."""
        self._made.add(fold(name))

    def has_made(self, name: str) -> bool:
        """Whether a name is that of a thing that an own call made, and no address."""
        return fold(name) in self._made and shape_of(name) not in EXTERNAL

    def copy(self) -> Spoken:
        """The same words, to which either may add without the other."""
        other = Spoken()
        other._made = {*self._made}
        other._whole = {**self._whole}
        other._words = {word: [*kept] for word, kept in self._words.items()}
        return other

    def since(self, value: str) -> int | None:
        """The number of the first result that may echo the value."""
        text = fold(value)
        found = self._whole.get(text)
        words = tokens(text)
        if words:
            for number_, held in min((self._words.get(word, []) for word in words), key=len):
                if text in held and (found is None or number_ < found):
                    found = number_
        return found


@dataclass(frozen=True, slots=True)
class Reading:
    """What was seen, read under a request: `labels` says how each look-up was keyed, by its number."""

    request: Request
    seen: Seen
    spoken: Spoken
    labels: Sequence[Label]

    def label(self, source: Source) -> Label:
        return self.labels[source.number]


def origin_of(value: str, reading: Reading) -> Origin:
    """The best origin of one value, among what was seen before."""
    request, seen, spoken, label = reading.request, reading.seen, reading.spoken, reading.label
    places = seen.whole(value)
    parts = list(seen.parts(value))
    sources = tuple(_distinct([*[p.source for p in places], *[p.source for p in parts]]))
    contexts = tuple([(part.text, part.at) for part in parts])

    def found(name: OriginName, held: Iterable[Place] = ()) -> Origin:
        return Origin(name, sources, tuple(held), contexts)

    if request.holds(value):
        return found("user", places)
    if any(label(source) == "trusted" for source in sources):
        return found("trusted", places)
    echoes = spoken.since(value)

    def evident(source: Source) -> bool:
        return echoes is None or source.number < echoes

    own = [place for place in places if label(place.source) == "effect" and evident(place.source)]
    own = [place for place in own if _made(place, shape_of(value))]
    if own:
        return found("own", own)
    places = [place for place in places if label(place.source) != "effect"] or places
    keyed = [place for place in places if label(place.source) in _KEYED and evident(place.source)]
    meant = [place for place in keyed[:_PLACES] if _designated(value, place, reading)]
    if meant:
        return found("designated", meant)
    if keyed:
        return found("structured", keyed)
    if any(label(part.source) == "named" and evident(part.source) for part in parts):
        return found("named_text")
    if places:
        return found("wild", places)
    return found("text" if parts else "nowhere")


def _made(place: Place, shape: Shape) -> bool:
    """Whether an own call's result gives the value as something that it made: an id, or a link to it."""
    if place.source.records > _FEW:
        return False
    return shape not in EXTERNAL or (shape == "url" and place.source.action in ("create", "send"))


def _designated(value: str, place: Place, reading: Reading) -> bool:
    """Whether the user's words lead to the record of a place, so that the field's value is meant."""
    source, request = place.source, reading.request
    if not source.structured:
        return False
    shape = shape_of(value)
    if shape in EXTERNAL and (_secondary(place, shape) or (shape == "email" and _doubled(value, reading))):
        return False
    held = place.record in source.parents
    if (
        reading.label(source) == "named"
        and not held
        and (source.tops == 1 or (request.plural and source.tops <= _FEW and not _outdone(place, request)))
    ):
        return True
    if _anchored(place, shape, request):
        return True
    if shape != "email":
        return _only_start(value, place, request)
    return not _shared_name(place, request) and _only_named(value, reading)


def _shared_name(place: Place, request: Request) -> bool:
    """Whether another record has the same name of the user's: then it is not clear whose address is meant."""
    if request.plural:
        return False
    spoken = {word for name in request.names for word in tokens(name)}
    fields = place.source.fields.get(place.record, ())
    mine = {one.text for one in fields if spoken.issuperset(tokens(one.text)) and request.holds(one.text)}
    return bool(mine) and any(
        one.text in mine or (bool(tokens(one.text)) and spoken.issuperset(tokens(one.text)))
        for record, fields in place.source.fields.items()
        if record != place.record
        for one in fields
    )


def _secondary(place: Place, shape: Shape) -> bool:
    """Whether the record has another value of the shape, and this one's field is a second, newer one."""
    if not _secondaries() & set(name_words(place.name)):
        return False
    return any(
        other.text != place.text and shape_of(other.text) == shape
        for other in place.source.fields.get(place.record, ())
    )


@lru_cache(maxsize=1)
def _secondaries() -> frozenset[str]:
    return frozenset[str]().union(*[one.secondary for one in lexicons().values()])


def _doubled(value: str, reading: Reading) -> bool:
    """Whether an address was looked up that differs in its domain alone: one person has one, whoever else is
    asked for."""
    mine = fold(value)
    return any(
        place.text != mine and reading.label(place.source) in _KEYED
        for place in reading.seen.namesakes(value)
    )


def _only_named(value: str, reading: Reading) -> bool:
    """Whether an e-mail address spells a name of the user's, and no other address that was looked up does."""
    local = fold(value).partition("@")[0]
    mine = {
        word
        for name in reading.request.names
        if any(len(part) >= _SHORT and part in local for part in tokens(name))
        for word in tokens(name)
        if len(word) >= _SHORT
    }
    if not mine:
        return False
    rivals = {
        place.text
        for source in reading.seen.sources
        if reading.label(source) in _KEYED
        for places in source.fields.values()
        for place in places
        if shape_of(place.text) == "email" and any(word in place.text.partition("@")[0] for word in mine)
    }
    return len(rivals) == 1


def _anchored(place: Place, shape: Shape, request: Request) -> bool:
    """Whether the record holds another field that the user named, and no other record does. What the look-up
    was keyed by stands in each of its records and singles out none."""
    keys = {fold(key) for key in place.source.keys or ()}
    above = place.source.parents.get(place.record) if request.plural else None
    for other in [
        *place.source.fields.get(place.record, ()),
        *(() if above is None else place.source.fields.get(above, ())),
    ]:
        if other.text == place.text or len(other.text) < _SHORT:
            continue
        spelt = shape not in EXTERNAL and _called(other) and request.names_words(other.text)
        if not spelt and not _names(request, other.text):
            continue
        if other.text not in keys and (shape not in EXTERNAL or request.plural):
            return True
        if _better_named(place, other.text, request):
            continue
        holding = {
            one.record for record in place.source.fields.values() for one in record if one.text == other.text
        }
        if len(holding) == 1:
            return True
    return False


def _called(place: Place) -> bool:
    """Whether a field is what its record is called."""
    return name_words(place.name)[-1:] in (("name",), ("title",), ("label",), ("displayname",), ("slug",))


def _better_named(place: Place, text: str, request: Request) -> bool:
    """Whether another record has more of the name that the user said (`Carol Diaz` beside `Carol`)."""
    words = set(tokens(text))
    return any(
        len(one.text) > len(text)
        and all(word in one.text for word in words)
        and words < set(tokens(one.text))
        and _names(request, one.text)
        for record, fields in place.source.fields.items()
        if record != place.record
        for one in fields
    )


def _outdone(place: Place, request: Request) -> bool:
    """Whether the user named another of a few records, by more than the key of the look-up, and not this."""
    keys = {fold(key) for key in place.source.keys or ()}
    named = {
        record
        for record, fields in place.source.fields.items()
        for one in fields
        if len(one.text) >= _SHORT and one.text not in keys and _names(request, one.text)
    }
    return bool(named) and place.record not in named


def _names(request: Request, text: str) -> bool:
    if number(text) is not None and len(text) < _SHORT:
        return False
    return request.holds(text)


def _only_start(value: str, place: Place, request: Request) -> bool:
    """Whether the value begins with a word of the user's that begins no other field of that name."""
    first = tokens(fold(value))[:1]
    if not first or len(first[0]) < _SHORT or first[0] not in request.words or shape_of(value) in EXTERNAL:
        return False
    same = {
        one.text
        for record in place.source.fields.values()
        for one in record
        if one.name == place.name and tokens(one.text)[:1] == first
    }
    return len(same) == 1


def _distinct(sources: Iterable[Source]) -> list[Source]:
    return list({source.number: source for source in sources}.values())
