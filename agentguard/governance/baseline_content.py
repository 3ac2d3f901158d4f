"""What a baseline says: what is normal for one agent, and from which stretch of the ledger that was learned.

The content is plain JSON. Its digest is what the agent's owner signs, so that nothing of it can be changed
afterwards. INVARIANT: it holds no argument value: see `governance.baseline_shape`.
"""

from __future__ import annotations

import datetime as dt
import zoneinfo
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from agentguard.errors import RecordRefused
from agentguard.governance.deviation import agent_id
from agentguard.policy.scalars import Instant, Text

__all__ = [
    "DAYS",
    "MAX_SHAPES",
    "MAX_TOOLS",
    "ArgumentRange",
    "BaselineContent",
    "Learned",
    "Notable",
    "Rate",
    "ToolBaseline",
    "read_content",
]

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MAX_TOOLS: Final = 500
MAX_SHAPES: Final = 50
"""Argument shapes of a tool that are kept, the most frequent ones; any other is a new one."""

_Count = Annotated[int, Field(ge=0)]
_Name = Annotated[str, Field(max_length=256)]
_Counts = Annotated[dict[_Name, _Count], Field(max_length=200)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def _zone(value: str) -> str:
    try:
        zoneinfo.ZoneInfo(value)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("is no time zone such as `Europe/Berlin` or `UTC`") from None
    return value


class Rate(_Model):
    """Calls an hour, over the clock hours in which the tool was called at all."""

    hours: _Count
    median: _Count
    p95: _Count
    maximum: _Count


class ArgumentRange(_Model):
    """The buckets of one argument: the largest of its lengths, the range of its numbers, its vocabulary.

    `words` are keyed digests of a closed vocabulary; None where it is not closed.
    """

    length: _Count | None = None
    number: Annotated[tuple[int, int], Field(strict=False)] | None = None
    words: Annotated[tuple[str, ...], Field(strict=False, max_length=16)] | None = None


class ArgumentShape(_Model):
    """Names and kinds of the arguments of some calls."""

    kinds: dict[str, str]
    calls: _Count


class ToolBaseline(_Model):
    """How an agent uses one tool. `other_shapes` calls had a shape that is not among those kept."""

    calls: _Count
    days: _Count
    sessions: _Count
    first: Instant
    shapes: Annotated[tuple[ArgumentShape, ...], Field(strict=False, max_length=MAX_SHAPES)]
    other_shapes: _Count = 0
    arguments: dict[str, ArgumentRange]
    rate: Rate


class Tree(_Model):
    """The ledger as it was when it was read: its size and root."""

    size: _Count
    root: str


class Learned(_Model):
    """Where it comes from: a period, the numbers of the first and last event of it, and what was left out.

    `left_out` counts calls by why they do not count. `approved` ran because a person approved each, `bare`
    had arguments that were erased meanwhile.
    """

    begin: Instant
    end: Instant
    first: _Count
    last: _Count
    calls: _Count
    days: _Count
    sessions: _Count
    left_out: _Counts
    approved: _Count
    bare: _Count
    tree: Tree


class Notable(_Model):
    """Something that its owner should look at before approving."""

    kind: Literal["left out", "late", "rare", "grew", "approved", "bare", "shapes", "vocabulary", "short"]
    text: Annotated[str, Field(max_length=600)]


class BaselineContent(_Model):
    """A baseline. `hours` are calls by day and hour of the week in `zone`; `chain` are the agents that
    delegated to it; an environment named with an empty text is none."""

    v: Literal[1]
    kind: Literal["baseline"]
    tenant: str
    agent: Annotated[str, AfterValidator(agent_id)]
    version: Annotated[int, Field(ge=1, le=1_000_000)]
    replaces: Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")] | None = None
    owner: Text
    proposer: Text
    ends: Instant
    zone: Annotated[str, AfterValidator(_zone)]
    learned: Learned
    tools: Annotated[dict[_Name, ToolBaseline], Field(max_length=MAX_TOOLS)]
    scopes: _Counts
    environments: _Counts
    hours: dict[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"], dict[str, _Count]]
    chain: Annotated[tuple[_Name, ...], Field(strict=False, max_length=200)] = ()
    notable: Annotated[tuple[Notable, ...], Field(strict=False, max_length=500)] = ()

    def usual(self, moment: dt.datetime) -> bool:
        """Whether the agent was seen on this day of the week at this hour."""
        local = moment.astimezone(zoneinfo.ZoneInfo(self.zone))
        return str(local.hour) in self.hours.get(DAYS[local.weekday()], {})


def read_content(content: object) -> BaselineContent:
    """The content of a record.

    Raises:
        RecordRefused: it is not one.
    """
    if not isinstance(content, Mapping):
        raise RecordRefused("its content is damaged")
    try:
        return BaselineContent.model_validate(dict(content))
    except ValidationError as error:
        first: Any = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise RecordRefused(f"baseline: `{where[:80]}` {first['msg'].lower()}") from None
