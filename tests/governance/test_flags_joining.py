"""Every flagged call opens an item or joins one, once."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agentguard.decision import Effect
from agentguard.governance.flag_fingerprint import MAX_NAMES, argument_kinds
from agentguard.governance.flag_item import FlagState
from agentguard.ledger.records import FlagMoved, parse
from agentguard.ledger.verify import verify
from agentguard.store import Store
from tests.governance.flag_support import DAY, FLAG, RULES, Shop
from tests.store.support import START, FakeClock


@pytest.fixture
def shop(store: Store) -> Shop:
    return Shop(store=store)


def test_calls_of_one_kind_are_one_item(shop: Shop, clock: FakeClock) -> None:
    """Same rule, agent, tool and kinds of values: counted, with the first and the last time."""
    shop.pay({"amount": 50})
    clock.advance(60)
    shop.pay({"amount": 70, "to": "EVIL"})
    assert shop.sweep().flags == 2
    item = shop.item
    assert (item.rule, item.agent, item.tool, item.count) == ("p/f", "billing", "pay", 2)
    assert dict(item.kinds or ()) == {"amount": "integer", "to": "text"}
    assert (item.first, item.last) == (START, clock())
    assert item.state is FlagState.OPEN


@pytest.mark.parametrize(
    ("call", "who"),
    [
        ({}, {"agent": "research"}),
        ({}, {"tool": "refund"}),
        ({"to": "a@example.com"}, {}),
        ({"note": "x"}, {}),
        ({"amount": 50.5}, {}),
    ],
)
def test_another_agent_tool_or_kind_of_value_is_another_item(
    shop: Shop, call: dict[str, Any], who: dict[str, Any]
) -> None:
    """Each part of the fingerprint tells apart; another rule does in any case."""
    shop.pay({"amount": 50})
    shop.pay({"amount": 50, **call}, **who)
    shop.sweep()
    assert [item.count for item in shop.items] == [1, 1]


def test_no_value_reaches_an_item_or_its_events(shop: Shop) -> None:
    """Neither the texts nor the numbers of the arguments, nor names that are data."""
    shop.pay({"amount": 424242, "to": "SECRETPAYEE", "sk live": 1})
    shop.sweep()
    kept = json.dumps([dict(shop.item.record.body), *shop.events()])
    for value in ("424242", "SECRETPAYEE", "sk live"):
        assert value not in kept
    assert dict(shop.item.kinds or ()) == {"...": "other", "amount": "integer", "to": "text"}


def test_a_sweep_takes_each_call_in_once(shop: Shop) -> None:
    """However often it runs."""
    shop.pay({"amount": 50}, {"amount": 60})
    assert [shop.sweep().flags for _ in range(3)] == [2, 0, 0]
    assert shop.item.count == 2


def test_a_sweep_in_parts_is_one_sweep(shop: Shop) -> None:
    """With a limit it takes in so many calls, and the next one goes on."""
    shop.pay(*[{"amount": 50 + n} for n in range(5)])
    assert [shop.sweep(limit=2).flags for _ in range(4)] == [2, 2, 1, 0]
    assert shop.item.count == 5


def test_erased_arguments_are_one_kind(shop: Shop, store: Store) -> None:
    """What was erased before the sweep has no class that could be known."""
    shop.pay({"amount": 50}, {"amount": 60, "note": "x"})
    assert store.erase("default", "billing")
    shop.sweep()
    assert (shop.item.kinds, shop.item.count) == (None, 2)


def test_an_item_keeps_the_policy_as_it_was(shop: Shop) -> None:
    """A rule that is changed later does not move the dates of what was flagged before."""
    shop.pay({"amount": 50})
    shop.rules = [RULES[0], {**RULES[1], "flag": {"owner": "eve", "review_in": "30d"}}]
    shop.pay({"amount": 60})
    shop.sweep()
    assert shop.item.policy.owner == "ana"
    assert [level.to for level in shop.item.policy.levels] == ["bob", "cai"]
    assert (shop.item.due - START).days == 3


def test_a_rule_that_does_not_say_by_when_is_due_in_a_week(shop: Shop) -> None:
    """No flag is without a due date."""
    shop.rules = [RULES[0], {**RULES[1], "flag": {"owner": "ana"}}]
    shop.pay({"amount": 50})
    shop.sweep()
    assert ((shop.item.due - START).days, shop.item.policy.assumed) == (7, True)


def test_an_observed_rule_is_flagged_with_what_it_would_have_done(shop: Shop) -> None:
    """The stake is its own effect."""
    observed = {"id": "no", "effect": "deny", "observe": {"owner": "ana", "until": "2027-01-01"}}
    shop.rules = [RULES[0], observed]
    shop.pay({"amount": 5})
    shop.sweep()
    assert (shop.item.rule, shop.item.stake) == ("p/no", Effect.DENY)


def test_what_opens_an_item_is_an_event_that_reads_back(shop: Shop, store: Store) -> None:
    """It names the `flag.raised` that opened it, and the ledger verifies."""
    shop.pay({"amount": 50}, {"amount": 60})
    shop.sweep()
    raised = shop.events("flag.raised")
    (row,) = store.events("default", types=("flag.opened",))
    told = parse(row.leaf)
    assert isinstance(told, FlagMoved)
    assert (told.flag, told.raised, told.owner, told.count) == (shop.item.id, raised[0]["id"], "ana", 1)
    assert verify(store).ok


def test_a_damaged_item_is_opened_anew(shop: Shop, store: Store) -> None:
    """One record that cannot be read stops no other flag."""
    from dataclasses import replace

    from agentguard.store.protocol import RecordsChange

    shop.pay({"amount": 50})
    shop.sweep()
    record = shop.item.record
    broken = replace(record, body={"count": "many"})
    store.change_records("default", [record.key], lambda known, now: RecordsChange((broken,)))
    shop.pay({"amount": 60}, {"amount": 60, "to": ""})
    shop.sweep()
    assert sorted(item.count for item in shop.items) == [1, 1]


class TestClass:
    """The class of arguments."""

    @pytest.mark.parametrize(
        ("value", "kind"),
        [
            ("null", "null"),
            ("true", "boolean"),
            ("1", "integer"),
            ("1.0", "number"),
            ('""', "empty"),
            ('"hello"', "text"),
            ('"https://example.com/x"', "url"),
            ('"/etc/passwd"', "path"),
            ('"../x"', "path"),
            ('"ana@example.com"', "e-mail"),
            ("[1,2]", "list of integer"),
            ('[1,"a"]', "list"),
            ("[]", "list"),
            ('{"a":1}', "object"),
            ('{"$date":"2026-01-01"}', "date"),
        ],
    )
    def test_each_value_has_a_kind(self, value: str, kind: str) -> None:
        """Out of a small set."""
        assert argument_kinds(b'{"x":%s}' % value.encode()) == (("x", kind),)

    def test_it_is_bounded(self) -> None:
        """However many names a call brings."""
        many = json.dumps({f"k{n:05}": n for n in range(5000)}).encode()
        assert len(argument_kinds(many) or {}) == MAX_NAMES + 1

    @pytest.mark.parametrize("content", [b"", b"[1]", b"{", b"\xff"])
    def test_what_is_no_arguments_has_none(self, content: bytes) -> None:
        """As erased ones."""
        assert argument_kinds(content) is None


def test_a_flag_that_was_never_swept_is_due_all_the_same(shop: Shop, clock: FakeClock) -> None:
    """The first sweep of an old ledger finds what nobody reviewed."""
    shop.pay({"amount": 50})
    clock.advance(30 * DAY)
    swept = shop.sweep()
    assert (swept.opened, swept.escalated, swept.breached) == (1, 2, 1)


def test_the_flag_of_the_documentation_of_rules_still_works(shop: Shop) -> None:
    """`escalate_to` as one name is one level, at once."""
    shop.rules = [RULES[0], {**RULES[1], "flag": {**FLAG, "escalate_to": "bob"}}]
    shop.pay({"amount": 50})
    shop.sweep()
    assert [(one.to, one.after_s) for one in shop.item.policy.levels] == [("bob", 0)]
    assert shop.events("flag.raised")[0]["flag"]["escalate_to"] == "bob"
