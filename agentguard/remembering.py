"""What a record keeps so that its call can be decided again: for `agentguard replay`.

A decision's event says who acted by id only. What else the decision looked at is kept beside the ledger, as
the arguments are: erasable, under a keyed digest that the event names. Two parts:

* `context`, what stays the same from call to call (agent, principal, chain, the tool's facts, the operator's
  context, session labels): kept once per content.
* `facts`, what was fetched for this one call (`resource`, supplied facts); only where there is any.

A call's own time, number in its session, environment and scopes are in its event.
"""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from agentguard.call import ContextRequest
from agentguard.canonical import freeze
from agentguard.decision import Decision, plain
from agentguard.errors import ArgumentsError
from agentguard.store.protocol import Payload

if TYPE_CHECKING:
    from agentguard.calls import Call
    from agentguard.guard import Guard

__all__ = ["CONTEXT", "FACTS", "Remembered", "Remembering", "remembered"]

CONTEXT: Final = b"context:"
FACTS: Final = b"facts:"
"""What goes before the bytes of each part under the keyed digest; arguments begin with a brace."""

_KNOWN: Final = 512
_AGAIN_S: Final = 60.0
log = logging.getLogger("agentguard")


@dataclass(frozen=True, slots=True)
class Remembered:
    """What the event of one decision says beside itself, and the payloads that it then refers to."""

    named: Mapping[str, Any] = field(default_factory=dict)
    payloads: Mapping[str, Payload] = field(default_factory=dict)


_NOTHING: Final = Remembered()


class Remembering:
    """Makes each record's parts. Contents that were handed over within the last minute are not again; so
    what a failed write or an erasure took away is back soon, and until then a record lacks it visibly.
    """

    def __init__(self, hmac: Callable[[bytes], str], clock: Callable[[], float] = time.monotonic) -> None:
        self._hmac = hmac
        self._clock = clock
        self._known: OrderedDict[tuple[Any, ...], tuple[tuple[Any, ...], str, bytes, float]] = OrderedDict()

    def parts(self, request: ContextRequest, asked: frozenset[str], limited: bool) -> Remembered:
        """The parts of a request as it was decided on.

        `asked` are the facts that fact providers were asked for. `limited` says that a counter was used up.
        """
        who = request.principal if request.principal is not None else request.agent
        subject = str(who.get("id", ""))
        key, content, fresh = self._context(request, asked)
        named: dict[str, Any] = {"context": key, "calls": request.session.get("calls"), "limited": limited}
        payloads = {key: Payload(subject, content)} if fresh else {}
        if request.resource is not None or request.supplied:
            found = freeze(
                {"resource": plain(request.resource), "supplied": plain(request.supplied)}
            ).canonical
            named["facts"] = self._hmac(FACTS + found)
            payloads[named["facts"]] = Payload(subject, found)
        return Remembered(named, payloads)

    def _context(self, request: ContextRequest, asked: frozenset[str]) -> tuple[str, bytes, bool]:
        parts = (
            request.agent, request.principal, request.chain, request.workload, request.context,
            request.facts, request.session.get("labels"), asked,
        )  # fmt: skip
        # The parts are immutable views; one that is still held cannot lend its id to another.
        name = tuple([id(part) for part in parts])
        now = self._clock()
        found = self._known.get(name)
        if found is None:
            content = freeze(
                {
                    "agent": plain(request.agent),
                    "principal": plain(request.principal),
                    "chain": plain(request.chain),
                    "workload": plain(request.workload),
                    "context": plain(request.context),
                    "facts": plain(request.facts),
                    "labels": list(request.session.get("labels", ())),
                    "asked": sorted(asked),
                }
            ).canonical
            key = self._hmac(CONTEXT + content)
        else:
            _, key, content, given = found
            if now - given < _AGAIN_S:
                return key, content, False
        self._known[name] = (parts, key, content, now)
        if len(self._known) > _KNOWN:
            self._known.popitem(last=False)
        return key, content, True


def remembered(guard: Guard, call: Call, decision: Decision) -> Remembered:
    """What is kept of a call that was decided just now; nothing unless the guard is `replayable`."""
    memory, request = guard.memory, call.decided
    if memory is None or request is None:
        return _NOTHING
    snapshot = guard.snapshot
    # Facts of a set that has been swapped since are not known to have been asked for.
    asked = snapshot.needs(request.tool) if snapshot.digest == decision.snapshot else frozenset()
    try:
        return memory.parts(request, asked, call.limited)
    except (ArgumentsError, ValueError, TypeError, KeyError) as error:
        # The call goes on: its record is complete, and cannot be replayed, which replay says.
        log.warning("`%s` is recorded without what a replay needs: %s", request.tool, type(error).__name__)
        return _NOTHING
