"""A plan: a text that the user handed over, which a person may approve as a whole.

What it covers is what it would allow if its words were the user's: the kinds of calls that it asks for, with
values that it holds or that look-ups by its words returned. It never covers payments, deletions and
credentials.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from agentguard.provenance.judged import Judged
from agentguard.provenance.kinds import Kind, kind_of, stakes_of
from agentguard.provenance.origins import Reading
from agentguard.provenance.request import Request, read_request
from agentguard.provenance.seen import Label, Source
from agentguard.provenance.text import fold, tokens
from agentguard.provenance.wording import meddles

__all__ = ["LONGEST", "Plan", "Plans", "forbidden", "text_of"]

LONGEST: Final = 20_000
"""Characters of a text that can be a plan: what a person can still be shown."""

_NEVER: Final = frozenset({"pay", "delete", "credential"})
_HANDED: Final[frozenset[Label]] = frozenset({"named", "enum", "searched", "chained"})
_MOST: Final = 6
_RIGHTS: Final = frozenset(
    [
        "share",
        "grant",
        "allow",
        "authorize",
        "authorise",
        "permit",
        "access",
        "permission",
        "permissions",
        "collaborator",
        "collaborators",
        "hook",
        "hooks",
        "webhook",
        "webhooks",
        "public",
        "link",
        "expose",
        "invite",
        "visibility",
        "unlock",
        "door",
        "gate",
        "alarm",
        "lockbox",
        "passcode",
        "group",
        "groups",
        "admin",
        "role",
        "forwarding",
        "filter",
        "rule",
    ]
)
_SHARE: Final = 0.6
_FOUND: Final = frozenset({"structured", "nowhere"})
_EXACT: Final = frozenset({"user", "own", "trusted", "designated"})


@dataclass(frozen=True, slots=True)
class Plan:
    """`number` is that of the result that the text stands in."""

    number: int
    tool: str
    text: str
    items: int
    instructs: bool = True

    def permits(self, action: str) -> bool:
        """Whether calls of such an action may be covered at all."""
        return action not in _NEVER

    def covers(
        self, kind: Kind, judged: Sequence[Judged], reading: Reading, facts: Mapping[str, Any], user: Request
    ) -> bool:
        """Whether a call does what the plan says, with the plan's own values. `reading` is under the plan."""
        withheld = not user.withheld.isdisjoint({kind.verb, *kind.said})
        if withheld or forbidden(kind, judged, facts):
            return False
        if not all(_fine(one, reading) for one in judged if one.value.key or one.value.link):
            return False
        found = any(one.origin.name in _FOUND for one in judged if one.value.key)
        if found and kind.action not in ("create", "update"):
            return False
        grade = kind_of(kind, reading)
        keys = [one for one in judged if one.value.key]
        if not keys:
            spelt = _spelt(judged, reading.request)
            made = kind.action == "create"
            return kind.action != "update" and (grade == 2 or (grade == 1 and (spelt or made)))
        own = any(not user.holds(one.value.text) for one in keys)
        if grade == 2 and (own or kind.action != "update"):
            return True
        mild = stakes_of(kind.action) != "high" and kind.action != "grant"
        return mild and (user.delegated or user.foreign)


def forbidden(kind: Kind, judged: Iterable[Judged], facts: Mapping[str, Any]) -> bool:
    """Whether a call is of those that are always asked about: it pays, deletes, or gives rights."""
    gives = bool(_RIGHTS & set(kind.words)) or any(one.value.role == "permission" for one in judged)
    return kind.action in _NEVER or facts.get("destructive") is True or gives


def _spelt(judged: Iterable[Judged], request: Request) -> bool:
    """Whether what is written is mostly the plan's own words."""
    words = [
        word
        for one in judged
        if one.value.role in ("content", "other") and not one.value.link
        for word in tokens(fold(one.value.text))
        if len(word) > 3
    ]
    return bool(words) and sum(word in request.words for word in words) >= _SHARE * len(words)


def _fine(one: Judged, reading: Reading) -> bool:
    """Whether the plan accounts for a value: its own, or what a look-up by its words returned."""
    if one.value.link:
        named = one.origin.name == "named_text" and not one.facts["instructed"]
        return named or one.origin.name in _EXACT
    match one.origin.name:
        case "user" | "own" | "trusted":
            return True
        case "designated":
            return True
        case "structured":  # a record's own number, in a look-up that the plan asks for
            return not one.facts["external"] and one.value.role in ("object", "path")
        case "nowhere":  # a name that the agent gives to something; a number is that of something else
            named = not any(char.isdigit() for char in one.value.text) or " " in one.value.text.strip()
            return named and not one.facts["external"] and one.value.role == "object"
        case _:
            return False


class Plans:
    """The plans of one session, and what was seen as read under each."""

    def __init__(self) -> None:
        self._plans: dict[int, Plan] = {}
        self._readings: dict[tuple[int, int, int], Reading] = {}

    def of(self, reading: Reading) -> list[Plan]:
        """The texts that the user's words point to, in the order in which they were read."""
        request = reading.request
        handed = request.delegated or request.foreign or (request.unknown and not request.asks_effect)
        if not (handed or request.referring):
            return []
        found: list[Plan] = []
        for source in reading.seen.sources:
            if reading.label(source) in _HANDED and not source.inert and len(found) < _MOST:
                plan = self._plan(source)
                told = handed or not source.structured
                if (
                    plan is not None
                    and told
                    and (not found or (plan.instructs and _pointed(source, request)))
                ):
                    found.append(plan)
        return found

    def _plan(self, source: Source) -> Plan | None:
        if source.number not in self._plans:
            text = text_of(source)
            lines = max(len(source.fields), sum(text.count(mark) for mark in (". ", "\n", ";")) + 1)
            asked = read_request(text)
            asks = asked.asks_effect or asked.unknown
            self._plans[source.number] = Plan(source.number, source.tool, text, lines, asks)
        plan = self._plans[source.number]
        return plan if 0 < len(plan.text) <= LONGEST and not meddles(fold(plan.text)) else None

    def reading(self, plan: Plan, under: Reading, said: Sequence[str]) -> Reading:
        """What was seen, read as if the plan's words were the user's."""
        key = (plan.number, len(under.seen.sources), len(said))
        found = self._readings.get(key)
        if found is None:
            request = read_request("\n".join([*said, plan.text]))
            found = Reading(
                request,
                under.seen,
                under.spoken,
                _relabelled(Reading(request, under.seen, under.spoken, under.labels)),
            )
            self._readings = {one: kept for one, kept in self._readings.items() if one[1:] == key[1:]}
            self._readings[key] = found
        return found


def _pointed(source: Source, request: Request) -> bool:
    """Whether the user named the text itself: by its title, its number or its address."""
    return any(
        request.holds(key)
        and (fold(key) in request.quoted or any(char.isdigit() for char in key) or "/" in key)
        for key in source.keys or ()
    )


def _relabelled(reading: Reading) -> list[Label]:
    from agentguard.provenance.lookups import label_of

    labels: list[Label] = list(reading.labels)
    for source in reading.seen.sources:
        labels[source.number] = label_of(
            source, Reading(reading.request, reading.seen, reading.spoken, labels)
        )
    return labels


def text_of(source: Source) -> str:
    """A result as a person is shown it."""
    records = ([f"{place.name}: {place.raw}" for place in places] for places in source.fields.values())
    fields = [line for lines in records for line in dict.fromkeys(lines)]  # an address is read in two ways
    return "\n".join([*fields, *source.texts])
