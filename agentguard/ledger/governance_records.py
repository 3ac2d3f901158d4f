"""The events of exceptions, grants, agents and baselines, read back: one model a kind of record."""

from __future__ import annotations

import datetime as dt
from typing import Literal

from pydantic import BaseModel, ConfigDict

__all__ = ["AgentMoved", "BaselineMoved", "ExceptionMoved", "GrantMoved"]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class WordRecord(_Model):
    """What a person said about the content with `digest`, and how we know who."""

    act: str
    subject: str
    digest: str
    at: dt.datetime
    reason: str = ""
    assurance: Literal["signed", "local", "rule"]
    signature: str | None = None


class _Moved(_Model):
    v: Literal[1]
    id: str
    tenant: str = ""
    at: dt.datetime
    digest: str


class ExceptionMoved(_Moved):
    """`exception.requested`, `.approved`, `.rejected` and so on."""

    type: Literal[
        "exception.requested",
        "exception.approved",
        "exception.rejected",
        "exception.withdrawn",
        "exception.revoked",
        "exception.revalidated",
        "exception.renewed",
        "exception.expired",
    ]
    exception: str
    agent: str = ""
    principal: str | None = None
    rules: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    secrets: tuple[str, ...] | None = None
    owner: str = ""
    requester: str = ""
    reason: str = ""
    not_before: dt.datetime | None = None
    expires: dt.datetime | None = None
    uses: int | None = None
    renewal: int = 0
    emergency: bool = False
    word: WordRecord | None = None


class GrantMoved(_Moved):
    """`grant.vouched`, `.given`, `.revoked`, `.expired` or `.spent`."""

    type: Literal["grant.vouched", "grant.given", "grant.revoked", "grant.expired", "grant.spent"]
    grant: str
    approval: str = ""
    agent: str = ""
    principal: str | None = None
    rules: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    reason: str = ""
    expires: dt.datetime | None = None
    uses: int | None = None
    words: tuple[WordRecord, ...] = ()


class AgentMoved(_Moved):
    """`agent.registered`, `.changed`, `.suspended`, `.restored` or `.offboarded`."""

    type: Literal[
        "agent.registered", "agent.changed", "agent.suspended", "agent.restored", "agent.offboarded"
    ]
    agent: str
    owner: str | None = None
    tags: tuple[str, ...] = ()
    environments: tuple[str, ...] = ()
    word: WordRecord


class BaselineMoved(_Moved):
    """`baseline.proposed`, `.approved`, `.rejected`, `.revoked` or `.expired`; `first` to `last` are the
    numbers of the events that it was learned from."""

    type: Literal[
        "baseline.proposed", "baseline.approved", "baseline.rejected", "baseline.revoked", "baseline.expired"
    ]
    baseline: str
    owner: str = ""
    version: int
    replaces: str | None = None
    ends: dt.datetime
    first: int = 0
    last: int = 0
    calls: int = 0
    word: WordRecord | None = None
