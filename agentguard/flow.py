"""The one path of a guarded call, as a generator without I/O.

It yields operations (`agentguard.operations`) and receives their results; two drivers, one asynchronous and
one synchronous, perform them (`agentguard.drivers`). Cancellation is thrown in where it happens: before the
claim it withdraws, after the start it leaves a bounded, shielded record.

INVARIANT: `Run` is yielded only after the decision that permits it was recorded, and with arguments decoded
from the bytes that were decided on.
"""

from __future__ import annotations

import logging
from collections.abc import Generator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from agentguard.call import EMPTY, ContextRequest
from agentguard.calls import Call, compare, consult, digest_of, fetch, request_of
from agentguard.canonical import Frozen, freeze
from agentguard.decision import (
    Approve,
    Decision,
    Effect,
    Flag,
    RedactResult,
    Reserve,
    SetArgument,
    plain,
)
from agentguard.errors import ArgumentsError, RegisterChanged
from agentguard.operations import Flow, Operation, Refresh, Take
from agentguard.paths import assign
from agentguard.recording import told
from agentguard.refusing import broken, deny, problem_text, refuse, unrecorded
from agentguard.running import record_and_run
from agentguard.store.protocol import Reservation
from agentguard.tracking import judged

if TYPE_CHECKING:
    from agentguard.guard import Guard
    from agentguard.policy import Snapshot


__all__ = ["call_flow", "check_obligations", "decide", "settle_call", "take"]

_ROUNDS: Final = 8
log = logging.getLogger("agentguard")


def call_flow(guard: Guard, call: Call) -> Flow:
    """Decide, record, ask if need be, run, record the outcome; returns the result or `Failed`.

    Raises:
        ToolCallDenied: it did not run.
        ApprovalPending: it did not run yet.
    """
    try:
        return (yield from _path(guard, call))
    except Exception as error:
        yield from broken(guard, call, error)


def _path(guard: Guard, call: Call) -> Flow:
    session, tool = call.session, call.tool
    if guard.closed:
        request = request_of(guard, call, EMPTY)
        yield from refuse(guard, call, request, "closed", "the guard was closed", "ask_operator")
    if guard.halted:
        request = request_of(guard, call, EMPTY)
        yield from refuse(guard, call, request, "checkpoint", guard.halted, "ask_operator")
    if session is None or session.closed:
        ended = "its session has ended" if session is not None else "no session says which agent acts"
        request = request_of(guard, call, EMPTY)
        yield from refuse(
            guard,
            call,
            request,
            "identity",
            f"{ended}; open one with `guard.session(agent=...)`",
            "ask_operator",
        )
    assert session is not None
    if call.unknown:
        request = request_of(guard, call, EMPTY)
        yield from refuse(guard, call, request, "tool", "no tool of this name is registered", "ask_operator")
    if call.problem is not None:
        request = request_of(guard, call, EMPTY)
        yield from refuse(
            guard, call, request, "arguments", problem_text(call.problem), "fix_call", invalid=True
        )
    try:
        frozen = freeze(call.arguments)
    except ArgumentsError as error:
        request = request_of(guard, call, EMPTY)
        yield from refuse(guard, call, request, "arguments", str(error), "fix_call", invalid=True)
        raise AssertionError("refused") from error
    request = request_of(guard, call, frozen.view)
    if call.digest != tool.digest:
        reason = "the tool's code is not what was registered; something replaced it"
        yield from refuse(guard, call, request, "definition", reason, "ask_operator", frozen)
    if session.tripping and session.tripped(tool.name, digest_of(call, frozen)):
        reason = "this exact call was denied several times already, so nobody is asked again"
        yield from refuse(guard, call, request, "breaker", reason, "never", frozen)
    session.count(call.call_id)
    force = guard.in_force
    if guard.record == "batched" and tool.read_only and not force.fresh:
        yield Refresh()
    snapshot, call.register = force.pair
    if force.tracks:
        request = judged(session, snapshot, request)
    if guard.providers:
        request = yield from fetch(guard, snapshot, request)
    if guard.engines:
        request = yield from consult(guard, request)
    return (yield from settle_call(guard, call, request, frozen, snapshot))


def settle_call(
    guard: Guard, call: Call, request: ContextRequest, frozen: Frozen, snapshot: Snapshot | None = None
) -> Flow:
    """Decide a request with what is in force, as often as that changes meanwhile, and do what is decided."""
    force = guard.in_force
    if snapshot is None:
        snapshot, call.register = force.pair
    for _ in range(_ROUNDS):
        call.decided = request = yield from compare(guard, snapshot, request, frozen)
        try:
            return (yield from _decided(guard, call, snapshot, request, frozen))
        except RegisterChanged:
            # An exception, a grant or an agent changed. INVARIANT: a write raised it, before `Run`.
            assert not call.ran
        yield Refresh()
        snapshot, call.register = force.pair
    reason = "exceptions, grants or agents change faster than this call can be recorded"
    yield from refuse(guard, call, request, "register", reason, "ask_operator", frozen)
    raise AssertionError("refused")


def _decided(guard: Guard, call: Call, snapshot: Snapshot, request: ContextRequest, frozen: Frozen) -> Flow:
    """Decide with what is in force now, and do what the decision asks for.

    Raises:
        RegisterChanged: it is no longer in force; nothing was recorded.
    """
    try:
        decision = snapshot.decide(request)
        if type(decision) is not Decision or type(decision.effect) is not Effect:
            raise TypeError(f"a {type(decision).__name__} is no decision")
    except Exception as error:
        decision = yield from _undecided(guard, call, request, frozen, error)
    if decision.effect is Effect.DENY:
        yield from deny(guard, call, request, decision, frozen)
    final, asked = frozen, request
    if decision.obligations:
        request, final = yield from _constrain(guard, call, decision, request, frozen)
        if guard.engines and final is not frozen:
            request = yield from _ask_again(guard, call, snapshot, decision, request, frozen)
    if decision.effect is Effect.STEP_UP or (decision.obligations and decision.approval is not None):
        from agentguard.stepping import step_up

        return (yield from step_up(guard, call, request, decision, frozen, final))
    if decision.obligations:
        taken = yield from take(guard, call, snapshot, asked, decision, frozen, asks=True)
        if taken.effect is Effect.STEP_UP:
            # What satisfied the step-up, a grant, is used up: a person is asked after all.
            from agentguard.stepping import step_up

            return (yield from step_up(guard, call, request, taken, frozen, final))
        decision = taken
    return (yield from record_and_run(guard, call, request, decision, frozen, final))


def decide(
    guard: Guard, call: Call, snapshot: Snapshot, request: ContextRequest, frozen: Frozen
) -> Generator[Operation, Any, Decision]:
    """The core's answer; a core that fails, or answers something else than a decision, is a denial."""
    try:
        found = snapshot.decide(request)
        if type(found) is not Decision or type(found.effect) is not Effect:
            raise TypeError(f"a {type(found).__name__} is no decision")
        return found
    except Exception as error:
        return (yield from _undecided(guard, call, request, frozen, error))


def _undecided(
    guard: Guard, call: Call, request: ContextRequest, frozen: Frozen, error: Exception
) -> Generator[Operation, Any, Decision]:
    reason, kind = "the policies could not be evaluated", type(error).__name__
    yield from refuse(guard, call, request, "error", reason, "ask_operator", frozen, error=kind)
    raise AssertionError("refused")


def _constrain(
    guard: Guard, call: Call, decision: Decision, request: ContextRequest, frozen: Frozen
) -> Generator[Operation, Any, tuple[ContextRequest, Frozen]]:
    """The request and arguments as the constraints want them, which the core decided on already."""
    yield from check_obligations(guard, call, decision, request, frozen)
    writes = [item for item in decision.obligations if isinstance(item, SetArgument)]
    if not writes:
        return request, frozen
    problem: str | None
    try:
        arguments = frozen.thaw()
        for item in writes:
            assign(arguments, item.path, item.value)
        final = freeze(arguments)
        problem = call.tool.check(final.thaw()) if call.tool.check is not None else None
    except Exception as error:
        final, problem = frozen, told(error)
    if problem is not None:
        log.warning("what `%s` writes does not fit `%s`: %s", writes[0].rule, call.tool.name, problem)
        reason = f"what `{writes[0].rule}` writes does not fit the tool"
        yield from refuse(guard, call, request, "constraint", reason, "ask_operator", frozen)
    supplied = dict(request.supplied)
    supplied["provenance"] = {
        **supplied.get("provenance", {}),
        **{item.path: {"from_policy": True} for item in writes},
    }
    return replace(request, args=final.view, supplied=supplied), final


def _ask_again(
    guard: Guard,
    call: Call,
    snapshot: Snapshot,
    decision: Decision,
    request: ContextRequest,
    frozen: Frozen,
) -> Generator[Operation, Any, ContextRequest]:
    """Other decision points see what constraints wrote, as the core did; they may only make it stricter by
    refusing it."""
    request = yield from consult(guard, request)
    again = yield from decide(guard, call, snapshot, request, frozen)
    if again.effect is Effect.DENY:
        yield from deny(guard, call, request, again, frozen)
    if again.effect.rank > decision.effect.rank:
        reason = "another decision point asks for more once its constraints are applied"
        yield from refuse(guard, call, request, "engine", reason, "ask_operator", frozen)
    return request


def check_obligations(
    guard: Guard, call: Call, decision: Decision, request: ContextRequest, frozen: Frozen
) -> Generator[Operation, Any, None]:
    """Refuse what nobody here can fulfil: an obligation of an unknown kind, a mask over a stream."""
    for item in decision.obligations:
        if not isinstance(item, (SetArgument, Flag, Approve, Reserve, RedactResult)):
            reason = "its decision asks for something that this guard cannot do"
            yield from refuse(guard, call, request, "obligation", reason, "ask_operator", frozen)
        if call.streams and isinstance(item, RedactResult):
            reason = "its result has to be redacted, and a stream cannot be"
            yield from refuse(guard, call, request, "redaction", reason, "ask_operator", frozen)


def take(
    guard: Guard,
    call: Call,
    snapshot: Snapshot,
    request: ContextRequest,
    decision: Decision,
    frozen: Frozen,
    *,
    asks: bool = False,
) -> Generator[Operation, Any, Decision]:
    """Take what the decision counts; who finds a counter full is decided again without it.

    `request` is the one that was decided on. A second answer may neither be stronger nor rewrite otherwise;
    with `asks` it may be a step-up, for which nothing is taken.
    """
    exhausted: set[str] = set()
    for _ in range(_ROUNDS):
        wanted = [
            Reservation(item.key, item.amount, item.limit, item.window_s)
            for item in decision.obligations
            if isinstance(item, Reserve)
        ]
        if not wanted:
            return decision
        try:
            full: str | None = yield Take(wanted)
        except Exception as error:
            yield from unrecorded(call, error)
            raise AssertionError("refused") from error
        if full is None:
            return decision
        exhausted.add(full)
        call.limited = True
        try:
            again = snapshot.decide(request, exhausted=exhausted)
        except Exception as error:
            again = yield from _undecided(guard, call, request, frozen, error)
        if asks and again.effect is Effect.STEP_UP and _written(again) == _written(decision):
            return again
        if again.effect.rank > decision.effect.rank:
            yield from deny(guard, call, request, again, frozen)
        if _written(again) != _written(decision):
            break
        decision = again
    yield from refuse(guard, call, request, "limits", "its limits are used up", "ask_operator", frozen)
    raise AssertionError("refused")


def _written(decision: Decision) -> list[tuple[str, Any]]:
    return [(item.path, plain(item.value)) for item in decision.obligations if isinstance(item, SetArgument)]
