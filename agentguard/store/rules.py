"""What every store checks in the same way before it writes."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from typing import Any, Final

from agentguard.errors import ClaimRefused, StoreError, StoreUnavailable, TooManyPending
from agentguard.ledger.events import Written, leaf
from agentguard.stepup.eligibility import check_requirement
from agentguard.stepup.machine import TRANSITIONS
from agentguard.stepup.model import Approval, State
from agentguard.store.clock import BEHIND_US, to_micros
from agentguard.store.codec import rules_of
from agentguard.store.protocol import Event, Reservation

__all__ = [
    "Leaf",
    "chain",
    "check_opening",
    "check_quota",
    "check_reservations",
    "check_tenant",
    "check_update",
    "damaged_instant",
    "last_event",
    "last_of",
    "leaves",
    "parse_instant",
    "refusal",
]

Leaf = tuple[str, str, str, bytes]
"""An event ready to be kept: id, type, time as written, and the bytes that are hashed."""

RENEWED: Final = 2**20
"""By how much a new epoch moves a register on: guards that run may know versions from after the backup."""
MAX_AMOUNT: Final = 2**53
MAX_TENANT: Final = 256


def leaves(tenant: str, events: Sequence[Event]) -> list[Leaf]:
    """The events of one tenant as they are kept.

    Raises:
        StoreError: one is another tenant's, lacks its id, type or time, or is not plain JSON.
    """
    found: list[Leaf] = []
    for event in events:
        if type(event) is Written:
            if event.tenant != tenant:
                raise StoreError(f"an event of tenant `{event.tenant}` cannot be kept for `{tenant}`")
            found.append((event.id, event.type, event.at, event.leaf))
            continue
        try:
            id_, type_, at = event["id"], event["type"], event["at"]
            owner = event["tenant"]
        except KeyError as error:
            raise StoreError(f"an event has no {error}") from None
        if owner != tenant:
            raise StoreError(f"an event of tenant `{owner}` cannot be kept for `{tenant}`")
        if not (type(id_) is type(type_) is type(at) is str):
            raise StoreError("an event's id, type and time must be text")
        try:
            parse_instant(at)
        except StoreUnavailable:
            raise StoreError(f"an event's time is not ISO 8601: {at!r:.40}") from None
        found.append((id_, type_, at, leaf(event)))
    return found


def check_tenant(tenant: str) -> None:
    """Refuse a name that no tenant can have."""
    if not isinstance(tenant, str) or not 0 < len(tenant) <= MAX_TENANT or not tenant.isprintable():
        raise StoreError(f"a tenant's name has 1 to {MAX_TENANT} printable characters")


def check_opening(approval: Approval, now: dt.datetime) -> None:
    """Refuse a question that cannot be asked.

    Raises:
        StoreError: nobody could answer it, it is not new, or it has expired.
    """
    check_requirement(approval.requirement)
    if approval.state is not State.REQUESTED or approval.votes:
        raise StoreError(f"approval `{approval.id}` is not new: it is {approval.state.value}")
    if approval.expires_at <= now:
        raise StoreError(f"approval `{approval.id}` has expired before it was asked")
    if not approval.id or not approval.digest or not approval.call_id:
        raise StoreError("an approval needs an id, a call id and a digest")


def check_quota(approval: Approval, waiting: int, quota: int | None) -> None:
    """Refuse one question more of an agent that has as many waiting under the same rule as it may.

    Raises:
        TooManyPending: `waiting` is at the quota.
    """
    if quota is not None and waiting >= quota:
        raise TooManyPending(
            f"{waiting} questions of `{approval.agent}` wait under `{rules_of(approval)}` already; "
            "answer them, or let them expire"
        )


def check_update(before: Approval, after: Approval, epoch: Callable[[], str]) -> None:
    """Refuse what the state machine does not know; `epoch` reads the store's.

    Raises:
        StoreError: another approval, or a move that is not in `machine.TRANSITIONS`; claiming is `claim`'s.
        ClaimRefused: what a reviewer proposed would be taken, and it comes from before a restored backup.
    """
    if after.proposal is not None and after.proposal.taken and before.epoch != epoch():
        raise ClaimRefused(
            f"approval `{before.id}` comes from before the store was restored; ask again", before.state.value
        )
    if (after.id, after.tenant, after.digest) != (before.id, before.tenant, before.digest):
        raise StoreError(f"the update of approval `{before.id}` is about another one")
    if after.state is before.state:
        return
    if after.state not in TRANSITIONS[before.state] or after.state is State.CLAIMED:
        raise StoreError(
            f"approval `{before.id}` cannot become {after.state.value}: it is {before.state.value}"
        )


def last_event(approval: Approval, events: Sequence[Event]) -> str | None:
    """The newest of these events that is about the approval."""
    return last_of(approval.id, events) or approval.last_event


def last_of(approval_id: str, events: Sequence[Event]) -> str | None:
    """The id of the newest of these events that belongs to the approval's own chain."""
    about = [event["id"] for event in events if _in_chain(approval_id, event)]
    return about[-1] if about else None


def chain(approval_id: str, events: Sequence[Event], prev: str | None) -> list[Event]:
    """The same events, those of the approval's chain each naming the one before it."""
    chained: list[Event] = []
    for event in events:
        if _in_chain(approval_id, event):
            named: dict[str, Any] = {key: value for key, value in event.items() if key != "prev"}
            event = named if prev is None else {**named, "prev": prev}
            prev = event["id"]
        chained.append(event)
    return chained


def _in_chain(approval_id: str, event: Event) -> bool:
    # A decision that was taken again names the approval and is not one of its events.
    return event.get("approval") == approval_id and event["type"] != "decision"


def refusal(approval: Approval, digest: str, now: dt.datetime, epoch: str, erased: bool) -> ClaimRefused:
    """Why the claim of this approval changed nothing."""
    name, state = f"approval `{approval.id}`", approval.state
    if state is State.REQUESTED and now < approval.expires_at:
        return ClaimRefused(f"{name} is not decided yet", state.value)
    if state in (State.REQUESTED, State.APPROVED) and now >= approval.expires_at:
        return ClaimRefused(f"{name} expired at {approval.expires_at.isoformat()}", State.EXPIRED.value)
    if state is not State.APPROVED:
        return ClaimRefused(f"{name} is {state.value}; a call is claimed once", state.value)
    if approval.digest != digest:
        return ClaimRefused(f"{name} is for another call than this one: the digests differ", state.value)
    if approval.epoch != epoch:
        return ClaimRefused(f"{name} comes from before the store was restored; ask again", state.value)
    if erased:
        return ClaimRefused(f"{name} has no arguments any more: they were erased", state.value)
    if approval.decided_at is None or to_micros(approval.decided_at) > to_micros(now) + BEHIND_US:
        return ClaimRefused(f"{name} was decided later than now: the clock was set back", state.value)
    return ClaimRefused(f"{name} cannot be claimed", state.value)


def check_reservations(reservations: Sequence[Reservation]) -> list[Reservation]:
    """The reservations, checked.

    Raises:
        StoreError: an amount, limit or window that is not a whole number in range.
    """
    for found in reservations:
        for what, value, least in (
            ("amount", found.amount, 0),
            ("limit", found.limit, None),
            ("window", 1 if found.window_s is None else found.window_s, 1),
        ):
            number: object = value
            if type(number) is not int or abs(number) > MAX_AMOUNT or (least is not None and number < least):
                raise StoreError(f"the {what} of the reservation `{found.key}` cannot be {number!r}")
    return list(reservations)


def parse_instant(text: str) -> dt.datetime:
    """The time of an event.

    Raises:
        StoreUnavailable: the record is damaged.
    """
    try:
        at = dt.datetime.fromisoformat(text)
    except (ValueError, TypeError) as error:
        raise StoreUnavailable(f"an event's time is damaged: {text!r:.40}") from error
    return at if at.tzinfo is not None else at.replace(tzinfo=dt.UTC)


def damaged_instant(text: object) -> dt.datetime:
    """A time as it was kept; a damaged one is no time that any leaf says, so that verifying names it."""
    try:
        return parse_instant(str(text))
    except StoreUnavailable:
        return dt.datetime.min.replace(tzinfo=dt.UTC)
