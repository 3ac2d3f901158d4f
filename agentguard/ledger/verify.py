"""Checking a ledger offline, from the bytes that were hashed.

Every leaf is hashed again, the tree's edge after it compared with the one that was kept, and the root at the
end with the store's head. The first leaf that is not what was appended is named, with what seems to have been
done to it. What the events say is then compared with each other and with the table of approvals.

What this cannot see: whoever may write to the store can rewrite all of it, hashes included. Only a root that
was kept elsewhere shows that.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, Final, Literal

import pydantic_core

from agentguard.errors import NotFound
from agentguard.ledger.log import Frontier
from agentguard.ledger.story import Story
from agentguard.store.protocol import Store, StoredEvent

__all__ = ["Finding", "Kind", "Report", "TenantReport", "verify", "verify_tenant"]

Kind = Literal[
    "edited", "deleted", "inserted", "swapped", "truncated", "head", "edge", "unreadable", "columns", "story"
]
"""What seems to have happened: a leaf was edited, deleted, inserted or swapped with another; the newest were
cut off; the head, or the edge kept with a leaf, was changed; a leaf cannot be read, or says something else
than the columns beside it; the events, or the table of approvals, contradict each other."""

LOOKAHEAD: Final = 256
"""Leaves behind a bad one among which its right place is looked for."""
MAX_FINDINGS: Final = 100

_read = pydantic_core.from_json


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong; `seq` is the number of the leaf, from 1, where there is one."""

    kind: Kind
    message: str
    seq: int | None = None
    id: str | None = None


@dataclass(frozen=True, slots=True)
class TenantReport:
    """One tenant's ledger: its size and root as computed, counts by type, and what is wrong, first first.

    `open_decisions` counts calls that were let run and have no outcome: they run now, or their end is lost.
    `open_windows` counts batched writers that never closed theirs: they write now, or up to one window of
    their records is missing.
    """

    tenant: str
    size: int
    root: str
    types: dict[str, int]
    findings: tuple[Finding, ...] = ()
    open_decisions: int = 0
    open_windows: int = 0

    @property
    def ok(self) -> bool:
        return not self.findings

    @property
    def first_bad(self) -> int | None:
        """The number of the first bad leaf."""
        return next((found.seq for found in self.findings if found.seq is not None), None)


@dataclass(frozen=True, slots=True)
class Report:
    """Every tenant's ledger. `strays` are records of a tenant that is gone: somebody took it away."""

    tenants: tuple[TenantReport, ...]
    strays: int = 0

    @property
    def ok(self) -> bool:
        return not self.strays and all(tenant.ok for tenant in self.tenants)

    @property
    def size(self) -> int:
        return sum(tenant.size for tenant in self.tenants)

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "ok": self.ok,
            "size": self.size,
            "strays": self.strays,
            "tenants": [
                {
                    "tenant": found.tenant,
                    "ok": found.ok,
                    "size": found.size,
                    "root": found.root,
                    "types": dict(sorted(found.types.items())),
                    "open_decisions": found.open_decisions,
                    "open_windows": found.open_windows,
                    "findings": [
                        {"kind": f.kind, "seq": f.seq, "id": f.id, "message": f.message}
                        for f in found.findings
                    ],
                }
                for found in self.tenants
            ],
        }


def verify(store: Store, tenant: str | None = None) -> Report:
    """Check one tenant's ledger, or every tenant's.

    Raises:
        StoreError: the store cannot be read; NotFound, that it has no such tenant.
    """
    known = store.tenants()
    if tenant is not None and tenant not in known and known:
        raise NotFound(f"the store has no tenant `{tenant}`; it has {', '.join(known[:5])}")
    names = known if tenant is None else [tenant]
    return Report(tuple(verify_tenant(store, name) for name in names), store.strays())


def verify_tenant(store: Store, tenant: str) -> TenantReport:
    """Check one tenant's ledger; memory grows with the calls that are open and not with the ledger."""
    check = _Check(store, tenant)
    check.run()
    return TenantReport(
        tenant=tenant,
        size=check.seen,
        root=check.frontier.root().hex(),
        types=dict(check.types),
        findings=tuple(check.findings[:MAX_FINDINGS]),
        open_decisions=check.story.open_decisions,
        open_windows=len(check.windows),
    )


@dataclass(slots=True)
class _Check:
    store: Store
    tenant: str
    frontier: Frontier = field(default_factory=Frontier)
    types: Counter[str] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)
    story: Story = field(default_factory=Story)
    windows: set[str] = field(default_factory=set)
    seen: int = 0
    broken: bool = False

    def run(self) -> None:
        # The head is read first: what it promises must be found; more may have come since.
        size, root = self.store.head(self.tenant)
        rows = self.store.events(self.tenant)
        pending: deque[StoredEvent] = deque()
        at_head = self.frontier.root() if size == 0 else None
        while True:
            row = pending.popleft() if pending else next(rows, None)
            if row is None:
                break
            if not self.broken:
                self._place(row, rows, pending)
                if self.frontier.size == size:
                    at_head = self.frontier.root()
            self._content(row)
        if self.broken:
            self._reconsider(size)
        elif self.seen < size:
            self._found(
                "truncated",
                f"the head promises {size} events and there are {self.seen}: the newest are gone",
                self.seen + 1,
            )
        elif at_head != root:
            self._found("head", f"the head promises another root at {size} events than they have", None)
        for message, event in self.story.finish(self.store, self.tenant, self.seen):
            self._found("story", message, None, event)

    def _place(self, row: StoredEvent, rows: Iterator[StoredEvent], pending: deque[StoredEvent]) -> None:
        """Check that a row belongs where it stands."""
        expected = self.frontier.size + 1
        if row.seq != expected:
            self.broken = True
            self._found("deleted", f"event {expected} is missing; the next one is {row.seq}", expected)
            return
        peaks = self.frontier.peaks.copy()
        self.frontier.add(row.leaf)
        if self.frontier.edge() == row.edge:
            return
        before = Frontier(expected - 1, peaks)
        pending.extend(islice(rows, LOOKAHEAD - len(pending)))
        kind, message = _diagnose(before, [row, *pending])
        self.broken = kind != "edge"
        self._found(kind, message, row.seq, row.id)

    def _reconsider(self, size: int) -> None:
        """With fewer leaves than were promised, what looks edited was deleted and the rest renumbered."""
        for index, found in enumerate(self.findings):
            if found.kind == "edited" and self.seen < size:
                message = (
                    f"this event was deleted and the later ones renumbered: {self.seen} of {size} are left"
                )
                self.findings[index] = replace(found, kind="deleted", message=message, id=None)

    def _content(self, row: StoredEvent) -> None:
        self.seen += 1
        self.types[row.type] += 1
        try:
            event = _read(row.leaf)
            said = (event["id"], event["type"], dt.datetime.fromisoformat(event["at"]), event["tenant"])
        except (ValueError, KeyError, TypeError):
            self._found("unreadable", "the leaf is not an event", row.seq, row.id)
            return
        if said != (row.id, row.type, row.at, self.tenant):
            self._found("columns", "the columns beside the leaf say something else than it", row.seq, row.id)
            return
        if row.type == "segment":
            (self.windows.add if event.get("state") == "open" else self.windows.discard)(event.get("writer"))
        for message in self.story.tell(event):
            self._found("story", message, row.seq, row.id)

    def _found(self, kind: Kind, message: str, seq: int | None, id: str | None = None) -> None:
        if len(self.findings) < MAX_FINDINGS:
            self.findings.append(Finding(kind, message, seq, id))


def _diagnose(before: Frontier, rows: list[StoredEvent]) -> tuple[Kind, str]:
    """What was done to the first of these rows, by trying what would put it right."""
    first, later = rows[0], rows[1:]
    if later and _edge(before, first, later[0]) == later[0].edge:
        return "edge", "the edge kept with the leaf was changed; the leaf itself is what was appended"
    for distance, row in enumerate(later, 1):
        moved = _edge(before, row)
        if moved == first.edge:
            return "swapped", f"the leaf was swapped with that of event {row.seq}"
        if moved != row.edge:
            continue
        if distance == 1:
            if _edge(before, row, first) == first.edge:
                return "swapped", f"the event was swapped with event {row.seq}"
        elif _edge(before, row, later[0]) == later[0].edge:
            return "swapped", f"the event was swapped with event {row.seq}"
        return "inserted", f"{'the event was' if distance == 1 else f'{distance} events were'} inserted here"
    return "edited", "the leaf is not what was appended here: it was edited, or others around it deleted"


def _edge(before: Frontier, *rows: StoredEvent) -> bytes:
    frontier = before.copy()
    for row in rows:
        frontier.add(row.leaf)
    return frontier.edge()
