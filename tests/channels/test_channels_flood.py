"""Floods: what one agent causes under one rule is summed up, and nothing pressing is buried."""

from __future__ import annotations

from agentguard.channels.lanes import SUMMARY, WINDOW_S
from agentguard.channels.outbox import KIND
from tests.channels.support import Memory, Scene, breach


def flood(scene: Scene, count: int, **changes: str) -> None:
    for number in range(count):
        breach(scene, f"FL-{number:08d}", "opened", **changes)


def test_a_flood_is_summed_up_T61(scene: Scene) -> None:
    """So many singly, the rest as one message with its count; and no more records than that."""
    channel = Memory(lane_limit=5)
    delivering = scene.delivering(channel)
    flood(scene, 300)
    assert delivering.turn() == 5
    scene.clock.advance(WINDOW_S)
    assert delivering.turn() == 1
    summary = channel.told[-1]
    assert (summary.type, summary.said["count"], summary.said["agent"]) == (SUMMARY, 295, "billing")
    assert len(summary.said["subjects"]) == 5
    assert len(scene.store.records(scene.tenant, KIND)) == 6


def test_a_flood_does_not_bury_a_critical_question_T61(scene: Scene) -> None:
    """It goes by a lane of its own, and first; also one that is raised by the flooding agent itself."""
    channel = Memory(lane_limit=5)
    delivering = scene.delivering(channel)
    for _ in range(50):
        scene.ask()
    wanted = scene.ask(rules=("pay/critical",))
    delivering.turn()
    assert channel.told[0].subject == wanted.id
    assert len(channel.told) == 6


def test_a_flood_of_one_rule_leaves_the_others_alone_T61(scene: Scene) -> None:
    """And one of one agent those of other agents."""
    channel = Memory(lane_limit=3)
    delivering = scene.delivering(channel)
    flood(scene, 100)
    breach(scene, "FL-OTHER001", "opened", rule="pay/other")
    breach(scene, "FL-OTHER002", "opened", agent="other")
    delivering.turn()
    assert {"FL-OTHER001", "FL-OTHER002"} <= {notice.subject for notice in channel.told}


def test_a_breach_within_a_flood_is_told_by_itself_T61(scene: Scene) -> None:
    """Of one of the many items of the same agent and rule, that was only ever summed up."""
    channel = Memory(lane_limit=3)
    delivering = scene.delivering(channel)
    flood(scene, 30)
    delivering.turn()
    breach(scene, "FL-00000029")
    assert delivering.turn() == 1
    assert (channel.told[-1].type, channel.told[-1].subject) == ("flag.breached", "FL-00000029")


def test_a_flood_of_critical_things_is_bounded_too_T61(here: Scene) -> None:
    """Five times as many, then a summary, sooner than others."""
    channel = Memory(lane_limit=2)
    delivering = here.delivering(channel)
    for number in range(40):
        breach(here, f"FL-{number:08d}")
    delivering.turn()
    assert len(channel.told) == 10
    here.clock.advance(WINDOW_S / 10)
    delivering.turn()
    assert channel.told[-1].said["count"] == 30


def test_a_summary_that_may_have_been_sent_is_not_changed_T61(here: Scene) -> None:
    """What comes after goes into the next, so that its id always means the same."""
    channel = Memory(lane_limit=1)
    delivering = here.delivering(channel)
    flood(here, 4)
    delivering.turn()
    here.clock.advance(WINDOW_S - 1)
    channel.refuse = 1
    here.clock.advance(1)
    delivering.turn()  # tried, and not known to have arrived
    (item,) = [item for item in here.items() if item.family == SUMMARY]
    assert item.waiting[0]["said"]["count"] == 3
    flood(here, 3)
    delivering.turn()
    (item,) = [item for item in here.items() if item.family == SUMMARY]
    assert [one["said"]["count"] for one in item.waiting] == [3, 2]


def test_lanes_open_again_with_time_T61(here: Scene) -> None:
    """After ten minutes things are told singly again."""
    channel = Memory(lane_limit=1)
    delivering = here.delivering(channel)
    breach(here, "FL-1", "opened")
    delivering.turn()
    here.clock.advance(WINDOW_S)
    breach(here, "FL-2", "opened")
    assert delivering.turn() == 1
    assert channel.types == ["flag.opened", "flag.opened"]
