"""Delivering: what is due in the outbox of one channel, leased, sent and noted, the most pressing first."""

from __future__ import annotations

import datetime as dt
import logging
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

import tenacity

from agentguard.channels import expiring, outbox
from agentguard.channels.channel import Notice, OutboxChannel
from agentguard.channels.outbox import Item, item_of
from agentguard.channels.posting import Undelivered
from agentguard.channels.taking import begin, projection_of, take
from agentguard.errors import NotFound, StoreError
from agentguard.store.protocol import Known, Record, RecordsChange, Store

__all__ = ["Delivering", "pause_s"]

_BATCH: Final = 20
_AT_ONCE: Final = 5
"""Deliveries between two looks at the ledger."""
_LOOK_S: Final = 60.0
"""Seconds between two looks at what will be over soon."""
log = logging.getLogger("agentguard")

_WAIT: Final = tenacity.wait_exponential_jitter(initial=5, max=3600, exp_base=2, jitter=5)


def pause_s(attempt: int) -> float:
    """Seconds to wait after an attempt, from 1 on: twice as long each time, with jitter, an hour at most."""
    state = tenacity.RetryCallState(retry_object=tenacity.Retrying(), fn=None, args=(), kwargs={})
    state.attempt_number = attempt
    return float(_WAIT(state))


class Delivering:
    """One channel of one tenant; several processes may share its outbox: each item is one's at a time."""

    def __init__(
        self,
        store: Store,
        tenant: str,
        channel: OutboxChannel,
        *,
        stopped: Callable[[], bool] = lambda: False,
        begins: bool = True,
    ) -> None:
        self._store, self._tenant, self.channel = store, tenant, channel
        self._stopped = stopped
        self._look_at = 0.0
        self._projection = projection_of(channel.name, channel.interest, channel.lane_limit)
        if begins:
            begin(store, tenant, self._projection)

    def turn(self) -> int:
        """Take in what happened and tell what is due; returns how many things were told.

        Raises:
            StoreError: the store could not do it; what was told and not noted is told again.
        """
        if time.monotonic() >= self._look_at:
            self._look_at = time.monotonic() + _LOOK_S
            expiring.enlist(self._store, self._tenant, self.channel)
        told = 0
        more = True
        while more and not self._stopped():
            more = take(self._store, self._tenant, self._projection)
            for _ in range(_AT_ONCE):  # what is more pressing and came meanwhile is taken in before the rest
                due = None if self._stopped() else self._due()
                if due is None:
                    break
                told += self._one(due)
            else:
                more = True
        return told

    def _due(self) -> Record | None:
        """What is due for the longest time among the most pressing."""
        for state in outbox.OPEN:
            found = self._store.records(
                self._tenant,
                outbox.KIND,
                states=(state,),
                due_by=self._store.now(),
                prefix=f"{self.channel.name}/",
                limit=_BATCH,
            )
            if found:
                return min(found, key=lambda record: (record.due or self._store.now(), record.id))
        return None

    def _one(self, record: Record) -> bool:
        token = os.urandom(16).hex()
        try:
            item_of(record)
        except StoreError as error:
            log.error("%s", error)
            self._change(record, lambda found, now: replace(found, state="dead", due=None))
            return False
        leased = self._change(record, lambda found, now: outbox.lease(found, token, now))
        if leased is None:
            return False  # another process was faster
        item = item_of(leased)
        if item.attempts > self.channel.attempts:  # whoever tried it before did not live to say so
            self._failed(item, token, Undelivered("each process that tried was ended", final=True))
            return False
        try:
            memory = self.channel.send(self._notice(item))
        except Undelivered as error:
            self._failed(item, token, error)
            return False
        except Exception as error:  # a channel must not take the outbox down
            log.error("channel `%s` failed: %s", self.channel.name, type(error).__name__)
            self._failed(item, token, Undelivered(type(error).__name__))
            return False
        return (
            self._change(leased, lambda found, now: outbox.delivered(found, token, memory, now)) is not None
        )

    def _failed(self, item: Item, token: str, error: Undelivered) -> None:
        over = error.final or item.attempts >= self.channel.attempts
        again_s = None if over else max(pause_s(item.attempts), error.after_s or 0.0)
        log.warning(
            "channel `%s` was not told of %s `%s`: %s; %s",
            self.channel.name,
            item.family,
            item.record.id[:100],
            error,
            "given up" if over else f"attempt {item.attempts} of {self.channel.attempts}",
        )
        why = str(error)
        self._change(
            item.record, lambda found, now: outbox.failed(found, token, why, now, again_s, item.memory)
        )

    def _notice(self, item: Item) -> Notice:
        first = item.waiting[0]
        approval = None
        if item.family == "approval":
            try:
                approval = self._store.approval(self._tenant, item.subject)
            except NotFound:
                log.error("the question `%s` is in the outbox and not in the store", item.subject[:100])
        return Notice(
            id=str(first["id"]),
            type=str(first["type"]),
            at=str(first["at"]),
            tenant=self._tenant,
            family=item.family,
            subject=item.subject,
            said=_mapping(first.get("said")),
            now=self._store.now(),
            approval=approval,
            memory=item.memory,
            dropped=item.dropped,
        )

    def _change(
        self, record: Record, change: Callable[[Record, dt.datetime], Record | None]
    ) -> Record | None:
        def update(known: Known, now: dt.datetime) -> RecordsChange | None:
            found = known.get(record.key)
            after = None if found is None else change(found, now)
            return None if after is None else RecordsChange((after,))

        written = self._store.change_records(self._tenant, [record.key], update)
        return written[0] if written else None


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
