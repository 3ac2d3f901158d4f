"""Breaking the glass, and every other way to switch something off: short, loud, never silent (T65)."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Any

import pytest

from agentguard import Guard, Snapshot
from agentguard.decision import Effect
from agentguard.errors import RecordRefused
from agentguard.governance import Terms, flag_sweeping
from agentguard.governance.deviations import BREAK_GLASS
from agentguard.governance.flag_desk import FlagDesk
from agentguard.governance.flag_item import KIND as FLAG
from agentguard.governance.flag_item import Resolution, tell
from agentguard.governance.sweeping import sweep
from agentguard.governance.vouching import content_digest
from agentguard.ledger.events import leaf
from agentguard.ledger.records import parse
from agentguard.ledger.verify import verify
from agentguard.store import open_store
from agentguard.store.protocol import Record
from tests.governance.support import ASKED, Office, word
from tests.policy.support import policy, rule
from tests.store.support import START, FakeClock

GLASS = Terms(break_glass_minutes=60)
DUAL = Terms(break_glass_minutes=60, break_glass_dual=True)
DAY = 86_400.0


def broken(office: Office, who: str = "ana", *, minutes: int = 60, by: str = "", **changes: Any) -> Record:
    """Break the glass as somebody, and approve it as `by`."""
    now = office.store.now()
    document = {
        **ASKED, "owner": "cai", "expires": (now + dt.timedelta(minutes=minutes)).isoformat(), **changes,
        "control": {"reserve": {"key": "glass", "limit": 5, "window": "1d"}},
    }  # fmt: skip
    content = office.desk.draft(document, who, emergency=True)
    id, digest = content["id"], content_digest(content)
    office.desk.request(content, word(who, "request", "exception", id, digest, now))
    return office.desk.approve(id, word(by or who, "approve", "exception", id, digest, now))


def test_one_approver_may_break_the_glass_alone_T65(office: Office) -> None:
    """The rule is waived at once, every use is flagged, and the ledger says that it was an emergency."""
    office.terms = GLASS
    assert office.decide().effect is Effect.DENY
    broken(office)
    decision = office.decide()
    assert decision.effect is not Effect.DENY
    assert decision.exceptions
    assert any(one.kind == "flag" for one in decision.obligations)
    (event,) = office.events("exception.approved")
    assert event["emergency"] is True
    assert parse(leaf(event))
    assert verify(office.store, "default").ok


def test_it_is_an_alarm_to_be_reviewed_within_a_day_T65(office: Office, clock: FakeClock) -> None:
    """An item of its own for its owner; when nobody looks, a governance breach."""
    office.terms = GLASS
    broken(office)
    flag_sweeping.sweep(office.store, "default")
    (item,) = [tell(one) for one in office.store.records("default", FLAG)]
    assert (item.rule, item.agent, item.policy.owner) == (BREAK_GLASS, "billing", "cai")
    clock.advance(DAY + 1)
    assert flag_sweeping.sweep(office.store, "default").breached == 1


def test_who_broke_the_glass_does_not_review_it_T65(office: Office, clock: FakeClock) -> None:
    """Neither as its owner, nor as an approver; somebody else does."""
    office.terms = GLASS
    with pytest.raises(RecordRefused, match="somebody else than `ana` reviews it"):
        broken(office, owner="ana")
    broken(office)
    flag_sweeping.sweep(office.store, "default")
    (item,) = [tell(one) for one in office.store.records("default", FLAG)]
    desk = FlagDesk(store=office.store, directory=office.directory, terms=office.terms)
    drafted = desk.draft(item.id, Resolution.FALSE_POSITIVE)
    digest = item.digest("default", drafted)

    def resolve(who: str) -> Record:
        said = word(who, "resolve", FLAG, item.id, digest, office.store.now(), reason="reviewed")
        return desk.resolve(item.id, drafted, said)

    with pytest.raises(RecordRefused, match="concerned"):
        resolve("ana")
    assert resolve("cai").state == "resolved"


def test_it_ends_to_the_moment(office: Office, clock: FakeClock) -> None:
    """Swept or not."""
    office.terms = GLASS
    broken(office)
    clock.advance(3599.999)
    assert office.decide().effect is not Effect.DENY
    clock.advance(0.001)
    assert office.decide().effect is Effect.DENY
    sweep(office.store, "default")
    assert verify(office.store, "default").ok


def test_nobody_breaks_the_glass_where_it_is_not_configured(office: Office) -> None:
    """The default."""
    with pytest.raises(RecordRefused, match="nobody may here"):
        broken(office)


def test_it_is_not_in_force_where_the_terms_no_longer_permit_it(office: Office) -> None:
    """On any process that is configured otherwise."""
    office.terms = GLASS
    broken(office)
    for terms in (Terms(), DUAL, Terms(break_glass_minutes=30)):
        office.terms = terms
        assert office.register.exceptions == ()
        assert office.register.refused


@pytest.mark.parametrize(("who", "why"), [("owen", "concerned"), ("eve", "cannot approve it")])
def test_whom_it_concerns_does_not_break_the_glass(office: Office, who: str, why: str) -> None:
    """The agent's owner, and whoever is no approver."""
    from agentguard.governance import agents
    from tests.governance.support import local

    facts = agents.facts_of({"owner": "owen"})
    digest = agents.state_digest("default", "billing", None, facts)
    office.desk.register("billing", facts, local(digest, START))
    office.terms = replace(GLASS, approvers=("group:security",))
    with pytest.raises(RecordRefused, match=why):
        broken(office, who)


def test_two_people_break_it_where_the_configuration_asks_for_two_T65(office: Office) -> None:
    """Who asked is not one of the approvers then."""
    office.terms = DUAL
    with pytest.raises(RecordRefused, match="concerned"):
        broken(office)
    assert broken(office, "ana", by="bob").state == "active"
    assert office.decide().effect is not Effect.DENY


def test_it_lasts_no_longer_than_the_terms_say(office: Office) -> None:
    """Asked for, or renewed."""
    office.terms = GLASS
    with pytest.raises(RecordRefused, match="longer than 60 minutes"):
        broken(office, minutes=61)
    record = broken(office)
    with pytest.raises(RecordRefused, match="emergency"):
        office.renew(record, (START + dt.timedelta(hours=2)).isoformat())


def test_an_ordinary_exception_is_not_approved_alone(office: Office) -> None:
    """Also where glass may be broken."""
    office.terms = GLASS
    with pytest.raises(RecordRefused, match="concerned"):
        office.say("approve", office.ask("ana"), "ana")


def test_a_rule_that_cannot_be_waived_stays(office: Office) -> None:
    """No emergency is one."""
    office.terms = GLASS
    broken(office, rules=["p/hard"])
    assert office.decide(args={"amount": 5000}).effect is Effect.DENY


# Policies that restrict less


def loaded(clock: FakeClock, *sets: list[dict[str, Any]], swap: bool = False) -> list[dict[str, Any]]:
    """What the ledger says of sets of rules that come into force one after the other."""
    import json

    store = open_store("memory:", clock=clock)
    snapshots = [Snapshot.from_documents([policy(*rules)]) for rules in sets]
    if swap:
        with Guard(snapshot=snapshots[0], store=store) as guard:
            for one in snapshots[1:]:
                guard.swap(one)
    else:
        for one in snapshots:
            Guard(snapshot=one, store=store).close()
    found = [json.loads(row.leaf) for row in store.events("default", types=("policy.loaded",))]
    assert all(parse(row.leaf) for row in store.events("default", types=("policy.loaded",)))
    store.close()
    return found


ALLOW, NO = rule("a", "allow"), rule("no", "deny", "args.amount > 100")
OBSERVED = {**NO, "observe": {"owner": "ana", "until": "2030-01-01"}}


@pytest.mark.parametrize("swap", [True, False])
@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ([ALLOW], {"removed": ["p/no"]}),
        ([ALLOW, OBSERVED], {"loosened": ["p/no"], "observing": ["p/no"]}),
        ([ALLOW, rule("no", "allow", "args.amount > 100")], {"loosened": ["p/no"]}),
        ([ALLOW, NO, rule("b", "allow")], {"permits": ["p/b"]}),
        ([ALLOW, rule("no", "deny", "args.amount > 9999")], {"changed": ["p/no"]}),
        ([ALLOW, NO, rule("c", "deny")], {}),
    ],
)
def test_policies_that_restrict_less_say_so_in_the_ledger_T65(
    clock: FakeClock, swap: bool, rules: list[dict[str, Any]], said: dict[str, Any]
) -> None:
    """While a guard runs, and at a restart: no rule is switched off in silence."""
    event = loaded(clock, [ALLOW, NO], rules, swap=swap)[-1]
    found = {
        key: event[key] for key in ("removed", "loosened", "permits", "changed", "observing") if key in event
    }
    assert found == said


def test_a_restart_with_the_same_policies_says_nothing(clock: FakeClock) -> None:
    """And a first start has nothing to compare with."""
    for event in loaded(clock, [ALLOW, NO], [ALLOW, NO]):
        assert not {"removed", "loosened", "permits", "changed"} & set(event)
