"""Deviations go to the agent's owner, and a rule may suspend an agent on which it fires too often."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from agentguard import AgentIdentity, PolicyError, Snapshot, ToolCallDenied
from agentguard.decision import Suspend
from agentguard.errors import RecordRefused
from agentguard.governance import agents, flag_sweeping
from agentguard.governance.desk import Desk
from agentguard.governance.flag_desk import FlagDesk
from agentguard.governance.flag_item import KIND as FLAG
from agentguard.governance.flag_item import Item, Resolution, tell
from agentguard.governance.sweeping import sweep
from agentguard.governance.vouching import Word
from agentguard.ledger.decided import decided
from agentguard.ledger.events import leaf
from agentguard.ledger.records import parse
from agentguard.ledger.verify import verify
from agentguard.store import Store, open_store
from agentguard.store.protocol import RecordsChange
from tests.governance.baseline_support import ALLOW, Yard, asking, calls
from tests.governance.support import word
from tests.store.support import FakeClock

HOUR = dt.timedelta(hours=1)
SUSPEND = {"after": 3, "within": "1h"}


@pytest.fixture
def yard(clock: FakeClock) -> Iterator[Yard]:
    """On a store in memory."""
    found = open_store("memory:", clock=clock)
    yield Yard(store=found, clock=clock)
    found.close()


def stopping(effect: str = "deny", when: str = "tool == 'wipe'", **more: Any) -> dict[str, Any]:
    """A rule that suspends."""
    block = {"flag": {"owner": "ana"}} if effect == "flag" else {}
    return {"id": "stop", "effect": effect, "when": when, "suspend": SUSPEND, **block, **more}


def guarded(yard: Yard, *rules: dict[str, Any]) -> None:
    """Put these rules in force, in a policy that somebody owns."""

    def guard(**more: Any) -> Any:
        from agentguard import Guard

        document = {"policy": "p", "owner": "ana", "tools": ["*"], "rules": [ALLOW, *rules]}
        snapshot = Snapshot.from_documents([document])
        return Guard(snapshot=snapshot, store=yard.store, directory=yard.directory, **more)

    yard.guard = guard  # type: ignore[method-assign]


def items(yard: Yard) -> list[Item]:
    flag_sweeping.sweep(yard.store, "default")
    return [tell(record) for record in yard.store.records("default", FLAG)]


def state(yard: Yard, agent: str = "billing") -> str:
    sweep(yard.store, "default")
    found = [one for one in yard.store.records("default", agents.KIND) if one.id == agent]
    return found[0].state if found else "none"


def restore(yard: Yard, who: str = "ana") -> None:
    known = yard.store.record("default", agents.KIND, "billing")
    digest = agents.state_digest("default", "billing", known)
    said = word(who, "restore", agents.KIND, "billing", digest, yard.store.now())
    Desk(store=yard.store, directory=yard.directory).restore("billing", said)


# To whom


@pytest.mark.parametrize("effect", ["flag", "deny"])
def test_a_deviation_is_an_item_of_the_agents_owner(yard: Yard, effect: str) -> None:
    """Flagged or denied, once each, counted; whom the rule names has it next."""
    yard.settled()
    yard.rules = [ALLOW, asking("baseline.new_tool", effect)]
    yard.work({"tool": "wipe"}, {"tool": "wipe"}, {"amount": 11})
    (item,) = items(yard)
    assert (item.rule, item.agent, item.tool, item.count) == ("p/new", "billing", "wipe", 2)
    assert item.policy.owner == "owen"
    assert [level.to for level in item.policy.levels] == (["ana"] if effect == "flag" else [])


def test_the_owner_resolves_a_deviation_and_no_other_flag_of_the_agent(yard: Yard) -> None:
    """As the owner approves what is normal; what another rule flagged, somebody else resolves."""
    yard.settled()
    yard.rules = [ALLOW, asking("baseline.new_tool"), asking("tool == 'wipe'", id="other")]
    yard.work({"tool": "wipe"})
    desk = FlagDesk(store=yard.store, directory=yard.directory)
    for item in items(yard):
        drafted = desk.draft(item.id, Resolution.FALSE_POSITIVE)
        digest, now = item.digest("default", drafted), yard.store.now()
        said = word("owen", "resolve", FLAG, item.id, digest, now, reason="a new task")
        if item.rule == "p/new":
            assert desk.resolve(item.id, drafted, said).state == "resolved"
        else:
            with pytest.raises(RecordRefused, match="concerned"):
                desk.resolve(item.id, drafted, said)


def test_the_decision_says_that_it_was_a_deviation(yard: Yard) -> None:
    """In the ledger, and read back."""
    yard.settled()
    yard.rules = [ALLOW, asking("baseline.new_tool", "deny")]
    yard.work({"tool": "wipe"})
    event = yard.decisions[-1]
    assert [one.get("deviation") for one in event["decision"]["matched"]] == [True, None]
    assert decided(event["decision"]).matched[0].deviation
    assert parse(leaf(event))


def test_a_rule_without_a_baseline_is_no_deviation(yard: Yard) -> None:
    """Its flag goes to whom it names, and its denial to nobody."""
    yard.settled()
    yard.rules = [ALLOW, asking("tool == 'wipe'"), asking("tool == 'read'", "deny", id="no")]
    yard.work({"tool": "wipe"}, {"tool": "read"})
    (item,) = items(yard)
    assert item.policy.owner == "ana"


def test_a_rule_that_could_not_be_evaluated_is_no_deviation(yard: Yard) -> None:
    """It denies all the same."""
    yard.rules = [ALLOW, asking("baseline.new_tool", "deny")]
    (error,) = yard.work({"tool": "wipe"})
    assert isinstance(error, ToolCallDenied)
    assert items(yard) == []


def test_several_sweeps_count_a_deviation_once(yard: Yard) -> None:
    """Whoever sweeps."""
    yard.settled()
    yard.rules = [ALLOW, asking("baseline.new_tool", "deny")]
    yard.work({"tool": "wipe"})
    items(yard)
    assert [item.count for item in items(yard)] == [1]


# Suspended by a rule


@pytest.mark.parametrize("effect", ["flag", "deny"])
def test_an_agent_is_suspended_when_the_rule_fired_often_enough(
    store: Store, clock: FakeClock, effect: str
) -> None:
    """At the third time within an hour, by the sweep: every call of it is denied from then on."""
    yard = Yard(store=store, clock=clock)
    guarded(yard, stopping(effect))
    yard.work(*calls(2, tool="wipe"))
    assert state(yard) == "none"
    yard.work({"tool": "wipe"})
    assert state(yard) == "suspended"
    (error,) = yard.work({"amount": 1})
    assert isinstance(error, ToolCallDenied)
    assert error.rule == "agentguard/agent"
    (event,) = yard.events("agent.suspended")
    assert event["word"]["subject"] == "p/stop"
    assert event["word"]["assurance"] == "rule"
    assert event["word"]["reason"] == "rule `p/stop` fired 3 times within 3600 s"
    assert verify(store, "default").ok


def test_firing_that_is_spread_over_a_longer_time_suspends_nobody(yard: Yard) -> None:
    """The span slides: any three within an hour count."""
    guarded(yard, stopping())
    for _ in range(4):
        yard.work({"tool": "wipe"})
        yard.clock.at += HOUR / 2 + dt.timedelta(seconds=1)
    assert state(yard) == "none"
    yard.work(*calls(2, tool="wipe"))
    assert state(yard) == "suspended"


def test_a_flood_of_one_agent_suspends_no_other_T61(yard: Yard) -> None:
    """Neither one with a similar id, nor those that delegated to it; each is counted by itself."""
    guarded(yard, stopping())
    yard.work(*calls(2, tool="wipe"), agent="billing ")
    yard.work(*calls(2, tool="wipe"))
    yard.work(*calls(50, tool="wipe"), agent="billing ", chain=[AgentIdentity("billing")])
    assert state(yard) == "none"
    assert state(yard, "billing ") == "suspended"


def test_a_suspension_by_rule_is_ended_by_a_person_and_begins_anew(yard: Yard) -> None:
    """Never by itself; what fired before does not count again."""
    guarded(yard, stopping())
    yard.work(*({"tool": "wipe", "amount": number} for number in range(5)))
    assert state(yard) == "suspended"
    restore(yard)
    yard.work(*calls(2, tool="wipe"))
    assert state(yard) == "active"
    yard.work({"tool": "wipe"})
    assert state(yard) == "suspended"
    yard.clock.at += 1000 * HOUR
    assert state(yard) == "suspended"
    assert verify(yard.store, "default").ok


def test_who_owns_the_agent_does_not_restore_it(yard: Yard) -> None:
    """As after any suspension."""
    guarded(yard, stopping())
    yard.register()
    yard.work(*calls(3, tool="wipe"))
    assert state(yard) == "suspended"
    with pytest.raises(RecordRefused, match="concerned"):
        restore(yard, "owen")


def test_a_rule_that_cannot_be_evaluated_suspends_nobody(yard: Yard) -> None:
    """A missing baseline is no deviation."""
    guarded(yard, stopping(when="baseline.new_tool"))
    assert all(isinstance(one, ToolCallDenied) for one in yard.work(*calls(5, tool="wipe")))
    assert state(yard) == "none"


def test_a_word_of_a_rule_counts_only_from_the_sweep(yard: Yard) -> None:
    """Nobody hands one in: it would be an answer that nobody signed."""
    said = Word(act="suspend", subject="p/stop", digest="sha256:0", at=yard.store.now(), assurance="rule")
    with pytest.raises(RecordRefused):
        Desk(store=yard.store, directory=yard.directory).suspend("billing", said)


def test_a_damaged_record_of_one_agent_stops_no_other_suspension(yard: Yard) -> None:
    """It stays as it is; verification names it."""
    guarded(yard, stopping())
    yard.register()
    known = yard.store.record("default", agents.KIND, "billing")
    broken = replace(known, state="broken")
    yard.store.change_records("default", [known.key], lambda known, now: RecordsChange([broken]))
    yard.work(*calls(3, tool="wipe"))
    yard.work(*calls(3, tool="wipe"), agent="other")
    assert (state(yard), state(yard, "other")) == ("broken", "suspended")


def test_how_often_is_too_often_stands_in_the_decision(yard: Yard) -> None:
    """So that any process can count, whatever policies it has; and only where the rule fired."""
    guarded(yard, stopping())
    yard.work({"amount": 1})
    assert "suspend" not in json.dumps(yard.decisions[-1])
    yard.work({"tool": "wipe"})
    (match, _) = yard.decisions[-1]["decision"]["matched"]
    assert match["suspend"] == {"after": 3, "within_s": 3600}
    assert decided(yard.decisions[-1]["decision"]).matched[0].suspend == Suspend(3, 3600)


# How it is written


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (stopping(), "nobody answers for the suspension"),
        (stopping("allow", id="y"), "does not belong to a `allow` rule"),
        (stopping(suspend={"after": 0, "within": "1h"}), "after"),
        (stopping(suspend={"after": 1, "within": "40d"}), "longer than 31 days"),
        (stopping(observe={"owner": "ana", "until": "2030-01-01"}), "an observed rule suspends nobody"),
    ],
)
def test_a_suspension_that_could_not_work_is_refused(rule: dict[str, Any], message: str) -> None:
    """At load, with what to do."""
    owner = {} if "nobody" in message else {"owner": "ana"}
    document = {"policy": "p", **owner, "tools": ["*"], "rules": [ALLOW, rule]}
    with pytest.raises(PolicyError) as refused:
        Snapshot.from_documents([document])
    assert message in str(refused.value)
