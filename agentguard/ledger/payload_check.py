"""Whether what is kept beside the events is what their keyed digests say; needs the ledger's key."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import pydantic_core

from agentguard.ledger.findings import Finding
from agentguard.ledger.keys import args_hmac
from agentguard.remembering import CONTEXT, FACTS
from agentguard.store.protocol import EventRow, Store

__all__ = ["Payloads", "check_payloads"]

_BATCH: Final = 1000
_BACK: Final = 2048
_DOMAINS: Final = (("args_hmac", b""), ("context", CONTEXT), ("facts", FACTS))


@dataclass(frozen=True, slots=True)
class Payloads:
    """How many digests of decisions are those of what is kept, and of how many nothing is: it was erased, or
    never kept."""

    same: int
    missing: int

    def to_json(self) -> dict[str, Any]:
        return {"same": self.same, "missing": self.missing}


def check_payloads(store: Store, tenant: str, key: bytes, found: Callable[[Finding], object]) -> Payloads:
    """Compare each payload with the digest in the decision that it was recorded with."""
    same = missing = after = 0
    known: dict[str, bool] = {}
    while rows := store.rows(tenant, after=after, limit=_BATCH, types=("decision",)):
        named = list(_named(rows))
        beside = {row[4]: row[5] for row in rows if row[4] is not None and row[5] is not None}
        wanted = {name for _, name, _ in named if name not in beside and name not in known}
        if wanted:
            first = rows[0][0] - 1
            elsewhere = store.payloads(tenant, wanted, after=max(0, first - _BACK), upto=first)
            beside.update({name: payload.content for name, payload in elsewhere.items()})
        for row, name, domain in named:
            content = beside.get(name)
            if content is None and name not in known:
                missing += 1
                continue
            right = known[name] if content is None else _is(name, key, domain, content)
            same += right
            if domain == CONTEXT:
                known[name] = right  # kept once for many decisions
            if not right:
                what = "context" if domain == CONTEXT else "facts" if domain == FACTS else "arguments"
                message = f"the {what} kept beside it are not those whose digest the event carries"
                found(Finding("payload", message, row[0], row[1]))
        after = rows[-1][0]
    return Payloads(same, missing)


def _is(name: str, key: bytes, domain: bytes, content: object) -> bool:
    return isinstance(content, bytes) and args_hmac(key, domain + content) == name


def _named(rows: Any) -> Iterator[tuple[EventRow, str, bytes]]:
    """Each digest that a row's event carries, with what stands before the content under it."""
    for row in rows:
        try:
            event: Mapping[str, Any] = pydantic_core.from_json(row[3])
            digests = [(event.get(field), domain) for field, domain in _DOMAINS]
        except (ValueError, AttributeError):
            continue  # the check of the leaves names it
        for name, domain in digests:
            if isinstance(name, str) and name:
                yield row, name, domain
