"""From the flagged calls of the ledger to items: each call opens one or joins one, and is counted once.

However many calls an agent makes, and of however many kinds, it has at most `PER_AGENT` open items of a rule,
and a rule at most `PER_RULE`; the rest of an agent, and then of all agents, joins one item. A flood of one
rule's flags takes no other rule's place.
"""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

from agentguard.errors import NotFound, RecordRefused
from agentguard.governance import agents, flags
from agentguard.governance.flag_fingerprint import Kinds, argument_kinds, flag_id, index_id
from agentguard.governance.flag_item import KIND, Item, tell
from agentguard.governance.flag_policy import FlagPolicy
from agentguard.governance.flags import Occurrence
from agentguard.governance.projecting import Projection, Seen
from agentguard.governance.sightings import keepable
from agentguard.store.protocol import Event, Known, Record, RecordKey, Store

__all__ = ["INDEX", "PER_AGENT", "PER_RULE", "Joining", "Owners", "forget", "index_of", "occurrence"]

INDEX: Final = "flag-index"
"""The kind of the records that list a rule's open items."""
PER_AGENT: Final = 50
"""Open items of one agent under one rule, the rest not counted."""
PER_RULE: Final = 500
"""Open items under one rule."""

_BACK: Final = 2048
"""Events before a flag among which the arguments of its decision lie."""
_LONGEST: Final = 256


class Joining:
    """The projection of one sweep. `events` are those that it wrote, by the number of their batch."""

    def __init__(self, store: Store, tenant: str) -> None:
        self._store = store
        self._tenant = tenant
        self._batch: tuple[Occurrence, ...] = ()
        self.events: dict[int, Sequence[Event]] = {}

    @property
    def projection(self) -> Projection:
        """Reads `flag.raised`; the arguments are read outside the transaction, and not again within it."""
        return Projection(name="flags", types=("flag.raised",), keys=self._keys, apply=self._apply)

    def _keys(self, batch: Sequence[Seen]) -> Collection[RecordKey]:
        self._batch = tuple(self._occurrences(batch))
        return {key for one in self._batch for key in _keys_of(one)}

    def _apply(
        self, known: Known, batch: Sequence[Seen], now: dt.datetime
    ) -> tuple[Sequence[Record], Sequence[Event]]:
        table = _Table(known, self._tenant, now)
        for one in self._batch:
            table.take(one)
        if batch:
            self.events[batch[0].seq] = table.events
        return table.changed(), table.events

    def _occurrences(self, batch: Sequence[Seen]) -> Iterator[Occurrence]:
        kinds = self.kinds(batch)
        owners = Owners(self._store, self._tenant)
        for seen in batch:
            yield occurrence(seen.event, seen.event.get("flag"), kinds, owners)

    def kinds(self, batch: Sequence[Seen]) -> dict[str, Kinds]:
        """The kinds of the arguments that are still there, by the keyed digest that the events carry."""
        wanted = {name for seen in batch if isinstance(name := seen.event.get("args_hmac"), str) and name}
        if not wanted:
            return {}
        after, upto = max(0, batch[0].seq - _BACK), batch[-1].seq
        found = self._store.payloads(self._tenant, wanted, after=after, upto=upto)
        read = {name: argument_kinds(payload.content) for name, payload in found.items()}
        return {name: kinds for name, kinds in read.items() if kinds is not None}


class _Table:
    """The items and lists of a batch while its calls are taken in."""

    def __init__(self, known: Known, tenant: str, now: dt.datetime) -> None:
        self._known = known
        self._tenant = tenant
        self._now = now
        self._items: dict[str, Item] = {}
        self._open: dict[str, dict[str, str]] = {}
        self._listed: set[str] = set()
        self.events: list[Event] = []

    def take(self, one: Occurrence) -> None:
        """Put one call where it belongs."""
        own, agents, all_ = one.item, _rest(one), _rest(one, all_agents=True)
        if self._join(own, one):
            return
        listed = self._listed_under(one.rule)
        full = len(listed) >= PER_RULE
        if not full and sum(agent == one.agent for agent in listed.values()) < PER_AGENT:
            self._begin(one, own)
        elif not self._join(agents, one):
            if not full:
                self._begin(one, agents, id=agents)
            elif not self._join(all_, one):
                self._begin(one, all_, id=all_, all_agents=True)

    def changed(self) -> list[Record]:
        """The records as they are now."""
        lists = [
            Record(kind=INDEX, id=_index(rule), state="listed", body={"rule": rule, "open": self._open[rule]})
            for rule in sorted(self._listed)
        ]
        return [*(item.record for item in self._items.values()), *lists]

    def _item(self, id: str) -> Item | None:
        found = self._items.get(id)
        if found is None and (record := self._known.get((KIND, id))) is not None:
            try:
                return tell(record)
            except RecordRefused:
                return None  # INVARIANT: a damaged item stops nothing; the call opens it anew.
        return found

    def _join(self, id: str, one: Occurrence) -> bool:
        item = self._item(id)
        if item is None or (item.rule != one.rule):
            return False
        if flags.reopens(item, one):
            record, event = flags.reopened(item, one, self._tenant, self._now)
            self.events.append(event)
            self._list(one, id, rest=item.rest)
        else:
            record = flags.joined(item, one)
        self._items[id] = tell(record)
        return True

    def _begin(self, one: Occurrence, name: str, *, id: str | None = None, all_agents: bool = False) -> None:
        record, event = flags.opened(one, self._tenant, self._now, id=id, all_agents=all_agents)
        self.events.append(event)
        self._items[name] = tell(record)
        self._list(one, name, rest=id is not None)

    def _list(self, one: Occurrence, id: str, *, rest: bool) -> None:
        if not rest:
            self._listed_under(one.rule)[id] = one.agent
            self._listed.add(one.rule)

    def _listed_under(self, rule: str) -> dict[str, str]:
        found = self._open.get(rule)
        if found is None:
            found = self._open[rule] = index_of(self._known.get((INDEX, _index(rule))))
        return found


def index_of(record: Record | None) -> dict[str, str]:
    """The open items of a rule, each with its agent."""
    found = None if record is None else record.body.get("open")
    return {str(id): str(agent) for id, agent in found.items()} if isinstance(found, Mapping) else {}


def forget(record: Record | None, id: str) -> Record | None:
    """The list without an item that is no longer open; None where it was not on it."""
    listed = index_of(record)
    if record is None or listed.pop(id, None) is None:
        return None
    return Record(kind=INDEX, id=record.id, state=record.state, body={**record.body, "open": listed})


_named = functools.lru_cache(maxsize=4096)(flag_id)
_index = functools.lru_cache(maxsize=1024)(index_id)


def _rest(one: Occurrence, *, all_agents: bool = False) -> str:
    return _named(one.rule, None if all_agents else one.agent, rest=True)


def _keys_of(one: Occurrence) -> Iterator[RecordKey]:
    yield KIND, one.item
    yield KIND, _rest(one)
    yield KIND, _rest(one, all_agents=True)
    yield INDEX, _index(one.rule)


class Owners:
    """Whose an agent is, as the inventory says; each is looked up once."""

    def __init__(self, store: Store, tenant: str) -> None:
        self._store = store
        self._tenant = tenant
        self._known: dict[str, str | None] = {}

    def of(self, event: Mapping[str, Any]) -> str | None:
        """The owner of the agent of an event; what the event itself says where nobody registered it."""
        agent = _text(event.get("agent"))
        if agent not in self._known:
            self._known[agent] = self._read(agent) if keepable(agent) else None
        return self._known[agent] or _text(event.get("owner")) or None

    def _read(self, agent: str) -> str | None:
        try:
            facts = self._store.record(self._tenant, agents.KIND, agent).body.get("facts")
        except NotFound:
            return None
        return _text(facts.get("owner")) if isinstance(facts, Mapping) else None


def occurrence(
    event: Mapping[str, Any], said: object, kinds: Mapping[str, Kinds], owners: Owners
) -> Occurrence:
    """One call, and what its rule says of the flag: a deviation goes to the agent's owner, and then to whom
    the rule names. INVARIANT: what cannot be read of an event is left empty, so that none stops the others.
    """
    policy = FlagPolicy.from_json(said)
    owner = owners.of(event) if isinstance(said, Mapping) and said.get("deviation") is True else None
    if owner is not None and owner != policy.owner:
        policy = policy.owned_by(owner)
    rule = _text(said.get("rule") if isinstance(said, Mapping) else None) or "?"
    agent, tool = _text(event.get("agent")) or "?", _text(event.get("tool")) or "?"
    found = kinds.get(_text(event.get("args_hmac")))
    item = _named(
        rule,
        agent,
        tool=tool,
        kinds=found,
        observed=policy.observed and policy.observed.value,
        exception=policy.exception,
    )
    return Occurrence(
        item=item,
        event=_text(event.get("id")),
        decision=_text(event.get("decision_id")),
        at=_instant(event.get("at")),
        rule=rule,
        agent=agent,
        tool=tool,
        kinds=found,
        policy=policy,
    )


def _text(value: object) -> str:
    return value[:_LONGEST] if isinstance(value, str) else ""


def _instant(value: object) -> dt.datetime:
    try:
        return dt.datetime.fromisoformat(value if isinstance(value, str) else "").astimezone(dt.UTC)
    except ValueError:
        return dt.datetime.fromtimestamp(0, dt.UTC)
