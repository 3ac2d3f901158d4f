"""People's words on flags: who says it, may they, and then the item, in one transaction of the store."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from agentguard.errors import NotFound, RecordRefused
from agentguard.governance import agents, exceptions, flags, sightings
from agentguard.governance.deviations import BREAK_GLASS
from agentguard.governance.exception_record import ExceptionState, vouched
from agentguard.governance.exception_record import tell as tell_exception
from agentguard.governance.flag_fingerprint import index_id
from agentguard.governance.flag_item import KIND, Item, Resolution, tell
from agentguard.governance.flag_joining import INDEX, forget
from agentguard.governance.projecting import project
from agentguard.governance.vouching import Word, check_approver, heard
from agentguard.stepup.directory import Directory
from agentguard.store.protocol import Known, Record, RecordKey, RecordsChange, RecordsUpdate, Store
from agentguard.terms import STRICT, Terms

__all__ = ["FlagDesk"]

_GROUP: Final = "group:"


@dataclass(frozen=True, slots=True, kw_only=True)
class FlagDesk:
    """Flags of one tenant.

    Every method raises `RecordRefused` where somebody may not, or it is too late, with what to do next;
    `NotFound` where there is no such flag; and `StoreError` where the store could not do it.
    """

    store: Store
    directory: Directory
    tenant: str = "default"
    terms: Terms = STRICT

    def item(self, id: str) -> Item:
        """One item as it is now."""
        try:
            return tell(self.store.record(self.tenant, KIND, id))
        except NotFound:
            raise NotFound(f"there is no flag `{id}`; `agentguard flags list --all` shows them") from None

    def draft(
        self,
        id: str,
        resolution: Resolution,
        *,
        until: dt.datetime | None = None,
        exception: str | None = None,
    ) -> dict[str, Any]:
        """A resolution as it is to be shown, signed and handed to `resolve`."""
        item = self.item(id)
        expires = None if exception is None else self._expires(exception, item)
        return flags.check_resolution(
            resolution,
            self.store.now(),
            self.terms,
            until=until,
            exception=exception,
            expires=expires,
        )

    def acknowledge(self, id: str, word: Word) -> Record:
        """Say that somebody is on it. Everybody of the directory may, but for the agent."""
        item, key = self.item(id), (KIND, id)
        heard = self._heard(key, replace(word, act="acknowledge"))
        anybody = replace(self.terms, approvers=())
        self._check(heard.subject, anybody, frozenset({item.agent or ""}), "acknowledge a flag")
        return self._changed(
            key, [key], lambda known, now: flags.acknowledge(known[key], self.tenant, heard, now)
        )

    def resolve(self, id: str, resolution: Mapping[str, Any], word: Word) -> Record:
        """Say what became of it: its owner, those it escalates to, and approvers may; never the agent, nor
        whoever owns the agent, unless it is a deviation, for which the agent's owner answers. Who broke the
        glass does not review it."""
        item, key = self.item(id), (KIND, id)
        self._same(item, resolution)
        heard = self._heard(key, replace(word, act="resolve"))
        project(self.store, self.tenant, sightings.SIGHTINGS)  # whose the agent is, up to this moment
        listed = (INDEX, index_id(item.rule))
        agent, broke = item.agent or "?", self._broke(item)
        seen = [(agents.KIND, agent), (sightings.KIND, agent)]

        def move(known: Known, now: dt.datetime) -> RecordsChange | None:
            concerned = {item.agent or "", *agents.owners(known.get(seen[0])), *_owners(known.get(seen[1]))}
            if item.policy.deviation:
                concerned.discard(item.policy.owner)
            concerned |= broke
            self._check(heard.subject, self._resolvers(item), frozenset(concerned), "resolve this flag")
            change = flags.resolve(known[key], self.tenant, resolution, heard, now)
            without = forget(known.get(listed), id)
            return change if without is None else replace(change, records=(*change.records, without))

        return self._changed(key, [key, listed, *seen], move)

    def _heard(self, key: RecordKey, word: Word) -> Word:
        """The word with the canonical subject and the store's time, once it is clear that it is theirs."""
        kind, id = key
        return heard(word, self.store.now(), tenant=self.tenant, kind=kind, id=id, directory=self.directory)

    def _same(self, item: Item, resolution: Mapping[str, Any]) -> None:
        """Refuse a resolution that `draft` would not make: it may come from anywhere."""
        try:
            kind = Resolution(resolution["as"])
            until = dt.datetime.fromisoformat(resolution["until"])
            exception = resolution.get("exception")
        except (KeyError, TypeError, ValueError):
            raise RecordRefused("this is no resolution of a flag") from None
        given = until if kind in (Resolution.ACCEPTED, Resolution.FALSE_POSITIVE) else None
        made = self.draft(item.id, kind, until=given, exception=exception)
        if until > dt.datetime.fromisoformat(made["until"]):
            raise RecordRefused("this resolution would hold for longer than it may")

    def _expires(self, id: str, item: Item) -> dt.datetime:
        """When an exception ends that is in force for what is flagged."""
        record = self.store.record(self.tenant, exceptions.KIND, id)
        told = tell_exception(record)
        if told.state is not ExceptionState.ACTIVE:
            raise RecordRefused(f"exception `{id}` is {told.state.value} and not in force")
        vouched(record, tenant=self.tenant, directory=self.directory, terms=self.terms)
        if item.rest or told.read.agent != item.agent or item.rule not in told.read.rules:
            raise RecordRefused(f"exception `{id}` is not for rule `{item.rule}` and this agent")
        return told.read.expires

    def _broke(self, item: Item) -> frozenset[str]:
        """Who asked for and approved the emergency exception that an item is about."""
        if item.rule != BREAK_GLASS or item.policy.exception is None:
            return frozenset()
        told = tell_exception(self.store.record(self.tenant, exceptions.KIND, item.policy.exception))
        return frozenset(word.subject for word in (told.requested, told.approved) if word is not None)

    def _resolvers(self, item: Item) -> Terms:
        """Those who may resolve it: the approvers, and everybody who has or will have it."""
        if not self.terms.approvers:
            return self.terms
        names = [item.policy.owner, *(level.to for level in item.policy.levels)]
        groups = [f"{_GROUP}{name}" for name in names if self.directory.members(name)]
        return replace(self.terms, approvers=(*self.terms.approvers, *names, *groups))

    def _check(self, subject: str, terms: Terms, excluded: frozenset[str], what: str) -> None:
        check_approver(subject, terms=terms, directory=self.directory, excluded=excluded - {""}, what=what)

    def _changed(self, key: RecordKey, keys: list[RecordKey], move: RecordsUpdate) -> Record:
        self.store.change_records(self.tenant, keys, move)
        return self.store.record(self.tenant, *key)


def _owners(sighting: Record | None) -> frozenset[str]:
    listed = () if sighting is None else sighting.body.get("owners", ())
    return frozenset(name for name in listed if isinstance(name, str))
