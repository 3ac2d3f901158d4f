"""Whatever happens in whatever order: every event is told, in order for its subject, and none is made up."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from agentguard.channels import outbox
from agentguard.channels.channel import Notice
from agentguard.channels.outbox import KIND, LEASE_S
from agentguard.channels.posting import Undelivered
from agentguard.store.protocol import Known, RecordKey, RecordsChange, RecordsUpdate
from tests.channels.support import Memory, Scene, breach

ACTS = st.lists(
    st.sampled_from(["ask", "vote", "flag", "tell", "fail", "give up", "kill", "lose", "wait", "long"]),
    max_size=40,
)


class Killed(BaseException):
    """The process is gone in the middle."""


class Moody(Memory):
    """A channel with which everything goes wrong that can: `mood` says what."""

    mood = "tell"

    def send(self, notice: Notice) -> dict[str, Any]:
        match self.mood:
            case "fail":
                raise Undelivered("it answered HTTP 503")
            case "give up":
                raise Undelivered("it answered HTTP 410", final=True)
            case "kill":
                raise Killed
            case "lose":
                super().send(notice)
                raise Killed
        return super().send(notice)


def play(acts: list[str]) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """What had to be told, and what was, as subjects and ids of events."""
    scene, channel = Scene(), Moody(attempts=3, lane_limit=1000)
    delivering = scene.delivering(channel)
    open_ = []
    for number, act in enumerate(acts):
        match act:
            case "ask":
                open_.append(scene.ask(expires_at=scene.clock().replace(year=2030)))
            case "vote" if open_:
                scene.vote(open_.pop(0))
            case "flag":
                breach(scene, f"FL-{number % 3}")
            case "wait":
                scene.clock.advance(20)
            case "long":
                scene.clock.advance(LEASE_S)
            case "tell" | "fail" | "give up" | "kill" | "lose":
                channel.mood = act
                try:
                    delivering.turn()
                except Killed:
                    delivering = scene.delivering(channel)
    wanted = [
        (event["subject"], event["id"])
        for event in (
            {"subject": data.get("approval") or data.get("flag"), "id": row.id}
            for row in scene.store.events(scene.tenant)
            if row.type.startswith(("approval.", "flag.breached"))
            for data in [_read(row.leaf)]
        )
    ]
    settle(scene, channel)
    return wanted, [(notice.subject, notice.id) for notice in channel.told]


def settle(scene: Scene, channel: Moody) -> None:
    """Everything goes well from now on; what was given up is tried again by hand."""
    channel.mood = "tell"
    delivering = scene.delivering(channel)
    for _ in range(3):
        scene.clock.advance(7200)
        delivering.turn()
        for record in scene.store.records(scene.tenant, KIND, states=("dead",)):
            scene.store.change_records(scene.tenant, [record.key], _again(record.key))
    delivering.turn()


def _again(key: RecordKey) -> RecordsUpdate:
    def update(known: Known, now: dt.datetime) -> RecordsChange:
        changed = outbox.retry(known[key], now)
        assert changed is not None
        return RecordsChange((changed,))

    return update


def _read(leaf: bytes) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(leaf)
    return found


@settings(max_examples=150)
@given(ACTS)
def test_everything_is_told_in_order_at_least_once(acts: list[str]) -> None:
    """Killed before or after it was sent, refused, given up, late: nothing is lost and nothing overtakes."""
    wanted, told = play(acts)
    for subject in {subject for subject, _ in [*wanted, *told]}:
        events = [id for of, id in wanted if of == subject]
        heard = [id for of, id in told if of == subject]
        assert list(dict.fromkeys(heard)) == events
        assert heard == sorted(heard, key=events.index)  # what comes again comes before what is next
