"""How a call comes to the guard: from a function that was decorated, or from an adapter."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from agentguard.calls import Call
from agentguard.canonical import freeze
from agentguard.drivers import active
from agentguard.errors import ArgumentsError, ConfigurationError
from agentguard.flow import call_flow
from agentguard.ids import uuid7
from agentguard.resuming import runner
from agentguard.session import Pause, Session, current_session
from agentguard.tools import Tool, shown_name

if TYPE_CHECKING:
    from agentguard.guard import Guard
    from agentguard.operations import Flow
    from agentguard.stepup.model import Approval

__all__ = ["decorated_call", "handed_call"]


def decorated_call(
    guard: Guard,
    tool: Tool,
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    streams: bool,
) -> tuple[Flow | None, Callable[[dict[str, Any]], Any]]:
    """The flow of one call of a decorated function, and how to run it; no flow where the call is part of a
    guarded call that runs already."""
    binder = tool.binder
    assert binder is not None
    problem: Exception | None = None
    arguments: dict[str, Any] = {}
    injected: dict[str, Any] = {}
    try:
        arguments, injected = binder.bind(args, kwargs)
    except (TypeError, ArgumentsError) as error:
        problem = error
    outer = active.get()
    if outer is not None and problem is None:
        inner = _within(guard, outer, tool, arguments)
        if inner is not None:
            return None, runner(function, binder, injected, inner)
    session = current_session(guard)
    call = Call(
        tool=tool,
        arguments=arguments,
        session=session,
        call_id=uuid7(),
        pause=session.pause if session is not None else guard.pause,
        problem=problem,
        streams=streams,
        fresh=True,
        digest=tool.current,
    )
    return call_flow(guard, call), runner(function, binder, injected, None)


def _within(guard: Guard, outer: Any, tool: Tool, arguments: dict[str, Any]) -> dict[str, Any] | None:
    """The arguments, where this is the very call that runs already under its adapter's name for it."""
    try:
        frozen = freeze(arguments)
        thawed = frozen.thaw()
    except ArgumentsError:
        return None
    same = tool.current == tool.digest and outer.take(guard, tool.name, current_session(guard), frozen)
    return thawed if same else None


def handed_call(
    guard: Guard,
    tool: Tool | str,
    arguments: Mapping[str, Any],
    call_id: str | None,
    pause: Pause | None,
    session: Session | None,
    problem: Exception | None,
    approved: Callable[[Approval], None] | None,
) -> Flow:
    """The flow of one call that an adapter hands over; see `Guard.call`."""
    known = guard.registry.tools.get(tool) if isinstance(tool, str) else tool
    if not isinstance(known, Tool):
        known = None
    unknown = known is None
    if known is None:
        known = Tool(name=shown_name(tool), digest="", facts={})
    if call_id is not None and not _nameable(call_id):
        # It may come from a model: what cannot stand in a record names no call.
        call_id = None
        problem = ArgumentsError("the call's id is not 1 to 256 printable characters", "call_id")
    if pause not in (None, "wait", "raise"):
        raise ConfigurationError(f"pause must be `wait` or `raise`, not {pause!r:.40}")
    if session is not None and not isinstance(session, Session):
        raise ConfigurationError(f"session must be a Session, not a {type(session).__name__}")
    session = session if session is not None else current_session(guard)
    call = Call(
        tool=known,
        arguments=arguments,
        session=session,
        call_id=call_id or uuid7(),
        pause=pause or (session.pause if session is not None else guard.pause),
        problem=problem,
        unknown=unknown,
        approved=approved,
        digest=known.current,
    )
    return call_flow(guard, call)


def _nameable(call_id: object) -> bool:
    return isinstance(call_id, str) and 0 < len(call_id) <= 256 and call_id.isprintable()
