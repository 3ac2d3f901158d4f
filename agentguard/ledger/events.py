"""The events of the ledger, written: one function a type, from plain values to an event.

A leaf is the canonical JSON of an event (`agentguard.canonical.encode`: UTF-8, sorted keys, no white space).
Version 1 leaves out what is null or empty; `agentguard.ledger.records` reads it back with those defaults.

INVARIANT: no argument value and no text from a tool is in an event. Arguments appear as a keyed digest only;
of an evaluation error only its kind is kept, and a reservation's key and amount are left out.

`decision` and `outcome` stand on the path of every call, so they are written as text at once (`Written`); a
test holds them equal to the canonical encoding of what they say.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from json.encoder import encode_basestring as _q
from typing import Any, Final, Literal

from agentguard.call import ContextRequest
from agentguard.canonical import encode
from agentguard.decision import (
    Approve,
    Decision,
    Flag,
    Matched,
    Obligation,
    RedactResult,
    Reserve,
    SetArgument,
)
from agentguard.errors import StoreError

__all__ = [
    "Event",
    "Phase",
    "Status",
    "Written",
    "decision",
    "flag_raised",
    "instant",
    "leaf",
    "outcome",
    "policy_loaded",
    "policy_refused",
    "register_changed",
    "segment",
    "store_renewed",
]

VERSION: Final = 1

Event = Mapping[str, Any]
Phase = Literal["decide", "claim"]
Status = Literal["succeeded", "failed", "unknown"]

_LIMITED: Final = ',"limited":true'
_ERROR_KIND: Final = re.compile(r"[^:`'\"]{0,80}")


class Written(Mapping[str, Any]):
    """An event whose leaf is already written; as a mapping it reads the leaf when somebody asks."""

    __slots__ = ("_data", "at", "id", "leaf", "tenant", "type")

    def __init__(self, text: str, id: str, tenant: str, at: str, type: str) -> None:
        try:
            self.leaf = text.encode("utf-8")
        except UnicodeEncodeError:
            raise StoreError("an event holds text that is not valid Unicode") from None
        self.id = id
        self.tenant = tenant
        self.at = at
        self.type = type
        self._data: dict[str, Any] | None = None

    def _read(self) -> dict[str, Any]:
        data = self._data
        if data is None:
            data = self._data = dict(json.loads(self.leaf))
        return data

    def __getitem__(self, key: str) -> Any:
        return self._read()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._read())

    def __len__(self) -> int:
        return len(self._read())

    def __repr__(self) -> str:
        return f"<{self.type} {self.id}>"


def leaf(event: Event) -> bytes:
    """The exact bytes that the ledger hashes and keeps for an event.

    Raises:
        StoreError: it holds something that is not plain JSON.
    """
    if isinstance(event, Written):
        return event.leaf
    try:
        return encode(dict(event))
    except (TypeError, ValueError, RecursionError) as error:
        raise StoreError(f"an event cannot be written: {error}") from None


def instant(at: dt.datetime) -> str:
    """A time as every event writes it: UTC with microseconds and `Z`, so that text order is time order."""
    if at.tzinfo is not dt.UTC:
        at = at.astimezone(dt.UTC)
    return at.isoformat(timespec="microseconds")[:26] + "Z"


def some(**fields: Any) -> dict[str, Any]:
    """Only the fields that say something: no null, no empty text, list or object."""
    return {key: value for key, value in fields.items() if value or value is False or value == 0}


def decision(
    *,
    id: str,
    tenant: str,
    at: dt.datetime,
    request: ContextRequest,
    decision: Decision,
    args_hmac: str,
    runs: bool,
    digest: str | None = None,
    phase: Phase = "decide",
    approval: str | None = None,
    error: str | None = None,
    prev: str | None = None,
    calls: int | None = None,
    context: str | None = None,
    facts: str | None = None,
    limited: bool = False,
) -> Event:
    """One decision about one call.

    `runs` says that the guard lets the tool run on it, now or at once after this record. `digest` is the
    binding digest. `phase` is `claim` when an approved call is decided again. `error` names the kind of
    failure of the guard itself. `prev` is the previous event of the same approval. `calls`, `context`,
    `facts` and `limited` are of a replayable guard (`agentguard.remembering`): the number of the call in its
    session, the keyed digests of what it looked at, and whether a counter was used up.
    """
    when = instant(at)
    text = (
        f'{{"agent":{_q(_id(request.agent))}'
        f"{_opt('approval', approval)}"
        f',"args_hmac":{_q(args_hmac)},"at":"{when}"'
        f"{_opt('call_id', request.call_id)}{_int('calls', calls)}{_chain(request)}{_opt('context', context)}"
        f',"decision":{_decision(decision)}'
        f"{_opt('digest', digest)}{_opt('environment', request.environment)}{_opt('error', _kind(error))}"
        f"{_opt('facts', facts)}"
        f',"id":{_q(id)}{_LIMITED if limited else ""}{_owner(request)}'
        f',"phase":{_q(phase)}{_opt("prev", prev)}'
        f"{_opt('principal', _id(request.principal))}"
        f',"runs":{"true" if runs else "false"}'
        f"{_texts('secrets', request.secrets)}{_opt('session', request.session.get('id'))}"
        f',"tenant":{_q(tenant)},"tool":{_q(request.tool)}{_opt("tool_digest", request.tool_digest)}'
        f',"type":"decision","v":{VERSION}}}'
    )
    return Written(text, id, tenant, when, "decision")


def outcome(
    *,
    id: str,
    tenant: str,
    at: dt.datetime,
    request: ContextRequest,
    decision_id: str,
    status: Status,
    args_hmac: str,
    duration_us: int | None = None,
    error: str | None = None,
    result_hmac: str | None = None,
) -> Event:
    """How a call that ran without an approval ended; an approved one is settled by the state machine.

    `error` is the class of what the tool raised, never its text. `duration_us` is in microseconds.
    """
    when = instant(at)
    text = (
        f'{{"agent":{_q(_id(request.agent))}'
        f',"args_hmac":{_q(args_hmac)},"at":"{when}"{_opt("call_id", request.call_id)}{_chain(request)}'
        f',"decision_id":{_q(decision_id)}'
        f"{_int('duration_us', duration_us)}{_opt('error', _kind(error))}"
        f',"id":{_q(id)}{_opt("principal", _id(request.principal))}{_opt("result_hmac", result_hmac)}'
        f"{_opt('session', request.session.get('id'))}"
        f',"status":{_q(status)},"tenant":{_q(tenant)},"tool":{_q(request.tool)}'
        f'{_opt("tool_digest", request.tool_digest)},"type":"outcome","v":{VERSION}}}'
    )
    return Written(text, id, tenant, when, "outcome")


def flag_raised(
    *,
    id: str,
    tenant: str,
    at: dt.datetime,
    request: ContextRequest,
    flag: Flag,
    decision_id: str,
    args_hmac: str,
) -> Event:
    """A violation that proceeded; `due` is when its owner has to have looked at it."""
    due = None if flag.review_in_s is None else instant(at + dt.timedelta(seconds=flag.review_in_s))
    return some(
        **_of_call("flag.raised", id, tenant, at, request, args_hmac),
        decision_id=decision_id,
        due=due,
        flag=_obligation(flag),
    )


def policy_loaded(
    *,
    id: str,
    tenant: str,
    at: dt.datetime,
    snapshot: str,
    rules: int,
    sources: Mapping[str, str],
    previous: str | None = None,
    bundle: Mapping[str, Any] | None = None,
    differences: Mapping[str, Sequence[str]] | None = None,
) -> Event:
    """A snapshot came into force; `sources` maps the name of each document to its digest, `bundle` says of a
    signed one its `version`, `digest` and `signer`. `differences` names rules that restrict less than in the
    set before (`agentguard.policy.strength`), and those that are only observed."""
    return some(
        **_base("policy.loaded", id, tenant, at),
        snapshot=snapshot,
        rules=rules,
        sources=dict(sources),
        previous=previous,
        bundle=dict(bundle) if bundle is not None else None,
        **(differences or {}),
    )


def policy_refused(*, id: str, tenant: str, at: dt.datetime, snapshot: str, reason: str) -> Event:
    """Changed policies did not load; `snapshot` is what stays in force, `reason` the first line of why."""
    return some(**_base("policy.refused", id, tenant, at), snapshot=snapshot, reason=reason)


def register_changed(
    *, id: str, tenant: str, at: dt.datetime, version: int, changed: Sequence[str], digest: str
) -> Event:
    """The register of exceptions and grants has a new version; `changed` are the ids of its records."""
    return some(**_base("register", id, tenant, at), version=version, changed=list(changed), digest=digest)


def store_renewed(
    *, id: str, tenant: str, at: dt.datetime, epoch: str, previous: str, waiting: int, reason: str
) -> Event:
    """The store begins another life, after a backup was restored; `waiting` approvals of the one before can
    no longer be claimed."""
    return some(
        **_base("store.renewed", id, tenant, at),
        epoch=epoch,
        previous=previous,
        waiting=waiting,
        reason=reason,
    )


def segment(
    *,
    id: str,
    tenant: str,
    at: dt.datetime,
    writer: str,
    state: Literal["open", "closed", "lost"],
    window_ms: int,
    count: int = 0,
) -> Event:
    """A batched writer's loss window: opened, closed with `count` events, or found never to have been closed.

    Between `open` and `closed` of one `writer` at most `window_ms` milliseconds of its events may be missing.
    """
    return some(
        **_base("segment", id, tenant, at), writer=writer, state=state, window_ms=window_ms, count=count
    )


def _base(type: str, id: str, tenant: str, at: dt.datetime) -> dict[str, Any]:
    return {"v": VERSION, "id": id, "type": type, "tenant": tenant, "at": instant(at)}


def _of_call(
    type: str, id: str, tenant: str, at: dt.datetime, request: ContextRequest, args_hmac: str
) -> dict[str, Any]:
    return {
        **_base(type, id, tenant, at),
        "call_id": request.call_id,
        "agent": _id(request.agent),
        "principal": _id(request.principal),
        "chain": [_id(link) for link in request.chain],
        "session": request.session.get("id"),
        "tool": request.tool,
        "tool_digest": request.tool_digest,
        "args_hmac": args_hmac,
    }


def _id(who: Mapping[str, Any] | None) -> str:
    found = who.get("id") if who is not None else None
    return found if isinstance(found, str) else ""


def _owner(request: ContextRequest) -> str:
    owner = request.agent.get("owner")
    return _opt("owner", owner) if isinstance(owner, str) else ""


def _kind(error: str | None) -> str | None:
    if error is None:
        return None
    found = _ERROR_KIND.match(error)
    return (found[0].strip() if found else "") or "error"


def _opt(key: str, value: str | None) -> str:
    return f',"{key}":{_q(value)}' if value else ""


def _int(key: str, value: int | None) -> str:
    return "" if value is None else f',"{key}":{value:d}'


def _chain(request: ContextRequest) -> str:
    return _texts("chain", [_id(link) for link in request.chain]) if request.chain else ""


def _texts(key: str, values: Sequence[str]) -> str:
    return f',"{key}":[{",".join([_q(value) for value in values])}]' if values else ""


def _decision(decided: Decision) -> str:
    parts = [f'{{"effect":"{decided.effect.value}"']
    if decided.exceptions:
        shown = [some(id=x.id, waived=list(x.waived)) for x in decided.exceptions]
        parts.append(f',"exceptions":{encode(shown).decode()}')
    parts.append(_texts("granted_by", decided.granted_by))
    if decided.matched:
        parts.append(f',"matched":[{",".join([_matched(match) for match in decided.matched])}]')
    if decided.obligations:
        parts.append(f',"obligations":{encode([_obligation(x) for x in decided.obligations]).decode()}')
    if decided.observed:
        parts.append(f',"observed":[{",".join([_matched(match) for match in decided.observed])}]')
    parts.append(_int("register", decided.register or None))
    parts.append(f"{_opt('snapshot', decided.snapshot)}}}")
    return "".join(parts)


def _matched(match: Matched) -> str:
    at = f'"at":{_q(match.at)},' if match.at else ""
    mode = None if match.mode == "enforce" else match.mode
    deviation = '"deviation":true,' if match.deviation else ""
    found = match.suspend
    suspend = "" if found is None else f',"suspend":{{"after":{found.after},"within_s":{found.within_s}}}'
    return (
        f'{{{at}{deviation}"effect":"{match.effect.value}"{_opt("error", _kind(match.error))}'
        f"{_opt('mode', mode)}"
        f',"policy":{_q(match.policy)}{_opt("reason", match.reason)},"rule_id":{_q(match.rule_id)}{suspend}}}'
    )


def _obligation(item: Obligation) -> dict[str, Any]:
    match item:
        case SetArgument():
            return some(kind="set", path=item.path, rule=item.rule)
        case Flag():
            return some(
                kind="flag",
                rule=item.rule,
                owner=item.owner,
                reason=item.reason,
                review_in_s=item.review_in_s,
                escalate_to=item.escalation_json(),
                converts_on=item.converts_on,
                converts_to=item.converts_to.value if item.converts_to else None,
                observed=item.observed.value if item.observed else None,
                exception=item.exception,
                deviation=item.deviation or None,
            )
        case Approve():
            return some(
                kind="approve",
                stages=[stage.to_json() for stage in item.stages],
                expires_in_s=item.expires_in_s,
                rules=list(item.rules),
                reason=item.reason,
                local=item.local or None,
                reason_required=item.reason_required or None,
            )
        case Reserve():
            return some(kind="reserve", rule=item.rule, limit=item.limit, window_s=item.window_s)
        case RedactResult():
            return some(kind="redact_result", paths=list(item.paths), rule=item.rule)
