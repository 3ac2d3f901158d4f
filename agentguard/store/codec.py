"""How an approval is kept: one flat record, the same in every store.

Times are microseconds since 1970 (UTC). What a condition or a claim asks for is a column of its own; the rest
is JSON. `shown`, `request` and `outcome` may hold any value that arguments may, so they are kept in the
canonical form of arguments.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from typing import Any, Final

from agentguard.canonical import Frozen, encode, freeze
from agentguard.decision import Escalation, Stage
from agentguard.errors import ArgumentsError, StoreError, StoreUnavailable
from agentguard.stepup.model import Approval, Proposal, Requirement, State, Vote
from agentguard.store.clock import from_micros, to_micros

__all__ = ["COLUMNS", "MUTABLE", "Row", "dump", "load", "rules_of"]

Row = dict[str, Any]

COLUMNS: Final = (
    "id", "call_id", "digest", "state", "stage", "opened_at", "expires_at", "decided_at", "claimed_at",
    "settled_at", "epoch", "erased", "last_event", "agent", "principal", "arguments", "shown", "request",
    "body", "votes", "outcome", "note", "lane",
    "proposal", "level", "due",
)  # fmt: skip
"""The columns of an approval beside its tenant and version."""

MUTABLE: Final = (
    "state", "stage", "decided_at", "settled_at", "last_event", "votes", "outcome", "note",
    "proposal", "level", "due",
)  # fmt: skip
"""What an update may change."""


def dump(approval: Approval) -> Row:
    """The record of an approval.

    Raises:
        StoreError: it holds a value that cannot be kept.
    """
    requirement = approval.requirement
    try:
        return {
            "id": approval.id,
            "call_id": approval.call_id,
            "digest": approval.digest,
            "state": approval.state.value,
            "stage": approval.stage,
            "opened_at": to_micros(approval.opened_at),
            "expires_at": to_micros(approval.expires_at),
            "decided_at": _micros(approval.decided_at),
            "claimed_at": _micros(approval.claimed_at),
            "settled_at": _micros(approval.settled_at),
            "epoch": approval.epoch,
            "erased": 0,
            "last_event": approval.last_event,
            "agent": approval.agent,
            "principal": approval.principal,
            "arguments": approval.arguments,
            "shown": _freeze(approval.shown),
            "request": _freeze(approval.request),
            "body": encode(
                {
                    "tool": approval.tool,
                    "tool_digest": approval.tool_digest,
                    "chain": list(approval.chain),
                    "excluded": sorted(approval.excluded),
                    "snapshot": approval.snapshot,
                    "decision_id": approval.decision_id,
                    "args_hmac": approval.args_hmac,
                    "requirement": {
                        "stages": [stage.to_json() for stage in requirement.stages],
                        "expires_in_s": requirement.expires_in_s,
                        "rules": list(requirement.rules),
                        "reason": requirement.reason,
                        "local": requirement.local,
                        "reason_required": requirement.reason_required,
                    },
                }
            ),
            "votes": encode([_dump_vote(vote) for vote in approval.votes]),
            "outcome": None if approval.outcome is None else _freeze(approval.outcome),
            "note": approval.note,
            "lane": rules_of(approval),
            "level": approval.level,
            "due": _micros(approval.due),
            "proposal": None if approval.proposal is None else _dump_proposal(approval.proposal),
        }
    except (ArgumentsError, TypeError, ValueError, AttributeError) as error:
        raise StoreError(f"approval `{approval.id}` cannot be kept: {error}") from error


def rules_of(approval: Approval) -> str:
    """What a quota counts together: the first of the rules that ask."""
    return approval.requirement.rules[0] if approval.requirement.rules else ""


def load(tenant: str, row: Mapping[str, Any]) -> Approval:
    """The approval in a record.

    Raises:
        StoreUnavailable: the record is damaged: an unknown state, missing or mistyped metadata.
    """
    try:
        body = json.loads(row["body"])
        asked = body["requirement"]
        return Approval(
            id=_text(row["id"]),
            tenant=tenant,
            call_id=_text(row["call_id"]),
            digest=_text(row["digest"]),
            state=State(row["state"]),
            tool=_text(body["tool"]),
            tool_digest=_text(body["tool_digest"]),
            agent=_text(row["agent"]),
            principal=None if row["principal"] is None else _text(row["principal"]),
            chain=tuple(_text(link) for link in body["chain"]),
            excluded=frozenset(_text(subject) for subject in body["excluded"]),
            requirement=Requirement(
                stages=tuple(
                    Stage(
                        tuple(_text(name) for name in stage["reviewers"]),
                        stage["quorum"],
                        tuple(
                            Escalation(
                                _whole(step["after_s"]), tuple(_text(name) for name in step["reviewers"])
                            )
                            for step in stage.get("escalate", ())
                        ),
                    )
                    for stage in asked["stages"]
                ),
                expires_in_s=asked["expires_in_s"],
                rules=tuple(asked["rules"]),
                reason=_text(asked["reason"]),
                local=asked["local"] is True,
                reason_required=asked["reason_required"] is True,
            ),
            arguments=row["arguments"],
            shown=_thaw(row["shown"]),
            request=_thaw(row["request"]),
            snapshot=_text(body["snapshot"]),
            decision_id=_text(body["decision_id"]),
            args_hmac=_text(body["args_hmac"]),
            opened_at=from_micros(row["opened_at"]),
            expires_at=from_micros(row["expires_at"]),
            epoch=_text(row["epoch"]),
            votes=tuple(_load_vote(vote) for vote in json.loads(row["votes"])),
            stage=_whole(row["stage"]),
            decided_at=_time(row["decided_at"]),
            claimed_at=_time(row["claimed_at"]),
            settled_at=_time(row["settled_at"]),
            outcome=None if row["outcome"] is None else _thaw(row["outcome"]),
            note=_text(row["note"]),
            last_event=row["last_event"],
            level=_whole(row["level"]),
            proposal=None if row["proposal"] is None else _load_proposal(json.loads(row["proposal"])),
        )
    except (KeyError, ValueError, TypeError, IndexError, OverflowError, ArgumentsError) as error:
        raise StoreUnavailable(
            f"the record of an approval is damaged ({type(error).__name__}: {error}); it cannot be used"
        ) from error


def _dump_vote(vote: Vote) -> dict[str, Any]:
    return {
        "subject": vote.subject,
        "verdict": vote.verdict,
        "digest": vote.digest,
        "assurance": vote.assurance,
        "memberships": list(vote.memberships),
        "at": to_micros(vote.at),
        "reason": vote.reason,
        "signature": vote.signature,
        "stage": vote.stage,
    }


def _load_vote(data: Mapping[str, Any]) -> Vote:
    if data["verdict"] not in ("approve", "deny"):
        raise ValueError(f"a vote cannot be {data['verdict']!r}")
    return Vote(
        subject=_text(data["subject"]),
        verdict=data["verdict"],
        digest=_text(data["digest"]),
        assurance=data["assurance"],
        memberships=tuple(_text(name) for name in data["memberships"]),
        at=from_micros(data["at"]),
        reason=_text(data["reason"]),
        signature=data["signature"],
        stage=_whole(data["stage"]),
    )


def _dump_proposal(proposal: Proposal) -> bytes:
    return encode(
        {
            "editor": proposal.editor,
            "assurance": proposal.assurance,
            "arguments": None if proposal.arguments is None else proposal.arguments.decode(),
            "digest": proposal.digest,
            "reason": proposal.reason,
            "signature": proposal.signature,
            "taken": proposal.taken,
        }
    )


def _load_proposal(data: Mapping[str, Any]) -> Proposal:
    arguments = data["arguments"]
    return Proposal(
        editor=_text(data["editor"]),
        assurance=data["assurance"],
        arguments=None if arguments is None else _text(arguments).encode(),
        digest=_text(data["digest"]),
        reason=_text(data["reason"]),
        signature=data["signature"],
        taken=data["taken"] is not False,
    )


def _freeze(data: Mapping[str, Any]) -> bytes:
    content = freeze(data).canonical
    _thaw(content)  # what names a class could not be read back
    return content


def _thaw(content: bytes) -> dict[str, Any]:
    found: object = Frozen(content, {}, b'"$' in content, {}).thaw()
    if not isinstance(found, dict):
        raise TypeError("an object is needed")
    return found


def _micros(at: dt.datetime | None) -> int | None:
    return None if at is None else to_micros(at)


def _time(value: int | None) -> dt.datetime | None:
    return None if value is None else from_micros(value)


def _text(value: object) -> str:
    if type(value) is not str:
        raise TypeError(f"text is needed, not {type(value).__name__}")
    return value


def _whole(value: object) -> int:
    if type(value) is not int:
        raise TypeError(f"a whole number is needed, not {type(value).__name__}")
    return value
