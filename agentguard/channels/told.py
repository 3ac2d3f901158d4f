"""What people are told of: which events of the ledger, about what, and how urgent.

INVARIANT: nothing that a person or an agent wrote freely is taken from an event, only ids, names, counts and
times. What a question shows is rendered from its frozen call when it is delivered.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Final, get_args

from agentguard.canonical import digest, encode
from agentguard.channels.options import EventName

__all__ = ["ENDS", "EXPIRING", "OPENING", "Entry", "Interest", "entry_of", "subject_id"]

EXPIRING: Final = "exception.expiring"
"""The one that no event of the ledger says: it follows from the time."""

ENDS: Final = frozenset(
    f"approval.{state}" for state in ("approved", "denied", "expired", "withdrawn", "superseded", "revoked")
)
"""A question is over, or decided."""

OPENING: Final = frozenset(
    {
        "approval.opened",
        "approval.escalated",
        "flag.opened",
        "flag.reopened",
        "flag.escalated",
        "flag.breached",
        "exception.expired",
        "exception.revoked",
        "agent.suspended",
        EXPIRING,
    }
)
"""What people are told of although they never heard of its subject before."""

_URGENT: Final = frozenset({"approval.escalated", "flag.breached", "agent.suspended"})
_ALL: Final = frozenset(name for name in get_args(EventName) if not name.endswith("*"))
_SAID: Final[Mapping[str, tuple[str, ...]]] = {
    "approval": ("agent", "tool", "by", "edited", "after_s", "reviewers"),
    "flag": ("rule", "agent", "tool", "owner", "to", "stake", "count", "level", "due"),
    "exception": ("agent", "rules", "tools", "owner", "expires", "uses"),
    "agent": ("owner", "tags"),
}
_MOST: Final = 20
_LONGEST: Final = 256
_MOST_BYTES: Final = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One thing to be told: the event's id, type and time, and what it is about.

    `said` is what the event says in ids, names and numbers. `lane` is what floods are counted by.
    """

    id: str
    type: str
    at: str
    family: str
    subject: str
    said: Mapping[str, Any] = field(default_factory=dict)
    urgent: bool = False
    lane: str = ""

    def to_json(self) -> dict[str, Any]:
        """As it waits in the outbox."""
        return {"id": self.id, "type": self.type, "at": self.at, "said": dict(self.said)}


@dataclass(frozen=True, slots=True)
class Interest:
    """What one channel wants to hear: types of events, and the rules whose things go first."""

    types: frozenset[str]
    critical: tuple[str, ...] = ()

    @classmethod
    def of(cls, events: Iterable[str], critical: Sequence[str] = (), *, ends: bool = False) -> Interest:
        """From a configuration; with `ends` a question that was told of is followed to its end."""
        found = {name for name in _ALL for wanted in events if _matches(wanted, name)}
        if ends and found & {"approval.opened", "approval.escalated"}:
            found |= ENDS
        return cls(frozenset(found), tuple(critical))

    def goes_first(self, type: str, rules: Collection[str]) -> bool:
        """Whether something is critical: by its type, or because one of its rules is named so."""
        return type in _URGENT or any(fnmatchcase(rule, named) for rule in rules for named in self.critical)


def entry_of(event: Mapping[str, Any], interest: Interest) -> Entry | None:
    """What an event tells the channel; None where it wants nothing of it, or the event is not readable."""
    type_ = event.get("type")
    if type_ not in interest.types or not isinstance(type_, str):
        return None
    family = type_.partition(".")[0]
    subject, id_, at = event.get(family), event.get("id"), event.get("at")
    if not (isinstance(subject, str) and isinstance(id_, str) and isinstance(at, str) and subject):
        return None
    said = _fitted({name: _bounded(event[name]) for name in _SAID[family] if event.get(name) is not None})
    rules = _rules(event)
    return Entry(
        id=id_,
        type=type_,
        at=at,
        family=family,
        subject=subject,
        said=said,
        urgent=interest.goes_first(type_, rules),
        lane=digest(encode([family, event.get("agent"), rules[:1]])),
    )


def subject_id(channel: str, family: str, subject: str) -> str:
    """The id of the outbox's record about a subject."""
    plain = len(subject) <= 128 and subject.isprintable()
    return f"{channel}/{family}/{subject if plain else digest(encode(subject))}"


def _matches(wanted: str, name: str) -> bool:
    return wanted == name or (wanted.endswith(".*") and name.startswith(wanted[:-1]))


def _rules(event: Mapping[str, Any]) -> list[str]:
    requirement = event.get("requirement")
    listed = requirement.get("rules") if isinstance(requirement, Mapping) else event.get("rules")
    if isinstance(event.get("rule"), str):
        return [event["rule"]]
    return [one for one in listed if isinstance(one, str)] if isinstance(listed, list) else []


def _fitted(said: dict[str, Any]) -> dict[str, Any]:
    """As much as may wait in a record fifty times; what is largest goes first, and says so."""
    while len(encode(said)) > _MOST_BYTES:
        largest = max(said, key=lambda name: len(encode(said[name])))
        said = {**said, largest: "… (too long to be told)"}
    return said


def _bounded(value: Any) -> Any:
    """Texts and lists of texts, as long as they may be; anything else that is not a number is left out."""
    if isinstance(value, str):
        return value if len(value) <= _LONGEST else f"{value[:_LONGEST]}… ({len(value):,} characters)"
    if isinstance(value, (bool, int)):
        return value
    if isinstance(value, (list, tuple)):
        more = [f"… and {len(value) - _MOST:,} more"] if len(value) > _MOST else []
        return [_bounded(one) for one in value[:_MOST] if isinstance(one, str)] + more
    return None
