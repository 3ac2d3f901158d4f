"""What an exception says: the document that people write, and the content that people sign.

The content is plain JSON: the document with the tenant, the id, who asked, whose the agent is and the number
of the renewal. Its digest is what an approver signs, so that nothing of it can be changed afterwards.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from agentguard.decision import plain
from agentguard.errors import ConfigurationError, RecordRefused
from agentguard.ledger.events import instant as written_instant
from agentguard.policy.register import ControlDocument, ExceptionRecord, RuleName
from agentguard.policy.scalars import Condition, Instant, Seconds, Text, ToolPattern

__all__ = [
    "ExceptionContent",
    "ExceptionDocument",
    "agent_id",
    "check_core",
    "content_of",
    "core_input",
    "document_of",
    "read_content",
]

_Listed: Final = Field(strict=False, min_length=1, max_length=100)
_INSTANTS: Final = ("not_before", "expires", "remediate_by")


def agent_id(value: str) -> str:
    """An agent's id as a session takes it; no spelling is folded.

    Raises:
        ValueError: it is none.
    """
    if not value.strip() or len(value) > 256 or not value.isprintable():
        raise ValueError("must be printable and have 1 to 256 characters")
    return value


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Evidence(_Model):
    """Where the evidence lies, and the SHA-256 of what lies there."""

    ref: Text
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class ExceptionDocument(_Model):
    """An exception as somebody asks for it (`agentguard exceptions request --file exception.yaml`)."""

    agent: Annotated[str, AfterValidator(agent_id)]
    principal: Text | None = None
    rules: Annotated[tuple[RuleName, ...], _Listed]
    tools: Annotated[tuple[ToolPattern, ...], _Listed]
    when: Condition = True
    secrets: Annotated[tuple[Text, ...], Field(strict=False, max_length=50)] | None = None
    control: ControlDocument
    reason: Text
    risk: Text
    remediate_by: Instant
    evidence: Annotated[tuple[Evidence, ...], Field(strict=False, max_length=20)] = ()
    owner: Text
    not_before: Instant | None = None
    expires: Instant
    revalidate_every: Seconds | None = None
    review_in: Seconds | None = None
    uses: Annotated[int, Field(ge=1, le=1_000_000)] | None = None


class ExceptionContent(ExceptionDocument):
    """The same with what the guard knows about it."""

    v: Literal[1]
    kind: Literal["exception"]
    tenant: str
    id: Annotated[str, Field(pattern=r"^EX-[0-9A-Z]{8}$")]
    requester: Text
    agent_owner: Text | None = None
    renewal: Annotated[int, Field(ge=0, le=100)] = 0
    emergency: bool = False


def content_of(
    document: Mapping[str, Any],
    *,
    tenant: str,
    id: str,
    requester: str,
    agent_owner: str | None = None,
    renewal: int = 0,
    emergency: bool = False,
) -> dict[str, Any]:
    """The content of a document, checked; points in time in UTC, everything else as it was written.

    Raises:
        RecordRefused: something is missing, unknown or contradicts itself; the message says what.
    """
    content = {
        **{key: value for key, value in plain(dict(document)).items() if value is not None},
        "v": 1,
        "kind": "exception",
        "tenant": tenant,
        "id": id,
        "requester": requester,
        "renewal": renewal,
        **({} if agent_owner is None else {"agent_owner": agent_owner}),
        **({"emergency": True} if emergency else {}),
    }
    known = set(document) - set(ExceptionDocument.model_fields)
    if known:
        raise RecordRefused(f"exception: unknown key `{min(map(str, known))[:60]}`")
    read = _validated(content)
    for key in _INSTANTS:
        found = getattr(read, key)
        if found is not None:
            content[key] = written_instant(found)
    return content


def document_of(content: Mapping[str, Any]) -> dict[str, Any]:
    """The document in a content, to be asked for again with changes."""
    return {key: value for key, value in content.items() if key in ExceptionDocument.model_fields}


def read_content(content: object) -> ExceptionContent:
    """The content of a record.

    Raises:
        RecordRefused: it is not one.
    """
    if not isinstance(content, Mapping):
        raise RecordRefused("its content is damaged")
    return _validated(content)


def core_input(
    content: Mapping[str, Any],
    read: ExceptionContent,
    *,
    approver: str,
    approved_at: dt.datetime,
    validated_at: dt.datetime,
) -> dict[str, Any]:
    """The exception as the core reads it (`policy.register.ExceptionInput`).

    It begins with its approval at the earliest, and sleeps when `revalidate_every` has passed since somebody
    last vouched for it.
    """
    begin = approved_at if read.not_before is None else max(read.not_before, approved_at)
    sleeps = (
        None if read.revalidate_every is None else validated_at + dt.timedelta(seconds=read.revalidate_every)
    )
    found = {
        "id": read.id,
        "agent": read.agent,
        "principal": read.principal,
        "rules": read.rules,
        "tools": read.tools,
        "when": read.when,
        "secrets": read.secrets,
        "not_before": begin,
        "expires": read.expires,
        "uses": read.uses,
        "reason": read.reason,
        "evidence": [f"{one.ref} sha256:{one.sha256}" for one in read.evidence],
        "owner": read.owner,
        "approver": approver,
        "approved_at": approved_at,
        "revalidate_by": sleeps,
        "review_in": content.get("review_in"),
        "control": content["control"],
    }
    return {key: value for key, value in found.items() if value is not None}


def check_core(content: Mapping[str, Any], approved_at: dt.datetime, longest: dt.timedelta) -> None:
    """Refuse what the core would refuse once it is approved: prose for a control, `*`, too long a time.

    Raises:
        RecordRefused: why.
    """
    read = read_content(content)
    found = core_input(content, read, approver="?", approved_at=approved_at, validated_at=approved_at)
    try:
        ExceptionRecord.from_mapping(found, longest=longest)
    except ConfigurationError as error:
        raise RecordRefused(str(error)) from None


def _validated(content: Mapping[str, Any]) -> ExceptionContent:
    try:
        return ExceptionContent.model_validate(dict(content))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        message = "is missing" if first["type"] == "missing" else first["msg"].lower()
        if first["type"] == "extra_forbidden":
            raise RecordRefused(f"exception: unknown key `{where[:60]}`") from None
        raise RecordRefused(f"exception: `{where[:80]}` {message}") from None
