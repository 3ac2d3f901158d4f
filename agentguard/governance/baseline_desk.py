"""People's words on baselines: who says it, may they, and then the record, in one transaction."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from agentguard.errors import NotFound, RecordRefused
from agentguard.governance import agents, baselines
from agentguard.governance.baseline_content import BaselineContent, read_content
from agentguard.governance.baselines import KIND, PAST, BaselineState, Told, tell
from agentguard.governance.vouching import Word, heard
from agentguard.ledger.events import instant
from agentguard.stepup.directory import Directory
from agentguard.stepup.eligibility import LOCAL, fold
from agentguard.store.protocol import Known, Record, RecordKey, RecordsChange, Store
from agentguard.terms import STRICT, Terms

__all__ = ["BaselineDesk"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineDesk:
    """Baselines of one tenant.

    Every method raises `RecordRefused` where somebody may not, or it is too late, with what to do next;
    `NotFound` where there is no such baseline; and `StoreError` where the store could not do it.
    """

    store: Store
    directory: Directory
    tenant: str = "default"
    terms: Terms = STRICT

    def told(self, agent: str) -> Told:
        """The baseline of an agent as it is now."""
        return tell(self._record(agent))

    def past(self, digest: str) -> BaselineContent:
        """A version that was in force, by its digest."""
        return read_content(self.store.record(self.tenant, PAST, digest).body.get("content"))

    def draft(
        self, agent: str, learned: Mapping[str, Any], *, zone: str, ends: dt.datetime, proposer: str
    ) -> dict[str, Any]:
        """The content of what was learned, to be shown, signed and handed to `propose`."""
        owner = self._owner(self._known((agents.KIND, agent)))
        if owner is None:
            raise RecordRefused(
                f"nobody owns agent `{agent}`, so nobody can approve its baseline; "
                f"`agentguard agents register {agent} --owner NAME`"
            )
        record = self._known((KIND, agent))
        told = None if record is None else tell(record)
        replaces = told.digest if told is not None and told.state is BaselineState.APPROVED else None
        content = {
            **learned, "v": 1, "kind": KIND, "tenant": self.tenant, "agent": agent,
            "version": 1 if told is None else told.version + 1,
            **({} if replaces is None else {"replaces": replaces}),
            "owner": owner, "zone": zone, "ends": instant(ends),
            "proposer": LOCAL if fold(proposer) == LOCAL else self.directory.subject(proposer),
        }  # fmt: skip
        read_content(content)
        return content

    def propose(self, content: Mapping[str, Any], word: Word) -> Record:
        """Put a learned baseline forward; the proposer is who says the word."""
        read = read_content(content)
        if read.tenant != self.tenant:
            raise RecordRefused(f"it is another tenant's: `{read.tenant[:40]}`")
        key = (KIND, read.agent)
        said = self._heard(key, word, "propose")
        if fold(read.proposer) != fold(said.subject):
            raise RecordRefused(f"`{said.subject}` cannot propose in the name of `{read.proposer}`")
        return self._change(
            [key], lambda known, now: baselines.propose(known.get(key), content, said, now, self.terms)
        )

    def approve(self, agent: str, word: Word) -> Record:
        """Put what waits in force, on every process at once: by the agent's owner."""
        key, owned = (KIND, agent), (agents.KIND, agent)
        said = self._heard(key, word, "approve")
        past = (PAST, self.told(agent).digest)

        def move(known: Known, now: dt.datetime) -> RecordsChange | None:
            record, owner = self._there(known, key), self._owner(known.get(owned))
            if tell(record).digest != past[1]:
                raise RecordRefused(f"the baseline of `{agent}` changed meanwhile; look at it again")
            return baselines.approve(record, said, now, self.terms, self.directory, owner)

        return self._change([key, owned, past], move)

    def reject(self, agent: str, word: Word) -> Record:
        """Say no to what waits."""
        return self._simply(agent, word, "reject", baselines.reject)

    def revoke(self, agent: str, word: Word) -> Record:
        """End what is in force."""
        return self._simply(agent, word, "revoke", baselines.revoke)

    def _simply(
        self,
        agent: str,
        word: Word,
        act: str,
        move: Callable[[Record, Word, dt.datetime], RecordsChange | None],
    ) -> Record:
        key = (KIND, agent)
        said = self._heard(key, word, act)
        return self._change([key], lambda known, now: move(self._there(known, key), said, now))

    def _heard(self, key: RecordKey, word: Word, act: str) -> Word:
        kind, id = key
        word = replace(word, act=act)
        return heard(word, self.store.now(), tenant=self.tenant, kind=kind, id=id, directory=self.directory)

    def _owner(self, record: Record | None) -> str | None:
        """Whose the agent is, as the inventory says."""
        facts = {} if record is None else record.body.get("facts", {})
        found = facts.get("owner") if isinstance(facts, Mapping) else None
        return found if isinstance(found, str) and found else None

    def _known(self, key: RecordKey) -> Record | None:
        try:
            return self.store.record(self.tenant, *key)
        except NotFound:
            return None

    def _record(self, agent: str) -> Record:
        record = self._known((KIND, agent))
        if record is None:
            raise _missing(agent)
        return record

    def _there(self, known: Known, key: RecordKey) -> Record:
        found = known.get(key)
        if found is None:
            raise _missing(key[1])
        return found

    def _change(
        self, keys: list[RecordKey], move: Callable[[Known, dt.datetime], RecordsChange | None]
    ) -> Record:
        self.store.change_records(self.tenant, keys, move)
        return self.store.record(self.tenant, *keys[0])


def _missing(agent: str) -> NotFound:
    return NotFound(f"agent `{agent[:100]}` has no baseline; `agentguard baselines learn` makes one")
