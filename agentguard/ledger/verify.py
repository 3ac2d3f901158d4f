"""Checking a ledger offline, from the bytes that were hashed.

Every leaf is hashed again, the tree's edge after it compared with the one that was kept, and the root at the
end with the store's head. The first leaf that is not what was appended is named, with what seems to have been
done to it. What the events say is then compared with each other and with the table of approvals.

Whoever may write to the store can rewrite all of it, hashes included. Only what was kept elsewhere shows
that: with signed checkpoints the root is compared at each of their sizes as well, and the ledger may not be
shorter.
"""

from __future__ import annotations

import datetime as dt
import functools
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, Final

import pydantic_core

from agentguard.errors import NotFound
from agentguard.ledger.findings import MAX_FINDINGS, Finding, Kind
from agentguard.ledger.kept import Kept
from agentguard.ledger.payload_check import Payloads, check_payloads
from agentguard.ledger.placing import LOOKAHEAD, Placing, Promise
from agentguard.ledger.story import Story
from agentguard.store.protocol import Store, StoredEvent

__all__ = ["Finding", "Kind", "Report", "TenantReport", "verify", "verify_tenant"]

_read: Final = functools.partial(pydantic_core.from_json, cache_strings="keys")


@dataclass(frozen=True, slots=True)
class TenantReport:
    """One tenant's ledger: its size and root as computed, counts by type, and what is wrong, first first.

    `open_decisions` counts calls that were let run and have no outcome: they run now, or their end is lost.
    `open_windows` counts batched writers that never closed theirs: they write now, or up to one window of
    their records is missing. `checkpoints` signed ones agree, the largest of them with the first `covered`
    events. `payloads` is None where they were not compared.
    """

    tenant: str
    size: int
    root: str
    types: dict[str, int]
    findings: tuple[Finding, ...] = ()
    open_decisions: int = 0
    open_windows: int = 0
    checkpoints: int = 0
    covered: int = 0
    payloads: Payloads | None = None

    @property
    def ok(self) -> bool:
        return not self.findings

    @property
    def first_bad(self) -> int | None:
        """The number of the first bad leaf."""
        return next((found.seq for found in self.findings if found.seq is not None), None)


@dataclass(frozen=True, slots=True)
class Report:
    """Every tenant's ledger. `strays` are records of a tenant that is gone: somebody took it away. `refused`
    are checkpoints that do not count, each with its place and why."""

    tenants: tuple[TenantReport, ...]
    strays: int = 0
    refused: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        return not self.strays and not self.refused and all(tenant.ok for tenant in self.tenants)

    @property
    def size(self) -> int:
        return sum(tenant.size for tenant in self.tenants)

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "ok": self.ok,
            "size": self.size,
            "strays": self.strays,
            "refused": list(self.refused),
            "tenants": [
                {
                    "tenant": found.tenant,
                    "ok": found.ok,
                    "size": found.size,
                    "root": found.root,
                    "types": dict(sorted(found.types.items())),
                    "open_decisions": found.open_decisions,
                    "open_windows": found.open_windows,
                    "checkpoints": found.checkpoints,
                    "covered": found.covered,
                    "payloads": None if found.payloads is None else found.payloads.to_json(),
                    "findings": [
                        {"kind": f.kind, "seq": f.seq, "upto": f.upto, "id": f.id, "message": f.message}
                        for f in found.findings
                    ],
                }
                for found in self.tenants
            ],
        }


def verify(
    store: Store,
    tenant: str | None = None,
    *,
    checkpoints: Kept | None = None,
    payloads_key: bytes | None = None,
) -> Report:
    """Check one tenant's ledger, or every tenant's.

    `checkpoints` were kept elsewhere; a tenant that they speak for and that the store does not have is a
    finding. With `payloads_key`, the ledger's key, the erasable payloads are compared with their digests too.

    Raises:
        StoreError: the store cannot be read; NotFound, that it has no such tenant.
    """
    known = store.tenants()
    kept = checkpoints if checkpoints is not None else Kept()
    promised = kept.tenants()
    if tenant is not None and tenant not in (*known, *promised) and known:
        raise NotFound(f"the store has no tenant `{tenant}`; it has {', '.join(known[:5])}")
    names = list(dict.fromkeys([*known, *promised])) if tenant is None else [tenant]
    reports = [verify_tenant(store, name, checkpoints=kept, payloads_key=payloads_key) for name in names]
    return Report(tuple(reports), store.strays(), kept.refused)


def verify_tenant(
    store: Store, tenant: str, *, checkpoints: Kept | None = None, payloads_key: bytes | None = None
) -> TenantReport:
    """Check one tenant's ledger; memory grows with the calls that are open and not with the ledger."""
    kept = checkpoints if checkpoints is not None else Kept()
    check = _Check(store, tenant)
    check.run(kept.promises(tenant), kept.forks(tenant), payloads_key)
    payloads = None
    if payloads_key is not None:
        payloads = check_payloads(store, tenant, payloads_key, check.found)
    return TenantReport(
        tenant=tenant,
        size=check.seen,
        root=check.placing.frontier.root().hex(),
        types=dict(check.types),
        findings=tuple(check.findings[:MAX_FINDINGS]),
        open_decisions=check.story.open_decisions,
        open_windows=len(check.windows),
        checkpoints=check.placing.agreed,
        covered=check.placing.covered,
        payloads=payloads,
    )


@dataclass(slots=True)
class _Check:
    store: Store
    tenant: str
    types: Counter[str] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)
    story: Story = field(default_factory=Story)
    windows: set[str] = field(default_factory=set)
    seen: int = 0
    placing: Placing = field(init=False)

    def run(self, promises: Iterable[Promise], forks: Iterable[Finding], key: bytes | None) -> None:
        for fork in forks:
            self.found(fork)
        # The head is read first: what it promises must be found; more may have come since.
        size, root = self.store.head(self.tenant)
        self.placing = Placing([Promise(size, root), *promises], self.found)
        rows = self.store.events(self.tenant)
        waiting: list[StoredEvent] = []

        def more() -> Sequence[StoredEvent]:
            waiting.extend(islice(rows, LOOKAHEAD - len(waiting)))
            return waiting

        while batch := waiting or list(islice(rows, LOOKAHEAD)):
            waiting = []
            if not self.placing.broken:
                self.placing.take(batch, more)
            for row in batch:
                self._content(row)
        if self.placing.broken:
            self._reconsider(size)
        self.placing.finish(self.seen)
        for message, event in self.story.finish(self.store, self.tenant, self.seen, key):
            self.found(Finding("story", message, None, event))

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
            self.found(Finding("unreadable", "the leaf is not an event", row.seq, row.id))
            return
        if said != (row.id, row.type, row.at, self.tenant):
            message = "the columns beside the leaf say something else than it"
            self.found(Finding("columns", message, row.seq, row.id))
            return
        if row.type == "segment":
            (self.windows.add if event.get("state") == "open" else self.windows.discard)(event.get("writer"))
        for message in self.story.tell(event):
            self.found(Finding("story", message, row.seq, row.id))

    def found(self, finding: Finding) -> None:
        if len(self.findings) < MAX_FINDINGS:
            self.findings.append(finding)
