"""However many flags there are, a person can read the list, and the grave ones stand first."""

from __future__ import annotations

import datetime as dt
import threading
from pathlib import Path
from typing import Any

import pytest

from agentguard.decision import Effect, Flag
from agentguard.governance.flag_item import KIND, FlagState, Item, tell
from agentguard.governance.flag_joining import INDEX, PER_AGENT, PER_RULE
from agentguard.governance.flag_sweeping import sweep
from agentguard.ids import uuid7
from agentguard.ledger import events
from agentguard.store import Store, open_store
from agentguard.store.protocol import Payload
from tests.governance.flag_support import Shop
from tests.store.support import START, FakeClock, make_request


def flagged(
    count: int,
    *,
    agent: str = "billing",
    rule: str = "p/f",
    kinds: int = 1,
    agents: int = 1,
    stake: Effect = Effect.FLAG,
    begin: int = 0,
) -> tuple[list[Any], dict[str, Payload]]:
    """So many flags of so many kinds by so many agents, as the guard writes them, with their arguments."""
    written, payloads = [], {}
    flag = Flag(
        rule=rule, owner="ana", review_in_s=86_400, observed=stake if stake is not Effect.FLAG else None
    )
    for number in range(begin, begin + count):
        name = f"hmac-sha256:{number % kinds:064x}"
        payloads[name] = Payload("billing", b'{"k%d":1}' % (number % kinds))
        who = agent if agents == 1 else f"{agent}-{number % agents}"
        request = make_request(agent={"id": who})
        written.append(
            events.flag_raised(
                id=uuid7(),
                tenant="default",
                at=START,
                request=request,
                flag=flag,
                decision_id=uuid7(),
                args_hmac=name,
            )
        )
    return written, payloads


def flood(store: Store, count: int, **more: Any) -> None:
    for begin in range(0, count, 5000):
        written, payloads = flagged(min(5000, count - begin), begin=begin, **more)
        store.append("default", written, payloads=payloads)


def items(store: Store) -> list[Item]:
    return [tell(record) for record in store.records("default", KIND)]


def test_twenty_thousand_flags_of_one_kind_are_one_item_T61() -> None:
    """And one notice, and one event."""
    store = open_store("memory:", clock=FakeClock())
    flood(store, 20_000)
    heard: list[Any] = []
    assert sweep(store, "default", tell=heard.append).flags == 20_000
    (item,) = items(store)
    assert item.count == 20_000
    assert len(heard) == 1
    assert sum(1 for _ in store.events("default", types=("flag.opened",))) == 1


def test_a_flood_of_kinds_is_a_bounded_list_T61(store: Store) -> None:
    """An agent that brings a new argument each time has so many items, and one of the rest."""
    flood(store, 3000, kinds=3000)
    sweep(store, "default")
    found = items(store)
    assert len(found) == PER_AGENT + 1
    (rest,) = [item for item in found if item.rest]
    assert (rest.agent, rest.count) == ("billing", 3000 - PER_AGENT)
    assert rest.record.body["tools"] == ["payments.transfer"]


def test_a_flood_of_agents_is_a_bounded_list_T61(store: Store) -> None:
    """An orchestrator with a new name for each of its agents has so many items, and one of all the others."""
    flood(store, 3000, agents=3000)
    sweep(store, "default")
    found = items(store)
    assert len(found) == PER_RULE + 1
    (rest,) = [item for item in found if item.rest]
    assert (rest.agent, rest.count) == (None, 3000 - PER_RULE)
    assert len(rest.record.body["agents"]) == 20


def test_a_flood_takes_no_other_rules_place_and_buries_nothing_T61(store: Store) -> None:
    """A graver flag of the same agent, raised last, stands first."""
    from agentguard.cli.flag_text import gravest_first

    flood(store, 3000, kinds=3000)
    flood(store, 1, rule="p/grave", stake=Effect.DENY)
    sweep(store, "default")
    first = min(items(store), key=gravest_first)
    assert (first.rule, first.rest, first.stake) == ("p/grave", False, Effect.DENY)


def test_the_gravest_notice_comes_first_T61(store: Store, clock: FakeClock) -> None:
    """Whatever else was opened in the same sweep."""
    flood(store, 200, kinds=200)
    flood(store, 1, rule="p/grave", stake=Effect.DENY)
    heard: list[Any] = []
    sweep(store, "default", tell=heard.append)
    assert heard[0].rule == "p/grave"
    assert len(heard) == PER_AGENT + 2


def test_a_resolved_item_makes_room_T61(store: Store) -> None:
    """The list is of what is open."""
    shop = Shop(store=store)
    flood(store, 100, kinds=100)
    sweep(store, "default")
    item = next(one for one in shop.items if not one.rest)
    shop.resolve(item)
    flood(store, 150, kinds=150)
    sweep(store, "default")
    assert sum(one.unresolved and not one.rest for one in shop.items) == PER_AGENT
    (listed,) = store.records("default", INDEX)
    assert len(listed.body["open"]) == PER_AGENT
    assert item.id not in listed.body["open"]


def test_resolving_the_rest_covers_nothing_to_come_T61(store: Store, clock: FakeClock) -> None:
    """A person cannot know what will be in it: the next call opens it again."""
    shop = Shop(store=store)
    flood(store, 60, kinds=60)
    sweep(store, "default")
    (rest,) = [one for one in shop.items if one.rest]
    clock.advance(60)
    assert shop.resolve(rest).until == clock()
    clock.advance(60)
    written, payloads = flagged(1, kinds=10_000, begin=9_999)
    late = [{**one, "at": events.instant(clock())} for one in written]
    store.append("default", late, payloads=payloads)
    assert sweep(store, "default").reopened == 1
    assert shop.desk.item(rest.id).state is FlagState.OPEN


def test_sweeps_at_the_same_time_count_each_call_once_T61(tmp_path: Path, clock: FakeClock) -> None:
    """Several threads with stores of their own on one file: nothing is counted twice, nor passed on twice."""
    url = f"sqlite:///{tmp_path}/store.db"
    with_flags = open_store(url, clock=clock)
    flood(with_flags, 4000, kinds=7)
    clock.advance(10 * 86_400)
    stores = [open_store(url, clock=clock) for _ in range(4)]
    ready, failed = threading.Barrier(4), list[BaseException]()

    def run(store: Store) -> None:
        ready.wait(120)
        try:
            for _ in range(5):
                sweep(store, "default")
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=run, args=(store,)) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(600)
    assert not failed
    assert sum(item.count for item in items(with_flags)) == 4000
    assert sum(1 for _ in with_flags.events("default", types=("flag.opened",))) == 7
    assert sum(1 for _ in with_flags.events("default", types=("flag.breached",))) == 7
    for store in (*stores, with_flags):
        store.close()


@pytest.mark.parametrize("at", ["", "soon", None, 7])
def test_no_event_stops_the_others(store: Store, at: object) -> None:
    """One that cannot be read is a flag all the same, and so are those after it."""
    (good,), payloads = flagged(1)
    bad = {**good, "id": uuid7(), "flag": {"rule": 7, "review_in_s": -1, "escalate_to": [at, {"to": 1}]}}
    store.append("default", [bad, good], payloads=payloads)
    assert sweep(store, "default").flags == 2
    assert sorted(item.rule for item in items(store)) == ["?", "p/f"]
    (odd,) = [item for item in items(store) if item.rule == "?"]
    assert (odd.policy.owner, odd.due - START) == ("nobody", dt.timedelta(days=7))
