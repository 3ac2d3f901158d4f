"""Who acts in which run: one session for each thread of an agent, kept between its calls."""

from __future__ import annotations

import contextvars
import hmac
import threading
import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from langgraph.runtime import get_runtime

from agentguard import AgentIdentity, ConfigurationError, Guard, Principal, Session
from agentguard.canonical import Frozen, encode, freeze
from agentguard.errors import ArgumentsError
from agentguard_langchain.moment import Moment

__all__ = ["Began", "PrincipalOf", "Sessions"]

PrincipalOf = Callable[[Any], str | Principal | None]
"""From LangGraph's `Runtime` to the person on whose behalf a run began. It is asked once, when the run
begins: whoever resumes it later is somebody else."""

_KEPT: Final = 1_024


@dataclass(frozen=True, slots=True)
class Began:
    """How a run began: the session's id and the principal; `labels` are those it had since."""

    session: str
    principal: Principal | None
    labels: tuple[str, ...] = ()

    def to_state(self, sessions: Sessions) -> dict[str, str]:
        """As the graph's own checkpoint keeps it, with a seal: whoever resumes a run may write into it.

        Raises:
            ConfigurationError: the principal has an attribute that cannot be written down.
        """
        who = self.principal
        found = {
            "session": self.session,
            "labels": list(self.labels),
            "principal": None
            if who is None
            else {"id": who.id, "groups": list(who.groups), "attributes": dict(who.attributes)},
        }
        try:
            run = freeze(found).canonical.decode()
        except ArgumentsError as error:
            raise ConfigurationError(f"the principal cannot be kept in a checkpoint: {error}") from None
        return {"run": run, "seal": sessions.seal(run)}

    @classmethod
    def from_state(cls, state: object, sessions: Sessions) -> Began | None:
        """How the run began; None where that was not sealed by this guard for this agent."""
        if not isinstance(state, Mapping):
            return None
        run, seal = str(state.get("run")), str(state.get("seal"))
        if not hmac.compare_digest(seal.encode(), sessions.seal(run).encode()):
            return None
        # INVARIANT: read from exactly the text that was sealed.
        found = Frozen.from_canonical(run.encode(), {}).thaw()
        who = found["principal"]
        principal = None if who is None else Principal(who["id"], tuple(who["groups"]), who["attributes"])
        return cls(found["session"], principal, tuple(found["labels"]))


class Sessions:
    """The open sessions of one agent, by run; the 1,024 used last are kept."""

    def __init__(
        self, guard: Guard, agent: AgentIdentity, principal: str | Principal | PrincipalOf | None
    ) -> None:
        if not isinstance(agent, AgentIdentity):
            raise ConfigurationError(f"agent must be an AgentIdentity, not {type(agent).__name__}")
        self.guard = guard
        self.agent = agent
        self._principal = principal
        self._lock = threading.Lock()
        self._open: OrderedDict[str, Session] = OrderedDict()
        self._began: OrderedDict[str, tuple[Began | None, object]] = OrderedDict()
        self._nameless = str(uuid.uuid4())

    def seal(self, run: str) -> str:
        """A keyed digest of what the checkpoint keeps; nothing else can be sealed with the same words."""
        return self.guard.hmac(encode(["agentguard-run", self.agent.id, run]))

    def begin(self, run: str, runtime: Any) -> Began:
        """A run begins: on whose behalf is settled now.

        Inside of another agent's session it is that one's principal, unless this agent has a fixed one: a
        sub-agent that starts in a resumed run must not act for whoever resumed it.
        """
        outer = self.guard.current
        given = self._principal
        if (given is None or callable(given)) and outer is not None and outer.principal is not None:
            given = outer.principal
        elif callable(given):
            given = given(runtime)
        if given is not None and not isinstance(given, (str, Principal)):
            raise ConfigurationError(f"a principal must be a name or a Principal, not {type(given).__name__}")
        return Began(run, Principal(given) if isinstance(given, str) else given)

    def outside_hooks(self, moment: Moment) -> Began | None:
        """How the run of a bare ToolNode began; None where only somebody else's word could say it.

        Outside of a thread all calls share one session, so that nothing that was seen is forgotten.
        """
        run = moment.thread_id or self._nameless
        runtime = get_runtime() if moment.task_id is not None else None
        invocation = getattr(runtime, "control", None)
        with self._lock:
            known = self._began.get(run)
        if known is not None and (moment.resuming or (invocation is not None and known[1] is invocation)):
            began = known[0]
        elif moment.resuming and callable(self._principal):
            began = None
        else:
            began = self.begin(run, runtime)
            if moment.resuming:
                # Another process saw the beginning; what it saw, and how far to trust it, is not known here.
                began = Began(began.session, began.principal, ("untrusted",))
        with self._lock:
            self._began[run] = (began, invocation)
            self._began.move_to_end(run)
            while len(self._began) > _KEPT:
                self._began.popitem(last=False)
        return began

    def session(self, began: Began) -> Session:
        """The session of a run, with everything it was labelled with, for exactly its principal."""
        outer = self.guard.current
        chain: tuple[AgentIdentity, ...] = ()
        if outer is not None:
            chain = outer.chain if outer.agent == self.agent else (*outer.chain, outer.agent)
        with self._lock:
            found = self._open.get(began.session)
            if found is None or found.closed or (found.principal, found.chain) != (began.principal, chain):
                made = self.guard.session(
                    agent=self.agent,
                    principal=began.principal,
                    id=began.session,
                    chain=chain,
                    environment=outer.environment if outer is not None else None,
                )
                # Entered once where nobody leaves it again: it stays open between the calls of its run.
                contextvars.Context().run(made.__enter__)
                _label(made, found.labels if found is not None else ())
                found = self._open[began.session] = made
            self._open.move_to_end(began.session)
            while len(self._open) > _KEPT:
                self._open.popitem(last=False)
        _label(found, began.labels)
        if outer is not None:
            _label(found, outer.labels)
        return found

    def labels(self, run: str) -> tuple[str, ...]:
        """The labels of a run's session so far."""
        with self._lock:
            found = self._open.get(run)
        return found.labels if found is not None else ()


def _label(session: Session, labels: Iterable[str]) -> None:
    for label in labels:
        session.label(label)
