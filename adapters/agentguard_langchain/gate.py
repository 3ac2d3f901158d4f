"""One guarded call of a LangChain tool: who acts, ask the guard, pause the graph where a person is asked."""

from __future__ import annotations

import contextvars
import hashlib
import json
from collections.abc import Awaitable, Callable, Generator, Mapping
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

from langchain_core.tools import BaseTool, ToolException
from langgraph.errors import GraphBubbleUp, GraphInterrupt
from langgraph.types import interrupt

from agentguard import (
    Approval,
    ApprovalPending,
    Guard,
    OutcomeUnknown,
    Session,
    Tool,
    ToolCallDenied,
    ToolFailed,
)
from agentguard.canonical import encode
from agentguard.store import Payload
from agentguard_langchain.answers import Resolver, hear, question
from agentguard_langchain.arguments import Parameters
from agentguard_langchain.denial import Refused, refusal
from agentguard_langchain.moment import Moment, answers_at_hand, moment, use_up_answers
from agentguard_langchain.repeats import Done, outputs_of
from agentguard_langchain.sessions import Sessions
from agentguard_langchain.steps import AHEAD, Steps, awalk, walk

__all__ = ["Calling", "Gate", "Pause", "already_ran", "apass", "calling", "inside", "parts_of", "pass_"]

Pause = Literal["interrupt", "wait", "raise"]
"""What a step-up does: pause the graph, wait in this process, or raise `ApprovalPending`."""

_NO_CHECKPOINTER = (
    "it needs approval and this run cannot pause for it, because it has no checkpointer: nothing was run"
)
_WHOSE = "nothing that can be trusted says on whose behalf this run began; nothing was run"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """What stands before one tool. `parts` is what the tool consisted of when it was guarded.

    The session is `session`, or made by `sessions` from the run, or else the one of the context; `nobody`
    says that it is known to be none. `alone` says that a graph task holds one call and no more, as
    `create_agent` arranges it.
    """

    guard: Guard
    tool: Tool
    parameters: Parameters
    parts: tuple[Any, ...]
    pause: Pause | None = None
    resolver: Resolver | None = None
    sessions: Sessions | None = None
    session: Session | None = None
    nobody: bool = False
    alone: bool = False


_SWAPPED = object()


def parts_of(tool: BaseTool) -> tuple[Any, ...]:
    """What a tool is made of, to be compared: whoever swaps one of them makes it another tool."""
    schema = tool.args_schema
    return (
        tool.name,
        tool.description,
        tool.response_format,
        json.dumps(schema, sort_keys=True, default=repr) if isinstance(schema, dict) else schema,
        getattr(tool, "func", None),
        getattr(tool, "coroutine", None),
    )


calling: ContextVar[Calling | None] = ContextVar("agentguard_langchain_calling", default=None)
inside: ContextVar[Tool | None] = ContextVar("agentguard_langchain_inside", default=None)
"""The tool that runs, so that its own methods and function let themselves be called."""


class Calling:
    """One invocation of a guarded tool.

    `taken` counts the answers it took, `entered` says that it ran, `raised` is what the tool itself raised.
    """

    def __init__(
        self,
        gate: Gate,
        tool: BaseTool,
        given: Any,
        tool_call_id: str | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        self.gate = gate
        self.name = tool.name
        self.tool = gate.tool if parts_of(tool) == gate.parts else replace(gate.tool, code=_SWAPPED)
        self.tool_call_id = tool_call_id
        self.moment: Moment = moment(config)
        self.text = gate.parameters.text(given)
        self.session: Session | None = None
        self.taken = 0
        self.entered = False
        self.used = False
        self.raised: Exception | None = None

    @property
    def call_id(self) -> str | None:
        """Stable when a graph comes here again: the model's id, or else the place and the arguments."""
        if self.tool_call_id is not None:
            return self.tool_call_id
        if self.moment.task_id is None:
            return None
        place = f"{self.moment.task_id} {self.gate.tool.name} {self.text}"
        return hashlib.sha256(place.encode()).hexdigest()[:32]

    @property
    def pause(self) -> Pause | None:
        """What a step-up does here, unless it is left to the session."""
        return self.gate.pause or ("interrupt" if self.moment.durable else None)

    # -- at most once

    @property
    def _key(self) -> tuple[str, ...] | None:
        if self.tool_call_id is None or self.moment.task_id is None or not self.moment.durable:
            return None
        return (self.moment.task_id, self.gate.tool.name, self.tool_call_id)

    def earlier(self) -> Done | None:
        """The run of this very call before the pause that LangGraph is resuming from."""
        key = self._key
        if key is None or not self.moment.resuming:
            return None
        return outputs_of(self.gate.guard).find(key, self.text)

    def answered(self, output: Any) -> None:
        """The call has its answer."""
        if (key := self._key) is not None:
            outputs_of(self.gate.guard).end(key, self.text, output)

    @contextmanager
    def running(self) -> Generator[None]:
        """Around the tool itself."""
        session, self.entered = self.session, True
        outputs, key = outputs_of(self.gate.guard), self._key
        if key is not None:
            outputs.start(key, self.text)
        token = inside.set(self.gate.tool)
        own = self.gate.session is not None or self.gate.sessions is not None
        outer = self.gate.guard.current
        try:
            with session if own and session is not None else nullcontext():
                yield
        except Exception as error:
            # Also what pauses a graph from inside of the tool: the call may run again.
            self.raised = error
            if key is not None:
                outputs.forget(key)
            raise
        finally:
            inside.reset(token)
            if own and session is not None and outer is not None:
                for label in session.labels:
                    outer.label(label)

    def repeated(self, arguments: Mapping[str, Any]) -> bool:
        """Whether another process ran this call before the pause; reads the ledger, so only on resume."""
        facts, session = self.gate.tool.facts, self.session
        if self.tool_call_id is None or session is None:
            return False
        if facts.get("read_only") is True or facts.get("idempotent") is True:
            return False
        return self.gate.guard.has_run(self.gate.tool, arguments, call_id=self.tool_call_id, session=session)

    # -- who

    def who(self) -> Session | None:
        """The session of this call; None where the flow will find none."""
        gate = self.gate
        if gate.session is not None or gate.nobody:
            return gate.session
        if gate.sessions is None:
            return gate.guard.current
        began = gate.sessions.outside_hooks(self.moment)
        return None if began is None else gate.sessions.session(began)

    @property
    def nobody(self) -> bool:
        """Whether a missing session means a denial, whatever session is around."""
        return self.gate.sessions is not None and self.gate.session is None

    def deny_nobody(self, arguments: Mapping[str, Any]) -> None:
        """Refuse, recorded, where it is not known for whom the call would act."""

        def never(arguments: dict[str, Any]) -> None:
            raise AssertionError("a call without a session ran")

        try:
            contextvars.Context().run(
                self.gate.guard.call, self.gate.tool, arguments, never, call_id=self.call_id
            )
        except ToolCallDenied as error:
            raise ToolCallDenied(
                error.tool, error.rule, _WHOSE, remedy="ask_operator", decision_id=error.decision_id
            ) from None

    def unfit(self, problem: str, refused: bool) -> None:
        """Record that the model's arguments do not fit; raises `Refused` unless LangChain refuses them
        itself, in its own words."""

        def never(arguments: dict[str, Any]) -> None:
            raise AssertionError("a call that does not fit ran")

        try:
            session = self.who()
            if session is None and self.nobody:
                self.deny_nobody({})
            self.gate.guard.call(
                self.gate.tool,
                {},
                never,
                call_id=self.call_id,
                session=session,
                problem=TypeError(problem),
            )
        except (ToolCallDenied, OutcomeUnknown) as error:
            if not refused:
                raise refusal(error) from error

    # -- asking

    def terms(self) -> dict[str, Any]:
        """What the guard is told beside the tool and its arguments."""
        return {
            "call_id": self.call_id,
            "pause": "raise" if self.pause == "interrupt" else self.pause,
            "session": self.session,
            "approved": self.approved,
        }

    def approved(self, approval: Approval) -> None:
        """Take the answers that were for the guard: the tool's own questions must not get them."""
        if self.pause == "interrupt" and self.gate.alone:
            use_up_answers(self.taken)

    def may_pause(self, pending: ApprovalPending) -> str | None:
        """Why the question has to be withdrawn, if so; raises where the pause is somebody else's."""
        if self.entered:
            raise refusal(pending)
        if self.pause != "interrupt":
            raise pending
        return None if self.moment.durable else _NO_CHECKPOINTER

    def asked(self, approval_id: str) -> tuple[Approval, bytes | None]:
        """The approval to ask about, and the one whose question was the first in this task, if it is known.

        LangGraph hands the answers of a task out in the order of its questions, and old ones again. So an
        answer that names no approval is about this one only where nothing else was asked in the task.
        """
        guard = self.gate.guard
        approval = guard.approval(approval_id)
        if not self.gate.alone:
            return approval, b""
        first = guard.store.payload(guard.tenant, self._place)
        return approval, None if first is None else first.content

    def keep(self, approval: Approval, sole: bool) -> None:
        """Keep that this is the first question of the task, or that there was another."""
        guard, who = self.gate.guard, approval.principal or approval.agent
        content = approval.id.encode() if sole else b""
        guard.store.append(guard.tenant, (), payloads={self._place: Payload(who, content)})

    @property
    def _place(self) -> str:
        return self.gate.guard.hmac(encode(["agentguard-asked", self.moment.task_id, self.call_id]))

    def ask(self, approval: Approval) -> Any:
        """Pause the graph; on resume, what came back."""
        answer = interrupt(question(self.gate.guard, approval, self.name, self.tool_call_id))
        self.taken += 1
        return answer


def given_up(reason: str, approval_id: str, rule: str) -> Refused:
    """The answer to a call whose question was withdrawn."""
    return Refused(
        {"error": "denied", "rule": rule, "reason": reason, "remedy": "ask_operator", "approval": approval_id}
    )


def already_ran(unfinished: bool = False) -> Refused:
    """The answer to a call that was started before the pause."""
    reason = (
        "this call was started before the pause and has not ended; it is not run again"
        if unfinished
        else "this call ran before the pause and is not run again; its result is not known here"
    )
    return Refused({"error": "already_ran", "reason": reason, "remedy": "ask_operator"})


def _passage(call: Calling, arguments: dict[str, Any]) -> Steps:
    """One call on its way through the guard; raises `Refused` where it does not run."""
    guard = call.gate.guard
    try:
        call.session = call.who()
        if call.session is None and call.nobody:
            yield partial(call.deny_nobody, arguments)
        if call.moment.resuming and (yield partial(call.repeated, arguments)):
            raise already_ran()
        while True:
            try:
                return (yield AHEAD)
            except ApprovalPending as error:
                pending = error
            stopped, rule = call.may_pause(pending), "agentguard/pause"
            if stopped is not None:
                yield partial(guard.withdraw, pending.approval_id, stopped)
            else:
                approval, first = yield partial(call.asked, pending.approval_id)
                try:
                    answer = call.ask(approval)
                except GraphInterrupt:
                    if first is None:
                        yield partial(call.keep, approval, answers_at_hand() == 0)
                    raise
                about = first == approval.id.encode()
                stopped = yield partial(hear, guard, call.gate.resolver, answer, approval.id, about)
                rule = "agentguard/edit"
            if stopped is not None:
                raise given_up(stopped, pending.approval_id, rule)
    except ToolFailed as error:
        match call.raised:
            case GraphBubbleUp():
                raise call.raised from None  # a pause of the graph is no error
            case ToolException():
                raise ToolException(str(error)) from None  # for `handle_tool_error`
            case _:
                raise
    except (ToolCallDenied, OutcomeUnknown) as error:
        raise refusal(error) from error


def pass_(call: Calling, arguments: dict[str, Any], run: Callable[[dict[str, Any]], Any]) -> Any:
    """Take one call through the guard; raises `Refused` where it does not run."""

    def go(final: dict[str, Any]) -> Any:
        with call.running():
            return run(final)

    def ahead() -> Any:
        return call.gate.guard.call(call.tool, arguments, go, **call.terms())

    return walk(_passage(call, arguments), ahead)


async def apass(
    call: Calling, arguments: dict[str, Any], run: Callable[[dict[str, Any]], Awaitable[Any]]
) -> Any:
    """The same as `pass_`, for a coroutine function."""

    async def go(final: dict[str, Any]) -> Any:
        with call.running():
            return await run(final)

    def ahead() -> Awaitable[Any]:
        return call.gate.guard.acall(call.tool, arguments, go, **call.terms())

    return await awalk(_passage(call, arguments), ahead)
