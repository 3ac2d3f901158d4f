"""From the records of a store to the register of the core: what holds is in it, the rest is visible."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path

import pytest

from agentguard.decision import Effect
from agentguard.errors import RecordRefused
from agentguard.governance import Terms, in_force
from agentguard.governance.aftermath import still_matching
from agentguard.governance.exceptions import tell
from agentguard.ids import uuid7
from agentguard.ledger import events
from agentguard.stepup.directory import FileDirectory
from agentguard.store.protocol import Payload, Record, RecordsChange
from tests.governance.support import ASKED, Office, local, request
from tests.governance.test_agents import act
from tests.store.support import START, FakeClock


def test_without_a_directory_no_signature_is_believed(office: Office) -> None:
    """Exceptions are refused, and suspensions count all the same."""
    office.granted()
    act(office, "suspend", "other")
    found = in_force(*office.store.register("default"))
    assert found.exceptions == ()
    assert "directory" in found.refused[0].message
    assert dict(found.suspended) == {"other": "suspended"}


def test_the_version_is_the_stores(office: Office) -> None:
    """So that a decision can be held against it."""
    office.granted()
    office.granted()
    assert office.register.version == office.store.register_version("default") == 2


@pytest.mark.parametrize("who", ["ana", "local"])
def test_records_of_another_tenant_do_not_count_T62(office: Office, who: str) -> None:
    """Even where somebody put one there with its good signature, or with a word that needs none."""
    office.terms = Terms(local=True)
    record = office.say("approve", office.ask(), who)
    office.store.change_records("two", [record.key], lambda known, now: RecordsChange([record]))
    found = in_force(
        *office.store.register("two"), tenant="two", directory=office.directory, terms=office.terms
    )
    assert found.exceptions == ()
    assert "tenant" in found.refused[0].message


def test_a_record_of_an_unknown_kind_and_a_damaged_baseline_are_refused(office: Office) -> None:
    """Neither stops the others from counting."""
    kept = office.granted()
    others = [
        Record(kind=kind, id="x", state="approved", body={}, registered=True)
        for kind in ("baseline", "magic")
    ]
    keys = [one.key for one in others]
    office.store.change_records("default", keys, lambda known, now: RecordsChange(others))
    register = office.register
    assert [one.id for one in register.exceptions] == [kept.id]
    assert [one.message for one in register.refused] == [
        "baseline `x`: its content is damaged",
        "a record of the kind `magic` is not for the core",
    ]
    assert register.baselines == {}


def test_while_the_directory_is_not_readable_nobody_says_anything(office: Office, tmp_path: Path) -> None:
    """And nothing that somebody signed is in force: it cannot be told whether they may still."""
    record = office.granted()
    file = tmp_path / "directory.yaml"
    file.write_text("people: {}\n")
    broken = FileDirectory(file)
    file.unlink()
    with pytest.raises(RecordRefused, match="not readable"):
        replace(office.desk, directory=broken).revoke(
            record.id, replace(local("x", START), assurance="signed")
        )
    found = in_force(*office.store.register("default"), directory=broken, terms=office.terms)
    assert found.exceptions == ()
    assert "cannot be read" in found.refused[0].message


def test_a_snapshot_with_another_register_keeps_its_policies(office: Office) -> None:
    """Only the register changes; the digest is that of the policies."""
    before = office.snapshot
    office.granted()
    after = before.with_register(office.register)
    assert after.digest == before.digest
    assert after.decide(request()).effect is Effect.FLAG


@pytest.mark.parametrize(
    "wrong",
    [{"max_days": 0}, {"max_days": 367}, {"max_days": True}, {"max_renewals": -1}, {"max_renewals": 101}],
)
def test_terms_that_are_none_are_refused(wrong: dict[str, int]) -> None:
    """More than the core allows, nothing, or no number."""
    from agentguard.errors import ConfigurationError

    with pytest.raises(ConfigurationError, match="whole number"):
        Terms(**wrong)  # type: ignore[arg-type]


def test_what_an_expired_exception_would_still_match_is_counted(office: Office, clock: FakeClock) -> None:
    """In its scope, from its expiry on; what cannot be told any more is said to be unclear."""
    record = office.granted(when="args.amount < 1000", principal="ben")
    read = tell(record).read

    def call(at: dt.datetime, amount: int, key: str, *, kept: bool = True, **changes: object) -> None:
        found = request(now=at.isoformat(), args={"amount": amount}, **changes)
        denied = office.snapshot.decide(found)
        event = events.decision(
            id=uuid7(), tenant="default", at=at, request=found, decision=denied, args_hmac=key, runs=False
        )
        payloads = {key: Payload("ben", b'{"amount":%d}' % amount)} if kept else None
        office.store.append("default", [event], payloads=payloads)

    end = read.expires
    call(end - dt.timedelta(seconds=1), 500, "k0")
    for number, amount in enumerate((500, 501, 2000)):
        call(end + dt.timedelta(seconds=number), amount, f"k{amount}")
    call(end + dt.timedelta(seconds=5), 500, "gone", kept=False)
    call(end + dt.timedelta(seconds=6), 500, "k500", agent={"id": "other"})
    call(end + dt.timedelta(seconds=6), 500, "k500", principal={"id": "eve", "groups": []})
    call(end + dt.timedelta(seconds=6), 50, "k50")
    clock.at = end + dt.timedelta(minutes=1)
    (found,) = still_matching(office.store, "default", {record.id: read})
    assert (found.calls, found.unclear, found.tools) == (2, 1, ("payments.transfer",))
    assert found.last.startswith((end + dt.timedelta(seconds=5)).strftime("%Y-%m-%dT%H:%M:%S"))
    other = tell(office.granted(**{**ASKED, "agent": "nobody", "expires": "2027-02-01"})).read
    assert still_matching(office.store, "default", {"EX-0": other}) == []
    assert still_matching(office.store, "default", {}) == []
