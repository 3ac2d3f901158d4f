"""A call that was left behind and is run again from its approval: tool, session and arguments, restored."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agentguard.binding import Binder
from agentguard.call import AgentIdentity, Principal
from agentguard.calls import Call
from agentguard.canonical import Frozen
from agentguard.decorate import kind_of
from agentguard.drivers import drive_sync, lending
from agentguard.errors import ArgumentsError, ConfigurationError, ToolCallDenied
from agentguard.session import Session
from agentguard.stepping import Resumption, resume_flow
from agentguard.tools import Tool

if TYPE_CHECKING:
    from agentguard.guard import Guard
    from agentguard.stepup.model import Approval

__all__ = ["resume", "resume_sync", "runner"]


@dataclass(slots=True)
class _Restored:
    """The session of a resumed call, how to run it and of which kind it is, once they are known.

    `lends`: it is a framework's tool, in which a guarded function with the same arguments is the same call.
    """

    session: Session | None = None
    run: Callable[[dict[str, Any]], Any] | None = None
    kind: str = ""
    lends: bool = True

    def ready(self) -> tuple[Session, Callable[[dict[str, Any]], Any]]:
        """Session and function; INVARIANT: the flow restores before it runs."""
        assert self.session is not None
        assert self.run is not None
        return self.session, self.run


def _restorer(
    guard: Guard, into: _Restored, injected: Mapping[str, Any], *, sync: bool = False
) -> Callable[[Approval], tuple[Call, Frozen]]:
    """What makes the call of an approval again, in this process, from the tool registered here."""

    def restore(approval: Approval) -> tuple[Call, Frozen]:
        tool = guard.tools.get(approval.tool)
        if tool is None or tool.run is None or tool.binder is None:
            raise ConfigurationError(
                f"`{approval.tool}` is not registered with a function in this process; import the module "
                "that decorates it, then resume"
            )
        kind = kind_of(tool.run)
        if sync and kind.startswith("async"):
            raise ConfigurationError(f"`{approval.tool}` is asynchronous; use `await guard.resume(...)`")
        _check_injected(tool.binder, injected, approval.tool)
        final = _arguments(approval, tool)
        session = _session_of(guard, approval)
        raw = guard.registry.raw.get(tool.name, tool.run)
        into.kind, into.session, into.lends = kind, session, tool.name not in guard.registry.raw
        into.run = runner(raw, tool.binder, dict(injected), None)
        call = Call(
            tool=tool,
            arguments=final.view,
            session=session,
            call_id=approval.call_id,
            pause="wait",
            streams=kind.endswith("generator"),
            digest=tool.current,
        )
        return call, final

    return restore


async def resume(guard: Guard, approval_id: str, wait: bool, injected: Mapping[str, Any]) -> Resumption:
    """Run the frozen call of an approval; see `Guard.resume`."""
    import asyncio

    from agentguard.asyncdriver import drive  # here: synchronous programs need no event loop

    restored = _Restored()

    async def run(arguments: dict[str, Any]) -> Any:
        session, call = restored.ready()
        with session, lending(restored.lends):
            match restored.kind:
                case "async":
                    return await call(arguments)
                case "async generator":
                    return [item async for item in call(arguments)]
                case "generator":
                    return await asyncio.to_thread(lambda: list(call(arguments)))
                case _:
                    return await asyncio.to_thread(call, arguments)

    flow = resume_flow(guard, _restorer(guard, restored, injected), approval_id, wait)
    found: Resumption = await drive(guard, flow, run)
    return found


def resume_sync(guard: Guard, approval_id: str, wait: bool, injected: Mapping[str, Any]) -> Resumption:
    """The same for synchronous tools."""
    restored = _Restored()

    def run(arguments: dict[str, Any]) -> Any:
        session, call = restored.ready()
        with session, lending(restored.lends):
            result = call(arguments)
            return list(result) if restored.kind == "generator" else result

    flow = resume_flow(guard, _restorer(guard, restored, injected, sync=True), approval_id, wait)
    found: Resumption = drive_sync(guard, flow, run)
    return found


def _check_injected(binder: Binder, injected: Mapping[str, Any], tool: str) -> None:
    unknown = sorted(set(injected) - binder.injected)
    if unknown:
        raise ConfigurationError(
            f"`{unknown[0]}` is not an injected parameter of `{tool}`; what runs is what was approved"
        )
    missing = sorted(binder.injected - set(injected) - set(binder.optional))
    if missing:
        raise ConfigurationError(f"`{tool}` has injected parameters: pass injected={{'{missing[0]}': ...}}")


def _arguments(approval: Approval, tool: Tool) -> Frozen:
    if approval.arguments is None:
        raise ConfigurationError(f"the arguments of approval `{approval.id}` were erased; it cannot run")
    try:
        return Frozen.from_canonical(approval.arguments, tool.classes)
    except ArgumentsError as error:
        raise ToolCallDenied(
            approval.tool,
            "agentguard/approval",
            str(error),
            remedy="ask_operator",
            decision_id=approval.decision_id,
        ) from None


def runner(
    function: Callable[..., Any], binder: Binder, injected: dict[str, Any], fixed: dict[str, Any] | None
) -> Callable[[dict[str, Any]], Any]:
    def run(arguments: dict[str, Any]) -> Any:
        given = {**(arguments if fixed is None else fixed), **injected}
        args, kwargs = binder.spread(given)
        return function(*args, **kwargs)

    return run


def _session_of(guard: Guard, approval: Approval) -> Session:
    """The session of an approval, for the time of its run: the original agent, principal and chain."""
    request = approval.request

    def identity(data: Mapping[str, Any]) -> AgentIdentity:
        rest = {key: value for key, value in data.items() if key not in ("id", "owner", "tags")}
        return AgentIdentity(data["id"], owner=data.get("owner"), tags=data.get("tags", ()), **rest)

    principal = request.get("principal")
    person = None
    if principal is not None:
        rest = {key: value for key, value in principal.items() if key not in ("id", "groups")}
        person = Principal(principal["id"], tuple(principal.get("groups", ())), rest)
    session = request.get("session") or {}
    found = Session(
        guard,
        agent=identity(request["agent"]),
        principal=person,
        id=session.get("id", ""),
        environment=request.get("environment"),
        chain=[identity(link) for link in request.get("chain", ())],
        context=request.get("context") or None,
        workload=request.get("workload"),
        pause=guard.pause,  # for what the tool calls: this call itself was answered
        labels=session.get("labels", ()),
    )
    found.restored = True
    found.missed()  # what follows is judged as after words that nobody has in view
    return found
