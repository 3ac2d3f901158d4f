"""What waits for an answer: complete, and in an order in which nothing is buried."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from agentguard.decision import Stage
from agentguard.stepup import queue
from agentguard.stepup.model import Requirement
from agentguard.store import Store, open_store
from tests.store.support import FakeClock, ask


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def store(clock: FakeClock) -> Iterator[Store]:
    store = open_store("memory:", clock=clock)
    yield store
    store.close()


def needed(rule: str) -> Requirement:
    return Requirement(stages=(Stage(("group:finance",)),), expires_in_s=600, rules=(rule,))


def test_questions_that_are_over_do_not_hide_one_that_waits_T61(
    store: Store, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many of them nobody swept."""
    monkeypatch.setattr(queue, "MOST", 5)
    for number in range(30):
        ask(store, call_id=f"over-{number}")
    clock.advance(7 * 86400)
    live = ask(store, call_id="live")
    assert [one.id for one in queue.waiting(store, "default", store.now())] == [live.id]


def test_a_flood_of_one_agent_and_rule_comes_behind_the_others_T61(store: Store) -> None:
    """Ten of it first, as they came; then everybody else, before the rest of it."""
    flood = [ask(store, call_id=f"flood-{number}", requirement=needed("pay/large")) for number in range(25)]
    critical = ask(store, call_id="critical", requirement=needed("pay/critical"))
    order = [group[0].id for group in queue.fairly([[one] for one in (*flood, critical)])]
    ids = [one.id for one in flood]
    assert order == [*ids[:10], critical.id, *ids[10:]]
