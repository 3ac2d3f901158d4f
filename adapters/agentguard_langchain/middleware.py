"""The guard as middleware of `create_agent`: every tool call of the agent, synchronous and asynchronous."""

from __future__ import annotations

import asyncio
import logging
import threading
import uuid
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from typing import Annotated, Any, Final, Literal, NotRequired

from langchain.agents.middleware import AgentMiddleware, AgentState
from langchain.agents.middleware.types import ModelRequest, ModelResponse, PrivateStateAttr, ToolCallRequest
from langchain_core.messages import BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import BaseTool
from langgraph.types import Command

from agentguard import (
    AgentIdentity,
    ConfigurationError,
    Guard,
    Principal,
    Session,
    Tool,
    ToolCallDenied,
)
from agentguard_langchain.answers import Resolver
from agentguard_langchain.coverage import Guarding, gaps, offered_to
from agentguard_langchain.denial import refusal
from agentguard_langchain.moment import moment
from agentguard_langchain.sessions import Began, PrincipalOf, Sessions
from agentguard_langchain.tools import bound, gate_of, guarded

__all__ = ["GuardMiddleware", "GuardState"]

log = logging.getLogger("agentguard")
_STATE: Final = "agentguard_run"
_KEPT: Final = 1_024


class GuardState(AgentState[Any]):
    """What the checkpoint keeps for the guard: how the run began, and its labels."""

    agentguard_run: NotRequired[Annotated[dict[str, str], PrivateStateAttr]]


class GuardMiddleware(AgentMiddleware[GuardState, Any, Any], Guarding):
    """Decides every tool call of an agent, in one session for each thread.

    List it last, so that nothing stands between it and the tools. `principal` is a name, a `Principal`, or a
    function from LangGraph's `Runtime`, asked once when a run begins. `pause` says what a step-up does:
    `interrupt` the graph (which needs a checkpointer) or `wait` for the vote in this process. `resolver`
    makes votes of what comes back on resume. `strict` refuses to start while a tool cannot be covered, or
    while a pause could never be resumed.
    """

    state_schema = GuardState

    def __init__(
        self,
        guard: Guard,
        *,
        agent: AgentIdentity,
        principal: str | Principal | PrincipalOf | None = None,
        resolver: Resolver | None = None,
        pause: Literal["interrupt", "wait"] = "interrupt",
        strict: bool = False,
    ) -> None:
        super().__init__()
        if pause not in ("interrupt", "wait"):
            raise ConfigurationError(f"pause must be `interrupt` or `wait`, not {pause!r}")
        self.guard = guard
        self._sessions = Sessions(guard, agent, principal)
        self._resolver = resolver
        self._pause: Literal["interrupt", "wait"] = pause
        self._strict = strict
        self._lock = threading.Lock()
        self._tools: OrderedDict[int, tuple[BaseTool, BaseTool]] = OrderedDict()
        self._names: dict[str, Tool] = {}
        self._checked: OrderedDict[tuple[int, ...], list[Any]] = OrderedDict()
        self._heard: dict[int, tuple[Session, set[str]]] = {}

    # -- a run begins

    def before_agent(self, state: GuardState, runtime: Any) -> dict[str, Any] | None:
        """Settle who acts for whom, and keep it where a resumed run finds it."""
        here = moment()
        if self._strict and self._pause == "interrupt" and not here.durable:
            raise ConfigurationError(
                "strict: the agent has no checkpointer, so a call that needs approval could never resume; "
                "pass checkpointer= to create_agent, or pause='wait'"
            )
        began = self._sessions.begin(here.thread_id or str(uuid.uuid4()), runtime)
        labels = set(self._sessions.labels(began.session))
        if (kept := state.get(_STATE)) is not None:
            before = Began.from_state(kept, self._sessions)
            labels |= set(before.labels) if before is not None else {"untrusted"}
        return {_STATE: replace(began, labels=tuple(sorted(labels))).to_state(self._sessions)}

    async def abefore_agent(self, state: GuardState, runtime: Any) -> dict[str, Any] | None:
        return self.before_agent(state, runtime)

    def before_model(self, state: GuardState, runtime: Any) -> dict[str, Any] | None:
        """Keep the labels that the session got since."""
        known = Began.from_state(state.get(_STATE), self._sessions)
        if known is None:
            return None
        labels = tuple(sorted({*known.labels, *self._sessions.labels(known.session)}))
        if labels == known.labels:
            return None
        return {_STATE: replace(known, labels=labels).to_state(self._sessions)}

    async def abefore_model(self, state: GuardState, runtime: Any) -> dict[str, Any] | None:
        return self.before_model(state, runtime)

    def wrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], ModelResponse[Any]]
    ) -> ModelResponse[Any]:
        """Look at the tools that the model is given, before it is asked."""
        self._check(offered_to(request))
        return handler(request)

    async def awrap_model_call(
        self,
        request: ModelRequest[Any],
        handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]],
    ) -> ModelResponse[Any]:
        self._check(offered_to(request))
        return await handler(request)

    def _check(self, tools: Iterable[Any]) -> None:
        given = list(tools)
        key = tuple(id(tool) for tool in given)
        with self._lock:
            if key in self._checked:
                return
        for tool in given:
            if isinstance(tool, BaseTool):
                self._guarded(tool)
        found = gaps(given, guarded=True)
        if found and self._strict:
            raise ConfigurationError("strict: " + "; ".join(found))
        if self.guard.strict:
            self.guard.session(agent=self._sessions.agent)
        for gap in found:
            log.warning("not covered by the guard: %s", gap)
        with self._lock:
            self._checked[key] = given  # kept, so that no other tool gets their ids
            while len(self._checked) > _KEPT:
                self._checked.popitem(last=False)

    # -- a call

    def wrap_tool_call(
        self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], ToolMessage | Command[Any]]
    ) -> ToolMessage | Command[Any]:
        """Hand the call on to the guarded tool."""
        if request.tool is None:
            return self._unknown(request)
        return handler(self._prepare(request, request.tool))

    async def awrap_tool_call(
        self,
        request: ToolCallRequest,
        handler: Callable[[ToolCallRequest], Awaitable[ToolMessage | Command[Any]]],
    ) -> ToolMessage | Command[Any]:
        if request.tool is None:
            return await asyncio.to_thread(self._unknown, request)
        return await handler(self._prepare(request, request.tool))

    def _prepare(self, request: ToolCallRequest, asked: BaseTool) -> ToolCallRequest:
        offered = [self._guarded(tool) for tool in getattr(request.runtime, "tools", ())]
        session, alone = self._session(request)
        changes = {
            "pause": self._pause,
            "resolver": self._resolver,
            "sessions": self._sessions,
            "session": session,
            "nobody": session is None,
        }
        tool = bound(self._guarded(asked), **changes, alone=alone)
        # What the tool itself calls is not alone in its task.
        tools = [bound(one, **changes) for one in offered]
        runtime = request.runtime
        if tools:
            runtime = replace(runtime, tools=tools)
        return replace(request, tool=tool, runtime=runtime)

    def _session(self, request: ToolCallRequest) -> tuple[Session | None, bool]:
        """The session of the run and whether the call is alone in its task, which only `create_agent`, whose
        hooks left their mark in the state, arranges."""
        state = request.state
        known = state.get(_STATE) if isinstance(state, Mapping) else None
        if known is None:
            began = self._sessions.outside_hooks(moment())
        else:
            began = Began.from_state(known, self._sessions)
        if began is None or (known is not None and moment().thread_id not in (None, began.session)):
            return None, False
        session = self._sessions.session(began)
        messages = state.get("messages", ()) if isinstance(state, Mapping) else state
        if isinstance(messages, (list, tuple)):
            self._observe(session, messages)
        return session, known is not None

    def _unknown(self, request: ToolCallRequest) -> ToolMessage:
        """A tool that nobody registered is denied, and recorded."""
        # It comes from a model: fit for a record and a message, whatever it is.
        name = ascii(request.tool_call["name"][:200])[1:-1]
        session, _ = self._session(request)
        reason, decision = "there is no such tool", None

        def never(arguments: dict[str, Any]) -> None:
            raise AssertionError("an unknown tool ran")

        try:
            self.guard.call(
                Tool(name=name, digest="unknown", facts={}),
                {},
                never,
                call_id=request.tool_call["id"],
                session=session,
                problem=ConfigurationError(reason),
            )
        except ToolCallDenied as error:
            decision = error.decision_id
        said = ToolCallDenied(
            name, "agentguard/unknown-tool", reason, remedy="fix_call", decision_id=decision
        )
        return refusal(said).message(name, request.tool_call["id"] or "")

    def _guarded(self, tool: BaseTool) -> BaseTool:
        with self._lock:
            found = self._tools.get(id(tool))
            if found is None:
                made = guarded(self.guard, tool)
                found = self._tools[id(tool)] = (tool, made)
                self._names[tool.name] = gate_of(made).tool
                while len(self._tools) > _KEPT:
                    self._tools.popitem(last=False)
        return found[1]

    # -- what was seen

    def _observe(self, session: Session, messages: Iterable[Any]) -> None:
        """Tell the session what entered the conversation since, once for each message.

        What its own calls returned it knows already; results of calls before a restart are in the messages.
        """
        with self._lock:
            kept = self._heard.get(id(session))
            if kept is None or kept[0] is not session:
                if len(self._heard) >= _KEPT:
                    self._heard.pop(next(iter(self._heard)))
                kept = self._heard[id(session)] = (session, set())
            heard = kept[1]
            fresh = [
                (key, message)
                for index, message in enumerate(messages)
                if isinstance(message, BaseMessage) and (key := message.id or f"#{index}") not in heard
            ]
            heard.update(key for key, _ in fresh)
        returned = {seen.call_id for seen in session.observations} if fresh else set()
        for _, message in fresh:
            if isinstance(message, HumanMessage):
                # To a sub-agent, the model of another agent speaks.
                session.observe(message.content, "prompt", "trusted" if session.chain else "user")
            elif isinstance(message, SystemMessage):
                session.observe(message.content, "system", "system")
            elif isinstance(message, ToolMessage) and message.tool_call_id not in returned:
                self._observe_result(session, message)

    def _observe_result(self, session: Session, message: ToolMessage) -> None:
        if isinstance(message.artifact, Mapping) and "agentguard" in message.artifact:
            return
        tool = self._names.get(message.name or "")
        trusted = tool is not None and tool.facts.get("untrusted_output") is not True
        session.observe(
            message.content,
            tool.name if tool is not None else message.name or "tool",
            "trusted" if trusted else "untrusted",
            call_id=message.tool_call_id,
        )
