"""The one path of a guarded call, as a generator without I/O.

It yields operations (`agentguard.operations`) and receives their results; two drivers, one asynchronous and
one synchronous, perform them (`agentguard.drivers`). Cancellation is thrown in where it happens: before the
claim it withdraws, after the start it leaves a bounded, shielded record.

INVARIANT: `Run` is yielded only after the decision that permits it was recorded, and with arguments decoded
from the bytes that were decided on.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from agentguard.call import EMPTY, ContextRequest
from agentguard.canonical import Frozen, freeze
from agentguard.decision import (
    Approve,
    Decision,
    Effect,
    Flag,
    Matched,
    RedactResult,
    Reserve,
    SetArgument,
    plain,
)
from agentguard.errors import (
    AgentGuardError,
    ApprovalPending,
    ArgumentsError,
    InvalidArguments,
    OutcomeUnknown,
    Remedy,
    StoreError,
    ToolCallDenied,
)
from agentguard.ids import uuid7
from agentguard.ledger import events
from agentguard.operations import Batch, Buffer, Closed, Failed, Fetch, Operation, Record, Run, Take
from agentguard.paths import assign
from agentguard.redact import redact
from agentguard.session import Pause, Session
from agentguard.store.protocol import Event, Payload, Reservation
from agentguard.tools import Tool

if TYPE_CHECKING:
    from agentguard.guard import Guard
    from agentguard.policy import Snapshot
    from agentguard.stepup.model import Approval

__all__ = ["Call", "Flow", "call_flow", "denial", "request_of", "take"]

Flow = Generator[Operation, Any, Any]

_FACT_KEYS: Final = frozenset({"context", "resource", "workload"})
_ROUNDS: Final = 8
log = logging.getLogger("agentguard")


@dataclass(slots=True, kw_only=True)
class Call:
    """One intended call, as an interceptor hands it over.

    `problem` is what binding the arguments already found wrong. `streams` says that the tool yields its
    result bit by bit, which no redaction can follow. `digest` is the tool's definition as it is now. `fresh`
    says that the guard itself made the call id, for this one decision. `asked` is the digest of the arguments
    as they came, and `ran` says that the tool was started, both set by the flow. `approved` is told of the
    approval before it is claimed.
    """

    tool: Tool
    arguments: Mapping[str, Any]
    session: Session | None
    call_id: str
    pause: Pause = "wait"
    problem: Exception | None = None
    streams: bool = False
    digest: str = ""
    fresh: bool = False
    asked: str = ""
    ran: bool = False
    approved: Callable[[Approval], None] | None = None


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


def broken(guard: Guard, call: Call, error: Exception) -> Generator[Operation, Any, None]:
    """INVARIANT: whatever goes wrong before the tool runs is a denial, recorded if it still can be."""
    if call.ran or isinstance(error, (ToolCallDenied, ApprovalPending, OutcomeUnknown)):
        raise error
    if isinstance(error, StoreError):
        yield from _unrecorded(call, error)
    log.error("`%s` was not run: %s", call.tool.name, told(error))
    reason = "the guard could not decide it"
    try:
        request = request_of(guard, call, EMPTY)
    except Exception:
        raise ToolCallDenied(call.tool.name, "agentguard/error", reason, remedy="ask_operator") from None
    yield from _refuse(guard, call, request, "error", reason, "ask_operator", error=type(error).__name__)


def told(error: BaseException) -> str:
    """What of an error may stand in a log: our own text, and of others, which may hold values, the class."""
    return str(error) if isinstance(error, AgentGuardError) else type(error).__name__


def _path(guard: Guard, call: Call) -> Flow:
    session, tool = call.session, call.tool
    if guard.closed:
        request = request_of(guard, call, EMPTY)
        yield from _refuse(guard, call, request, "closed", "the guard was closed", "ask_operator")
    if session is None or session.closed:
        ended = "its session has ended" if session is not None else "no session says which agent acts"
        request = request_of(guard, call, EMPTY)
        yield from _refuse(
            guard,
            call,
            request,
            "identity",
            f"{ended}; open one with `guard.session(agent=...)`",
            "ask_operator",
        )
    assert session is not None
    if call.problem is not None:
        request = request_of(guard, call, EMPTY)
        yield from _refuse(
            guard, call, request, "arguments", _problem(call.problem), "fix_call", invalid=True
        )
    try:
        frozen = freeze(call.arguments)
    except ArgumentsError as error:
        request = request_of(guard, call, EMPTY)
        yield from _refuse(guard, call, request, "arguments", str(error), "fix_call", invalid=True)
        raise AssertionError("refused") from error
    request = request_of(guard, call, frozen.view)
    if call.digest != tool.digest:
        reason = "the tool's code is not what was registered; something replaced it"
        yield from _refuse(guard, call, request, "definition", reason, "ask_operator", frozen)
    if session.tripping and session.tripped(tool.name, digest_of(call, frozen)):
        reason = "this exact call was denied several times already, so nobody is asked again"
        yield from _refuse(guard, call, request, "breaker", reason, "never", frozen)
    session.count(call.call_id)
    snapshot = guard.snapshot
    if guard.providers:
        request = yield from fetch(guard, snapshot, request)
    try:
        decision = snapshot.decide(request)
        if type(decision) is not Decision or type(decision.effect) is not Effect:
            raise TypeError(f"a {type(decision).__name__} is no decision")
    except Exception as error:
        decision = yield from _undecided(guard, call, request, frozen, error)
    if decision.effect is Effect.DENY:
        yield from _deny(guard, call, request, decision, frozen)
    final, asked = frozen, request
    if decision.obligations:
        decision, request, final = yield from _constrain(guard, call, decision, request, frozen)
    if decision.effect is Effect.STEP_UP or (decision.obligations and decision.approval is not None):
        from agentguard.stepping import step_up

        return (yield from step_up(guard, call, request, decision, frozen, final))
    if decision.obligations:
        decision = yield from take(guard, call, snapshot, asked, decision, frozen)
    return (yield from _record_and_run(guard, call, request, decision, frozen, final))


# -- asking


def digest_of(call: Call, frozen: Frozen) -> str:
    """The digest of the arguments as they came, for the breaker; most calls never need it."""
    if not call.asked:
        call.asked = frozen.digest
    return call.asked


def request_of(guard: Guard, call: Call, view: Mapping[str, Any]) -> ContextRequest:
    """The context request of a call, from its session and tool, without fetched facts."""
    session, tool = call.session, call.tool
    resource = None
    if tool.resource is not None and view is not EMPTY:
        try:
            found = tool.resource(view)
            resource = None if found is None else freeze(found).view
        except Exception as error:
            # An absent fact: every rule that reads it fires, and no allow rule does.
            log.warning("resource of `%s` failed: %s", tool.name, type(error).__name__)
    if session is None:
        return ContextRequest(
            tool=tool.name,
            args=view,
            agent=EMPTY,
            tenant=guard.tenant,
            call_id=call.call_id,
            tool_digest=tool.digest,
            now=guard.now(),
            facts=tool.facts,
            secrets=tool.secrets,
        )
    return ContextRequest(
        tool=tool.name,
        args=view,
        agent=session._agent_facts,
        tenant=guard.tenant,
        call_id=call.call_id,
        tool_digest=call.digest or tool.digest,
        principal=session._principal_facts,
        chain=session._chain_facts,
        environment=session.environment,
        secrets=tool.secrets,
        session=session.facts(),
        resource=resource,
        workload=session._workload,
        facts=tool.facts,
        context=session._context,
        now=guard.now(),
    )


def fetch(
    guard: Guard, snapshot: Snapshot, request: ContextRequest
) -> Generator[Operation, Any, ContextRequest]:
    """The request with what the fact providers know of what its rules read."""
    if not guard.providers:
        return request
    names = snapshot.needs(request.tool)
    if not names:
        return request
    known: Mapping[str, Any] = yield Fetch(request, names)
    changes: dict[str, Any] = {}
    supplied = dict(request.supplied)
    for name, value in known.items():
        try:
            if name in _FACT_KEYS:
                old = getattr(request, name)
                changes[name] = freeze({**dict(old or {}), **dict(value)}).view
            else:
                supplied[name] = freeze({**dict(supplied.get(name, {})), **dict(value)}).view
        except Exception as error:
            # An absent fact: every rule that reads it fires, and no allow rule does.
            log.warning("what a fact provider said of `%s` is no fact: %s", name[:40], type(error).__name__)
    return replace(request, supplied=supplied, **changes)


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
    yield from _refuse(guard, call, request, "error", reason, "ask_operator", frozen, error=kind)
    raise AssertionError("refused")


def _constrain(
    guard: Guard, call: Call, decision: Decision, request: ContextRequest, frozen: Frozen
) -> Generator[Operation, Any, tuple[Decision, ContextRequest, Frozen]]:
    """The request and arguments as the constraints want them, which the core decided on already."""
    yield from check_obligations(guard, call, decision, request, frozen)
    writes = [item for item in decision.obligations if isinstance(item, SetArgument)]
    if not writes:
        return decision, request, frozen
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
        yield from _refuse(guard, call, request, "constraint", reason, "ask_operator", frozen)
    supplied = dict(request.supplied)
    supplied["provenance"] = {
        **supplied.get("provenance", {}),
        **{item.path: {"from_policy": True} for item in writes},
    }
    return decision, replace(request, args=final.view, supplied=supplied), final


def check_obligations(
    guard: Guard, call: Call, decision: Decision, request: ContextRequest, frozen: Frozen
) -> Generator[Operation, Any, None]:
    """Refuse what nobody here can fulfil: an obligation of an unknown kind, a mask over a stream."""
    for item in decision.obligations:
        if not isinstance(item, (SetArgument, Flag, Approve, Reserve, RedactResult)):
            reason = "its decision asks for something that this guard cannot do"
            yield from _refuse(guard, call, request, "obligation", reason, "ask_operator", frozen)
        if call.streams and isinstance(item, RedactResult):
            reason = "its result has to be redacted, and a stream cannot be"
            yield from _refuse(guard, call, request, "redaction", reason, "ask_operator", frozen)


def take(
    guard: Guard, call: Call, snapshot: Snapshot, request: ContextRequest, decision: Decision, frozen: Frozen
) -> Generator[Operation, Any, Decision]:
    """Take what the decision counts; who finds a counter full is decided again without it.

    `request` is the one that was decided on. A second answer may neither be stronger nor rewrite otherwise.
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
            yield from _unrecorded(call, error)
            raise AssertionError("refused") from error
        if full is None:
            return decision
        exhausted.add(full)
        try:
            again = snapshot.decide(request, exhausted=exhausted)
        except Exception as error:
            again = yield from _undecided(guard, call, request, frozen, error)
        if again.effect.rank > decision.effect.rank:
            yield from _deny(guard, call, request, again, frozen)
        if _written(again) != _written(decision):
            break
        decision = again
    yield from _refuse(guard, call, request, "limits", "its limits are used up", "ask_operator", frozen)
    raise AssertionError("refused")


def _written(decision: Decision) -> list[tuple[str, Any]]:
    return [(item.path, plain(item.value)) for item in decision.obligations if isinstance(item, SetArgument)]


# -- recording and running


def happened(
    guard: Guard, request: ContextRequest, decision: Decision, decision_id: str, hmac: str, **more: Any
) -> list[Event]:
    """The decision as an event, with one for each flag it raised."""
    written: list[Event] = [
        events.decision(
            id=decision_id,
            tenant=guard.tenant,
            at=request.now,
            request=request,
            decision=decision,
            args_hmac=hmac,
            **more,
        )
    ]
    if decision.obligations:
        written.extend(
            events.flag_raised(
                id=uuid7(),
                tenant=guard.tenant,
                at=request.now,
                request=request,
                flag=item,
                decision_id=decision_id,
                args_hmac=hmac,
            )
            for item in decision.obligations
            if isinstance(item, Flag)
        )
    return written


def payloads(guard: Guard, request: ContextRequest, *kept: tuple[str, Frozen]) -> dict[str, Payload]:
    """The erasable arguments, under the digest that the events carry; the subject is the principal, or else
    the agent."""
    who = request.principal if request.principal is not None else request.agent
    return {hmac: Payload(str(who.get("id", "")), frozen.canonical) for hmac, frozen in kept}


def _record_and_run(
    guard: Guard, call: Call, request: ContextRequest, decision: Decision, frozen: Frozen, final: Frozen
) -> Flow:
    try:
        arguments = final.thaw()
    except Exception:
        arguments = yield from _thaw(guard, call, request, final)
    decision_id = call.call_id if call.fresh else uuid7()

    def decided() -> Batch:
        hmac = guard.hmac(frozen.canonical)
        written = happened(guard, request, decision, decision_id, hmac, runs=True)
        if final is frozen:
            return written, payloads(guard, request, (hmac, frozen))
        return written, payloads(guard, request, (hmac, frozen), (guard.hmac(final.canonical), final))

    batched = guard.record == "batched" and call.tool.read_only and not decision.obligations
    record: Buffer | Record = Buffer(decided) if batched else Record(*decided())

    def settle(status: events.Status, started: int, error: str | None) -> Operation:
        at, duration = guard.now(), (time.perf_counter_ns() - started) // 1000

        def ended() -> Batch:
            outcome = events.outcome(
                id=uuid7(),
                tenant=guard.tenant,
                at=at,
                request=request,
                decision_id=decision_id,
                status=status,
                args_hmac=guard.hmac(final.canonical),
                duration_us=duration,
                error=error,
            )
            return (outcome,), {}

        return Buffer(ended) if batched else Record(ended()[0], durable=False)

    started = time.perf_counter_ns()
    try:
        yield record
    except GeneratorExit:
        raise
    except Exception as error:
        yield from _unrecorded(call, error)
    except BaseException:
        if record.done:
            yield from quietly(settle("failed", started, "CancelledBeforeRun"))
        raise
    return (yield from run(call, request, decision, arguments, final, settle))


def run(
    call: Call,
    request: ContextRequest,
    decision: Decision,
    arguments: dict[str, Any],
    final: Frozen,
    settle: Any,
) -> Flow:
    """Run the tool and record how it ended; `settle` makes the operation that records it."""
    started = time.perf_counter_ns()
    session, tool = call.session, call.tool
    untrusted = tool.facts.get("untrusted_output") is True
    if session is not None and untrusted:
        # Before it runs: a stream is read while it runs, and what it raises are other people's words too.
        session.label("untrusted")
    call.ran = True
    try:
        result = yield Run(arguments, final, tool.name, session)
    except GeneratorExit:
        raise
    except Exception as error:
        yield from _ended(settle, "failed", started, type(error).__name__)
        return Failed(error)
    except Closed as error:
        yield from _ended(settle, "succeeded", started, "Closed")
        return Failed(error)
    except BaseException as error:
        yield from _ended(settle, "unknown", started, type(error).__name__)
        return Failed(error)
    yield from _ended(settle, "succeeded", started, None)
    for item in decision.obligations:
        if isinstance(item, RedactResult):
            result = redact(result, item.paths)
    if session is not None and not call.streams:
        session.observe(result, tool.name, "untrusted" if untrusted else "trusted", call_id=call.call_id)
    return result


def _ended(
    settle: Any, status: events.Status, started: int, error: str | None
) -> Generator[Operation, Any, None]:
    try:
        operation = settle(status, started, error)
    except Exception as failure:
        log.error("an outcome could not be recorded: %s", told(failure))
        return
    yield from quietly(operation)


def quietly(operation: Operation) -> Generator[Operation, Any, None]:
    """Record how something ended. The effect has happened, so a failing record is logged and no more: the
    decision is durable, and a decision without outcome reads as unknown."""
    try:
        yield operation
    except GeneratorExit:
        raise
    except Exception as error:
        log.error("an outcome could not be recorded: %s", told(error))


def _thaw(
    guard: Guard, call: Call, request: ContextRequest, final: Frozen
) -> Generator[Operation, Any, dict[str, Any]]:
    try:
        return final.thaw()
    except Exception as error:
        kind = type(error).__name__
    reason = "its arguments cannot be built again from what was decided on"
    yield from _refuse(guard, call, request, "arguments", reason, "fix_call", final, invalid=True, error=kind)
    raise AssertionError("refused")


# -- refusing


def _deny(
    guard: Guard, call: Call, request: ContextRequest, decision: Decision, frozen: Frozen
) -> Generator[Operation, Any, None]:
    decision_id: str | None = uuid7()
    hmac = guard.hmac(frozen.canonical)
    written = happened(guard, request, decision, str(decision_id), hmac, runs=False)
    if call.session is not None:
        call.session.denied(call.tool.name, digest_of(call, frozen))
    try:
        yield Record(written, payloads(guard, request, (hmac, frozen)))
    except GeneratorExit:
        raise
    except Exception as error:
        log.error("a denial could not be recorded: %s", told(error))
        decision_id = None
    raise denial(guard, call.tool.name, decision, decision_id)


def denial(guard: Guard, tool: str, decision: Decision, decision_id: str | None) -> ToolCallDenied:
    """The error for a decision to deny, with what could still be done about it."""
    match = decision.deciding
    assert match is not None
    remedy: Remedy = "ask_operator" if match.policy == "agentguard" else "by_exception"
    if guard.non_waivable(match.name):
        remedy = "never"
    reason = match.reason or "this rule refuses it"
    if match.error is not None:
        reason = f"{reason} (the rule could not be evaluated, so it applies)"
    return ToolCallDenied(tool, match.name, reason, remedy=remedy, decision_id=decision_id, decision=decision)


def _refuse(
    guard: Guard,
    call: Call,
    request: ContextRequest,
    rule: str,
    reason: str,
    remedy: Remedy,
    frozen: Frozen | None = None,
    *,
    invalid: bool = False,
    error: str | None = None,
) -> Generator[Operation, Any, None]:
    """The guard itself refuses: recorded like any denial, under `agentguard/RULE`."""
    match = Matched(rule_id=rule, policy="agentguard", effect=Effect.DENY, reason=reason, error=error)
    decision = Decision(effect=Effect.DENY, matched=(match,), snapshot=guard.snapshot.digest)
    decision_id: str | None = uuid7()
    hmac = guard.hmac(frozen.canonical) if frozen is not None else ""
    written = happened(guard, request, decision, str(decision_id), hmac, runs=False, error=error)
    kept = payloads(guard, request, (hmac, frozen)) if frozen is not None else {}
    try:
        yield Record(written, kept)
    except GeneratorExit:
        raise
    except Exception as failure:
        log.error("a denial could not be recorded: %s", told(failure))
        decision_id = None
    kind = InvalidArguments if invalid else ToolCallDenied
    raise kind(
        call.tool.name, match.name, reason, remedy=remedy, decision_id=decision_id, decision=decision
    ) from call.problem


def _unrecorded(call: Call, error: Exception) -> Generator[Operation, Any, None]:
    """INVARIANT: what cannot be recorded does not run."""
    log.error("`%s` was not run: %s", call.tool.name, told(error))
    known = isinstance(error, StoreError)
    raise ToolCallDenied(
        call.tool.name,
        "agentguard/store",
        "the decision could not be recorded" + ("" if known else f" ({type(error).__name__})"),
        remedy="ask_operator",
    ) from error
    yield  # pragma: no cover


def _problem(error: Exception) -> str:
    if isinstance(error, ArgumentsError):
        return str(error)
    # A TypeError of binding names parameters, never values.
    return f"the arguments do not fit its signature: {error}"
