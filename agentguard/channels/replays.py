"""Each signed answer is taken once, by whichever process hears it first."""

from __future__ import annotations

import datetime as dt
import hashlib
from typing import Final

from agentguard.store.protocol import Known, Record, RecordsChange, Store

__all__ = ["KIND", "forget", "take"]

KIND: Final = "answer"


def take(store: Store, tenant: str, channel: str, id: str) -> bool:
    """Note an answer by its id; False where it was taken before.

    Raises:
        StoreError: the store could not do it.
    """
    key = _key(channel, id)

    def update(known: Known, now: dt.datetime) -> RecordsChange | None:
        found = known.get(key)
        if found is not None and found.state == "taken":
            return None
        body = {"at": now.isoformat()}
        return RecordsChange((Record(kind=KIND, id=key[1], state="taken", body=body),))

    return bool(store.change_records(tenant, [key], update))


def forget(store: Store, tenant: str, channel: str, id: str) -> None:
    """What was taken could not be counted, and may come again.

    Raises:
        StoreError: the store could not do it.
    """
    key = _key(channel, id)

    def update(known: Known, now: dt.datetime) -> RecordsChange | None:
        return RecordsChange((Record(kind=KIND, id=key[1], state="free", body={"at": now.isoformat()}),))

    store.change_records(tenant, [key], update)


def _key(channel: str, id: str) -> tuple[str, str]:
    return KIND, f"{channel}/{hashlib.sha256(id.encode('utf-8', 'surrogatepass')).hexdigest()[:48]}"
