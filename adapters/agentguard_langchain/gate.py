"""One guarded call of a LangChain tool: who acts, ask the guard, pause the graph where a person is asked."""

from __future__ import annotations

import asyncio
import contextvars
import hashlib
from collections.abc import Awaitable, Callable, Generator, Mapping
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Literal

from langgraph.types import interrupt

from agentguard import Approval, ApprovalPending, Guard, OutcomeUnknown, Session, Tool, ToolCallDenied
from agentguard_langchain.answers import Resolver, hear, question
from agentguard_langchain.arguments import Parameters
from agentguard_langchain.denial import Refused, refusal
from agentguard_langchain.moment import Moment, moment, use_up_answers
from agentguard_langchain.repeats import Done, outputs_of
from agentguard_langchain.sessions import Sessions

__all__ = ["Calling", "Gate", "Pause", "apass", "calling", "inside", "pass_"]

Pause = Literal["interrupt", "wait", "raise"]
"""What a step-up does: pause the graph, wait in this process, or raise `ApprovalPending`."""

_NO_CHECKPOINTER = (
    "it needs approval and this run cannot pause for it, because it has no checkpointer: nothing was run"
)
_WHOSE = "the run began in another process and nothing says on whose behalf; nothing was run"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """What stands before one tool.

    The session is `session`, or made by `sessions` from the run, or else the one of the context. `alone` says
    that a graph task holds one call and no more, as `create_agent` arranges it.
    """

    guard: Guard
    tool: Tool
    parameters: Parameters
    pause: Pause | None = None
    resolver: Resolver | None = None
    sessions: Sessions | None = None
    session: Session | None = None
    alone: bool = False


calling: ContextVar[Calling | None] = ContextVar("agentguard_langchain_calling", default=None)
inside: ContextVar[Tool | None] = ContextVar("agentguard_langchain_inside", default=None)
"""The tool that runs, so that its own methods and function let themselves be called."""


class Calling:
    """One invocation of a guarded tool. `taken` counts the answers it took, `entered` says that it ran."""

    def __init__(
        self, gate: Gate, name: str, given: Any, tool_call_id: str | None, config: Mapping[str, Any] | None
    ) -> None:
        self.gate = gate
        self.name = name
        self.tool_call_id = tool_call_id
        self.moment: Moment = moment(config)
        self.text = gate.parameters.text(given)
        self.taken = 0
        self.entered = False
        self.used = False

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
    def running(self, session: Session | None) -> Generator[None]:
        """Around the tool itself."""
        self.entered = True
        outputs, key = outputs_of(self.gate.guard), self._key
        if key is not None:
            outputs.start(key, self.text)
        token = inside.set(self.gate.tool)
        own = self.gate.session is not None or self.gate.sessions is not None
        outer = self.gate.guard.current
        try:
            with session if own and session is not None else nullcontext():
                yield
        except Exception:
            # Also what pauses a graph from inside of the tool: the call may run again.
            if key is not None:
                outputs.forget(key)
            raise
        finally:
            inside.reset(token)
            if own and session is not None and outer is not None:
                for label in session.labels:
                    outer.label(label)

    def repeated(self, arguments: Mapping[str, Any], session: Session | None) -> bool:
        """Whether another process ran this call before the pause; reads the ledger, so only on resume."""
        facts = self.gate.tool.facts
        if not self.moment.resuming or self.tool_call_id is None or session is None:
            return False
        if facts.get("read_only") is True or facts.get("idempotent") is True:
            return False
        return self.gate.guard.has_run(self.gate.tool, arguments, call_id=self.tool_call_id, session=session)

    # -- who

    def session(self) -> Session | None:
        """The session of this call; None where the flow will find none."""
        gate = self.gate
        if gate.session is not None:
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
            session = self.session()
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


def pass_(call: Calling, arguments: dict[str, Any], run: Callable[[dict[str, Any]], Any]) -> Any:
    """Take one call through the guard; raises `Refused` where it does not run."""
    guard, tool = call.gate.guard, call.gate.tool
    try:
        session = call.session()
        if session is None and call.nobody:
            call.deny_nobody(arguments)
        if call.repeated(arguments, session):
            raise already_ran()

        def go(final: dict[str, Any]) -> Any:
            with call.running(session):
                return run(final)

        pause = "raise" if call.pause == "interrupt" else call.pause
        while True:
            try:
                return guard.call(
                    tool,
                    arguments,
                    go,
                    call_id=call.call_id,
                    pause=pause,
                    session=session,
                    approved=call.approved,
                )
            except ApprovalPending as error:
                pending = error
            stopped, rule = call.may_pause(pending), "agentguard/pause"
            if stopped is not None:
                guard.withdraw(pending.approval_id, stopped)
            else:
                answer = call.ask(guard.approval(pending.approval_id))
                stopped = hear(guard, call.gate.resolver, answer, pending.approval_id, call.gate.alone)
                rule = "agentguard/edit"
            if stopped is not None:
                raise given_up(stopped, pending.approval_id, rule)
    except (ToolCallDenied, OutcomeUnknown) as error:
        raise refusal(error) from error


async def apass(
    call: Calling, arguments: dict[str, Any], run: Callable[[dict[str, Any]], Awaitable[Any]]
) -> Any:
    """The same as `pass_`, for a coroutine function."""
    guard, tool = call.gate.guard, call.gate.tool
    try:
        session = call.session()
        if session is None and call.nobody:
            await asyncio.to_thread(call.deny_nobody, arguments)
        if call.moment.resuming and await asyncio.to_thread(call.repeated, arguments, session):
            raise already_ran()

        async def go(final: dict[str, Any]) -> Any:
            with call.running(session):
                return await run(final)

        pause = "raise" if call.pause == "interrupt" else call.pause
        while True:
            try:
                return await guard.acall(
                    tool,
                    arguments,
                    go,
                    call_id=call.call_id,
                    pause=pause,
                    session=session,
                    approved=call.approved,
                )
            except ApprovalPending as error:
                pending = error
            stopped, rule = call.may_pause(pending), "agentguard/pause"
            if stopped is not None:
                await asyncio.to_thread(guard.withdraw, pending.approval_id, stopped)
            else:
                approval = await asyncio.to_thread(guard.approval, pending.approval_id)
                answer = call.ask(approval)
                stopped = await asyncio.to_thread(
                    hear, guard, call.gate.resolver, answer, pending.approval_id, call.gate.alone
                )
                rule = "agentguard/edit"
            if stopped is not None:
                raise given_up(stopped, pending.approval_id, rule)
    except (ToolCallDenied, OutcomeUnknown) as error:
        raise refusal(error) from error
