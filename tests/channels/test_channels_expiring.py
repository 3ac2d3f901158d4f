"""Exceptions that will be over soon are told fourteen days before, once for each expiry."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from agentguard.channels import lanes
from agentguard.channels.told import Interest
from agentguard.store.protocol import Record
from tests.channels.support import Memory, Scene
from tests.governance.support import Office


def test_an_exception_that_ends_within_fourteen_days_is_told(scene: Scene) -> None:
    """Once, by whichever process looks first."""
    office = Office(store=scene.store)
    record = office.granted(expires="2026-12-20T10:00:00Z")
    one, two = Memory("one"), Memory("two")
    scene.delivering(one).turn()
    assert one.types == []
    scene.clock.advance(dt.timedelta(days=16).total_seconds())
    assert scene.delivering(one).turn() == 1
    assert scene.delivering(one).turn() == 0
    assert scene.delivering(two).turn() == 1
    (notice,) = one.told
    assert (notice.type, notice.subject) == ("exception.expiring", record.id)
    assert notice.said["expires"] == "2026-12-20T10:00:00.000000Z"
    assert notice.said["owner"] == "owen"
    assert "the migration needs it" not in str(notice.said)


def test_a_renewed_exception_is_told_again(scene: Scene) -> None:
    """It is another expiry."""
    office = Office(store=scene.store)
    record = office.granted(expires="2026-12-01T10:00:00Z")
    channel = Memory()
    assert scene.delivering(channel).turn() == 1
    office.renew(record, "2026-12-03T10:00:00Z")
    office.say("approve", record)
    assert scene.delivering(channel).turn() == 1
    assert len({notice.id for notice in channel.told}) == 2


def test_an_exception_that_is_over_is_told_as_such(scene: Scene) -> None:
    """By its event, not as expiring."""
    from agentguard.governance.sweeping import sweep

    office = Office(store=scene.store)
    office.granted(expires="2026-12-20T10:00:00Z")
    channel = Memory()
    delivering = scene.delivering(channel)
    scene.clock.advance(dt.timedelta(days=40).total_seconds())
    sweep(scene.store, scene.tenant)
    delivering.turn()
    assert channel.types == ["exception.expired"]


def test_who_does_not_want_it_is_not_told(here: Scene) -> None:
    """It is an event like others in `events:`."""
    office = Office(store=here.store)
    office.granted(expires="2026-12-01T10:00:00Z")
    channel = Memory(interest=Interest.of(["exception.expired"]))
    assert here.delivering(channel).turn() == 0


def test_its_id_can_be_signed(here: Scene) -> None:
    """Without the dot that ends an id in what is signed."""
    office = Office(store=here.store)
    office.granted(expires="2026-12-01T10:00:00Z")
    channel = Memory()
    here.delivering(channel).turn()
    assert "." not in channel.told[0].id


def test_two_processes_that_look_at_the_same_time_tell_it_once(
    here: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What neither had told when it looked is told by whoever writes first."""
    office = Office(store=here.store)
    office.granted(expires="2026-12-01T10:00:00Z")
    channel = Memory()
    one, two = here.delivering(channel), here.delivering(channel)
    real = here.store.records

    def before(tenant: str, kind: str, **wanted: Any) -> list[Record]:
        return [] if kind == lanes.KIND else real(tenant, kind, **wanted)

    monkeypatch.setattr(here.store, "records", before)
    assert (one.turn(), two.turn()) == (1, 0)
