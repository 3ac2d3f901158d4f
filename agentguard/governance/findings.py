"""What is wrong with the inventory of agents: nobody answers for one, several use one, nobody uses one."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from agentguard.governance import agents, sightings
from agentguard.governance.agents import AgentState, read_facts
from agentguard.looks import skeleton
from agentguard.stepup.directory import Directory
from agentguard.store.protocol import Record, Store

__all__ = ["AgentFinding", "Inventory", "inventory"]

Kind = Literal[
    "no owner", "owner gone", "shares an identity", "shares a credential", "not registered", "looks alike",
    "not seen", "credential expired",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class AgentFinding:
    """One thing that somebody should look into."""

    agent: str
    kind: Kind
    message: str


@dataclass(frozen=True, slots=True)
class Inventory:
    """What people decided about agents, and what the ledger shows of them, by the agent's exact id."""

    agents: Mapping[str, Record]
    sightings: Mapping[str, Record]

    @property
    def ids(self) -> list[str]:
        return sorted({*self.agents, *self.sightings})

    def status(self, id: str) -> str:
        """`active`, `suspended` or `offboarded`; `seen` for one that acts and nobody registered."""
        record = self.agents.get(id)
        return "seen" if record is None else record.state

    def facts(self, id: str) -> Mapping[str, Any]:
        record = self.agents.get(id)
        found = None if record is None else record.body.get("facts")
        return found if isinstance(found, Mapping) else {}

    def seen(self, id: str) -> Mapping[str, Any]:
        record = self.sightings.get(id)
        return {} if record is None else record.body

    def last_seen(self, id: str) -> dt.datetime | None:
        last = self.seen(id).get("last")
        return dt.datetime.fromisoformat(last) if isinstance(last, str) and last else None

    def findings(
        self, directory: Directory, now: dt.datetime, *, quiet: dt.timedelta
    ) -> Sequence[AgentFinding]:
        """Everything that is wrong, by agent. `quiet` is how long an active agent may go unseen."""
        found: list[AgentFinding] = []
        for id in self.ids:
            if self.status(id) != AgentState.OFFBOARDED:
                found += self._of_one(id, directory, now, quiet)
        found += self._alike()
        found += self._credentials()
        return sorted(found, key=lambda one: (one.agent, one.kind, one.message))

    def _of_one(
        self, id: str, directory: Directory, now: dt.datetime, quiet: dt.timedelta
    ) -> Iterator[AgentFinding]:
        facts, seen = self.facts(id), self.seen(id)
        if not facts:
            yield AgentFinding(id, "not registered", "it acts and nobody registered it")
        yield from _owner(id, facts, directory)
        listed = [facts["owner"]] if facts.get("owner") else []
        owners = {directory.subject(one) for one in (*seen.get("owners", ()), *listed)}
        if len(owners) > 1:
            yield AgentFinding(
                id, "shares an identity", f"it acts for several owners: {', '.join(sorted(owners))}"
            )
        wanted = facts.get("environments")
        other = sorted(set(seen.get("environments", ())) - set(wanted or ()))
        if wanted and other:
            message = f"it acts in {', '.join(other)} too, where it is not registered"
            yield AgentFinding(id, "shares an identity", message)
        if not wanted and len(seen.get("environments", ())) > 1:
            message = f"it acts in several environments: {', '.join(seen['environments'])}"
            yield AgentFinding(id, "shares an identity", message)
        last = self.last_seen(id)
        if self.status(id) == AgentState.ACTIVE and (last is None or now - last > quiet):
            when = "never" if last is None else f"last on {last:%Y-%m-%d}"
            yield AgentFinding(id, "not seen", f"it was seen {when}; offboard it if it is not needed")
        for credential in read_facts(facts).credentials if facts else ():
            if credential.expires is not None and credential.expires <= now:
                message = f"its credential `{credential.name}` expired on {credential.expires:%Y-%m-%d}"
                yield AgentFinding(id, "credential expired", message)

    def _alike(self) -> Iterator[AgentFinding]:
        """Ids that a person would take for each other: they are different agents, and a rule for one is none
        for the other."""
        looks: dict[str, list[str]] = {}
        for id in self.ids:
            looks.setdefault(skeleton(id), []).append(id)
        for alike in looks.values():
            for id in alike if len(alike) > 1 else ():
                others = ", ".join(f"`{one}`" for one in alike if one != id)
                yield AgentFinding(id, "looks alike", f"its id looks like {others}, which is another agent")

    def _credentials(self) -> Iterator[AgentFinding]:
        held: dict[str, list[str]] = {}
        for id in self.agents:
            if self.status(id) != AgentState.OFFBOARDED:
                for credential in read_facts(self.facts(id)).credentials:
                    if credential.fingerprint is not None:
                        held.setdefault(credential.fingerprint, []).append(id)
        for fingerprint, ids in held.items():
            for id in sorted(set(ids)) if len(set(ids)) > 1 else ():
                others = ", ".join(f"`{one}`" for one in sorted(set(ids)) if one != id)
                message = f"it has the credential {fingerprint[:16]} in common with {others}"
                yield AgentFinding(id, "shares a credential", message)


def inventory(store: Store, tenant: str) -> Inventory:
    """Every agent that was registered, suspended or seen."""
    return Inventory(
        agents={record.id: record for record in store.records(tenant, agents.KIND)},
        sightings={record.id: record for record in store.records(tenant, sightings.KIND)},
    )


def _owner(id: str, facts: Mapping[str, Any], directory: Directory) -> Iterator[AgentFinding]:
    owner = facts.get("owner")
    if not owner:
        if facts:
            yield AgentFinding(id, "no owner", "nobody answers for it; register it with `--owner`")
        return
    active = directory.active(directory.subject(owner))
    if active is not True:
        why = "is not in the directory" if active is None else "is disabled in the directory"
        yield AgentFinding(id, "owner gone", f"its owner `{owner}` {why}")
