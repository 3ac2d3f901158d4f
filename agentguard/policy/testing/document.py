"""A test file: the models of what `*_test.yaml` may say."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from agentguard.policy.locators import has_hidden
from agentguard.policy.register import ExceptionInput, GrantInput
from agentguard.policy.scalars import Instant, Text
from agentguard.tools import Action, Role

__all__ = [
    "FREE",
    "CaseDocument",
    "ErrorsDocument",
    "FactsDocument",
    "ItemsDocument",
    "NamesDocument",
    "Obligation",
    "RequestDocument",
    "SuppliedDocument",
    "TestDocument",
    "WantDocument",
]

FREE: Final = frozenset(
    {"args", "agent", "principal", "chain", "session", "resource", "workload", "context", "supplied", "value"}
)
"""Keys below which names and nothings are the request's own."""

_LONGEST: Final = 200


def _label(value: str) -> str:
    """A name that can be typed, printed and searched for."""
    if not value.strip() or value != value.strip() or len(value) > _LONGEST:
        message = f"a name has 1 to {_LONGEST} characters and no space around it"
    elif not value.isprintable() or has_hidden(value) or "::" in value:
        message = "the name holds `::`, or a character that is not seen"
    else:
        return value
    raise PydanticCustomError("AG103", "{message}", {"message": message})


Label = Annotated[str, AfterValidator(_label)]
Labels = Annotated[tuple[Label, ...], Field(strict=False)]
Texts = Annotated[tuple[Text, ...], Field(strict=False)]
Filled = Annotated[tuple[Text, ...], Field(strict=False, min_length=1)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def _id(value: Any) -> Any:
    return {"id": value} if isinstance(value, str) else value


Subject = Annotated[dict[str, Any], BeforeValidator(_id, json_schema_input_type=str | dict[str, Any])]


class FactsDocument(_Model):
    """What is known of the tool, as a tool-facts file says it."""

    reads: bool | None = None
    writes: bool | None = None
    destructive: bool | None = None
    external: bool | None = None
    read_only: bool | None = None
    idempotent: bool | None = None
    untrusted_output: bool | None = None
    executes: bool | None = None
    touches_secrets: bool | None = None
    uncertain: bool | None = None
    changed: bool | None = None
    inferred: Texts | None = None
    action: Action | None = None
    roles: dict[str, Role] | None = None
    topics: Texts | None = None
    sensitive: Texts = ()
    labels: Texts = ()


class SuppliedDocument(_Model):
    """What fact providers would have supplied."""

    provenance: dict[str, Any] | None = None
    secret: dict[str, Any] | None = None
    history: dict[str, Any] | None = None
    asked: dict[str, Any] | None = None
    rates: dict[str, Any] | None = None
    baseline: dict[str, Any] | None = None
    engines: dict[str, Any] | None = None


class RequestDocument(_Model):
    """A call, or a part of one: what is absent is a fact that nobody supplied.

    Mappings are merged into those of the request that it extends, anything else replaces. `without` takes
    out what the other request has, before.
    """

    extends: Label | None = Field(None, description="the named request that this one begins with")
    without: Texts = Field((), description="what is taken out of it: `args.note`, `principal`, `args`")
    tool: Text | None = Field(None, description="name of the tool")
    args: dict[str, Any] | None = Field(None, description="the arguments by name")
    agent: Subject | None = Field(None, description="the acting agent: its id, or a mapping with `id`")
    principal: Subject | None = Field(None, description="on whose behalf it acts")
    chain: Annotated[tuple[Any, ...], Field(strict=False, description="the delegating agents")] | None = None
    environment: Text | None = None
    secrets: Texts | None = Field(None, description="names of the secret scopes that the tool needs")
    session: dict[str, Any] | None = Field(None, description="`id`, `labels`, `calls`")
    resource: dict[str, Any] | None = Field(None, description="`type`, `id`, `data_class`")
    workload: dict[str, Any] | None = None
    facts: FactsDocument | None = None
    context: dict[str, Any] | None = None
    supplied: SuppliedDocument | None = None
    now: Instant | None = Field(None, description="the time of this call instead of the file's")
    tenant: Text | None = None
    call_id: Text | None = None
    tool_digest: Text | None = None


def _extends(value: Any) -> Any:
    return {"extends": value} if isinstance(value, str) else value


Request = Annotated[RequestDocument, BeforeValidator(_extends, json_schema_input_type=str | RequestDocument)]


class NamesDocument(_Model):
    """Which names are wanted: exactly these in any order, at least these, none of these."""

    exactly: Texts | None = None
    contains: Filled | None = None
    none_of: Filled | None = None


def _exactly(value: Any) -> Any:
    return {"exactly": value} if isinstance(value, (list, tuple)) else value


Names = Annotated[NamesDocument, BeforeValidator(_exactly, json_schema_input_type=list[str] | NamesDocument)]


class StageWanted(_Model):
    reviewers: Filled
    quorum: int = 1


class SetWanted(_Model):
    """A constraint rewrites an argument."""

    kind: Literal["set"]
    path: Text | None = None
    value: Any = None
    rule: Text | None = None


class LevelWanted(_Model):
    """A level of a flag's escalation."""

    to: Text
    after_s: int


class FlagWanted(_Model):
    """The call is recorded as a flag."""

    kind: Literal["flag"]
    rule: Text | None = None
    owner: Text | None = None
    reason: str | None = None
    review_in_s: int | None = None
    escalate_to: Text | list[LevelWanted] | None = None
    converts_on: Text | None = None
    converts_to: Text | None = None
    observed: Text | None = None
    exception: Text | None = None


class ApproveWanted(_Model):
    """People are asked."""

    kind: Literal["approve"]
    stages: Annotated[tuple[StageWanted, ...], Field(strict=False)] | None = None
    expires_in_s: int | None = None
    rules: Texts | None = None
    reason: str | None = None
    local: bool | None = None
    reason_required: bool | None = None


class ReserveWanted(_Model):
    """A counter is taken from."""

    kind: Literal["reserve"]
    key: Text | None = None
    amount: int | None = None
    limit: int | None = None
    rule: Text | None = None
    window_s: int | None = None


class RedactWanted(_Model):
    """Parts of the result are masked."""

    kind: Literal["redact_result"]
    paths: Texts | None = None
    rule: Text | None = None


Obligation = Annotated[
    SetWanted | FlagWanted | ApproveWanted | ReserveWanted | RedactWanted, Field(discriminator="kind")
]
_Obligations = Annotated[tuple[Obligation, ...], Field(strict=False)]
_Some = Annotated[tuple[Obligation, ...], Field(strict=False, min_length=1)]


class ItemsDocument(_Model):
    """Which obligations are wanted; of each only the fields that are named are compared."""

    exactly: _Obligations | None = None
    contains: _Some | None = None
    none_of: _Some | None = None


Items = Annotated[
    ItemsDocument, BeforeValidator(_exactly, json_schema_input_type=list[Obligation] | ItemsDocument)
]


class ErrorsDocument(_Model):
    """Which rules are in error, and words that each error holds (empty: any)."""

    rules: dict[str, str]


def _errors(value: Any) -> Any:
    if isinstance(value, (list, tuple)) and all(isinstance(name, str) for name in value):
        return {"rules": dict.fromkeys(value, "")}
    return {"rules": value}


Errors = Annotated[
    ErrorsDocument, BeforeValidator(_errors, json_schema_input_type=list[str] | dict[str, str])
]


class WantDocument(_Model):
    """What a decision has to be. What is not named is not compared, but for errors: none are wanted."""

    effect: Literal["allow", "flag", "constrain", "step_up", "deny"]
    rules: Names | None = Field(None, description="names `policy/rule` of the rules that matched")
    observed: Names | None = Field(None, description="those that matched in observe mode")
    granted_by: Names | None = Field(None, description="the allow rules and grants that permit")
    exceptions: Names | None = Field(None, description="ids of the exceptions that were applied")
    errors: Errors | None = Field(None, description="rules in error; left out: none")
    obligations: Items | None = Field(None, description="what the call needs to run")


def _effect(value: Any) -> Any:
    return {"effect": value} if isinstance(value, str) else value


Effects = Literal["allow", "flag", "constrain", "step_up", "deny"]
Want = Annotated[WantDocument, BeforeValidator(_effect, json_schema_input_type=Effects | WantDocument)]


class CaseDocument(_Model):
    """One case: a call, or several, and what has to be decided."""

    name: Label
    description: str = ""
    request: Request | None = None
    requests: dict[Label, Request] | None = Field(None, description="several calls, each by a short name")
    exhausted: Texts = Field((), description="keys of counters that have nothing left")
    want: Want


class DefaultDocument(_Model):
    """What joins in when nothing permits, instead of deny."""

    effect: Literal["deny", "flag"]
    owner: Text | None = None
    until: Text | None = None


class TestDocument(_Model):
    """The tests of policies: calls, and what has to be decided about each."""

    __test__ = False  # pytest is not to collect it

    description: str = ""
    now: Annotated[Instant, Field(description="the clock of every case, such as 2026-11-20T10:00:00Z")]
    policies: Filled | None = Field(None, description="only these policy files, relative to this one")
    default: DefaultDocument | None = None
    defaults: RequestDocument | None = Field(None, description="what every request begins with")
    requests: dict[Label, RequestDocument] | None = Field(None, description="requests to extend")
    exceptions: Annotated[tuple[ExceptionInput, ...], Field(strict=False)] = ()
    grants: Annotated[tuple[GrantInput, ...], Field(strict=False)] = ()
    cases: Annotated[tuple[CaseDocument, ...], Field(strict=False, min_length=1)]
