"""What stands now, whatever the period: flags, exceptions, baselines, agents, the ledger."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from agentguard.errors import AgentGuardError
from agentguard.governance import baselines, exceptions
from agentguard.governance.aftermath import still_matching
from agentguard.governance.exceptions import ExceptionState, Told
from agentguard.governance.findings import inventory
from agentguard.governance.flag_item import KIND as FLAG
from agentguard.governance.flag_item import Item, tell
from agentguard.governance.report.model import (
    AgentsState,
    BaselineState,
    EndedException,
    ExceptionLine,
    ExceptionsState,
    FlagLine,
    FlagsState,
    LedgerState,
    Recurring,
)
from agentguard.governance.usage import KIND as USAGE
from agentguard.ledger.kept import Kept
from agentguard.ledger.verify import verify_tenant
from agentguard.store.protocol import Store

if TYPE_CHECKING:
    from agentguard.governance.report.tally import Limits
    from agentguard.stepup.directory import Directory

__all__ = ["agents_state", "baselines_state", "exceptions_state", "flags_state", "ledger_state"]

_LINES: Final = 200
_AGES: Final = ((30, "under 30 days"), (90, "30 to 90 days"), (180, "90 to 180 days"))
_OLDEST: Final = "over 180 days"


def flags_state(store: Store, tenant: str, agent: str | None, now: dt.datetime) -> FlagsState:
    """The flags that nobody resolved, those that are overdue first."""
    items = []
    for record in store.records(tenant, FLAG, states=("open", "acknowledged")):
        try:
            item = tell(record)
        except AgentGuardError:
            continue  # its next occurrence opens it anew
        if agent is None or item.agent == agent:
            items.append(item)
    late = sorted(
        (item for item in items if item.overdue(now)), key=lambda one: (one.breached is None, one.due)
    )
    breaches = sum(item.breached is not None for item in items)
    lines = tuple(_flag(item) for item in late[:_LINES])
    return FlagsState(open=len(items), overdue=len(late), breaches=breaches, lines=lines)


def _flag(item: Item) -> FlagLine:
    return FlagLine(
        id=item.id, rule=item.rule, agent=item.agent, tool=item.tool, owner=item.policy.owner,
        holder=item.holder, calls=item.count, level=item.level, due=item.due,
        breach=item.breached is not None,
    )  # fmt: skip


def exceptions_state(
    store: Store,
    tenant: str,
    agent: str | None,
    now: dt.datetime,
    limits: Limits,
    period: tuple[dt.datetime, dt.datetime],
) -> ExceptionsState:
    """Exceptions in force by age, those that end soon, were never used, or come again and again; and those
    that expired within the period, with what would still need them."""
    uses = {record.id: record.body.get("uses", 0) for record in store.records(tenant, USAGE)}
    told = [one for one in _told(store, tenant) if agent is None or one.read.agent == agent]
    active = [one for one in told if one.state is ExceptionState.ACTIVE and now < one.read.expires]
    lines = sorted((_exception(one, int(uses.get(one.read.id, 0)), now) for one in active), key=_by_expiry)
    soon = now + dt.timedelta(days=limits.expiring_days)
    ages = dict.fromkeys([*(name for _, name in _AGES), _OLDEST], 0)
    for line in lines:
        ages[next((name for days, name in _AGES if line.age_days < days), _OLDEST)] += 1
    return ExceptionsState(
        active=len(active),
        requested=sum(one.state is ExceptionState.REQUESTED or one.pending is not None for one in told),
        ages=ages,
        lines=tuple(lines[:_LINES]),
        expiring=tuple([line.id for line in lines if line.expires <= soon][:_LINES]),
        unused=tuple([line.id for line in lines if not line.uses][:_LINES]),
        unvalidated=tuple([one.read.id for one in active if _asleep(one, now)][:_LINES]),
        recurring=tuple(_recurring(told, limits.recurring))[:_LINES],
        ended=_ended(store, tenant, told, uses, now, period),
    )


def _asleep(one: Told, now: dt.datetime) -> bool:
    return one.sleeps_from is not None and one.sleeps_from <= now


def _ended(
    store: Store,
    tenant: str,
    told: Sequence[Told],
    uses: Mapping[str, int],
    now: dt.datetime,
    period: tuple[dt.datetime, dt.datetime],
) -> tuple[EndedException, ...]:
    over = (ExceptionState.ACTIVE, ExceptionState.EXPIRED)  # swept or not
    begin, end = period[0], min(period[1], now)
    ended = [
        one
        for one in told
        if one.state in over and one.approved is not None and begin <= one.read.expires <= end
    ]
    ended.sort(key=lambda one: (one.read.expires, one.read.id), reverse=True)
    ended = ended[:_LINES]
    since = {one.id: one for one in still_matching(store, tenant, {one.read.id: one.read for one in ended})}
    return tuple(
        EndedException(
            id=one.read.id, agent=one.read.agent, rules=one.read.rules, owner=one.read.owner,
            expired=one.read.expires, uses=int(uses.get(one.read.id, 0)),
            matching=since[one.read.id].calls if one.read.id in since else 0,
            unclear=since[one.read.id].unclear if one.read.id in since else 0,
        )
        for one in ended
    )  # fmt: skip


def _told(store: Store, tenant: str) -> Iterator[Told]:
    for record in store.records(tenant, exceptions.KIND):
        try:
            yield exceptions.tell(record)
        except AgentGuardError:
            continue  # it waives nothing; `agentguard exceptions list` names it


def _by_expiry(line: ExceptionLine) -> tuple[dt.datetime, str]:
    return line.expires, line.id


def _exception(one: Told, uses: int, now: dt.datetime) -> ExceptionLine:
    since = one.approved.at if one.approved is not None else now
    return ExceptionLine(
        id=one.read.id, agent=one.read.agent, rules=one.read.rules, owner=one.read.owner,
        age_days=max(0, (now - since).days), expires=one.read.expires, uses=uses, renewal=one.read.renewal,
    )  # fmt: skip


def _recurring(told: Sequence[Told], least: int) -> Iterator[Recurring]:
    """The same agent, rules and tools; every renewal is once more."""
    found: dict[tuple[str, tuple[str, ...], tuple[str, ...]], list[Told]] = defaultdict(list)
    for one in told:
        if one.state is not ExceptionState.WITHDRAWN:
            read = one.read
            found[read.agent, tuple(sorted(read.rules)), tuple(sorted(read.tools))].append(one)
    for (agent, rules, tools), ones in sorted(found.items()):
        times = sum(1 + one.read.renewal for one in ones)
        if times >= least:
            ids = tuple(one.read.id for one in ones[:20])
            yield Recurring(agent=agent, rules=rules, tools=tools, times=times, ids=ids)


def baselines_state(store: Store, tenant: str, agent: str | None) -> tuple[BaselineState, ...]:
    """Every agent's baseline."""
    found = []
    for record in store.records(tenant, baselines.KIND):
        if agent is None or record.id == agent:
            try:
                one = baselines.tell(record)
            except AgentGuardError:
                continue  # it is not in force; `agentguard baselines show` says why
            found.append(_baseline(one))
    return tuple(found)


def _baseline(one: baselines.Told) -> BaselineState:
    read = one.read
    return BaselineState(
        agent=read.agent, state=one.state.value, version=read.version, owner=read.owner, ends=read.ends,
        waiting=one.waits is not None,
    )  # fmt: skip


def agents_state(
    store: Store, tenant: str, agent: str | None, directory: Directory, now: dt.datetime, limits: Limits
) -> AgentsState:
    """The inventory, and what is wrong with it."""
    known = inventory(store, tenant)
    ids = [id for id in known.ids if agent is None or id == agent]
    wrong = known.findings(directory, now, quiet=dt.timedelta(days=limits.quiet_days))
    return AgentsState(
        known=len(ids),
        suspended=tuple(id for id in ids if known.status(id) == "suspended"),
        offboarded=sum(known.status(id) == "offboarded" for id in ids),
        findings=tuple(
            (one.agent, one.kind, one.message) for one in wrong if agent is None or one.agent == agent
        )[:_LINES],
    )


def ledger_state(
    store: Store, tenant: str, now: dt.datetime, *, verify: bool, checkpoints: Kept | None
) -> LedgerState:
    """How much of the ledger was verified, and how far it is vouched for; `verify` reads all of it."""
    if not verify:
        size, root = store.head(tenant)
        return LedgerState(
            size=size, root=root.hex(), verified=None, problems=(), checkpoints=0, covered=0,
            checkpoint_age_s=None,
        )  # fmt: skip
    found = verify_tenant(store, tenant, checkpoints=checkpoints)
    bad = found.first_bad
    problems = [f"{one.kind}: {one.message}" for one in found.findings]
    problems += [] if checkpoints is None else list(checkpoints.refused)
    age = None
    if found.covered:
        row = next(iter(store.events(tenant, after=found.covered - 1, limit=1)), None)
        age = None if row is None else max(0.0, (now - row.at).total_seconds())
    return LedgerState(
        size=found.size, root=found.root, verified=found.size if bad is None else bad - 1,
        problems=tuple(problems[:_LINES]), checkpoints=found.checkpoints, covered=found.covered,
        checkpoint_age_s=age,
    )  # fmt: skip
