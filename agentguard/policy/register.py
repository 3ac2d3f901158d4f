"""The register: exceptions, grants and suspended agents, the records that change while policies stay.

Records come as plain data from a store. One that is incomplete or contradicts itself is refused; a register
keeps what it refused, so that it stays visible, and decides without it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agentguard.decision import plain
from agentguard.errors import ConfigurationError
from agentguard.policy.document import ApprovalDocument, ReserveDocument, StageDocument, approval_problems
from agentguard.policy.scalars import Condition, Instant, ResultPath, Seconds, Text, ToolPattern

__all__ = [
    "LONGEST",
    "BoundDocument",
    "ControlDocument",
    "ExceptionInput",
    "ExceptionRecord",
    "Grant",
    "GrantInput",
    "Refused",
    "Register",
]

LONGEST: Final = dt.timedelta(days=366)
"""The longest time for which an exception or a grant is good; an operator may set a shorter one."""

Standing = Literal["suspended", "offboarded"]
"""Why every call of an agent is denied."""

RuleName = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*/[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=201)
]
_Rules = Annotated[tuple[RuleName, ...], Field(strict=False, min_length=1, max_length=100)]
_Tools = Annotated[tuple[ToolPattern, ...], Field(strict=False, min_length=1, max_length=100)]
_Stages = Annotated[tuple[StageDocument, ...], Field(strict=False, min_length=1, max_length=10)]
_Texts = Annotated[tuple[Text, ...], Field(strict=False, max_length=50)]
_Uses = Annotated[int, Field(ge=1, le=1_000_000)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class ControlDocument(_Model):
    """A compensating control: what the guard does instead of the rule that is waived. Prose is no control."""

    description: str = ""
    approval: ApprovalDocument | None = None
    reserve: ReserveDocument | None = None
    redact_result: Annotated[tuple[ResultPath, ...], Field(strict=False, min_length=1)] | None = None


class BoundDocument(_Model):
    """What else has to be exactly as it was when a grant was given: a key that is given is compared, and null
    means that there was none. `arguments` is the SHA-256 of their canonical form, `tool_digests`
    the definition of each tool."""

    principal: Text | None = None
    chain: _Texts = ()
    environment: Text | None = None
    secrets: _Texts = ()
    session: Text | None = None
    tool_digest: str | None = None
    tool_digests: dict[str, str] | None = None
    arguments: Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")] | None = None


class _Scope(_Model):
    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:-]{0,99}$")]
    agent: Text
    principal: Text | None = None
    rules: _Rules
    tools: _Tools
    when: Condition = True
    secrets: _Texts | None = None
    not_before: Instant | None = None
    expires: Instant
    uses: _Uses | None = None
    reason: Text
    evidence: _Texts = ()


class ExceptionInput(_Scope):
    """An exception as it is written down; `ExceptionRecord.from_mapping` reads it."""

    owner: Text
    approver: Text
    approved_at: Instant
    revalidate_by: Instant | None = None
    review_in: Seconds | None = None
    control: ControlDocument


class GrantInput(_Scope):
    """A grant as it is written down; `Grant.from_mapping` reads it."""

    stages: _Stages
    approved_at: Instant
    approval_id: Text | None = None
    local: bool = False
    bound: BoundDocument = BoundDocument()


@dataclass(frozen=True, slots=True, kw_only=True)
class ExceptionRecord:
    """A documented deviation: one agent, the rules it waives, where, until when, and what is done instead.

    `rules` are `policy/rule` names. Tools are named; `*` is refused. Where `secrets` is given, a call that
    needs any other secret scope is outside. `revalidate_by` is the date at which the exception sleeps until
    somebody confirms it.
    """

    id: str
    agent: str
    rules: tuple[str, ...]
    tools: tuple[str, ...]
    owner: str
    approver: str
    reason: str
    control: ControlDocument
    approved_at: dt.datetime
    not_before: dt.datetime
    expires: dt.datetime
    revalidate_by: dt.datetime | None = None
    review_in_s: int | None = None
    principal: str | None = None
    when: str | bool = True
    secrets: tuple[str, ...] | None = None
    uses: int | None = None
    evidence: tuple[str, ...] = ()

    @classmethod
    def from_mapping(cls, data: Mapping[str, Any], *, longest: dt.timedelta = LONGEST) -> ExceptionRecord:
        """An exception from plain data; it may last for `longest` from its approval.

        Raises:
            ConfigurationError: something is missing, unknown or contradicts itself.
        """
        read = _read(ExceptionInput, data, "exception")
        begin = _scope(read, "exception", read.approved_at, longest)
        control = read.control
        if not (control.approval or control.reserve or control.redact_result):
            raise ConfigurationError(
                f"exception `{read.id}`: the compensating control is only prose; it needs "
                "`approval`, `reserve` or `redact_result`"
            )
        if control.approval is not None:
            for problem in approval_problems(control.approval):
                raise ConfigurationError(f"exception `{read.id}`: {problem.message}")
        if read.approver == read.agent:
            raise ConfigurationError(f"exception `{read.id}`: the agent cannot approve its own exception")
        return cls(
            id=read.id,
            agent=read.agent,
            rules=read.rules,
            tools=read.tools,
            owner=read.owner,
            approver=read.approver,
            reason=read.reason,
            control=control,
            approved_at=read.approved_at,
            not_before=begin,
            expires=read.expires,
            revalidate_by=read.revalidate_by,
            review_in_s=read.review_in,
            principal=read.principal,
            when=read.when,
            secrets=read.secrets,
            uses=read.uses,
            evidence=read.evidence,
        )

    def holds_at(self, now: dt.datetime) -> bool:
        """Whether it is in force: begun, not expired, not waiting for revalidation."""
        if not self.not_before <= now < self.expires:
            return False
        return self.revalidate_by is None or now < self.revalidate_by


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """A just-in-time right: it satisfies the named step-ups as far as its own approval met their demands.

    `stages` are those of the approval that gave it; `local` says that an unverified answer was among them.
    `bound` is what else has to be as it was: the keys of `BoundDocument` that were given.
    """

    id: str
    agent: str
    rules: tuple[str, ...]
    tools: tuple[str, ...]
    stages: tuple[StageDocument, ...]
    reason: str
    not_before: dt.datetime
    expires: dt.datetime
    principal: str | None = None
    when: str | bool = True
    secrets: tuple[str, ...] | None = None
    uses: int | None = None
    approval_id: str | None = None
    local: bool = False
    bound: Mapping[str, Any] = field(default_factory=dict)
    evidence: tuple[str, ...] = ()

    @classmethod
    def from_mapping(cls, data: Mapping[str, Any], *, longest: dt.timedelta = LONGEST) -> Grant:
        """A grant from plain data; it may last for `longest` from its approval.

        Raises:
            ConfigurationError: something is missing, unknown or contradicts itself.
        """
        read = _read(GrantInput, data, "grant")
        begin = _scope(read, "grant", read.approved_at, longest)
        return cls(
            id=read.id,
            agent=read.agent,
            rules=read.rules,
            tools=read.tools,
            stages=read.stages,
            reason=read.reason,
            not_before=begin,
            expires=read.expires,
            principal=read.principal,
            when=read.when,
            secrets=read.secrets,
            uses=read.uses,
            approval_id=read.approval_id,
            local=read.local,
            bound=MappingProxyType({name: getattr(read.bound, name) for name in read.bound.model_fields_set}),
            evidence=read.evidence,
        )

    def holds_at(self, now: dt.datetime) -> bool:
        """Whether it is in force."""
        return self.not_before <= now < self.expires


@dataclass(frozen=True, slots=True)
class Refused:
    """A record that was left out, and why."""

    id: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Register:
    """A version of all exceptions and grants, and of the agents whose calls are all denied.

    `suspended` is by the agent's exact id: no spelling is folded. `refused` are records that were left out.
    `baselines` say what is normal for an agent; the guard reads them for its facts, and the core does not.
    """

    version: int = 0
    exceptions: tuple[ExceptionRecord, ...] = ()
    grants: tuple[Grant, ...] = ()
    suspended: Mapping[str, Standing] = field(default_factory=dict)
    refused: tuple[Refused, ...] = ()
    baselines: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_records(
        cls, version: int, records: Iterable[Mapping[str, Any]], *, longest: dt.timedelta = LONGEST
    ) -> Register:
        """From what a store holds: each record says its `kind`, `exception`, `grant` or `agent`.

        `longest` is how long an exception or a grant may last from its approval.
        """
        exceptions: dict[str, ExceptionRecord] = {}
        grants: dict[str, Grant] = {}
        suspended: dict[str, Standing] = {}
        longest = min(longest, LONGEST)
        refused: list[Refused] = []
        for record in records:
            name = str(record.get("id", "?"))[:100]
            fields = {key: value for key, value in record.items() if key != "kind"}
            try:
                match record.get("kind"):
                    case "exception":
                        found = ExceptionRecord.from_mapping(fields, longest=longest)
                        exceptions[_new(name, exceptions)] = found
                    case "grant":
                        grants[_new(name, grants)] = Grant.from_mapping(fields, longest=longest)
                    case "agent":
                        # INVARIANT: whatever else a record of an agent says, a listed agent is denied.
                        gone = record.get("state") == "offboarded"
                        suspended[str(record.get("id"))] = "offboarded" if gone else "suspended"
                    case other:
                        raise ConfigurationError(f"record `{name}`: unknown kind {str(other)[:40]!r}")
            except ConfigurationError as error:
                refused.append(Refused(name, str(error)))
        return cls(
            version=version,
            exceptions=tuple(exceptions[key] for key in sorted(exceptions)),
            grants=tuple(grants[key] for key in sorted(grants)),
            suspended=MappingProxyType(suspended),
            refused=tuple(refused),
        )

    @classmethod
    def from_mapping(cls, data: Mapping[str, Any]) -> Register:
        """From `{"version": 3, "exceptions": [...], "grants": [...], "agents": [...]}`; refused as a whole.

        Raises:
            ConfigurationError: a key is unknown, or a record is refused.
        """
        unknown = sorted(set(data) - {"version", "exceptions", "grants", "agents"})
        version = data.get("version", 0)
        if unknown or not isinstance(version, int) or isinstance(version, bool):
            raise ConfigurationError(
                f"register: unknown key `{unknown[0]}`" if unknown else "register: no version"
            )
        records = [{"kind": "exception", **record} for record in data.get("exceptions", ())]
        records += [{"kind": "grant", **record} for record in data.get("grants", ())]
        records += [{"kind": "agent", **record} for record in data.get("agents", ())]
        register = cls.from_records(version, records)
        if register.refused:
            raise ConfigurationError(register.refused[0].message)
        return register


def _new(name: str, known: Mapping[str, object]) -> str:
    if name in known:
        raise ConfigurationError(f"record `{name}`: the id is there twice")
    return name


_Input = TypeVar("_Input", bound=_Scope)


def _read(model: type[_Input], data: Mapping[str, Any], what: str) -> _Input:
    name = str(data.get("id", "?"))[:100]
    try:
        return model.model_validate(plain(data))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        message = "is missing" if first["type"] == "missing" else first["msg"]
        raise ConfigurationError(f"{what} `{name}`: `{where}` {message}") from None


def _scope(read: _Scope, what: str, approved_at: dt.datetime, longest: dt.timedelta) -> dt.datetime:
    """The beginning of a record's time, after checking its scope and span."""
    begin = read.not_before or approved_at
    if begin < approved_at:
        raise ConfigurationError(f"{what} `{read.id}`: it would begin before it was approved")
    if read.expires <= begin:
        raise ConfigurationError(f"{what} `{read.id}`: it expires before it begins")
    if read.expires - approved_at > longest:
        most = f"{longest.days} days" if longest.days else f"{longest.total_seconds():.0f} seconds"
        raise ConfigurationError(f"{what} `{read.id}`: it would last longer than {most}")
    if "*" in read.tools or "*" in read.agent:
        raise ConfigurationError(f"{what} `{read.id}`: `*` is no scope; name the agent and the tools")
    return begin
