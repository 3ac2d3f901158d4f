"""The events of exceptions, grants, agents and baselines, written from the content of their records.

INVARIANT: no condition is in an event, since one may hold argument values: the digest of the content stands
for it, and that is what people signed.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from agentguard.canonical import digest, encode
from agentguard.ledger.events import VERSION, Event, instant, some

if TYPE_CHECKING:
    from agentguard.governance.vouching import Word

__all__ = ["agent_moved", "baseline_moved", "exception_moved", "grant_moved"]

_EXCEPTION: Final = (
    "agent", "principal", "rules", "tools", "secrets", "owner", "requester", "reason", "not_before",
    "expires", "uses", "renewal", "emergency",
)  # fmt: skip
_GRANT: Final = ("approval", "agent", "principal", "rules", "tools", "reason", "expires", "uses")
_AGENT: Final = ("owner", "tags", "environments")
_BASELINE: Final = ("owner", "version", "replaces", "ends")


def exception_moved(
    move: str, name: str, content: Mapping[str, Any], *, by: Word | None, id: str, at: dt.datetime
) -> Event:
    """`exception.requested`, `.approved` and so on: what it says now, and on whose word."""
    return some(
        **_base(f"exception.{move}", content, id, at),
        exception=name,
        **_of(content, _EXCEPTION),
        digest=digest(encode(dict(content))),
        word=None if by is None else by.to_json(),
    )


def grant_moved(
    move: str,
    name: str,
    content: Mapping[str, Any],
    *,
    words: Sequence[Word],
    id: str,
    at: dt.datetime,
) -> Event:
    """`grant.vouched`, `.given`, `.revoked`, `.expired` or `.spent`: what it permits, and on whose words."""
    return some(
        **_base(f"grant.{move}", content, id, at),
        grant=name,
        **_of(content, _GRANT),
        digest=digest(encode(dict(content))),
        words=[word.to_json() for word in words],
    )


def agent_moved(
    move: str, name: str, tenant: str, facts: Mapping[str, Any], *, by: Word, id: str, at: dt.datetime
) -> Event:
    """`agent.registered`, `.changed`, `.suspended`, `.restored` or `.offboarded`."""
    return some(
        **_base(f"agent.{move}", {"tenant": tenant}, id, at),
        agent=name,
        **_of(facts, _AGENT),
        digest=digest(encode(dict(facts))),
        word=by.to_json(),
    )


def baseline_moved(
    move: str, content: Mapping[str, Any], *, by: Word | None, id: str, at: dt.datetime
) -> Event:
    """`baseline.proposed`, `.approved`, `.rejected`, `.revoked` or `.expired`: which version, learned from
    which events. `replaces` is the digest of the one that it takes the place of."""
    learned = content.get("learned", {})
    return some(
        **_base(f"baseline.{move}", content, id, at),
        baseline=content.get("agent"),
        **_of(content, _BASELINE),
        first=learned.get("first"),
        last=learned.get("last"),
        calls=learned.get("calls"),
        digest=digest(encode(dict(content))),
        word=None if by is None else by.to_json(),
    )


def _base(type: str, content: Mapping[str, Any], id: str, at: dt.datetime) -> dict[str, Any]:
    return {"v": VERSION, "id": id, "type": type, "tenant": str(content.get("tenant", "")), "at": instant(at)}


def _of(content: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {name: content[name] for name in names if content.get(name) is not None}
