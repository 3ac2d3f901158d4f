"""The plan that a question offers to approve with its call: what the user handed over, as a grant to give."""

from __future__ import annotations

import datetime as dt
import logging
from typing import TYPE_CHECKING, Any, Final

from agentguard.call import ContextRequest
from agentguard.calls import Call
from agentguard.decision import Approve
from agentguard.provenance.offers import offer_condition

if TYPE_CHECKING:
    from agentguard.guard import Guard

__all__ = ["offered"]

_FOR: Final = dt.timedelta(hours=1)
_FEWEST, _MOST = 3, 20
_TOOLS: Final = 50
log = logging.getLogger("agentguard")


def offered(guard: Guard, call: Call, request: ContextRequest, approve: Approve) -> dict[str, Any] | None:
    """What the grant would be for: the plan's text, tools by their definitions, values, uses.

    None where nothing that the user handed over covers this call.
    """
    session = call.session
    if session is None or session.restored:
        return None
    tracker = session.provenance().tracker
    try:
        offer = tracker.offer(request.tool, request.facts, request.args)
    except Exception as error:
        log.warning("a plan could not be made out: %s", type(error).__name__)
        return None
    if offer is None:
        return None
    tools = {
        name: tool.digest
        for name, tool in sorted(guard.tools.items())
        if name == request.tool or tracker.wants(offer, name, tool.facts)
    }
    if len(tools) > _TOOLS:
        return None
    return {
        "id": offer.id,
        "texts": [{"from": tool, "text": text} for tool, text in offer.texts],
        "series": list(offer.said()),
        "tools": tools,
        "when": offer_condition(offer.texts, offer.said()),
        "uses": _MOST if offer.page is not None else max(_FEWEST, min(_MOST, 2 * offer.items)),
        "until": (request.now + _FOR).isoformat(),
        "rules": sorted(_rules(guard, approve)),
    }


def _rules(guard: Guard, approve: Approve) -> set[str]:
    """The step-ups of which the same people may approve a plan."""
    return {
        rule.name
        for rule in guard.snapshot.rules
        if rule.approve is not None and rule.approve.plan and rule.approve.stages == approve.stages
    }
