"""Events of the ledger, read for an export: from and to a time, of some types, a batch at a time."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pydantic_core

from agentguard.ledger.events import instant
from agentguard.store.protocol import EventRow, Store

__all__ = ["Exported", "exported"]

_BATCH: Final = 1000


@dataclass(frozen=True, slots=True)
class Exported:
    """One event; `event` is None where the leaf is none or says something else than the store."""

    seq: int
    leaf: bytes
    event: dict[str, Any] | None


def exported(
    store: Store,
    tenant: str,
    *,
    begin: dt.datetime | None = None,
    end: dt.datetime | None = None,
    types: Sequence[str] = (),
) -> Iterator[Exported]:
    """The events in order; `end` is excluded. What does not read back is in every stretch of time.

    A name in `types` that ends in `.` stands for all that begin with it.
    """
    first = "" if begin is None else instant(begin)
    last = "~" if end is None else instant(end)
    whole = tuple(name for name in types if not name.endswith("."))
    begins = tuple(name for name in types if name.endswith("."))
    asked = () if begins else whole
    after = 0
    while rows := store.rows(tenant, after=after, limit=_BATCH, types=asked):
        for row in rows:
            if begins and row[2] not in whole and not str(row[2]).startswith(begins):
                continue
            found = _read(row, tenant)
            if found.event is None or first <= found.event["at"] < last:
                yield found
        after = rows[-1][0]


def _read(row: EventRow, tenant: str) -> Exported:
    seq, id_, kind, leaf, _, _ = row
    if not isinstance(leaf, bytes):
        return Exported(seq, str(leaf).encode("utf-8", "backslashreplace"), None)
    try:
        event = pydantic_core.from_json(leaf, allow_inf_nan=False)
        said = event["id"], event["type"], event["tenant"]
        if said != (id_, kind, tenant) or instant(dt.datetime.fromisoformat(event["at"])) != event["at"]:
            return Exported(seq, leaf, None)
    except (ValueError, KeyError, TypeError):
        return Exported(seq, leaf, None)
    return Exported(seq, leaf, event)
