"""One value of a call with everything that a rule may want to know of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from agentguard.provenance.arguments import Value
from agentguard.provenance.kinds import Kind, stakes_of
from agentguard.provenance.lexicon import lexicons
from agentguard.provenance.literals import EXTERNAL, normal, shape_of
from agentguard.provenance.names import name_words
from agentguard.provenance.origins import ORIGINS, Origin, Reading
from agentguard.provenance.request import Request
from agentguard.provenance.seen import Place, Source
from agentguard.provenance.text import fold, number, tokens
from agentguard.provenance.wording import instructs, meddled

__all__ = ["Judged", "judge"]

_LOOKED_AT: Final = 512


@dataclass(frozen=True, slots=True)
class Judged:
    """A value, its origin, and what singles it out or speaks against it."""

    value: Value
    origin: Origin
    facts: dict[str, Any]

    @property
    def rank(self) -> int:
        return ORIGINS.index(self.origin.name)

    def to_facts(self) -> dict[str, Any]:
        return dict(self.facts)

    def to_provenance(self) -> dict[str, Any]:
        """As `provenance(args.x)` shows it."""
        return {
            "from_user": self.origin.name == "user",
            "from_results": [source.call_id or source.tool for source in self.origin.sources],
            "origin": self.origin.name,
            "trusted": self.origin.name in ("user", "trusted"),
        }


def judge(value: Value, origin: Origin, reading: Reading, filled: Mapping[str, set[str]]) -> Judged:
    """A value of a known origin, with what else a rule may ask of it."""
    request = reading.request
    shape = shape_of(value.text)
    external = shape in EXTERNAL
    facts = {
        "path": value.path,
        "role": value.role,
        "shape": shape,
        "key": value.key,
        "link": value.link,
        "external": external,
        "origin": origin.name,
        "sources": [source.tool for source in origin.sources],
        "calls": [source.call_id or source.tool for source in origin.sources],
        "closed": _closed(value, shape, request),
        "optional": value.optional and not request.cued,
        "selected": _selected(origin, reading),
        "second": _second(value, request, filled),
        "instructed": any(instructs(text, at, len(value.text)) for text, at in origin.contexts),
        "meddled": any(meddled(text, at, len(value.text)) for text, at in origin.contexts),
        "addressed": value.role in ("recipient", "destination"),
        "web": bool(origin.sources) and all(source.action == "fetch" for source in origin.sources),
        "only": _only(value, shape, origin),
        "sensitive": bool(_sensitive() & set(tokens(fold(value.text)[:_LOOKED_AT]))),
    }
    return Judged(value, origin, facts)


@lru_cache(maxsize=1)
def _sensitive() -> frozenset[str]:
    return frozenset[str]().union(*[one.sensitive for one in lexicons().values()])


def accounted(judged: Sequence[Judged], kind: Kind, request: Request) -> None:
    """Mark the values of named texts that the request accounts for: a page to be fetched, a thing to be made,
    and an anchored address (beside one of the user's, where they point to the text and it holds no other)."""
    anchored = any(one.value.key and one.origin.name == "user" for one in judged)
    for one in judged:
        facts = one.facts
        fetched = kind.action == "fetch" and not facts["web"]
        made = kind.action == "create" and one.value.role in ("object", "path")
        anchor = anchored and request.pointing and facts["only"] and not facts["closed"]
        fine = fetched or made or (anchor and stakes_of(kind.action) == "medium")
        facts["accounted"] = fine and not facts["instructed"]


def _closed(value: Value, shape: str, request: Request) -> bool:
    """Whether the user named something of the same shape, so that nothing else belongs there."""
    if shape in EXTERNAL:
        return request.has_shape(shape)  # type: ignore[arg-type]
    return bool(request.quoted or request.names)


def _second(value: Value, request: Request, filled: Mapping[str, set[str]]) -> bool:
    """Whether a slot that the user left open for one was filled already, with something else."""
    if request.plural:
        return False
    before = filled.get(value.role, set())
    return bool(before) and fold(value.text) not in before


def _only(value: Value, shape: str, origin: Origin) -> bool:
    """Whether each source that holds it holds no other value of its shape."""
    if shape not in EXTERNAL or not origin.sources:
        return False
    form = normal(value.text, shape)  # type: ignore[arg-type]
    return all(source.literals().of(shape) == {form} for source in origin.sources)  # type: ignore[arg-type]


def _selected(origin: Origin, reading: Reading) -> bool:
    """Whether the user's words single out the record: by name, or by a superlative that it fulfils."""
    for place in origin.places:
        source, label = place.source, reading.label(place.source)
        if label == "named" and source.records == 1:
            return True
        if label in ("named", "enum", "chained") and _extreme(place, source, reading.request):
            return True
    return False


def _extreme(place: Place, source: Source, request: Request) -> bool:
    """Whether the record has the most or the least, as the user said, of what a field measures."""
    columns: dict[str, list[tuple[float, int]]] = {}
    for record, fields in source.fields.items():
        for one in fields:
            found = number(one.text)
            if found is not None and _measures() & set(name_words(one.name)):
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
