"""Recording the decision, running the tool, recording how it ended.

INVARIANT: `Run` is yielded only after the decision that permits it was recorded.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Generator
from typing import TYPE_CHECKING, Any, Final

from agentguard.call import ContextRequest
from agentguard.calls import Call
from agentguard.canonical import Frozen
from agentguard.decision import Decision, RedactResult
from agentguard.errors import AgentGuardError, RegisterChanged, ToolFailed
from agentguard.ids import uuid7
from agentguard.ledger import events
from agentguard.operations import Batch, Buffer, Closed, Failed, Flow, Operation, Record, Run
from agentguard.recording import happened, payloads, quietly, told
from agentguard.redact import redact
from agentguard.refusing import thaw, unrecorded
from agentguard.remembering import remembered
from agentguard.session import Trust

if TYPE_CHECKING:
    from agentguard.guard import Guard


__all__ = ["record_and_run", "run"]

_SIGNALS: Final = frozenset({"KeyboardInterrupt", "CancelledError"})
"""By name: synchronous programs load no asyncio."""
log = logging.getLogger("agentguard")


def record_and_run(
    guard: Guard, call: Call, request: ContextRequest, decision: Decision, frozen: Frozen, final: Frozen
) -> Flow:
    try:
        arguments = final.thaw()
    except Exception:
        arguments = yield from thaw(guard, call, request, final)
    if call.edits:
        from agentguard.editing import take_edit

        yield from take_edit(call)
    decision_id = call.call_id if call.fresh and not call.edits else uuid7()

    ran = ""  # the keyed digest of what runs, once it is computed: later where records are batched

    def decided() -> Batch:
        nonlocal ran
        ran = hmac = guard.hmac(frozen.canonical)
        beside = remembered(guard, call, decision)
        written = happened(guard, request, decision, decision_id, hmac, runs=True, **beside.named)
        kept = payloads(guard, request, (hmac, frozen))
        if final is not frozen:
            ran = guard.hmac(final.canonical)
            kept = payloads(guard, request, (hmac, frozen), (ran, final))
        return written, {**kept, **beside.payloads} if beside.payloads else kept

    batched = guard.record == "batched" and call.tool.read_only and not decision.obligations
    record: Buffer | Record
    record = Buffer(decided) if batched else Record(*decided(), register=call.register)

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
                args_hmac=ran,
                duration_us=duration,
                error=error,
            )
            return (outcome,), {}

        return Buffer(ended) if batched else Record(ended()[0], durable=False)

    started = time.perf_counter_ns()
    try:
        yield record
    except (GeneratorExit, RegisterChanged):
        raise
    except Exception as error:
        yield from unrecorded(call, error)
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
    if session is not None and call.streams:
        session.missed()  # now: whoever reads it may stop early, or it may fail in the middle
    call.ran = True
    try:
        result = yield Run(arguments, final, tool.name, session)
    except GeneratorExit:
        raise
    except Exception as error:
        yield from _ended(settle, "failed", started, type(error).__name__)
        return Failed(_heard(call, _shown(error, tool.name, decision)))
    except Closed as error:
        yield from _ended(settle, "succeeded", started, "Closed")
        return Failed(error)
    except BaseException as error:
        yield from _ended(settle, "unknown", started, type(error).__name__)
        return Failed(_heard(call, _shown(error, tool.name, decision)))
    yield from _ended(settle, "succeeded", started, None)
    for item in decision.obligations:
        if isinstance(item, RedactResult):
            result = redact(result, item.paths)
    if session is not None and not call.streams:
        trust: Trust = "untrusted" if untrusted else "trusted"
        session.observe(result, tool.name, trust, call_id=call.call_id, arguments=final.view)
    return result


def _heard(call: Call, error: BaseException) -> BaseException:
    """The error, once the session knows its words: they reach the agent, and may be a server's."""
    session = call.session
    if session is None or type(error).__module__ == AgentGuardError.__module__:
        return error  # the guard's own words; what a tool derives from them may be anybody's
    try:
        if isinstance(error, BaseExceptionGroup):
            raise ValueError("what its parts say is shown too")
        text = "\n".join([str(error), *getattr(error, "__notes__", ())])
        # In brackets it never reads as the fields of a result.
        session.failed(f"({type(error).__name__}) {text}", call.tool.name, call.call_id)
    except Exception:
        session.missed()
    return error


def _shown(error: BaseException, tool: str, decision: Decision) -> BaseException:
    """The error that goes to the caller: another one where its text could hold what has to be redacted."""
    if not any(isinstance(item, RedactResult) for item in decision.obligations):
        return error
    if isinstance(error, SystemExit):
        return SystemExit(error.code if error.code is None or type(error.code) is int else 1)
    if type(error).__name__ in _SIGNALS and type(error).__module__ in ("builtins", "asyncio.exceptions"):
        return type(error)()  # what it means stays, what it says does not
    if isinstance(error, AgentGuardError):
        # Our own: a guarded call inside of this one. What it came from is the tool's.
        error.__cause__ = error.__context__ = None
        return error.with_traceback(None)
    return ToolFailed(tool, type(error).__name__)


def _ended(
    settle: Any, status: events.Status, started: int, error: str | None
) -> Generator[Operation, Any, None]:
    try:
        operation = settle(status, started, error)
    except Exception as failure:
        log.error("an outcome could not be recorded: %s", told(failure))
        return
    yield from quietly(operation)
