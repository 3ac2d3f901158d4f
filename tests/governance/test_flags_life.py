"""What becomes of an item: by itself, and by people's words."""

from __future__ import annotations

import datetime as dt

import pytest

from agentguard.decision import Effect
from agentguard.errors import RecordRefused
from agentguard.governance import Terms
from agentguard.governance.flag_item import FlagState, Resolution, tell
from agentguard.governance.flags import FALSE_POSITIVE_FOR, TRANSITIONS
from agentguard.ledger.verify import verify
from agentguard.store import Store
from tests.governance.flag_support import DAY, FLAG, RULES, Shop
from tests.governance.support import Office, people
from tests.store.support import START, FakeClock

MONTH = dt.timedelta(days=30)


@pytest.fixture
def shop(store: Store) -> Shop:
    """One flagged call, taken in."""
    found = Shop(store=store)
    found.pay({"amount": 50})
    found.sweep()
    found.heard.clear()
    return found


class TestEscalation:
    """Due after 3 days, then to bob, 2 days later to cai, and 3 days later a breach."""

    @pytest.mark.parametrize(
        ("days", "level", "breached", "holder"),
        [
            (2.99, 0, False, "ana"),
            (3, 1, False, "bob"),
            (4.99, 1, False, "bob"),
            (5, 2, False, "cai"),
            (7.99, 2, False, "cai"),
            (8, 2, True, "cai"),
            (400, 2, True, "cai"),
        ],
    )
    def test_it_goes_on_by_itself(
        self, shop: Shop, clock: FakeClock, days: float, level: int, breached: bool, holder: str
    ) -> None:
        """At the times of its policy, exactly."""
        clock.advance(days * DAY)
        shop.sweep()
        item = shop.item
        assert (item.level, item.breached is not None, item.holder) == (level, breached, holder)
        assert item.overdue(clock()) is (days >= 3)

    def test_one_late_sweep_is_as_many_in_time(self, shop: Shop, clock: FakeClock, store: Store) -> None:
        """A breach is a breach from the moment that nobody answered, not from when somebody looked."""
        clock.advance(100 * DAY)
        shop.sweep()
        assert shop.item.breached == START + dt.timedelta(days=8)
        assert [one["move"] for one in shop.item.history] == ["opened", "escalated", "escalated", "breached"]
        assert verify(store).ok

    def test_another_sweep_does_nothing_more(self, shop: Shop, clock: FakeClock) -> None:
        """Neither an event nor a notice twice."""
        clock.advance(100 * DAY)
        shop.sweep()
        events, heard = shop.events(), list(shop.heard)
        assert shop.sweep() == shop.sweep()
        assert (shop.events(), shop.heard) == (events, heard)

    def test_each_step_is_an_event(self, shop: Shop, clock: FakeClock) -> None:
        """With who has it now."""
        clock.advance(100 * DAY)
        shop.sweep()
        steps = shop.events("flag.escalated", "flag.breached")
        assert [(one["type"], one["to"]) for one in steps] == [
            ("flag.escalated", "bob"),
            ("flag.escalated", "cai"),
            ("flag.breached", "cai"),
        ]

    def test_without_levels_the_due_date_is_the_breach(self, store: Store, clock: FakeClock) -> None:
        """There is nobody else to ask."""
        rule = {**RULES[1], "flag": {"owner": "ana", "review_in": "1d"}}
        shop = Shop(store=store, rules=[RULES[0], rule])
        shop.pay({"amount": 50})
        clock.advance(DAY)
        shop.sweep()
        assert shop.item.breached == clock()

    def test_those_who_have_it_are_told(self, shop: Shop, clock: FakeClock) -> None:
        """The breach first; what a listener raises is no error of the sweep."""
        from agentguard.governance.flag_sweeping import sweep, tell_channels

        clock.advance(100 * DAY)
        heard = shop.heard

        class Bell:
            def notify(self, question: object) -> None: ...
            def notify_flag(self, notice: object) -> None:
                heard.append(notice)  # type: ignore[arg-type]
                raise RuntimeError("the bell is broken")

        assert sweep(shop.store, "default", tell=tell_channels([Bell(), print])).breached == 1
        assert [(one.move, one.to) for one in heard] == [
            ("breached", "cai"),
            ("escalated", "bob"),
            ("escalated", "cai"),
        ]
        assert tell_channels([print]) is None


class TestAcknowledging:
    """Somebody is on it."""

    def test_it_gives_the_time_of_a_review(self, shop: Shop, clock: FakeClock) -> None:
        """From then on, with the reason kept."""
        clock.advance(2 * DAY)
        item = shop.acknowledge(shop.item, reason="asking the team")
        assert item.state is FlagState.ACKNOWLEDGED
        assert item.step == clock() + dt.timedelta(days=3)
        assert item.history[-1]["reason"] == "asking the team"

    def test_it_counts_once_at_each_level(self, shop: Shop, clock: FakeClock) -> None:
        """Nobody puts it off for ever: past the last level it is a breach."""
        for who in ("ana", "bob", "cai"):
            item = shop.acknowledge(shop.item, who)
            with pytest.raises(RecordRefused, match="acknowledged already"):
                shop.acknowledge(shop.item, who)
            clock.advance((item.step - clock()).total_seconds())
            shop.sweep()
        assert shop.item.breached == clock()
        assert clock() <= START + dt.timedelta(days=9)

    def test_it_lapses_when_the_item_is_passed_on(self, shop: Shop, clock: FakeClock) -> None:
        """The next level has to look for itself."""
        shop.acknowledge(shop.item)
        clock.advance(3 * DAY)
        shop.sweep()
        assert (shop.item.state, shop.item.level) == (FlagState.OPEN, 1)

    def test_a_breach_stays_one(self, shop: Shop, clock: FakeClock) -> None:
        """Until it is resolved."""
        clock.advance(100 * DAY)
        shop.sweep()
        item = shop.acknowledge(shop.item)
        assert item.breached is not None
        assert item.due == START + dt.timedelta(days=3)
        assert shop.resolve(shop.item).breached is None

    def test_more_calls_leave_it_acknowledged(self, shop: Shop) -> None:
        """They are what it is about."""
        shop.acknowledge(shop.item)
        shop.pay({"amount": 60})
        shop.sweep()
        assert (shop.item.state, shop.item.count) == (FlagState.ACKNOWLEDGED, 2)


class TestResolving:
    """Each with a reason and an end."""

    @pytest.mark.parametrize("reason", ["", "  "])
    def test_a_reason_is_needed(self, shop: Shop, reason: str) -> None:
        """Of every word on a flag."""
        with pytest.raises(RecordRefused, match="say why"):
            shop.resolve(shop.item, reason=reason)
        with pytest.raises(RecordRefused, match="say why"):
            shop.acknowledge(shop.item, reason=reason)
        assert shop.item.state is FlagState.OPEN

    def test_a_false_positive_does_not_come_back_each_minute(self, shop: Shop, clock: FakeClock) -> None:
        """It counts on and waits for nobody, and comes back when its time is over."""
        item = shop.resolve(shop.item)
        assert item.until == clock() + FALSE_POSITIVE_FOR
        clock.advance(89 * DAY)
        shop.pay({"amount": 60})
        shop.sweep()
        assert (shop.item.state, shop.item.count, shop.item.record.due) == (FlagState.RESOLVED, 2, None)
        clock.advance(2 * DAY)
        shop.pay({"amount": 70})
        swept = shop.sweep()
        assert (swept.reopened, shop.item.state, shop.item.episode) == (1, FlagState.OPEN, 2)
        assert shop.item.due == clock() + dt.timedelta(days=3)
        assert shop.events("flag.reopened")[0]["count"] == 3

    def test_what_was_flagged_before_is_covered_when_it_is_read_late(
        self, shop: Shop, clock: FakeClock
    ) -> None:
        """A sweep that comes late opens nothing for a call from before the end."""
        until = clock() + MONTH
        shop.resolve(shop.item, "accepted", until=until)
        clock.advance(29 * DAY)
        shop.pay({"amount": 60})
        clock.advance(20 * DAY)
        assert shop.sweep().reopened == 0

    def test_what_is_accepted_has_an_end(self, shop: Shop, clock: FakeClock) -> None:
        """Within what the operator allows."""
        with pytest.raises(RecordRefused, match="--until"):
            shop.resolve(shop.item, "accepted")
        for days in (0, 500):
            with pytest.raises(RecordRefused, match="within 366 days"):
                shop.resolve(shop.item, "accepted", until=clock() + dt.timedelta(days=days))
        item = shop.resolve(shop.item, "accepted", until=clock() + MONTH)
        assert (item.resolution, item.until) == (Resolution.ACCEPTED, clock() + MONTH)

    def test_what_is_converted_may_not_be_flagged_any_more(self, shop: Shop, clock: FakeClock) -> None:
        """A day later a flag of the rule means that it was not."""
        shop.resolve(shop.item, "converted")
        shop.pay({"amount": 60})
        assert shop.sweep().reopened == 0
        clock.advance(DAY + 1)
        shop.pay({"amount": 60})
        assert shop.sweep().reopened == 1

    def test_more_at_stake_opens_it_again(self, shop: Shop) -> None:
        """What was no violation of a flag may be one of a deny."""
        weak = {**FLAG, "converts": {"on": "2027-03-01", "to": "step_up"}}
        approval = {"reviewers": ["ana"], "expires_in": "1h"}
        shop.rules = [RULES[0], {**RULES[1], "id": "g", "flag": weak, "approval": approval}]
        shop.pay({"amount": 50})
        shop.sweep()
        (item,) = [one for one in shop.items if one.rule == "p/g"]
        shop.resolve(item)
        shop.rules = [RULES[0], {**RULES[1], "id": "g"}]
        shop.pay({"amount": 50})
        assert shop.sweep().reopened == 1
        assert shop.desk.item(item.id).stake is Effect.DENY

    def test_a_word_counts_for_what_was_seen(self, shop: Shop) -> None:
        """Not for the next time that the same kind of call is flagged, nor for another resolution."""
        seen = shop.item
        drafted = shop.desk.draft(seen.id, Resolution.FALSE_POSITIVE)
        word = shop.said("resolve", seen, seen.digest("default", drafted), "ana", "why")
        longer = {**drafted, "until": "2027-11-19T10:00:00.000000Z"}
        with pytest.raises(RecordRefused, match=r"something else|signed"):
            shop.desk.resolve(seen.id, longer, word)
        shop.resolve(seen)
        with pytest.raises(RecordRefused, match="resolved already"):
            shop.desk.resolve(seen.id, drafted, word)

    def test_a_resolution_that_nobody_drafted_is_checked(self, shop: Shop) -> None:
        """It may come from anywhere."""
        item = shop.item
        for made in (
            {},
            {"as": "forgotten", "until": "2027-01-01"},
            {"as": "converted", "until": "2027-10-01T00:00:00Z"},
        ):
            word = shop.said("resolve", item, item.digest("default", made), "ana", "why")
            with pytest.raises(RecordRefused):
                shop.desk.resolve(item.id, made, word)

    def test_an_exception_has_to_be_in_force_and_about_it(self, store: Store, clock: FakeClock) -> None:
        """Then the flag is resolved until it ends."""
        rule = {"id": "no", "effect": "deny", "when": "args.amount > 100",
                "observe": {"owner": "ana", "until": "2027-01-01"}}  # fmt: skip
        shop, office = Shop(store=store, rules=[RULES[0], rule]), Office(store=store)
        shop.pay({"amount": 500}, tool="payments.transfer")
        shop.sweep()
        asked = office.ask()
        with pytest.raises(RecordRefused, match="requested and not in force"):
            shop.resolve(shop.item, "exception", exception=asked.id)
        office.say("approve", asked)
        other = office.granted(agent="research")
        with pytest.raises(RecordRefused, match="is not for rule"):
            shop.resolve(shop.item, "exception", exception=other.id)
        shop.directory = people(ana={"disabled": True})
        with pytest.raises(RecordRefused):
            shop.resolve(shop.item, "exception", "bob", exception=asked.id)
        shop.directory = people()
        item = shop.resolve(shop.item, "exception", exception=asked.id)
        assert (item.exception, item.until) == (asked.id, dt.datetime(2026, 12, 20, 10, tzinfo=dt.UTC))


class TestWho:
    """May say what."""

    def test_whoever_owns_the_agent_does_not_resolve_its_flags_T11(self, shop: Shop) -> None:
        """Nor does the agent; both may say that they are on it."""
        with pytest.raises(RecordRefused, match="concerned"):
            shop.resolve(shop.item, who="owen")
        assert shop.acknowledge(shop.item, "owen").state is FlagState.ACKNOWLEDGED

    def test_the_agent_says_nothing_about_its_flags(self, store: Store) -> None:
        """Whatever key it has."""
        shop = Shop(store=store)
        shop.pay({"amount": 50}, agent="ben")
        shop.sweep()
        for word in (shop.acknowledge, shop.resolve):
            with pytest.raises(RecordRefused, match="concerned"):
                word(shop.item, who="ben")

    def test_an_unverified_word_counts_where_it_is_allowed(self, shop: Shop) -> None:
        """By the operator's terms."""
        with pytest.raises(RecordRefused, match="unverified"):
            shop.resolve(shop.item, who="local")
        with pytest.raises(RecordRefused, match="unverified"):
            shop.acknowledge(shop.item, who="local")
        shop.terms = Terms(local=True)
        assert shop.resolve(shop.item, who="local").state is FlagState.RESOLVED

    def test_its_owner_and_those_it_goes_to_resolve_it_beside_the_approvers(self, store: Store) -> None:
        """And nobody else."""
        for who, allowed in (("ana", True), ("cai", True), ("eve", True), ("ben", False)):
            shop = Shop(store=store, terms=Terms(approvers=("eve",)))
            shop.pay({"amount": 50}, tool=f"pay.{who}")
            shop.sweep()
            (item,) = [one for one in shop.items if one.tool == f"pay.{who}"]
            if allowed:
                assert shop.resolve(item, who=who).state is FlagState.RESOLVED
            else:
                with pytest.raises(RecordRefused, match="cannot resolve"):
                    shop.resolve(item, who=who)

    def test_a_disabled_person_says_nothing(self, shop: Shop) -> None:
        """Their key is nobody's."""
        shop.directory = people(ana={"disabled": True})
        with pytest.raises(RecordRefused):
            shop.acknowledge(shop.item)

    def test_a_signature_of_somebody_else_does_not_count(self, shop: Shop) -> None:
        """Nor one for another flag."""
        from dataclasses import replace

        item = shop.item
        word = shop.said("acknowledge", item, item.digest("default"), "bob", "on it")
        with pytest.raises(RecordRefused):
            shop.desk.acknowledge(item.id, replace(word, subject="ana"))
        shop.pay({"amount": 50}, tool="other")
        shop.sweep()
        (other,) = [one for one in shop.items if one.id != item.id]
        with pytest.raises(RecordRefused):
            shop.desk.acknowledge(other.id, word)


def test_every_move_there_is_happens(store: Store, clock: FakeClock) -> None:
    """The table of transitions is what the functions do."""
    seen: set[tuple[str, str]] = set()
    shop = Shop(store=store)
    shop.pay({"amount": 50})
    shop.sweep()

    def after(before: FlagState) -> None:
        seen.add((before, shop.item.state))

    shop.acknowledge(shop.item)
    after(FlagState.OPEN)
    clock.advance(DAY)
    shop.pay({"amount": 50})
    shop.sweep()
    after(FlagState.ACKNOWLEDGED)
    clock.advance(3 * DAY)
    shop.sweep()
    after(FlagState.ACKNOWLEDGED)
    clock.advance(2 * DAY)
    shop.sweep()
    after(FlagState.OPEN)
    shop.acknowledge(shop.item)
    shop.resolve(shop.item)
    after(FlagState.ACKNOWLEDGED)
    clock.advance(100 * DAY)
    shop.pay({"amount": 50})
    shop.sweep()
    after(FlagState.RESOLVED)
    shop.resolve(shop.item)
    after(FlagState.OPEN)
    assert seen == {(before, one) for before, all_ in TRANSITIONS.items() for one in all_}


def test_records_read_back_as_they_are(shop: Shop) -> None:
    """An item is its record, and a damaged one says so."""
    from dataclasses import replace

    record = shop.item.record
    assert tell(record) == shop.item
    for body in (
        {},
        {**record.body, "count": "1"},
        {**record.body, "stake": "boom"},
        {**record.body, "due": "x"},
    ):
        with pytest.raises(RecordRefused, match="damaged"):
            tell(replace(record, body=body))
