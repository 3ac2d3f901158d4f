"""Governance records as every store keeps them: their checks, and their form in a row."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from agentguard.canonical import encode, loads
from agentguard.errors import ArgumentsError, StoreError, StoreUnavailable
from agentguard.store import rules
from agentguard.store.clock import from_micros, to_micros
from agentguard.store.protocol import Known, Record, RecordKey, RecordsChange

__all__ = ["COLUMNS", "Written", "check_keys", "dump", "load", "written"]

COLUMNS: Final = ("kind", "id", "state", "due", "registered", "revision", "body")
"""The columns of a record beside its tenant."""

MAX_BODY: Final = 1_048_576
"""Bytes of a record's body."""

_KIND: Final = re.compile(r"[a-z][a-z-]{0,31}")
_MAX_ID: Final = 256


@dataclass(frozen=True, slots=True)
class Written:
    """A checked change: what to write, what is appended, and whether the register is another one after it."""

    records: tuple[Record, ...]
    leaves: list[rules.Leaf]
    registers: bool


def check_keys(keys: Collection[RecordKey]) -> list[RecordKey]:
    """The keys once each, in the order in which they are locked.

    Raises:
        StoreError: one is not a kind and an id.
    """
    for kind, id_ in keys:
        if not (isinstance(kind, str) and _KIND.fullmatch(kind)):
            raise StoreError(f"`{str(kind)[:40]}` is no kind of record")
        if not (isinstance(id_, str) and 0 < len(id_) <= _MAX_ID and id_.isprintable()):
            raise StoreError(f"a record's id has 1 to {_MAX_ID} printable characters")
    return sorted(set(keys))


def written(tenant: str, keys: Collection[RecordKey], before: Known, change: RecordsChange) -> Written:
    """The change as it is kept.

    Raises:
        StoreError: it is about another record, the same one twice, or not plain JSON.
    """
    wanted, found = set(keys), {}
    for record in change.records:
        if record.key not in wanted or record.key in found:
            raise StoreError(f"the update is not about the {record.kind} `{record.id}`, or twice")
        if type(record.state) is not str or not 0 < len(record.state) <= 32:
            raise StoreError(f"the {record.kind} `{record.id}` has no state")
        known = before.get(record.key)
        found[record.key] = replace(record, revision=1 if known is None else known.revision + 1)
    registers = any(
        record.registered or (key in before and before[key].registered) for key, record in found.items()
    )
    return Written(tuple(found.values()), rules.leaves(tenant, change.events), registers)


def dump(record: Record) -> tuple[str, str, str, int | None, int, int, bytes]:
    """The values of a record's columns.

    Raises:
        StoreError: its body is not plain JSON, or too large.
    """
    try:
        body = encode(dict(record.body))
    except (TypeError, ValueError, RecursionError) as error:
        raise StoreError(f"the {record.kind} `{record.id}` cannot be kept: {error}") from None
    if len(body) > MAX_BODY:
        raise StoreError(f"the {record.kind} `{record.id}` is larger than {MAX_BODY:,} bytes")
    due = None if record.due is None else to_micros(record.due)
    return record.kind, record.id, record.state, due, int(record.registered), record.revision, body


def load(row: tuple[Any, ...]) -> Record:
    """The record in a row of `COLUMNS`.

    Raises:
        StoreUnavailable: it is damaged.
    """
    kind, id_, state, due, registered, revision, body = row
    try:
        found: Mapping[str, Any] = loads(bytes(body), what="a record")
        if not isinstance(found, dict) or not (type(kind) is type(id_) is type(state) is str):
            raise TypeError("an object is needed")
        return Record(
            kind=kind,
            id=id_,
            state=state,
            body=found,
            due=None if due is None else from_micros(due),
            registered=bool(registered),
            revision=int(revision),
        )
    except (ArgumentsError, ValueError, TypeError, OverflowError) as error:
        raise StoreUnavailable(
            f"the record of the {str(kind)[:40]} `{str(id_)[:100]}` is damaged; it cannot be used"
        ) from error
