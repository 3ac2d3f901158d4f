"""What the flow of a call asks its driver to do; the flow itself does no I/O.

`done` is set by the driver once a write has happened, so that a flow that is cancelled during the write
knows which it was.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from agentguard.call import ContextRequest
from agentguard.canonical import Frozen
from agentguard.session import Session
from agentguard.stepup.model import Approval
from agentguard.store.protocol import Event, Payload, Reservation, Update

if TYPE_CHECKING:
    from agentguard.engines import Engine

__all__ = [
    "Batch",
    "Buffer",
    "Change",
    "Claim",
    "Closed",
    "Consult",
    "Count",
    "Failed",
    "Fetch",
    "Flow",
    "Load",
    "Notify",
    "Open",
    "Operation",
    "Record",
    "Refresh",
    "Run",
    "Take",
    "Vet",
    "Wait",
    "WouldBlock",
]


@dataclass(slots=True)
class Fetch:
    """Ask the fact providers for these facts, in bounded time; answers a mapping of what they knew."""

    request: ContextRequest
    names: frozenset[str]


@dataclass(slots=True)
class Consult:
    """Ask other decision points, each in bounded time; answers what each of them says, as facts by name."""

    request: ContextRequest
    engines: Sequence[Engine]


@dataclass(slots=True)
class Count:
    """How many calls of a tool an agent made within the last hour, as the ledger has them."""

    agent: str
    tool: str


@dataclass(slots=True)
class Refresh:
    """Look whether the register of exceptions, grants and agents is another one, and take it in."""


@dataclass(slots=True)
class Record:
    """Append events before anything else happens; `durable=False` for outcomes.

    `register` is the version of the register that a decision among them was made with: where the store has
    another one, this raises `RegisterChanged`.
    """

    events: Sequence[Event]
    payloads: Mapping[str, Payload] = field(default_factory=dict)
    durable: bool = True
    register: int | None = None
    done: bool = False


Batch = tuple[Sequence[Event], Mapping[str, Payload]]
"""Events with the erasable payloads they refer to."""


@dataclass(slots=True)
class Buffer:
    """Hand a record to the batched recorder, which writes it out from immutable parts when it comes to it:
    for read-only calls without obligations."""

    make: Callable[[], Batch]
    done: bool = False


@dataclass(slots=True)
class Open:
    """Insert or get an approval; answers it."""

    approval: Approval
    events: Sequence[Event]
    payloads: Mapping[str, Payload]
    register: int | None = None
    quota: int | None = None
    done: bool = False


@dataclass(slots=True)
class Notify:
    """Tell the channels of a question; nobody waits for them."""

    approval: Approval


@dataclass(slots=True)
class Wait:
    """Wait until the approval is decided or expired; answers it. It holds the id: thousands may wait."""

    approval_id: str


@dataclass(slots=True)
class Load:
    """Read an approval; answers it."""

    approval_id: str


@dataclass(slots=True)
class Vet:
    """Who voted and could not vote today; answers their names."""

    approval: Approval


@dataclass(slots=True)
class Change:
    """Apply a pure function to an approval; answers it."""

    approval_id: str
    update: Update
    done: bool = False


@dataclass(slots=True)
class Claim:
    """Claim an approval, once ever; answers it."""

    approval_id: str
    digest: str
    events: Sequence[Event]
    register: int | None = None
    done: bool = False


@dataclass(slots=True)
class Take:
    """Reserve amounts, all or none; answers the key that would overrun, or None."""

    reservations: Sequence[Reservation]
    done: bool = False


@dataclass(slots=True)
class Run:
    """Run the tool with these arguments, a fresh copy that nobody else holds; answers its result."""

    arguments: dict[str, Any]
    frozen: Frozen
    tool: str
    session: Session | None


Operation = (
    Fetch
    | Consult
    | Count
    | Refresh
    | Record
    | Buffer
    | Open
    | Notify
    | Wait
    | Load
    | Vet
    | Change
    | Claim
    | Take
    | Run
)

Flow = Generator[Operation, Any, Any]
"""The path of one call: yields operations, receives their results, returns the result of the call."""


@dataclass(frozen=True, slots=True)
class Failed:
    """What the flow returns when the tool itself raised: the driver raises it, unchanged."""

    error: BaseException


class Closed(BaseException):
    """Thrown in as the end of a stream that its consumer closed early."""


class WouldBlock(Exception):
    """A synchronous wait on a running event loop, which would keep the loop from its own approver."""
