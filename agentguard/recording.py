"""What is written of a call: its decision with the flags it raised, and its arguments beside them."""

from __future__ import annotations

import logging
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from agentguard.call import ContextRequest
from agentguard.canonical import Frozen
from agentguard.decision import Decision, Flag
from agentguard.errors import AgentGuardError
from agentguard.ids import uuid7
from agentguard.ledger import events
from agentguard.operations import Operation
from agentguard.store.protocol import Event, Payload

if TYPE_CHECKING:
    from agentguard.guard import Guard


__all__ = ["happened", "payloads", "quietly", "told"]

log = logging.getLogger("agentguard")


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


def quietly(operation: Operation) -> Generator[Operation, Any, None]:
    """Record how something ended. The effect has happened, so a failing record is logged and no more: the
    decision is durable, and a decision without outcome reads as unknown."""
    try:
        yield operation
    except GeneratorExit:
        raise
    except Exception as error:
        log.error("an outcome could not be recorded: %s", told(error))


def told(error: BaseException) -> str:
    """What of an error may stand in a log: our own text, and of others, which may hold values, the class."""
    return str(error) if isinstance(error, AgentGuardError) else type(error).__name__
