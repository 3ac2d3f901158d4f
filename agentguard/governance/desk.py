"""The one way in for people: who says it, may they, and then the record, in one transaction of the store.

Whoever calls may hand in a word that is signed or `local`; it is verified here, with the directory as it is
now, and kept with the record and its event.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from agentguard.errors import NotFound, RecordRefused
from agentguard.governance import agents, exceptions, grants, sightings, vouching
from agentguard.governance.deviation import ExceptionContent, content_of, document_of, read_content
from agentguard.governance.projecting import project
from agentguard.governance.vouching import Word
from agentguard.ids import record_id
from agentguard.stepup.directory import Directory
from agentguard.stepup.eligibility import LOCAL, fold
from agentguard.store.protocol import Known, Record, RecordKey, RecordsChange, Store
from agentguard.terms import STRICT, Terms

__all__ = ["Desk"]

_Move = Callable[[Known, dt.datetime], RecordsChange | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """Exceptions, grants and agents of one tenant.

    Every method raises `RecordRefused` where somebody may not, or it is too late, with what to do next;
    `NotFound` where there is no such record; and `StoreError` where the store could not do it.
    """

    store: Store
    directory: Directory
    tenant: str = "default"
    terms: Terms = STRICT

    # -- exceptions

    def draft(
        self, document: Mapping[str, Any], requester: str, *, emergency: bool = False
    ) -> dict[str, Any]:
        """The content of a new exception, to be shown, signed and handed to `request`; an `emergency` one
        breaks the glass (`Terms.break_glass_minutes`)."""
        id = record_id("EX-")
        read = content_of(document, tenant=self.tenant, id=id, requester=self._subject(requester))
        return content_of(
            document,
            tenant=self.tenant,
            id=id,
            requester=read["requester"],
            agent_owner=self.owner_of(read["agent"]),
            emergency=emergency,
        )

    def draft_renewal(
        self, record: Record, expires: str, requester: str, reason: str | None = None
    ) -> dict[str, Any]:
        """The content of a renewal: the same exception with a later expiry."""
        told = exceptions.tell(record)
        document = {**document_of(told.content), "expires": expires}
        if reason:
            document["reason"] = reason
        return content_of(
            document,
            tenant=self.tenant,
            id=record.id,
            requester=self._subject(requester),
            agent_owner=self.owner_of(told.read.agent) or told.read.agent_owner,
            renewal=told.read.renewal + 1,
        )

    def request(self, content: Mapping[str, Any], word: Word) -> Record:
        """Ask for an exception; the requester is who says the word."""
        read = read_content(content)
        key = (exceptions.KIND, read.id)
        heard = self._heard(key, replace(word, act="request"))
        self._own(read, heard)
        return self._change(
            [key], lambda known, now: exceptions.request(known.get(key), content, heard, now, self.terms)
        )

    def renew(self, content: Mapping[str, Any], word: Word) -> Record:
        """Ask for a renewal."""
        read = read_content(content)
        key = (exceptions.KIND, read.id)
        heard = self._heard(key, replace(word, act="renew"))
        self._own(read, heard)
        return self._change(
            [key],
            lambda known, now: exceptions.renew(_there(known, key), content, heard, now, self.terms),
        )

    def approve(self, id: str, word: Word) -> Record:
        """Put an exception, or its renewal, in force."""
        return self._vote(id, replace(word, act="approve"), exceptions.approve)

    def revalidate(self, id: str, word: Word) -> Record:
        """Confirm an exception in force."""
        return self._vote(id, replace(word, act="revalidate"), exceptions.revalidate)

    def reject(self, id: str, word: Word) -> Record:
        """Say no."""
        return self._simply((exceptions.KIND, id), replace(word, act="reject"), exceptions.reject)

    def withdraw(self, id: str, word: Word) -> Record:
        """Take a request back."""
        return self._simply((exceptions.KIND, id), replace(word, act="withdraw"), exceptions.withdraw)

    def revoke(self, id: str, word: Word) -> Record:
        """End an exception or a grant now."""
        kind, move = (
            (grants.KIND, grants.revoke) if id.startswith("GR-") else (exceptions.KIND, exceptions.revoke)
        )
        return self._simply((kind, id), replace(word, act="revoke"), move)

    # -- grants

    def grant(self, approval_id: str, content: Mapping[str, Any], word: Word) -> Record:
        """Give a grant with an approval; the voter has to have approved the call."""
        approval = self.store.approval(self.tenant, approval_id)
        key = (grants.KIND, grants.grant_id(approval.id))
        heard = self._heard(key, replace(word, act="grant"))
        return self._change(
            [key], lambda known, now: grants.give(known.get(key), approval, content, heard, now, self.terms)
        )

    # -- agents

    def register(self, id: str, facts: Mapping[str, Any], word: Word) -> Record:
        """Put an agent into the inventory, or change what it says."""
        key = (agents.KIND, id)
        heard = self._heard(key, replace(word, act="register"))
        return self._change(
            [key],
            lambda known, now: agents.register(
                known.get(key), self.tenant, id, facts, heard, now, self.terms, self.directory
            ),
        )

    def suspend(self, id: str, word: Word) -> Record:
        """Deny every call of an agent, from now on."""
        key = (agents.KIND, id)
        heard = self._heard(key, replace(word, act="suspend"))
        return self._change(
            [key], lambda known, now: agents.suspend(known.get(key), self.tenant, id, heard, now)
        )

    def offboard(self, id: str, word: Word) -> Record:
        """The same for good."""
        key = (agents.KIND, id)
        heard = self._heard(key, replace(word, act="offboard"))
        return self._change(
            [key], lambda known, now: agents.offboard(known.get(key), self.tenant, id, heard, now)
        )

    def restore(self, id: str, word: Word) -> Record:
        """Let a suspended agent act again."""
        key, seen = (agents.KIND, id), (sightings.KIND, id)
        heard = self._heard(key, replace(word, act="restore"))
        self._look()

        def move(known: Known, now: dt.datetime) -> RecordsChange | None:
            concerned = _seen_owners(known.get(seen))
            return agents.restore(
                known.get(key), self.tenant, id, heard, now, self.terms, self.directory, concerned
            )

        return self._change([key, seen], move)

    def owner_of(self, agent: str) -> str | None:
        """Whose the agent is, as the inventory says."""
        try:
            found = self.store.record(self.tenant, agents.KIND, agent).body.get("facts", {}).get("owner")
        except NotFound:
            return None
        return found if isinstance(found, str) else None

    # -- how

    def _subject(self, name: str) -> str:
        return LOCAL if fold(name) == LOCAL else self.directory.subject(name)

    def _look(self) -> None:
        """Take in whose each agent was, up to this moment: whom it concerns does not wait for a sweep."""
        project(self.store, self.tenant, sightings.SIGHTINGS)

    def _own(self, read: ExceptionContent, heard: Word) -> None:
        if fold(read.requester) != fold(heard.subject):
            raise RecordRefused(f"`{heard.subject}` cannot ask in the name of `{read.requester}`")

    def _heard(self, key: RecordKey, word: Word) -> Word:
        """The word with the canonical subject and the store's time, once it is clear that it is theirs."""
        kind, id = key
        return vouching.heard(
            word, self.store.now(), tenant=self.tenant, kind=kind, id=id, directory=self.directory
        )

    def _vote(self, id: str, word: Word, move: Callable[..., RecordsChange | None]) -> Record:
        key = (exceptions.KIND, id)
        heard = self._heard(key, word)
        self._look()
        agent = exceptions.tell(self.store.record(self.tenant, *key)).read.agent
        keys = [key, (agents.KIND, agent), (sightings.KIND, agent)]

        def update(known: Known, now: dt.datetime) -> RecordsChange | None:
            owners = agents.owners(known.get(keys[1])) | _seen_owners(known.get(keys[2]))
            return move(_there(known, key), heard, now, self.terms, self.directory, owners)

        return self._change(keys, update)

    def _simply(
        self, key: RecordKey, word: Word, move: Callable[[Record, Word, dt.datetime], RecordsChange | None]
    ) -> Record:
        heard = self._heard(key, word)
        return self._change([key], lambda known, now: move(_there(known, key), heard, now))

    def _change(self, keys: list[RecordKey], move: _Move) -> Record:
        changed = self.store.change_records(self.tenant, keys, move)
        return changed[0] if changed else self.store.record(self.tenant, *keys[0])


def _there(known: Known, key: RecordKey) -> Record:
    found = known.get(key)
    if found is None:
        raise NotFound(f"there is no {key[0]} `{key[1]}`; `agentguard {key[0]}s list --all` shows them")
    return found


def _seen_owners(sighting: Record | None) -> frozenset[str]:
    listed = () if sighting is None else sighting.body.get("owners", ())
    return frozenset(name for name in listed if isinstance(name, str))
