"""Laws of replaying: the same set over its own records changes nothing, whatever happened to the calls."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentguard.call import ContextRequest
from agentguard.remembering import Remembered, Remembering
from agentguard.store import open_store
from tests.replay.support import (
    AGENT,
    ALLOW,
    EVIL,
    FLAG,
    LARGE,
    MIXED,
    OTHER,
    FakeClock,
    keeping,
    knows,
    mixed_run,
    pay_tool,
    recorded_of,
    replayed,
    rules,
    with_register,
)


@pytest.mark.parametrize("place", ["memory", "sqlite"])
@pytest.mark.parametrize("register", [False, True])
def test_the_same_set_changes_nothing_in_a_mixed_run(tmp_path: Path, place: str, register: bool) -> None:
    """Approvals, flags, constraints, redactions, observed rules, providers that fail, exceptions, grants."""
    clock = FakeClock()
    store = open_store("memory:" if place == "memory" else f"sqlite:///{tmp_path}/a.db", clock=clock)
    snapshot = rules(*MIXED)
    if register:
        snapshot = with_register(snapshot)
    with keeping(snapshot=snapshot, store=store, facts=[knows]) as guard:
        calls = mixed_run(guard, clock)
        report = replayed(guard, snapshot)
        recorded = recorded_of(guard)
        effects = Counter(one.decision.effect.value for one in recorded if one.decision is not None)
    assert report.problems == {}
    assert [group.to_json() for group in report.groups] == []
    assert report.unchanged == len(recorded) > calls  # the claims are decisions too
    assert set(effects) == {"allow", "flag", "constrain", "step_up", "deny"}
    assert {one.phase for one in recorded} == {"decide", "claim"}
    if register:
        assert {name: (one.before, one.after) for name, one in report.exceptions.items()}["EX-1"][0] > 0
    assert all(one.before == one.after for one in report.exceptions.values())
    assert report.ok


@pytest.mark.parametrize("place", ["memory", "sqlite"])
def test_each_request_comes_back_as_it_was_decided_on(
    tmp_path: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of it: environment, labels, number of the call, scopes, chain, resource, what was fetched, time."""
    decided_on: list[ContextRequest] = []
    parts = Remembering.parts

    def spy(self: Remembering, request: ContextRequest, asked: frozenset[str], limited: bool) -> Remembered:
        decided_on.append(request)
        return parts(self, request, asked, limited)

    monkeypatch.setattr(Remembering, "parts", spy)
    clock = FakeClock()
    store = open_store("memory:" if place == "memory" else f"sqlite:///{tmp_path}/a.db", clock=clock)
    with keeping(store=store, facts=[knows]) as guard:
        mixed_run(guard, clock)
        scoped = pay_tool(guard, "scoped", secrets=["pay:write", "pay:read"], facts={"writes": True})
        session = guard.session(
            agent=AGENT,
            chain=[OTHER],
            environment='p"r,"id":"od',
            context={"limit": 1.0, "days": ("mon", "tue")},
            workload={"attested": True},
        )
        with session:
            scoped("ACME", 5)
        found = [one.request for one in recorded_of(guard)]
    assert len(found) > 80
    assert found == decided_on
    assert {one.environment for one in found if one is not None} == {"prod", 'p"r,"id":"od'}


@pytest.mark.parametrize("record", ["before", "batched"])
def test_a_batched_guard_is_as_replayable(tmp_path: Path, record: Literal["before", "batched"]) -> None:
    """Records that are written together share payloads; each is found again."""
    with keeping(ALLOW, store=f"sqlite:///{tmp_path}/a.db", record=record) as guard:
        pay = pay_tool(guard, facts={"read_only": True})
        with guard.session(agent=AGENT):
            for i in range(300):
                pay("ACME", i % 7)
        report = replayed(guard, guard.snapshot)
    assert (report.unchanged, report.problems) == (300, {})


CALLS = st.lists(
    st.tuples(
        st.sampled_from(["ACME", "EVIL", "ev\u202eil", "é", "", "x" * 300]),
        st.integers(-(2**70), 2**70) | st.sampled_from([50, 100, 101]),
        st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=40)
@given(calls=CALLS)
def test_whatever_the_arguments_are_they_come_back(calls: list[tuple[str, int, str]]) -> None:
    """Any text and any number: what is decided again is what was decided."""
    with keeping(ALLOW, FLAG, LARGE, EVIL, pause="raise") as guard:
        pay = pay_tool(guard)
        seen: list[Any] = []
        with guard.session(agent=AGENT, principal="ben"):
            for payee, amount, note in calls:
                pay(payee, amount, note)
                seen.append({"payee": payee, "amount": amount, "note": note})
        found = [dict(one.request.args) for one in recorded_of(guard) if one.request is not None]
        report = replayed(guard, guard.snapshot)
    assert [one for one in seen if one in found] == seen
    assert (report.groups, report.problems) == ((), {})


@settings(max_examples=25)
@given(limit=st.integers(0, 200), other=st.integers(0, 200))
def test_replaying_a_against_b_is_the_reverse_of_b_against_a(limit: int, other: int) -> None:
    """What one direction loosens the other tightens."""
    one, two = ({**ALLOW, "when": f"args.amount <= {bound}"} for bound in (limit, other))
    with keeping(one) as guard:
        pay = pay_tool(guard)
        with guard.session(agent=AGENT):
            for amount in range(0, 200, 20):
                pay("ACME", amount)
        there = replayed(guard, rules(two), against=rules(one)).to_json()["counts"]
        back = replayed(guard, rules(one), against=rules(two)).to_json()["counts"]
    assert (there["loosened"], there["tightened"]) == (back["tightened"], back["loosened"])
    assert there["unchanged"] == back["unchanged"]
