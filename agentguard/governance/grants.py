"""The life of a grant: a right for a time, given by those who approve a call and want to be asked less.

::

    requested ── active ── revoked | expired | spent
        └─ revoked | expired

Each reviewer signs what the grant permits, and it is given when everybody whom the approval needs has: one
grant of an approval, which satisfies the same step-up again and nothing that its voters could not approve.
Until then it is `requested` and counts for nothing.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from agentguard.errors import ConfigurationError, RecordRefused
from agentguard.governance.grant_record import (
    KIND,
    GrantState,
    GrantTold,
    core_input,
    grant_content,
    grant_id,
    met,
    plan_content,
    read_content,
    tell,
    vouched,
)
from agentguard.governance.vouching import Word, content_digest
from agentguard.ids import uuid7
from agentguard.ledger import governance_events as written
from agentguard.policy.register import Grant
from agentguard.stepup.eligibility import fold
from agentguard.stepup.model import Approval, State
from agentguard.store.protocol import Record, RecordsChange
from agentguard.terms import Terms

__all__ = [
    "KIND",
    "TRANSITIONS",
    "GrantState",
    "GrantTold",
    "expire",
    "give",
    "grant_content",
    "grant_id",
    "plan_content",
    "revoke",
    "spend",
    "tell",
    "vouched",
]

_GIVEN: Final = frozenset({State.REQUESTED, State.APPROVED, State.CLAIMED, State.SUCCEEDED, State.FAILED})
"""States of an approval in which its voters may still want a grant: it was not refused, nor taken back."""

_S = GrantState
TRANSITIONS: Final[Mapping[GrantState, frozenset[GrantState]]] = {
    _S.REQUESTED: frozenset({_S.REQUESTED, _S.ACTIVE, _S.REVOKED, _S.EXPIRED}),
    _S.ACTIVE: frozenset({_S.REVOKED, _S.EXPIRED, _S.SPENT}),
    **{state: frozenset() for state in (_S.REVOKED, _S.EXPIRED, _S.SPENT)},
}
"""Every move there is."""


def give(
    known: Record | None,
    approval: Approval,
    content: Mapping[str, Any],
    by: Word,
    now: dt.datetime,
    terms: Terms,
) -> RecordsChange | None:
    """One reviewer of an approval wants a grant; it is given when all stages are met. Again is None.

    Raises:
        RecordRefused: they did not approve the call, another grant was proposed, or it would last too long.
    """
    read = read_content(content)
    if read.approval != approval.id or approval.state not in _GIVEN or now >= approval.expires_at:
        raise RecordRefused(f"approval `{approval.id}` is {approval.state.value} or over; it gives no grant")
    if by.digest != content_digest(content):
        raise RecordRefused(f"what was signed is not what grant `{read.id}` says; look at it again")
    vote = next(
        (v for v in approval.votes if v.verdict == "approve" and fold(v.subject) == fold(by.subject)), None
    )
    if vote is None or vote.assurance != by.assurance:
        raise RecordRefused(f"`{by.subject}` did not approve `{approval.id}`, so they cannot grant it")
    _check_core(content, now, terms)
    told = None if known is None else tell(known)
    if told is not None and told.digest != by.digest:
        raise RecordRefused(
            f"grant `{read.id}` was proposed with other terms; join it with `--grant` alone, or revoke it"
        )
    heard = () if told is None else told.words
    if any(fold(word.subject) == fold(by.subject) for _, word in heard):
        return None
    if told is not None and told.state is not _S.REQUESTED:
        raise RecordRefused(f"grant `{read.id}` is {told.state.value}")
    heard = (*heard, (vote.stage, by))
    given = approval.state is not State.REQUESTED and met(read, heard)
    record = Record(
        kind=KIND,
        id=read.id,
        state=(_S.ACTIVE if given else _S.REQUESTED).value,
        body={"content": dict(content), "words": [_kept(stage, word) for stage, word in heard]},
        due=read.expires,
        registered=given,
    )
    return _change(record, content, "given" if given else "vouched", heard if given else ((0, by),), now)


def revoke(record: Record, by: Word, now: dt.datetime) -> RecordsChange | None:
    """End it now, for every process. Anybody may: it takes a right away."""
    told = tell(record)
    if told.state is _S.REVOKED:
        return None
    if told.state in (_S.EXPIRED, _S.SPENT):
        raise RecordRefused(f"grant `{record.id}` is {told.state.value} already")
    after = replace(
        record,
        state=_S.REVOKED.value,
        body={**record.body, "ended": by.to_json()},
        due=None,
        registered=False,
    )
    return _change(after, told.content, "revoked", ((0, by),), now)


def expire(record: Record, now: dt.datetime) -> RecordsChange | None:
    """End one whose time is over; the core has ended it already."""
    if record.state not in (_S.REQUESTED, _S.ACTIVE) or record.due is None or now < record.due:
        return None
    content = record.body.get("content")
    after = replace(record, state=_S.EXPIRED.value, due=None, registered=False)
    return _change(after, content if isinstance(content, Mapping) else {}, "expired", (), now)


def spend(record: Record, used: int, now: dt.datetime) -> RecordsChange | None:
    """End one of which the ledger shows that every use was taken, so that people are asked again."""
    content = record.body.get("content")
    limit = content.get("uses") if isinstance(content, Mapping) else None
    if record.state != _S.ACTIVE or type(limit) is not int or used < limit:
        return None
    after = replace(record, state=_S.SPENT.value, due=None, registered=False)
    return _change(after, content or {}, "spent", (), now)


def _check_core(content: Mapping[str, Any], now: dt.datetime, terms: Terms) -> None:
    try:
        Grant.from_mapping(
            core_input(content, read_content(content), now, local=False), longest=terms.longest
        )
    except ConfigurationError as error:
        raise RecordRefused(str(error)) from None


def _kept(stage: int, word: Word) -> dict[str, Any]:
    return {"stage": stage, "word": word.to_json()}


def _change(
    record: Record,
    content: Mapping[str, Any],
    move: str,
    heard: Sequence[tuple[int, Word]],
    now: dt.datetime,
) -> RecordsChange:
    words = [word for _, word in heard]
    event = written.grant_moved(move, record.id, content, words=words, id=uuid7(), at=now)
    return RecordsChange((record,), (event,))
