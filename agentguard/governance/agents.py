"""The life of an agent's identity in the inventory, as pure functions from its record and a time.

::

    (seen) ── active ── suspended ── active
       │         └──────────┴── offboarded
       └─ suspended | offboarded

An agent that acts and that nobody registered has no record here, only a sighting (`governance.sightings`).
Suspended and offboarded agents are in the register: every call of one is denied. An offboarded id is not used
again.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import replace
from enum import StrEnum
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agentguard.decision import plain
from agentguard.errors import RecordRefused
from agentguard.governance.vouching import Word, check_approver, content_digest
from agentguard.ids import uuid7
from agentguard.ledger import governance_events as written
from agentguard.ledger.events import instant
from agentguard.policy.scalars import Instant, Text
from agentguard.stepup.directory import Directory
from agentguard.stepup.eligibility import LOCAL
from agentguard.store.protocol import Record, RecordsChange
from agentguard.terms import Terms

__all__ = [
    "KIND",
    "TRANSITIONS",
    "AgentFacts",
    "AgentState",
    "Credential",
    "facts_of",
    "offboard",
    "owners",
    "read_facts",
    "register",
    "restore",
    "state_digest",
    "suspend",
]

KIND: Final = "agent"
MAX_OWNERS: Final = 50


class AgentState(StrEnum):
    """Where an agent stands."""

    ACTIVE = "active"
    SUSPENDED = "suspended"
    OFFBOARDED = "offboarded"


_S = AgentState
TRANSITIONS: Final[Mapping[AgentState, frozenset[AgentState]]] = {
    _S.ACTIVE: frozenset({_S.ACTIVE, _S.SUSPENDED, _S.OFFBOARDED}),
    _S.SUSPENDED: frozenset({_S.SUSPENDED, _S.ACTIVE, _S.OFFBOARDED}),
    _S.OFFBOARDED: frozenset(),
}
"""Every move of an agent with a record; one without can become any of them."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Credential(_Model):
    """A credential of an agent, by what can be told without it: never the credential itself."""

    name: Text
    issuer: Text | None = None
    fingerprint: Annotated[str, Field(pattern=r"^[0-9a-f:]{8,128}$")] | None = None
    rotated: Instant | None = None
    expires: Instant | None = None


class AgentFacts(_Model):
    """What the inventory holds of an agent."""

    owner: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    tags: Annotated[tuple[Text, ...], Field(strict=False, max_length=50)] = ()
    environments: Annotated[tuple[Text, ...], Field(strict=False, max_length=50)] = ()
    credentials: Annotated[tuple[Credential, ...], Field(strict=False, max_length=50)] = ()
    note: Annotated[str, Field(max_length=2000)] = ""


def facts_of(given: Mapping[str, Any]) -> dict[str, Any]:
    """The facts as they are kept, checked; points in time in UTC.

    Raises:
        RecordRefused: something is unknown or of another shape.
    """
    read = read_facts(given)
    found = plain(dict(given))
    for kept, credential in zip(found.get("credentials") or (), read.credentials, strict=True):
        for name in ("rotated", "expires"):
            moment = getattr(credential, name)
            if moment is not None:
                kept[name] = instant(moment)
    return {key: value for key, value in found.items() if value not in (None, [], "")}


def read_facts(given: object) -> AgentFacts:
    """The facts of a record.

    Raises:
        RecordRefused: they are not.
    """
    try:
        return AgentFacts.model_validate(dict(given) if isinstance(given, Mapping) else given)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise RecordRefused(f"agent: `{where[:80]}` {first['msg'].lower()}") from None


def state_digest(tenant: str, id: str, known: Record | None, facts: Mapping[str, Any] | None = None) -> str:
    """What a word about an agent is about: the record as it was seen, and the facts that are given."""
    return content_digest(
        {
            "v": 1,
            "kind": KIND,
            "tenant": tenant,
            "id": id,
            "state": "" if known is None else known.state,
            "revision": 0 if known is None else known.revision,
            **({} if facts is None else {"facts": dict(facts)}),
        }
    )


def owners(known: Record | None) -> frozenset[str]:
    """Everybody who owns it or did: they are concerned by what is decided about it."""
    listed = () if known is None else known.body.get("owners", ())
    return frozenset(name for name in listed if isinstance(name, str))


def register(
    known: Record | None,
    tenant: str,
    id: str,
    facts: Mapping[str, Any],
    by: Word,
    now: dt.datetime,
    terms: Terms,
    directory: Directory | None,
) -> RecordsChange | None:
    """Put an agent into the inventory, or change what it says about it. A suspended one stays suspended.

    Raises:
        RecordRefused: it was offboarded, or changed meanwhile; or it is taken from its owner by somebody who
            may not.
    """
    facts = facts_of(facts)
    _same(by, state_digest(tenant, id, known, facts), id)
    _check_owner(known, id, facts.get("owner"), by, terms, directory)
    if known is None:
        record = Record(kind=KIND, id=id, state=_S.ACTIVE.value, body={})
        return _change(record, tenant, facts, "registered", by, now)
    _standing(known)
    if known.body.get("facts") == facts:
        return None
    fresh = "facts" not in known.body
    return _change(known, tenant, facts, "registered" if fresh else "changed", by, now)


def _check_owner(
    known: Record | None, id: str, after: str | None, by: Word, terms: Terms, directory: Directory | None
) -> None:
    """Whoever owns an agent approves what is normal for it: they hand it over, or an approver does.

    Raises:
        RecordRefused: it has an owner already, and somebody else says who it is from now on.
    """
    before = (_facts(known) or {}).get("owner")
    if before is None or before == after:
        return
    if directory is not None and by.subject != LOCAL and by.subject == directory.subject(before):
        return
    excluded = {id, *([after] if after else [])}
    what = f"take it from its owner `{before}`"
    check_approver(by.subject, terms=terms, directory=directory, excluded=excluded, what=what)


def suspend(known: Record | None, tenant: str, id: str, by: Word, now: dt.datetime) -> RecordsChange | None:
    """Deny every call of it from now on, on every process. Anybody may, also about one never seen."""
    if known is not None and _standing(known) is _S.SUSPENDED:
        return None
    return _stop(known, tenant, id, _S.SUSPENDED, by, now)


def offboard(known: Record | None, tenant: str, id: str, by: Word, now: dt.datetime) -> RecordsChange | None:
    """The same for good: the id is not used again."""
    if known is not None and known.state == _S.OFFBOARDED:
        return None
    return _stop(known, tenant, id, _S.OFFBOARDED, by, now)


def restore(
    known: Record | None,
    tenant: str,
    id: str,
    by: Word,
    now: dt.datetime,
    terms: Terms,
    directory: Directory | None,
    concerned: frozenset[str] = frozenset(),
) -> RecordsChange:
    """Let a suspended agent act again: by somebody who may approve, and is neither the agent nor its owner.

    Raises:
        RecordRefused: it is not suspended, or the person may not.
    """
    if known is None or _standing(known) is not _S.SUSPENDED:
        raise RecordRefused(f"agent `{id}` is not suspended")
    _same(by, state_digest(tenant, id, known), id)
    excluded = {id, *owners(known), *concerned}
    check_approver(by.subject, terms=terms, directory=directory, excluded=excluded, what="restore it")
    after = replace(known, state=_S.ACTIVE.value, registered=False)
    return _change(after, tenant, _facts(known), "restored", by, now)


def _stop(
    known: Record | None, tenant: str, id: str, state: AgentState, by: Word, now: dt.datetime
) -> RecordsChange:
    if known is not None:
        _standing(known)
    record = known or Record(kind=KIND, id=id, state=state.value, body={})
    after = replace(record, state=state.value, registered=True)
    return _change(after, tenant, _facts(known), state.value, by, now)


def _standing(known: Record) -> AgentState:
    try:
        state = AgentState(known.state)
    except ValueError:
        raise RecordRefused(f"agent `{known.id}` has no state that is known") from None
    if state is _S.OFFBOARDED:
        raise RecordRefused(f"agent `{known.id}` was offboarded; its id is not used again, take another one")
    return state


def _facts(known: Record | None) -> Mapping[str, Any] | None:
    facts = None if known is None else known.body.get("facts")
    return facts if isinstance(facts, Mapping) else None


def _same(by: Word, digest: str, id: str) -> None:
    if by.digest != digest:
        raise RecordRefused(
            f"agent `{id}` changed meanwhile, or something else was answered; look at it again"
        )


def _change(
    record: Record, tenant: str, facts: Mapping[str, Any] | None, move: str, by: Word, now: dt.datetime
) -> RecordsChange:
    known = sorted({*owners(record), *([facts["owner"]] if facts and facts.get("owner") else [])})
    body: dict[str, Any] = {**record.body, "word": by.to_json(), "changed": instant(now)}
    if facts is not None:
        body["facts"] = dict(facts)
    if known:
        if len(known) > MAX_OWNERS:
            raise RecordRefused(f"agent `{record.id}` had more than {MAX_OWNERS} owners; take another id")
        body["owners"] = known
    event = written.agent_moved(move, record.id, tenant, facts or {}, by=by, id=uuid7(), at=now)
    return RecordsChange((replace(record, body=body),), (event,))
