"""What a grant says, its record read, and whether its voters vouch for exactly that."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agentguard.canonical import digest
from agentguard.errors import RecordRefused
from agentguard.governance.vouching import Word, check_word, content_digest
from agentguard.ids import record_id
from agentguard.ledger.events import instant
from agentguard.policy.document import StageDocument
from agentguard.policy.register import BoundDocument, RuleName
from agentguard.policy.scalars import Condition, Instant, Text, ToolPattern
from agentguard.stepup.concerned import people_behind
from agentguard.stepup.directory import Directory
from agentguard.stepup.eligibility import LOCAL, PRINCIPAL, fold
from agentguard.stepup.model import Approval
from agentguard.store.protocol import Record

__all__ = [
    "KIND",
    "GrantContent",
    "GrantState",
    "GrantTold",
    "core_input",
    "grant_content",
    "grant_id",
    "met",
    "plan_content",
    "read_content",
    "tell",
    "vouched",
]

KIND: Final = "grant"
_GROUP: Final = "group:"


class GrantState(StrEnum):
    """Where a grant stands; the core counts its uses, also before a sweep says that they are spent."""

    REQUESTED = "requested"
    ACTIVE = "active"
    REVOKED = "revoked"
    EXPIRED = "expired"
    SPENT = "spent"


class GrantContent(BaseModel):
    """What is signed."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    v: Literal[1]
    kind: Literal["grant"]
    tenant: str
    id: Annotated[str, Field(pattern=r"^GR-[0-9A-Z]{8}$")]
    approval: Text
    agent: Text
    excluded: Annotated[tuple[str, ...], Field(strict=False)]
    principal: Text | None = None
    rules: Annotated[tuple[RuleName, ...], Field(strict=False, min_length=1)]
    tools: Annotated[tuple[ToolPattern, ...], Field(strict=False, min_length=1, max_length=50)]
    when: Condition = True
    bound: BoundDocument
    stages: Annotated[tuple[StageDocument, ...], Field(strict=False, min_length=1, max_length=10)]
    local: bool
    expires: Instant
    uses: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    reason: Text


@dataclass(frozen=True, slots=True)
class GrantTold:
    """A grant's record, read; `words` are those of the people who want it, each with the stage they met."""

    record: Record
    content: Mapping[str, Any]
    read: GrantContent
    digest: str
    words: tuple[tuple[int, Word], ...]

    @property
    def state(self) -> GrantState:
        return GrantState(self.record.state)


def grant_id(approval_id: str) -> str:
    """The id of an approval's grant: there is one."""
    return record_id("GR-", hashlib.sha256(b"grant\0" + approval_id.encode()).digest())


def grant_content(
    approval: Approval,
    *,
    expires: dt.datetime,
    uses: int | None = None,
    when: str | None = None,
    session: bool = False,
    reason: str = "",
) -> dict[str, Any]:
    """What a grant of an approval says.

    It is for the same agent, person, delegation, environment, secret scopes and definition of the tool.
    Without `when` it is for exactly the approved arguments too; with it for all that the condition is true
    of. With `session` it ends with the agent's session.

    Raises:
        RecordRefused: the arguments were erased, or the call cannot be named.
    """
    if when is None and approval.arguments is None:
        raise RecordRefused("the arguments of this call were erased; say what to grant with `--when`")
    shown = approval.shown.get("session")
    name = shown.get("id") if isinstance(shown, Mapping) else None
    if session and not isinstance(name, str):
        raise RecordRefused("the approval names no session that the grant could be for")
    scopes = approval.shown.get("secrets")
    bound: dict[str, Any] = {
        "principal": approval.principal,
        "chain": list(approval.chain),
        "environment": approval.shown.get("environment"),
        "secrets": sorted(map(str, scopes)) if isinstance(scopes, Sequence) else [],
        "tool_digest": approval.tool_digest,
        **({"session": name} if session else {}),
        **({"arguments": digest(approval.arguments)} if when is None and approval.arguments else {}),
    }
    requirement = approval.requirement
    content = {
        "v": 1,
        "kind": KIND,
        "tenant": approval.tenant,
        "id": grant_id(approval.id),
        "approval": approval.id,
        "agent": approval.agent,
        "excluded": sorted(approval.excluded),
        "rules": list(requirement.rules),
        "tools": [approval.tool],
        "bound": bound,
        "stages": [stage.to_json() for stage in requirement.stages],
        "local": requirement.local,
        "expires": instant(expires),
        "reason": reason.strip() or f"granted with approval {approval.id[:14]}",
        **({} if approval.principal is None else {"principal": approval.principal}),
        **({} if when is None else {"when": when}),
        **({} if uses is None else {"uses": uses}),
    }
    read_content(content)
    return content


def plan_content(approval: Approval, *, reason: str = "") -> dict[str, Any]:
    """What the grant says that an approval offers with its plan: the plan's tools, values and uses, in this
    session.

    Raises:
        RecordRefused: it offers none, or the text that is shown is not the one that it would be for.
    """
    from agentguard.provenance.offers import offer_condition  # here: few grants are for plans

    plan = approval.shown.get("plan")
    if not isinstance(plan, Mapping):
        raise RecordRefused(f"approval `{approval.id}` offers no plan")
    # INVARIANT: what is shown of a question is covered by no digest; the grant names its text by one.
    texts = [(str(one["from"]), str(one["text"])) for one in plan["texts"]]
    if plan["when"] != offer_condition(texts, [str(line) for line in plan["series"]]):
        raise RecordRefused(f"the plan of approval `{approval.id}` shows another text than it is for")
    until = dt.datetime.fromisoformat(plan["until"])
    why = reason.strip() or f"the plan approved with {approval.id[:14]}"
    content = grant_content(
        approval, expires=until, uses=plan["uses"], when=plan["when"], session=True, reason=why
    )
    bound = {name: value for name, value in content["bound"].items() if name != "tool_digest"}
    content |= {
        "rules": list(plan["rules"]),
        "tools": sorted(plan["tools"]),
        "bound": {**bound, "tool_digests": dict(plan["tools"])},
    }
    read_content(content)
    return content


def tell(record: Record) -> GrantTold:
    """Read a record.

    Raises:
        RecordRefused: it is damaged.
    """
    content, words = record.body.get("content"), record.body.get("words")
    read = read_content(content)
    if not isinstance(content, Mapping) or read.id != record.id:
        raise RecordRefused(f"grant `{record.id}` holds the content of another one")
    try:
        GrantState(record.state)
        heard = tuple([(int(one["stage"]), Word.from_json(one["word"])) for one in words or ()])
    except (ValueError, TypeError, KeyError):
        raise RecordRefused(f"grant `{record.id}` is damaged") from None
    return GrantTold(record, content, read, content_digest(content), heard)


def vouched(record: Record, *, tenant: str, directory: Directory | None) -> dict[str, Any]:
    """What the core reads of a grant in force, after checking that its voters vouched for exactly this.

    Raises:
        RecordRefused: it does not hold what enough of them signed, or they could not approve it today.
    """
    told = tell(record)
    read = told.read
    if told.state is not GrantState.ACTIVE:
        raise RecordRefused("it is registered and was never given")
    if read.tenant != tenant:
        raise RecordRefused(f"it is another tenant's: `{read.tenant[:40]}`")
    heard: list[tuple[int, Word]] = []
    refusal: RecordRefused | None = None
    for stage, word in told.words:
        try:
            if word.act != "grant" or word.digest != told.digest:
                raise RecordRefused("what was signed is not what it says")
            who = check_word(word, tenant=tenant, kind=KIND, id=record.id, directory=directory)
            _check_member(who, stage, read, directory)
            if any(known.subject == who for _, known in heard):
                raise RecordRefused(f"`{who}` vouches for it twice, and one person counts once")
            heard.append((stage, replace(word, subject=who)))
        except RecordRefused as error:
            refusal = refusal or error
    if not met(read, tuple(heard)):
        raise refusal or RecordRefused("not enough people vouch for it")
    local = any(word.subject == LOCAL for _, word in heard)
    return core_input(told.content, read, max(word.at for _, word in heard), local=local)


def _check_member(who: str, stage: int, read: GrantContent, directory: Directory | None) -> None:
    if not 0 <= stage < len(read.stages):
        raise RecordRefused("a word on it is for a stage that does not exist")
    wanted = read.stages[stage]
    if who == LOCAL:
        if not read.local or wanted.quorum != 1:
            raise RecordRefused("an unverified local answer cannot give it")
        return
    if directory is None:
        raise RecordRefused("there is no directory to look up who may give it; configure `directory`")
    names = people_behind(directory, read.excluded)
    for reviewer in wanted.reviewers:
        if reviewer == PRINCIPAL:
            if read.principal is not None and directory.subject(read.principal) == who:
                return
        elif who not in names:
            group = reviewer.startswith(_GROUP)
            if (
                who in directory.members(reviewer.removeprefix(_GROUP))
                if group
                else directory.subject(reviewer) == who
            ):
                return
    raise RecordRefused(f"`{who}` could not give it today")


def met(read: GrantContent, heard: Sequence[tuple[int, Word]]) -> bool:
    return all(
        len({fold(word.subject) for at, word in heard if at == number}) >= stage.quorum
        for number, stage in enumerate(read.stages)
    )


def read_content(content: object) -> GrantContent:
    try:
        return GrantContent.model_validate(dict(content) if isinstance(content, Mapping) else content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise RecordRefused(f"grant: `{where[:80]}` {first['msg'].lower()}") from None


def core_input(
    content: Mapping[str, Any], read: GrantContent, approved_at: dt.datetime, *, local: bool
) -> dict[str, Any]:
    found = {
        "id": read.id,
        "agent": read.agent,
        "principal": read.principal,
        "rules": read.rules,
        "tools": read.tools,
        "when": read.when,
        "bound": content["bound"],
        "expires": read.expires,
        "uses": read.uses,
        "reason": read.reason,
        "stages": content["stages"],
        "approved_at": approved_at,
        "approval_id": read.approval,
        "local": local,
    }
    return {key: value for key, value in found.items() if value is not None}
