"""The outbox: everything told at least once, in order for each subject, one delivery of an item at a time."""

from __future__ import annotations

import dataclasses

import pytest

from agentguard.channels import outbox
from agentguard.channels.channel import Notice
from agentguard.channels.delivering import Delivering, pause_s
from agentguard.channels.outbox import KIND, LEASE_S
from agentguard.channels.told import Entry, Interest
from agentguard.errors import StoreError
from agentguard.store.protocol import Record, RecordsChange
from tests.channels.support import Memory, Scene, breach


def test_a_question_and_its_end_are_told_in_order(scene: Scene) -> None:
    """Each under the id of its event."""
    channel = Memory()
    delivering = scene.delivering(channel)
    approval = scene.ask()
    scene.vote(approval)
    assert delivering.turn() == 2
    assert channel.types == ["approval.opened", "approval.approved"]
    events = [row.id for row in scene.store.events(scene.tenant) if row.type.startswith("approval.")]
    assert [notice.id for notice in channel.told] == events


def test_nothing_is_told_twice_when_nothing_happened(scene: Scene) -> None:
    """What was told and noted is told no more, by whichever process."""
    channel = Memory()
    first, second = scene.delivering(channel), scene.delivering(channel)
    scene.ask()
    assert (first.turn(), second.turn(), first.turn()) == (1, 0, 0)


def test_a_new_channel_is_not_told_of_what_was_before(scene: Scene) -> None:
    """It begins at the end of the ledger."""
    scene.ask()
    channel = Memory()
    delivering = scene.delivering(channel)
    scene.ask()
    assert delivering.turn() == 1


def test_an_item_that_is_leased_is_left_to_whoever_has_it(scene: Scene) -> None:
    """Another process sees nothing that is due until the lease is over, and then it tells it."""
    slow, other = Memory(), Memory()
    first, second = scene.delivering(slow), scene.delivering(other)

    def meanwhile(notice: Notice) -> dict[str, int]:
        assert second.turn() == 0
        scene.clock.advance(LEASE_S)  # whoever holds it is taken for dead
        assert second.turn() == 1
        return {"late": 1}

    slow.send = meanwhile  # type: ignore[method-assign]
    scene.ask()
    assert first.turn() == 0  # its lease has passed to the other: what it says is not noted
    assert other.types == ["approval.opened"]
    assert scene.items()[0].memory == {"seen": 1}


def test_what_a_killed_process_held_is_told_when_its_lease_is_over(scene: Scene) -> None:
    """Under the same id, so that a receiver can tell."""
    channel = Memory()
    delivering = scene.delivering(channel)

    class Killed(BaseException):
        pass

    def killed(notice: Notice) -> dict[str, int]:
        Memory.send(channel, notice)
        raise Killed

    channel.send = killed  # type: ignore[method-assign]
    scene.ask()
    with pytest.raises(Killed):
        delivering.turn()
    del channel.send  # type: ignore[method-assign]
    assert delivering.turn() == 0
    scene.clock.advance(LEASE_S)
    assert delivering.turn() == 1
    assert len({notice.id for notice in channel.told}) == 1
    assert len(channel.told) == 2


def test_what_fails_is_tried_again_later(scene: Scene) -> None:
    """Not at once, and with what went wrong to be seen."""
    channel = Memory(refuse=1)
    delivering = scene.delivering(channel)
    scene.ask()
    assert (delivering.turn(), delivering.turn()) == (0, 0)
    (item,) = scene.items()
    assert (item.record.state, item.attempts, item.error) == ("waiting", 1, "it answered HTTP 503")
    scene.clock.advance(60)
    assert delivering.turn() == 1
    assert scene.items()[0].error == ""


def test_after_its_attempts_a_delivery_is_dead_and_seen(scene: Scene) -> None:
    """It is tried no more until somebody says so."""
    channel = Memory(refuse=3, attempts=3)
    delivering = scene.delivering(channel)
    scene.ask()
    for _ in range(3):
        delivering.turn()
        scene.clock.advance(7200)
    assert delivering.turn() == 0
    (item,) = scene.items()
    assert (item.record.state, item.attempts) == ("dead", 3)

    def again(known, now):  # type: ignore[no-untyped-def]
        return RecordsChange((outbox.retry(known[item.record.key], now),))

    scene.store.change_records(scene.tenant, [item.record.key], again)
    assert delivering.turn() == 1


def test_what_happens_later_gives_a_dead_delivery_another_chance(scene: Scene) -> None:
    """In order: what was given up is told first."""
    channel = Memory(refuse=1, attempts=1)
    delivering = scene.delivering(channel)
    approval = scene.ask()
    delivering.turn()
    assert scene.items()[0].record.state == "dead"
    scene.vote(approval, "deny")
    assert delivering.turn() == 2
    assert channel.types == ["approval.opened", "approval.denied"]


def test_an_item_that_ends_whoever_delivers_it_is_given_up(scene: Scene) -> None:
    """An attempt counts when it begins: after as many as there may be it is tried no more."""
    channel = Memory(attempts=2)
    delivering = scene.delivering(channel)

    def killing(notice: Notice) -> dict[str, int]:
        raise SystemExit

    channel.send = killing  # type: ignore[method-assign]
    scene.ask()
    for _ in range(2):
        with pytest.raises(SystemExit):
            delivering.turn()
        scene.clock.advance(LEASE_S)
    assert delivering.turn() == 0
    (item,) = scene.items()
    assert (item.record.state, item.error) == ("dead", "each process that tried was ended")


def test_two_that_saw_the_same_item_do_not_both_have_it(here: Scene) -> None:
    """Whoever is second to take it gets nothing, although it was due when they looked."""
    entry = Entry(id="e", type="agent.suspended", at="", family="agent", subject="x")
    record = outbox.add(None, "mem", entry, here.clock())
    taken = outbox.lease(record, "one", here.clock())
    assert taken is not None
    assert outbox.lease(taken, "two", here.clock()) is None
    here.clock.advance(LEASE_S)
    assert outbox.lease(taken, "two", here.clock()) is not None


def test_the_most_pressing_is_told_first(scene: Scene) -> None:
    """Breaches and escalations, and what the operator calls critical."""
    channel = Memory()
    delivering = scene.delivering(channel)
    scene.ask()
    scene.tell("flag.opened", flag="FL-1", rule="pay/x", stake="flag", count=1, due="2026-11-21T00:00:00Z")
    scene.ask(rules=("pay/critical",))
    delivering.turn()
    assert channel.told[0].approval is not None
    assert channel.told[0].approval.requirement.rules == ("pay/critical",)


def test_what_is_pressing_and_comes_later_overtakes_what_waits(scene: Scene) -> None:
    """Also while a slow receiver is told of many other things."""
    channel = Memory()
    delivering = scene.delivering(channel)

    def slow(notice: Notice) -> dict[str, int]:
        if len(channel.told) == 0:
            breach(scene)
        return Memory.send(channel, notice)

    channel.send = slow  # type: ignore[method-assign]
    for _ in range(20):
        scene.ask()
    assert delivering.turn() == 21
    assert channel.types.index("flag.breached") <= 5


def test_a_channel_hears_only_what_it_wants(scene: Scene) -> None:
    """Types of events by name, or a whole family."""
    channel = Memory(interest=Interest.of(["flag.breached"]))
    delivering = scene.delivering(channel)
    scene.ask()
    breach(scene)
    breach(scene, move="escalated")
    delivering.turn()
    assert channel.types == ["flag.breached"]


def test_whatever_needs_telling_is_told(scene: Scene) -> None:
    """Flags, exceptions and agents, by what the event says of them and no free text."""
    channel = Memory()
    delivering = scene.delivering(channel)
    breach(scene)
    said = {"digest": "sha256:0", "agent": "billing"}
    scene.tell("exception.revoked", exception="EX-7K2M9QXA", reason="canary", **said)
    scene.tell("agent.suspended", **said, word={"reason": "canary"})
    assert delivering.turn() == 3
    assert sorted(channel.types) == ["agent.suspended", "exception.revoked", "flag.breached"]
    assert "canary" not in str([notice.said for notice in channel.told])


def test_two_channels_are_told_independently(scene: Scene) -> None:
    """One that fails holds up nobody else."""
    bad, good = Memory("bad", refuse=99), Memory("good")
    first, second = scene.delivering(bad), scene.delivering(good)
    scene.ask()
    assert (first.turn(), second.turn()) == (0, 1)


def test_what_waits_about_one_subject_is_bounded(scene: Scene) -> None:
    """Of more than fifty the oldest are dropped but the first, and it is said how many."""
    channel = Memory(refuse=1, lane_limit=1000)
    delivering = scene.delivering(channel)
    for level in range(60):
        breach(scene, level=level)
    delivering.turn()
    (item,) = scene.items()
    assert (len(item.waiting), item.dropped) == (50, 10)
    scene.clock.advance(60)
    delivering.turn()
    assert channel.told[0].dropped == 10
    assert [notice.said["level"] for notice in channel.told] == [0, *range(11, 60)]


def test_what_waits_fits_into_a_record_whatever_it_says(scene: Scene) -> None:
    """Names and lists as long as somebody liked do not end the telling of everything else."""
    channel = Memory(lane_limit=1000)
    delivering = scene.delivering(channel)
    names = [f"\x01{number}" * 300 for number in range(30)]
    for _ in range(60):
        scene.tell("exception.revoked", exception="EX-7K2M9QXA", digest="sha256:0", rules=names, tools=names)
    assert delivering.turn() == 50
    assert channel.told[0].said["rules"] == "… (too long to be told)"


def test_a_damaged_item_is_given_up_and_the_others_are_told(scene: Scene) -> None:
    """Somebody wrote into the store."""
    channel = Memory()
    delivering = scene.delivering(channel)
    bad = Record(kind=KIND, id="mem/approval/a", state="urgent", body={"waiting": [1]}, due=None)

    def update(known, now):  # type: ignore[no-untyped-def]
        return RecordsChange((dataclasses.replace(bad, due=now),))

    scene.store.change_records(scene.tenant, [bad.key], update)
    scene.ask()
    assert delivering.turn() == 1
    assert scene.store.record(scene.tenant, *bad.key).state == "dead"


def test_an_item_that_waits_with_nothing_to_tell_holds_up_nobody(here: Scene) -> None:
    """Somebody wrote into the store: it is given up, and the look at the outbox comes to its end."""
    looks: list[int] = []

    def stopped() -> bool:
        looks.append(1)
        return len(looks) > 50

    channel = Memory()
    delivering = Delivering(here.store, here.tenant, channel, stopped=stopped)
    here.ask()
    delivering.turn()
    (told,) = here.store.records(here.tenant, KIND)

    def update(known, now):  # type: ignore[no-untyped-def]
        return RecordsChange((dataclasses.replace(told, state="urgent", due=now),))

    here.store.change_records(here.tenant, [told.key], update)
    looks.clear()
    assert delivering.turn() == 0
    assert len(looks) < 50
    assert here.store.record(here.tenant, *told.key).state == "dead"
    here.ask()
    assert delivering.turn() == 1


def test_a_store_that_fails_loses_nothing(here: Scene) -> None:
    """What was told and could not be noted is told again."""
    channel = Memory()
    delivering = here.delivering(channel)
    here.ask()
    real = here.store.change_records
    calls: list[int] = []

    def failing(tenant, keys, update):  # type: ignore[no-untyped-def]
        calls.append(1)
        if len(calls) == 3:  # taken in, leased, and then not noted
            raise StoreError("the disk is full")
        return real(tenant, keys, update)

    here.store.change_records = failing  # type: ignore[method-assign]
    with pytest.raises(StoreError):
        delivering.turn()
    here.clock.advance(LEASE_S)
    assert delivering.turn() == 1
    assert len(channel.told) == 2


def test_pauses_grow_with_jitter_and_are_bounded() -> None:
    """Twice as long each time, an hour at most."""
    assert 5 <= pause_s(1) <= 10
    assert 40 <= pause_s(4) <= 45
    assert pause_s(30) == 3600
    assert len({pause_s(2) for _ in range(20)}) > 1
