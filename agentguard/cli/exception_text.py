"""An exception as people read it: what it waives, for whom, what is done instead, and who vouches for it."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agentguard.cli.governing import word_text
from agentguard.cli.safe_text import visible
from agentguard.cli.terminal import ago, console, fields, say, width
from agentguard.governance import exceptions
from agentguard.governance.deviation import read_content
from agentguard.governance.exceptions import ExceptionState, Told
from agentguard.governance.vouching import content_digest
from agentguard.store.protocol import Record

if TYPE_CHECKING:
    from agentguard.governance.desk import Desk

__all__ = ["Listed", "content_rows", "control_text", "listed", "screen", "state_text"]

Row = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Listed:
    """An exception with what is known about it besides."""

    told: Told
    uses: int
    last: str
    refused: str

    def to_json(self, now: dt.datetime) -> dict[str, Any]:
        told = self.told
        return {
            "id": told.record.id,
            "state": state_text(told, now, self.refused),
            "content": dict(told.content),
            "digest": told.digest,
            "requested": told.requested.to_json(),
            "approved": None if told.approved is None else told.approved.to_json(),
            "validated": None if told.validated is None else told.validated.to_json(),
            "pending": None if told.pending is None else dict(told.pending),
            "sleeps_from": None if told.sleeps_from is None else told.sleeps_from.isoformat(),
            "uses": self.uses,
            "last_used": self.last or None,
            "refused": self.refused or None,
        }


def listed(desk: Desk, records: Sequence[Record]) -> tuple[list[Listed], list[tuple[str, str]]]:
    """The exceptions in these records, and those that cannot be read, with the reason."""
    from agentguard.errors import AgentGuardError
    from agentguard.governance import in_force
    from agentguard.governance.usage import KIND as USAGE

    usage = {record.id: record.body for record in desk.store.records(desk.tenant, USAGE)}
    register = in_force(
        *desk.store.register(desk.tenant), tenant=desk.tenant, directory=desk.directory, terms=desk.terms
    )
    refused = {one.id: one.message for one in register.refused}
    found: list[Listed] = []
    damaged: list[tuple[str, str]] = []
    for record in records:
        try:
            told = exceptions.tell(record)
        except AgentGuardError as error:
            damaged.append((record.id, str(error)))
            continue
        used = usage.get(record.id, {})
        found.append(
            Listed(told, int(used.get("uses", 0)), str(used.get("last", "")), refused.get(record.id, ""))
        )
    return found, damaged


def state_text(told: Told, now: dt.datetime, refused: str = "") -> str:
    """Its state as it counts now: an active one may be over, not begun, asleep, or refused."""
    state = told.state
    if state in (ExceptionState.REQUESTED, ExceptionState.ACTIVE) and now >= told.read.expires:
        return "expired"
    if state is not ExceptionState.ACTIVE:
        return state.value
    if refused:
        return "refused"
    if told.sleeps_from is not None and now >= told.sleeps_from:
        return "asleep"
    if told.read.not_before is not None and now < told.read.not_before:
        return "not begun"
    return "active"


def control_text(control: Mapping[str, Any]) -> str:
    """What is done instead of the rule."""
    parts: list[str] = []
    approval = control.get("approval")
    if isinstance(approval, Mapping):
        stages = approval.get("stages") or [approval]
        asked = [f"{stage.get('quorum', 1)} of {', '.join(stage.get('reviewers') or ())}" for stage in stages]
        parts.append(f"asks {'; then '.join(asked)}")
    reserve = control.get("reserve")
    if isinstance(reserve, Mapping):
        window = f" in {reserve['window']}" if reserve.get("window") else ""
        amount, limit = reserve.get("amount", 1), reserve.get("limit")
        parts.append(f"takes {amount} from `{reserve.get('key')}`, at most {limit}{window}")
    if control.get("redact_result"):
        parts.append(f"redacts {', '.join(control['redact_result'])}")
    if control.get("description"):
        parts.append(str(control["description"]))
    return "; ".join(parts)


def content_rows(content: Mapping[str, Any], now: dt.datetime) -> Iterator[Row]:
    """What somebody who approves has to see: everything that the digest covers."""
    read = read_content(content)
    for_ = f" for {content['principal']}" if "principal" in content else ""
    yield "agent", visible(f"{content['agent']}{for_}"), "bold"
    if "agent_owner" in content:
        yield "", visible(f"owned by {content['agent_owner']}"), ""
    yield "waives", visible(", ".join(content["rules"])), "bold"
    yield "tools", visible(", ".join(content["tools"])), ""
    if read.when is not True:
        yield "when", visible(str(read.when)), ""
    if read.secrets is not None:
        yield "secrets", visible("at most " + (", ".join(read.secrets) or "none")), ""
    yield "instead", visible(control_text(content["control"])), "bold"
    if "approval" in content["control"] or "reserve" in content["control"]:
        yield "", visible(json.dumps(content["control"], ensure_ascii=False, sort_keys=True)), "dim"
    begin = f"from {read.not_before:%Y-%m-%d %H:%MZ} " if read.not_before else ""
    uses = "" if read.uses is None else f", at most {read.uses} uses"
    yield "until", f"{begin}to {read.expires:%Y-%m-%d %H:%M:%SZ} ({ago(read.expires, now)}){uses}", "bold"
    if read.revalidate_every is not None:
        yield "", f"asleep unless revalidated every {content['revalidate_every']}", ""
    if read.renewal:
        yield "", f"renewal {read.renewal}", "yellow"
    yield "need", visible(read.reason), ""
    yield "risk", visible(read.risk), ""
    yield "remedy", f"by {read.remediate_by:%Y-%m-%d}", ""
    for number, one in enumerate(read.evidence):
        yield "evidence" if not number else "", visible(f"{one.ref}  sha256:{one.sha256}"), ""
    reviewed = f", reviews within {content['review_in']}" if read.review_in else ""
    yield "owner", visible(f"{read.owner}{reviewed}"), ""
    yield "asked by", visible(read.requester), ""
    yield "digest", content_digest(content), ""


def screen(one: Listed, now: dt.datetime) -> None:
    """Everything about one exception."""
    out = console()
    out.width = width()
    told = one.told
    state = state_text(told, now, one.refused)
    say(f"EXCEPTION  {visible(told.record.id)}   {state}", "bold yellow")
    fields(out, list(content_rows(told.content, now)))
    body = told.record.body
    rows: list[Row] = [("requested", word_text(body.get("requested")), "")]
    for label, key in (("approved", "approved"), ("confirmed", "validated"), ("ended", "ended")):
        if body.get(key):
            rows.append((label, word_text(body[key]), ""))
    rows.append(("used", f"{one.uses} times" + (f", last {visible(one.last[:16])}Z" if one.last else ""), ""))
    if told.sleeps_from is not None:
        rows.append(("confirm", f"by {told.sleeps_from:%Y-%m-%d %H:%MZ} ({ago(told.sleeps_from, now)})", ""))
    if one.refused:
        rows.append(("REFUSED", visible(one.refused), "bold red"))
    fields(out, rows)
    if told.pending is not None:
        say("A renewal waits for approval:", "yellow")
        fields(out, list(content_rows(told.pending, now)))
