"""What is in force: the policies, and the register of exceptions, grants and agents that the store keeps.

One decision sees one pair of them. The pair is replaced whole: by `swap` when policies change, by `refresh`
when the register has a newer version.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from agentguard.errors import PolicyError
from agentguard.ids import uuid7
from agentguard.ledger import events
from agentguard.ledger.lookback import newest_bundle
from agentguard.store.protocol import Known, Record, RecordsChange

if TYPE_CHECKING:
    from agentguard.policy import Snapshot
    from agentguard.policy.strength import Loosened
    from agentguard.stepup.directory import Directory
    from agentguard.store.protocol import Store
    from agentguard.terms import Terms

__all__ = ["FRESH_S", "InForce"]

FRESH_S: Final = 0.02
"""Seconds for which a call that is recorded in a batch believes the register that it knows."""
_LAST: Final = ("policies", "in-force")
"""The record of the rules that were put in force last."""


class InForce:
    """The snapshot that decisions of one guard see, and the version of the store's register in it.

    `pair` is read as one value. A version of 0 is a store without a register: then the snapshot's own one,
    if it was given any, stands as it is.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        store: Store,
        tenant: str,
        now: Callable[[], dt.datetime],
        *,
        directory: Directory,
        governance: Terms,
    ) -> None:
        self._directory = directory
        self._governance = governance
        self._store = store
        self._tenant = tenant
        self._now = now
        self.pair: tuple[Snapshot, int] = (snapshot, 0)
        self._policies = snapshot
        self._non_waivable = _non_waivable(snapshot)
        self._looked = 0.0
        self.forked()

    def forked(self) -> None:
        """Also in a child process: locks that nobody holds."""
        self._swapping = threading.Lock()

    def begin(self) -> None:
        """Look at the register, and record what is in force from here on.

        Raises:
            PolicyError: it is an older signed bundle than one that was in force.
            StoreError: it could not be read or recorded.
        """
        self.check_version(self._policies)
        self.refresh()
        self._load(self._policies, None)

    def swap(self, snapshot: Snapshot) -> None:
        """Put other policies in force, with the register as it is; recorded before they count.

        Raises:
            PolicyError: it is an older signed bundle than one that was in force.
        """
        with self._swapping:  # two at once could leave the older one in force
            self.check_version(snapshot)
            self._load(snapshot, self._policies.digest)
            self._non_waivable = _non_waivable(snapshot)
            self._policies = snapshot
            self._read()

    def refresh(self, *, again: bool = False) -> None:
        """Take in the register if it has another version than the one we know.

        With `again` also if it has the same: the people who vouch for it may have changed in the directory.

        Raises:
            StoreError: it cannot be read; nothing may be decided.
        """
        with self._swapping:
            moment = time.monotonic()
            version = self._store.register_version(self._tenant)
            if version != self.pair[1] or (again and version):
                self._read()
            self._looked = moment

    @property
    def fresh(self) -> bool:
        """Whether somebody looked at the register in the last `FRESH_S` seconds."""
        return time.monotonic() - self._looked < FRESH_S

    @property
    def tracks(self) -> bool:
        """Whether any rule asks where values come from."""
        return self.pair[0].tracks

    def non_waivable(self, rule: str) -> bool:
        """Whether no exception can ever waive this rule (`policy/rule`)."""
        return rule in self._non_waivable

    def check_version(self, snapshot: Snapshot) -> None:
        """Refuse a signed bundle that is older than one that was in force here: the ledger remembers.

        Raises:
            PolicyError: it is older, or another one of the same version.
        """
        signed = snapshot.signed
        if signed is None:
            return
        version, found = newest_bundle(self._store, self._tenant)
        if signed.version < version or (signed.version == version and signed.digest != found):
            raise PolicyError(
                f"the bundle has version {signed.version}, and version {version} was in force already"
                + ("" if signed.version < version else " with other policies")
                + "; sign a higher one"
            )

    def _read(self) -> None:
        version, records = self._store.register(self._tenant)
        snapshot = self._policies
        if version:
            from agentguard.governance import in_force  # here: few stores have a register

            given = snapshot.register
            register = in_force(
                version, records, tenant=self._tenant, directory=self._directory, terms=self._governance
            )
            register = dataclasses.replace(
                register,
                exceptions=(*register.exceptions, *given.exceptions),
                grants=(*register.grants, *given.grants),
            )
            snapshot = snapshot.with_register(register)
        self.pair = snapshot, version

    def _load(self, snapshot: Snapshot, previous: str | None) -> None:
        """Record what comes into force, with what it permits that the set before it did not.

        The set before is the one that any process of this tenant put in force last, so that a restart with
        looser policies is as visible as a change of running ones.
        """
        from agentguard.policy.strength import Loosened, compare, strengths  # a snapshot brought it in

        mine = strengths(snapshot)

        def update(known: Known, now: dt.datetime) -> RecordsChange:
            record = known.get(_LAST)
            before = None if record is None else record.body.get("rules")
            comparable = mine is not None and isinstance(before, dict)
            found = compare(before, mine) if comparable else Loosened()  # type: ignore[arg-type]
            event = self._loaded(snapshot, previous, found)
            if record is not None and record.body.get("snapshot") == snapshot.digest:
                return RecordsChange((), (event,))
            body = {"snapshot": snapshot.digest, **({} if mine is None else {"rules": mine})}
            return RecordsChange((Record(kind=_LAST[0], id=_LAST[1], state="loaded", body=body),), (event,))

        self._store.change_records(self._tenant, [_LAST], update)

    def _loaded(self, snapshot: Snapshot, previous: str | None, found: Loosened) -> events.Event:
        observing = [rule.name for rule in snapshot.rules if rule.observed_flag is not None]
        return events.policy_loaded(
            id=uuid7(),
            tenant=self._tenant,
            at=self._now(),
            snapshot=snapshot.digest,
            rules=len(snapshot.rules),
            sources={},
            previous=previous,
            bundle=None if snapshot.signed is None else dataclasses.asdict(snapshot.signed),
            differences={**found.to_json(), **({"observing": observing[:100]} if observing else {})},
        )


def _non_waivable(snapshot: Snapshot) -> frozenset[str]:
    return frozenset(rule.name for rule in snapshot.rules if rule.non_waivable)
