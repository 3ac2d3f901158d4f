"""A flag from the call to its conversion, through the guard."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Any

import pytest

from agentguard import AgentIdentity, Guard, ToolCallDenied
from agentguard.decision import Effect, Flag, FlagLevel
from agentguard.errors import ApprovalPending, PolicyError
from agentguard.governance.flag_item import FlagState, Resolution
from agentguard.ledger.decided import decided
from agentguard.policy import Finding, Register, Snapshot
from agentguard.store import Store
from tests.governance.flag_support import DAY, FLAG, RULES, Shop, snapshot
from tests.policy.support import exception
from tests.store.support import FakeClock

APPROVAL = {"reviewers": ["ana"], "expires_in": "1h"}
CONVERSION = dt.datetime(2028, 1, 1, tzinfo=dt.UTC)


def converting(to: str, effect: str = "flag") -> list[dict[str, Any]]:
    """A rule whose flag converts on its date."""
    rule: dict[str, Any] = {
        **RULES[1],
        "effect": effect,
        "flag": {**FLAG, "converts": {"on": "2028-01-01", "to": to}},
    }
    if to == "step_up":
        rule["approval"] = APPROVAL
    return [RULES[0], rule]


class TestConversion:
    """On its date, to the moment, without anybody doing anything."""

    @pytest.mark.parametrize("effect", ["flag", "allow"])
    def test_a_flag_denies_from_its_date_on(self, store: Store, clock: FakeClock, effect: str) -> None:
        """One microsecond before the call runs and is flagged; then it is denied, and no flag is raised."""
        shop = Shop(store=store, rules=converting("deny", effect))
        clock.at = CONVERSION - dt.timedelta(microseconds=1)
        shop.pay({"amount": 50})
        clock.at = CONVERSION
        with pytest.raises(ToolCallDenied, match="converted from a flag on 2028-01-01"):
            shop.pay({"amount": 50})
        shop.pay({"amount": 5})
        assert shop.sweep().flags == 1

    def test_a_flag_asks_from_its_date_on(self, store: Store, clock: FakeClock) -> None:
        """Those whom the rule names."""
        shop = Shop(store=store, rules=converting("step_up"))
        shop.pay({"amount": 50})
        clock.at = CONVERSION
        with Guard(snapshot=snapshot(shop.rules), store=store, pause="raise") as guard:

            @guard.tool("pay")
            def pay(amount: int) -> int:
                return amount

            with (
                guard.session(agent=AgentIdentity("billing")),
                pytest.raises(ApprovalPending) as asked,
            ):
                pay(amount=50)
            assert guard.approval(asked.value.approval_id).requirement.rules == ("p/f",)

    def test_what_was_flagged_before_still_waits_for_somebody(self, store: Store, clock: FakeClock) -> None:
        """The conversion reviews nothing: it is resolved by a person, as converted."""
        shop = Shop(store=store, rules=converting("deny"))
        shop.pay({"amount": 50})
        clock.at = CONVERSION + dt.timedelta(days=1)
        shop.sweep()
        assert shop.item.breached is not None
        assert shop.resolve(shop.item, "converted").resolution is Resolution.CONVERTED

    def test_an_observed_rule_is_enforced_when_its_time_is_over(self, store: Store, clock: FakeClock) -> None:
        """Observing converts on its date as a flag does."""
        rule = {"id": "no", "effect": "deny", "observe": {"owner": "ana", "until": "2028-01-01"}}
        shop = Shop(store=store, rules=[RULES[0], rule])
        shop.pay({"amount": 5})
        clock.at = CONVERSION
        with pytest.raises(ToolCallDenied):
            shop.pay({"amount": 5})


def test_the_use_of_an_exception_is_an_item_of_its_own(store: Store, clock: FakeClock) -> None:
    """Its owner answers for it, until the exception ends; it does not hide what is flagged without it."""
    deny = {"id": "no", "effect": "deny", "when": "args.amount > 100"}
    shop = Shop(store=store, rules=[RULES[0], deny])
    given = exception(
        id="EX-7K2M9QXA", agent="billing", rules=["p/no"], tools=["pay"], owner="owen", when="true",
        not_before="2026-11-01T00:00:00Z", expires="2026-12-20T10:00:00Z",
    )  # fmt: skip
    register = Register.from_mapping({"version": 1, "exceptions": [given]})
    decision = snapshot(shop.rules, register=register).decide(_asked(amount=500))
    (flag,) = [one for one in decision.obligations if isinstance(one, Flag)]
    assert flag in decided(_event_of(decision)).obligations
    for one in (flag, replace(flag, exception=None, owner="ana", review_in_s=86_400)):
        store.append("default", [_raised(one)])
    shop.sweep()
    ours, other = sorted(shop.items, key=lambda item: item.policy.exception is None)
    assert (ours.policy.exception, ours.policy.owner, ours.due.date()) == (
        "EX-7K2M9QXA",
        "owen",
        dt.date(2026, 12, 20),
    )
    assert (other.rule, other.policy.owner, (other.due - clock()).days) == ("p/no", "ana", 1)


def _raised(flag: Flag) -> Any:
    from agentguard.ids import uuid7
    from agentguard.ledger import events
    from tests.store.support import ARGS_HMAC, START, make_request

    return events.flag_raised(
        id=uuid7(), tenant="default", at=START, request=make_request(), flag=flag, decision_id="d",
        args_hmac=ARGS_HMAC,
    )  # fmt: skip


def _asked(**args: Any) -> Any:
    from tests.policy.support import request

    return request(tool="pay", agent={"id": "billing"}, args=args, now="2026-11-20T10:00:00Z")


def _event_of(decision: Any) -> Any:
    import json

    from agentguard.ledger import events
    from tests.store.support import ARGS_HMAC, START, make_request

    written = events.decision(
        id="d", tenant="default", at=START, request=make_request(), decision=decision, args_hmac=ARGS_HMAC,
        runs=True,
    )  # fmt: skip
    return json.loads(events.leaf(written))["decision"]


class TestEscalationInRules:
    """`escalate_to` in a policy."""

    def test_one_name_is_one_level_at_once(self) -> None:
        """As it always was, in decisions and in events."""
        (flag,) = _flags({**FLAG, "escalate_to": "ciso"})
        assert flag.escalate_to == "ciso"
        assert flag.levels == (FlagLevel("ciso"),)
        assert flag.escalation_json() == "ciso"

    def test_levels_stand_in_the_decision_and_in_the_ledger(self) -> None:
        """In order, with seconds, and they read back."""
        decision = snapshot().decide(_asked(amount=50))
        (flag,) = [one for one in decision.obligations if isinstance(one, Flag)]
        assert flag.levels == (FlagLevel("bob"), FlagLevel("cai", 2 * 86_400))
        said = [{"to": "bob", "after_s": 0}, {"to": "cai", "after_s": 172_800}]
        assert decision.to_json()["obligations"][0]["escalate_to"] == said
        assert decided(_event_of(decision)).obligations == (flag,)

    @pytest.mark.parametrize(
        ("levels", "code"),
        [
            ([{"to": "bob"}, {"to": "cai"}], "AG112"),
            ([{"to": "bob", "after": "3d"}, {"to": "cai", "after": "2d"}], "AG112"),
            ([], "AG103"),
            ([{"after": "2d"}], "AG101"),
            ([{"to": "bob", "afer": "2d"}], "AG102"),
            ([{"to": "bob", "after": "soon"}], "AG109"),
            ("", "AG103"),
            (7, "AG103"),
            ([{"to": f"x{n}", "after": f"{n + 1}d"} for n in range(11)], "AG103"),
        ],
    )
    def test_what_makes_no_sense_is_refused(self, levels: Any, code: str) -> None:
        """At load, with its code."""
        with pytest.raises(PolicyError) as refused:
            _flags({**FLAG, "escalate_to": levels})
        assert code in {finding.code for finding in refused.value.findings if isinstance(finding, Finding)}


def _flags(flag: dict[str, Any]) -> list[Flag]:
    rules = [RULES[0], {**RULES[1], "flag": flag}]
    found = Snapshot.from_documents([{"policy": "p", "tools": ["*"], "rules": rules}]).decide(
        _asked(amount=50)
    )
    assert found.effect is Effect.FLAG
    return [one for one in found.obligations if isinstance(one, Flag)]


def test_a_tenants_flags_are_its_own(store: Store) -> None:
    """Neither its items nor its words reach another tenant."""
    from agentguard.governance.flag_sweeping import sweep

    shop = Shop(store=store)
    shop.pay({"amount": 50})
    assert sweep(store, "other").flags == 0
    shop.sweep()
    assert not store.records("other", "flag")
    assert shop.item.state is FlagState.OPEN


def test_a_sweep_between_calls_keeps_up(store: Store, clock: FakeClock) -> None:
    """A guard that runs it now and then sees each call once."""
    shop = Shop(store=store)
    for _ in range(3):
        shop.pay({"amount": 50})
        shop.sweep()
        clock.advance(DAY / 24)
    assert shop.item.count == 3
