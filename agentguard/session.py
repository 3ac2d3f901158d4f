"""Who acts, on whose behalf, and what has been seen so far: one run of one agent."""

from __future__ import annotations

import copy
import threading
from collections import deque
from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Any, Final, Literal, Self

from agentguard.call import AgentIdentity, Principal
from agentguard.canonical import freeze
from agentguard.errors import ConfigurationError

if TYPE_CHECKING:
    from agentguard.guard import Guard
    from agentguard.tracking import Provenance

__all__ = ["Observation", "Pause", "Session", "Trust", "current_session"]

Trust = Literal["user", "system", "trusted", "untrusted"]
"""Whose words these are: the user's, the operator's, a trusted tool's, or anybody else's."""

Pause = Literal["wait", "raise"]
"""What a step-up does to the call: wait for the vote, or raise `ApprovalPending` at once."""

_OBSERVATIONS: Final = 1_000
_BREAKER_AFTER: Final = 3
_TRACKED: Final = 4_096

_entered: ContextVar[tuple[Session, ...]] = ContextVar("agentguard_session", default=())


@dataclass(frozen=True, slots=True)
class Observation:
    """Content that entered the agent's context; `source` is `prompt`, `system` or a tool's name, whose
    `arguments` say how it was asked for."""

    content: Any
    source: str
    trust: Trust
    call_id: str | None = None
    arguments: Mapping[str, Any] | None = None


class Session:
    """One run of one agent; enter it with `with` or `async with`, once per task that acts.

    A session belongs to the context that entered it: other tasks started inside inherit it, a thread does
    only if its context was copied (as `asyncio.to_thread` does). After the end every call in it is denied.
    """

    def __init__(
        self,
        guard: Guard,
        *,
        agent: AgentIdentity,
        principal: str | Principal | None,
        id: str,
        environment: str | None,
        chain: Iterable[AgentIdentity],
        context: Mapping[str, Any] | None,
        workload: Mapping[str, Any] | None,
        pause: Pause,
        labels: Iterable[str] = (),
    ) -> None:
        if not isinstance(agent, AgentIdentity):
            raise ConfigurationError(f"agent must be an AgentIdentity, not {type(agent).__name__}")
        self.guard = guard
        self.agent = agent
        self.principal = Principal(principal) if isinstance(principal, str) else principal
        self.id = id
        self.environment = environment
        self.chain = tuple(chain)
        self.pause: Pause = pause
        self.closed = False
        self.restored = False
        self.observations: deque[Observation] = deque(maxlen=_OBSERVATIONS)
        self._agent_facts = agent.to_facts()
        self._principal_facts = self.principal.to_facts() if self.principal else None
        self._chain_facts = tuple(link.to_facts() for link in self.chain)
        self._context = freeze(context or {}).view
        self._workload = freeze(workload).view if workload is not None else None
        self._labels = tuple(sorted(set(labels)))
        self._lock = threading.Lock()
        self._seeing = threading.RLock()
        self._calls = 0
        self._seen: dict[str, None] = {}
        self._denied: dict[tuple[str, str], int] = {}
        self._inside = 0
        self._observed = 0
        self._unseen = False
        self._provenance: Provenance | None = None

    # -- what was seen

    def observe(
        self,
        content: Any,
        source: str,
        trust: Trust,
        *,
        call_id: str | None = None,
        arguments: Mapping[str, Any] | None = None,
    ) -> None:
        """Say what entered the agent's context: the user's words, system text, a tool's result.

        `trust="untrusted"` labels the session, so that conditions can ask `"untrusted" in session.labels`.
        `arguments` are those of the call that returned it: what a look-up by the user's own words returned
        says more than any other. The newest 1,000 observations are kept; provenance has an index of its own.
        """
        if trust not in ("user", "system", "trusted", "untrusted"):
            raise ConfigurationError(f"trust must be user, system, trusted or untrusted, not {trust!r}")
        self._enter(Observation(content, source, trust, call_id, arguments))
        if trust == "untrusted":
            self.label("untrusted")

    def failed(self, said: str, tool: str, call_id: str) -> None:
        """Say what a tool raised: text that the agent is shown, and that nobody vouches for.

        It was no call that ran, and by itself it does not label the session.
        """
        self._enter(Observation(said, tool, "untrusted", call_id))

    def rejected(self, tool: str, arguments: Mapping[str, Any]) -> None:
        """Remember what a person rejected until the user speaks again: no grant of this session covers it."""
        with self._seeing:
            if self._provenance is not None or self.guard.in_force.tracks:
                self.provenance().reject(tool, arguments)

    def _enter(self, observation: Observation) -> None:
        with self._seeing:
            self.observations.append(observation)
            self._observed += 1
            if self._provenance is not None:
                self._provenance.take(observation)
            elif self.guard.in_force.tracks:
                self.provenance()

    def missed(self) -> None:
        """Say that something entered the agent's context that nobody could observe, such as a stream: from
        here on nothing is taken to be harmless for not having been seen."""
        with self._seeing:
            self._unseen = True
            if self._provenance is not None:
                self._provenance.tracker.seen.full = True

    def label(self, name: str) -> None:
        """Add a label for the rest of the session; labels are never taken away."""
        with self._lock:
            if name not in self._labels:
                self._labels = tuple(sorted({*self._labels, name}))

    @property
    def labels(self) -> tuple[str, ...]:
        return self._labels

    @property
    def calls(self) -> int:
        """Calls decided so far in this session."""
        return self._calls

    # -- used by the flow

    def provenance(self) -> Provenance:
        """Where values come from in this session; begun when the policies in force first ask for it."""
        # INVARIANT: nothing is observed while it is made, or it would be in no index.
        with self._seeing:
            if self._provenance is None:
                from agentguard.tracking import Provenance

                missing = self._unseen or self._observed > len(self.observations)
                self._provenance = Provenance(self.guard, self.observations, missing=missing)
            return self._provenance

    def twin(self) -> Session:
        """Another session of the same run, which saw and did the same until now: what happens in one of them
        the other does not know. For asking what would be decided. Nobody has entered it."""
        with self._seeing, self._lock:
            other = copy.copy(self)
            other._seen, other._denied = {**self._seen}, {**self._denied}
            other.observations = self.observations.copy()
            other._provenance = None if self._provenance is None else self._provenance.copy()
        other._lock, other._seeing, other._inside = threading.Lock(), threading.RLock(), 0
        return other

    def facts(self) -> Mapping[str, Any]:
        """As conditions see it: `session.id`, `session.labels`, `session.calls`."""
        return MappingProxyType({"id": self.id, "labels": self._labels, "calls": self._calls})

    def count(self, call_id: str) -> None:
        """Count a call once, however often a framework runs it again under the same id."""
        with self._lock:
            if call_id in self._seen:
                return
            if len(self._seen) == _TRACKED:
                del self._seen[next(iter(self._seen))]  # the one that was first seen longest ago
            self._seen[call_id] = None
            self._calls += 1

    def denied(self, tool: str, args_digest: str) -> None:
        """Remember a denial; the same call denied again and again trips the breaker."""
        with self._lock:
            known = self._denied.pop((tool, args_digest), 0)
            if len(self._denied) >= _TRACKED:
                del self._denied[next(iter(self._denied))]  # the one that was denied longest ago
            self._denied[tool, args_digest] = known + 1

    @property
    def tripping(self) -> bool:
        """Whether anything was denied yet."""
        return bool(self._denied)

    def tripped(self, tool: str, args_digest: str) -> bool:
        """Whether this exact call was denied three times already: nobody is asked about it again."""
        return self._denied.get((tool, args_digest), 0) >= _BREAKER_AFTER

    # -- entering and leaving

    def __enter__(self) -> Self:
        with self._lock:
            if self.closed:
                raise ConfigurationError("this session has ended; open another with `guard.session(...)`")
            self._inside += 1
        _entered.set((*_entered.get(), self))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self.closed = True
        # Left in another context than it was entered in, it is not there, or that context keeps its others.
        stack = list(_entered.get())
        for at in range(len(stack) - 1, -1, -1):
            if stack[at] is self:
                del stack[at]
                break
        _entered.set(tuple(stack))

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)


def current_session(guard: Guard) -> Session | None:
    """The innermost session of this guard in this context, open or ended; other guards have theirs.

    INVARIANT: one that has ended hides those around it, so that no call runs as somebody before.
    """
    for session in reversed(_entered.get()):
        if session.guard is guard:
            return session
    return None
