"""One intended call as an interceptor hands it over, and the context request that is decided on."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from agentguard.call import EMPTY, ContextRequest
from agentguard.canonical import Frozen, freeze
from agentguard.errors import StoreError
from agentguard.operations import Consult, Count, Fetch, Operation
from agentguard.session import Pause, Session
from agentguard.tools import Tool

if TYPE_CHECKING:
    from agentguard.guard import Guard
    from agentguard.policy import Snapshot
    from agentguard.stepup.model import Approval


__all__ = ["Call", "compare", "consult", "digest_of", "fetch", "request_of"]

_FACT_KEYS: Final = frozenset({"context", "resource", "workload"})
log = logging.getLogger("agentguard")


@dataclass(slots=True, kw_only=True)
class Call:
    """One intended call, as an interceptor hands it over.

    `unknown` says that no tool has this name. `problem` is what binding the arguments already found wrong.
    `streams` says that the tool yields its result bit by bit, which no redaction can follow. `digest` is the
    tool's definition as it is now. `fresh` says that the guard itself made the call id, for this one
    decision. `approved` is told of the approval before it is claimed.

    Set by the flow: `register` is the version of the register that it is decided with, `asked` the digest of
    the arguments as they came, `decided` the request as it was decided on, `limited` says that a counter was
    used up, `ran` that the tool was started, and `edits` are the questions that reviewers ended with other
    arguments for it, in order, and `taken` says that it is this call that runs the last of them.
    """

    tool: Tool
    arguments: Mapping[str, Any]
    session: Session | None
    call_id: str
    pause: Pause = "wait"
    problem: Exception | None = None
    unknown: bool = False
    streams: bool = False
    digest: str = ""
    fresh: bool = False
    register: int = 0
    asked: str = ""
    decided: ContextRequest | None = None
    limited: bool = False
    ran: bool = False
    edits: tuple[Approval, ...] = ()
    taken: bool = False
    approved: Callable[[Approval], None] | None = None


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


def consult(guard: Guard, request: ContextRequest) -> Generator[Operation, Any, ContextRequest]:
    """The request with what the engines that concern its tool say of it."""
    if not guard.engines:
        return request
    from agentguard.engines.model import concerns

    asked = [engine for engine in guard.engines if concerns(engine, request.tool)]
    if not asked:
        return request
    opinions = yield Consult(request, asked)
    return replace(request, supplied={**request.supplied, "engines": freeze(opinions).view})


def compare(
    guard: Guard, snapshot: Snapshot, request: ContextRequest, frozen: Frozen, *, counted: bool = False
) -> Generator[Operation, Any, ContextRequest]:
    """The request with how it differs from the agent's baseline, where rules of its tool ask.

    `counted` says that the ledger has this very call already. INVARIANT: what fact providers say about it
    does not count: the guard alone compares.
    """
    if "baseline" not in snapshot.needs(request.tool):
        return request
    from agentguard.governance.baseline_facts import FACTS, facts_of  # here: few rules ask

    agent = request.agent.get("id")
    known = snapshot.register.baselines.get(agent) if isinstance(agent, str) else None
    calls: int | None = None
    found: Mapping[str, Any] = {}
    try:
        if known is not None and request.now is not None and known.holds_at(request.now):
            calls = yield Count(str(agent), request.tool)
    except StoreError as error:
        log.warning("the calls of the last hour could not be counted: %s", error)
    try:
        mine = None if calls is None else calls + (not counted)
        found = facts_of(known, request, frozen.canonical, calls=mine, digest=guard.hmac)
    except Exception as error:
        # Absent facts: every rule that reads them fires, and no allow rule does.
        log.warning("`%s` could not be compared with a baseline: %s", request.tool, type(error).__name__)
    others = {key: one for key, one in request.supplied.get("baseline", {}).items() if key not in FACTS}
    return replace(request, supplied={**request.supplied, "baseline": freeze({**others, **found}).view})
