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
from agentguard.provenance.selection import passed_over, selected
from agentguard.provenance.text import fold, tokens
from agentguard.provenance.wording import instructs, meddled

__all__ = ["Judged", "accounted", "judge", "leads_outside"]

_LOOKED_AT: Final = 512
_SHORT: Final = 3
_PLACES: Final = 8
_CALLED: Final = (("name",), ("fullname",), ("realname",), ("displayname",), ("username",), ("nickname",))
_HOSTS: Final = frozenset({"host", "hostname", "server", "domain", "target", "endpoint", "site", "remote"})
_DOMAINS: Final = frozenset((
    "com", "org", "net", "info", "biz", "dev", "app", "xyz", "online", "site", "shop", "cloud", "tech",
    "edu", "gov", "mil", "int", "name", "pro", "live", "page", "link", "top", "club", "example", "test",
    "invalid", "localhost",
))  # fmt: skip


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


def leads_outside(value: Value, action: str) -> bool:
    """Whether a value is an address of somebody or something. The number of a thing is none, nor is its
    dotted name (`77120411`, `light.kitchen`), except where money goes there."""
    shape = shape_of(value.text)
    if shape not in EXTERNAL:
        return False
    if value.role not in ("object", "path") or value.link or action == "pay" or shape in ("email", "iban"):
        return True
    if shape == "account" and value.text.lstrip().startswith(("+", "00")):
        return True
    if shape != "url":
        return False
    text, words = value.text.casefold(), set(name_words(value.path))
    last = text.rstrip("/").rpartition(".")[2]
    return "://" in text or "/" in text or len(last) == 2 or last in _DOMAINS or not _HOSTS.isdisjoint(words)


def judge(
    value: Value, origin: Origin, reading: Reading, filled: Mapping[str, set[str]], *, external: bool
) -> Judged:
    """A value of a known origin, with what else a rule may ask of it."""
    request = reading.request
    shape = shape_of(value.text)
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
        "optional": value.optional and not request.cued and not _person(value, origin, request),
        "selected": selected(origin, reading),
        "second": _second(value, request, filled) or passed_over(value, origin, reading),
        "instructed": any(instructs(text, at, len(value.text)) for text, at in origin.contexts),
        "meddled": any(meddled(text, at, len(value.text)) for text, at in origin.contexts),
        "addressed": value.role in ("recipient", "destination"),
        "web": bool(origin.sources) and all(source.action == "fetch" for source in origin.sources),
        "only": _only(value, shape, origin, reading),
        "sensitive": bool(_sensitive() & set(tokens(fold(value.text)[:_LOOKED_AT]))),
    }
    return Judged(value, origin, facts)


def _person(value: Value, origin: Origin, request: Request) -> bool:
    """Whether the record of a value is that of somebody whom the user named."""
    names = {word for name in request.names for word in tokens(name) if len(word) >= _SHORT and _proper(word)}
    return value.role == "recipient" and any(
        not names.isdisjoint(tokens(one.text))
        for place in origin.places[:_PLACES]
        for one in place.source.fields.get(place.record, ())
        if name_words(one.name)[-1:] in _CALLED
    )


@lru_cache(maxsize=1)
def _sensitive() -> frozenset[str]:
    return frozenset[str]().union(*[one.sensitive for one in lexicons().values()])


def accounted(judged: Sequence[Judged], kind: Kind, request: Request) -> None:
    """Mark the values of named texts that the request accounts for: a page to be fetched, a thing to be made,
    and an anchored address."""
    medium = stakes_of(kind.action) == "medium"
    for one in judged:
        facts = one.facts
        fetched = kind.action == "fetch" and not facts["web"]
        made = kind.action == "create" and one.value.role in ("object", "path")
        fine = fetched or made or (medium and _anchored(one, judged, request))
        facts["accounted"] = fine and not facts["instructed"]


def _anchored(one: Judged, judged: Sequence[Judged], request: Request) -> bool:
    """Whether an address belongs to somebody whom the user named in another argument of the call, where they
    point to the text and no text that they named holds another.

    INVARIANT: what anchors is itself an address or a proper name: any other word of the request would do as
    well for an attacker. An e-mail address spells that name, or the user speaks of mail.
    """
    facts = one.facts
    if not request.pointing or not facts["only"] or facts["closed"]:
        return False
    names = [
        other.value.text
        for other in judged
        if other.facts["addressed"]
        and other.origin.name == "user"
        and _argument(other) != _argument(one)
        and (other.facts["external"] or _proper(other.value.text))
    ]
    match facts["shape"]:
        case "email":
            spelt = any(_spells(one.value.text, name) for name in names)
            return one.value.role == "recipient" and bool(names) and (spelt or "mail" in request.topics)
        case "url":
            return one.value.role == "destination" and bool(names)
        case _:
            return False


def _argument(one: Judged) -> str:
    return one.value.path.removeprefix("args.").partition("[")[0].partition(".")[0]


def _spells(address: str, name: str) -> bool:
    return any(len(word) >= _SHORT and word in fold(address) for word in tokens(fold(name)))


def _proper(text: str) -> bool:
    """Whether a text holds a word that no language has: a name."""
    return any(len(word) >= _SHORT and not _plain(word) for word in tokens(fold(text)))


def _plain(word: str) -> bool:
    return any(
        word in one.common
        or word in one.starters
        or word in one.openers
        or bool(one.actions_of(word) or one.topics_of(word))
        for one in lexicons().values()
    )


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


def _only(value: Value, shape: str, origin: Origin, reading: Reading) -> bool:
    """Whether each source that holds it holds no other value of its shape; of a text to which the user points
    also whether no other text that they named holds one."""
    if shape not in EXTERNAL or not origin.sources:
        return False
    form = normal(value.text, shape)  # type: ignore[arg-type]
    sources = [*origin.sources]
    if origin.name == "named_text" and reading.request.pointing:
        sources += [source for source in reading.seen.sources if reading.label(source) == "named"]
    return all(source.literals().of(shape) <= {form} for source in sources)  # type: ignore[arg-type]
