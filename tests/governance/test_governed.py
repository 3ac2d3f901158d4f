"""`ledger verify` holds exceptions, grants and agents against what the ledger says of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from agentguard.ledger.verify import verify
from agentguard.store.protocol import Record, RecordsChange, Store
from tests.governance.support import Office
from tests.governance.test_agents import act


def put(store: Store, *records: Record) -> None:
    """Somebody writes records beside the commands, without an event."""
    store.change_records("default", [one.key for one in records], lambda known, now: RecordsChange(records))


def wrong(store: Store) -> list[str]:
    return [one.message for tenant in verify(store).tenants for one in tenant.findings]


def test_everything_that_people_did_is_as_the_ledger_says(office: Office) -> None:
    """Renewals that wait, were declined or approved, agents that were changed while suspended."""
    record = office.granted()
    office.renew(record, "2027-01-10")
    assert wrong(office.store) == []
    office.say("reject", record)
    office.renew(record, "2027-01-10")
    office.say("withdraw", record, "ben")
    office.renew(record, "2027-01-10")
    office.say("approve", record, "cai")
    office.say("revalidate", record)
    office.say("reject", office.ask())
    act(office, "suspend")
    act(office, "register", facts={"owner": "owen"})
    act(office, "register", who="owen", facts={"owner": "ana"})
    assert wrong(office.store) == []
    act(office, "restore", who="cai")
    act(office, "offboard")
    assert wrong(office.store) == []


def _with(**fields: Any) -> Callable[[Record], Record]:
    return lambda record: replace(record, **fields)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_with(state="active", registered=True), "is active in its record and revoked in the ledger"),
        (_with(state="expired"), "is expired in its record"),
        (_with(registered=True), "in the register and should not be"),
        (lambda one: replace(one, body={**one.body, "content": {}}), "says something else"),
    ],
)
def test_an_exception_that_was_brought_back_is_found_T64_T18(
    office: Office, change: Callable[[Record], Record], said: str
) -> None:
    """Its signature is good, and the ledger says that it was revoked."""
    record = office.granted()
    revoked = office.say("revoke", record)
    put(office.store, change(revoked))
    (found,) = wrong(office.store)
    assert said in found
    assert record.id in found


def test_a_suspension_that_was_taken_away_is_found_T64(office: Office) -> None:
    """And one that nobody ordered, and a record that is new or out of the register."""
    act(office, "suspend")
    suspended = office.store.record("default", "agent", "billing")
    put(office.store, replace(suspended, state="active", registered=False))
    assert wrong(office.store) == ["agent `billing` is active in its record and suspended in the ledger"]
    put(office.store, replace(suspended, registered=False))
    assert wrong(office.store) == ["agent `billing` is missing from the register"]
    put(office.store, suspended, replace(suspended, id="other"))
    assert wrong(office.store) == ["agent `other` has a record and no event"]
