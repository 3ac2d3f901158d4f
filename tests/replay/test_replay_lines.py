"""Recorded decisions as lines: what is written is what is read, and a bad line is a damaged record."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from agentguard import AgentIdentity, Snapshot
from agentguard.ledger import events
from agentguard.ledger.decided import decided
from agentguard.ledger.recorded import StoreReader
from agentguard.ledger.recorded_lines import LONGEST, LineReader, line_of, line_of_approval
from agentguard.policy.replay import Recorded, Replay, Report
from agentguard.store import open_store
from tests.replay.support import (
    AGENT,
    ALLOW,
    EVIL,
    LARGE,
    MIXED,
    FakeClock,
    keeping,
    knows,
    mixed_run,
    pay_tool,
    recorded_of,
    replayed,
    rules,
)


def read(text: str, **options: Any) -> list[Recorded]:
    return list(LineReader(io.StringIO(text), **options))


def over(text: str, candidate: Snapshot) -> Report:
    running, reader = Replay(candidate, keep=100), LineReader(io.StringIO(text))
    for recorded in reader:
        running.take(recorded)
    return running.report(reader.approvals.values())


def test_lines_say_what_the_store_says() -> None:
    """Every kind of record, erased and refused ones too: the two reports are equal."""
    clock = FakeClock()
    candidate = rules(ALLOW, {**LARGE, "when": "args.amount > 160"}, EVIL)
    with keeping(store=open_store("memory:", clock=clock), facts=[knows]) as guard:
        mixed_run(guard, clock)
        pay_tool(guard, "other")("ACME", 1)
        with guard.session(agent=AgentIdentity("gone", owner="x"), principal="gone"):
            pay_tool(guard, "third")("ACME", 1)
        guard.store.erase("default", "gone")
        reader = StoreReader(guard.store, "default", key=guard._key)
        lines = [line_of(one) for one in reader] + [
            line_of_approval(one) for one in reader.approvals.values()
        ]
        report = replayed(guard, candidate)
    assert report.own == 1
    assert report.problems == {"erased": 1}
    assert report.approvals
    assert over("\n".join(lines), candidate).to_json() == report.to_json()


def test_a_decision_reads_back_as_it_was_written() -> None:
    """All of it but the values, which no event holds."""
    clock = FakeClock()
    with keeping(store=open_store("memory:", clock=clock), facts=[knows]) as guard:
        mixed_run(guard, clock)
        leaves = [
            json.loads(one.leaf)["decision"] for one in guard.store.events("default", types=["decision"])
        ]
    assert len(leaves) > 50
    for leaf in leaves:
        assert json.loads(events._decision(decided(leaf))) == leaf


@pytest.mark.parametrize("wrong", [
    {"effect": "maybe"}, {"effect": "allow", "matched": [{}]}, {"effect": "allow", "matched": {"a": 1}}, {},
    {"effect": "allow", "granted_by": "abc"}, {"effect": "allow", "obligations": [{"kind": "new"}]},
    {"effect": "allow", "obligations": [{"kind": "reserve", "rule": "a/b", "limit": "9"}]},
    {"effect": "allow", "obligations": [{"kind": "approve", "expires_in_s": 1, "stages": [{}]}]},
    {"effect": "allow", "register": True}, {"effect": "allow", "snapshot": 3},
    {"effect": "deny", "matched": [{"rule_id": "a", "policy": "p", "effect": "deny", "mode": "off"}]},
])  # fmt: skip
def test_a_decision_of_another_shape_is_none(wrong: dict[str, Any]) -> None:
    """It is damaged, and no decision is made up."""
    with pytest.raises((KeyError, TypeError, ValueError, AttributeError)):
        decided(wrong)


def test_values_that_json_cannot_say_come_back() -> None:
    """Times, bytes, tuples and keys that begin with a dollar."""
    import datetime as dt

    given = {
        "at": dt.datetime(2026, 1, 2, 3, tzinfo=dt.UTC),
        "day": dt.date(2026, 1, 2),
        "span": dt.timedelta(minutes=3),
        "raw": b"\x00\xff",
        "pair": (1, 1.0, True),
        "set": {3, 1},
        "$ref": {"$ref": "x", "$$": [1]},
    }
    with keeping({"id": "any", "effect": "allow"}) as guard:

        @guard.tool("odd")
        def odd(data: Any) -> None: ...

        with guard.session(agent=AGENT, context={"$limit": 3, "since": dt.date(2026, 1, 1)}):
            odd(given)
        (found,) = recorded_of(guard)
        (again,) = read(line_of(found))
    assert found.request is not None
    assert found.request.args["data"]["pair"] == (1, 1.0, True)
    assert found.request.args["data"]["span"] == dt.timedelta(minutes=3)
    assert again.request == found.request
    assert again.request is not None
    assert [type(one) for one in again.request.args["data"]["pair"]] == [int, float, bool]


GOOD: dict[str, Any] = {
    "v": 1,
    "decision": {"effect": "allow"},
    "request": {"tool": "pay", "args": {"amount": 1}, "agent": {"id": "a"}, "now": "2026-11-20T10:00:00Z"},
}


def changed(**more: Any) -> str:
    return json.dumps({**GOOD, "request": {**GOOD["request"], **more}})


BAD = (
    "{",
    "[]",
    '"text"',
    json.dumps({**GOOD, "v": 2}),
    json.dumps({**GOOD, "efect": "deny"}),
    json.dumps({**GOOD, "problem": "none"}),
    json.dumps({**GOOD, "decision": {"effect": "perhaps"}}),
    changed(argz={}),
    changed(args=[]),
    changed(now="today"),
    changed(now="2026-11-20T10:00:00"),
    changed(agent={"name": "a"}),
    changed(agent={"id": 3}),
    changed(tool=3),
    changed(secrets=[1]),
    changed(args={"a": {"$datetime": "x"}}),
    json.dumps(GOOD).replace('"amount": 1', '"amount": 1, "amount": 2'),
    json.dumps(GOOD).replace('"amount": 1', '"amount": NaN'),
    json.dumps(GOOD).replace('"amount": 1', '"amount": 1e999'),
    json.dumps(GOOD).replace('"amount": 1', '"amount": ' + "[" * 9000 + "]" * 9000),
    json.dumps(GOOD).replace('"amount": 1', '"amount": ' + "[" * 90 + "]" * 90),
    json.dumps(GOOD).replace('"amount": 1', '"amount": ' + "9" * 5000),
    json.dumps({"v": 1, "approval": {"name": "x"}}),
    json.dumps({"v": 1, "approval": {"id": ["x"], "decision_id": "d", "tool": "t"}}),
    json.dumps({"v": 1, "approval": {"id": "x", "decision_id": "d", "tool": "t", "votes": "many"}}),
    changed(principal=3),
    changed(chain=[3]),
)


@pytest.mark.parametrize("line", BAD, ids=range(len(BAD)))
def test_a_bad_line_is_a_damaged_record_that_names_its_number_T19_T20_T24(line: str) -> None:
    """The lines around it are read."""
    good = json.dumps(GOOD)
    found = read(f"{good}\n{line}\n{good}\n")
    assert [one.problem for one in found] == [None, "damaged", None]
    assert found[1].id == "line 2"
    assert found[1].detail
    assert found[1].request is None


def test_somebody_may_be_named_by_id_alone() -> None:
    """As `agentguard explain` reads a request."""
    (found,) = read(changed(agent="a", principal="ben", chain=["b", {"id": "c", "$$x": 1}]))
    assert found.request is not None
    assert (found.request.agent, found.request.principal) == ({"id": "a"}, {"id": "ben", "groups": ()})
    assert found.request.chain == ({"id": "b"}, {"id": "c", "$x": 1})
    (escaped,) = read(changed(args={"$$x": 1}).replace("$", "\\u0024"))
    assert escaped.request is not None
    assert escaped.request.args == {"$x": 1}


def test_an_unknown_key_of_a_request_is_named_T48() -> None:
    """A misspelt key is no absent fact."""
    (found,) = read(changed(enviroment="prod"))
    assert "'enviroment'" in found.detail


def test_a_line_without_end_is_skipped_in_bounded_pieces_T24() -> None:
    """What is longer than a line can be is one damaged record, and is not held in memory as a whole."""
    good = json.dumps(GOOD)
    found = read(f'{{"a": "{"x" * (3 * LONGEST)}"}}\n{good}\n')
    assert [one.problem for one in found] == ["damaged", None]


def test_the_time_and_the_tenant_of_lines_T62() -> None:
    """`begin` is in, `end` is not; another tenant's decisions are left out."""
    import datetime as dt

    lines = "\n".join(changed(now=f"2026-11-{day}T00:00:00Z", tenant="t") for day in (10, 11, 12))
    begin, end = (dt.datetime(2026, 11, day, tzinfo=dt.UTC) for day in (10, 12))
    assert [one.at[:10] for one in read(lines, begin=begin, end=end)] == ["2026-11-10", "2026-11-11"]
    assert read(lines, tenant="other") == []
    assert len(read(lines, tenant="t")) == 3


def test_a_request_alone_is_compared_with_another_set_only() -> None:
    """Without a recorded decision there is nothing to compare with, unless policies are given."""
    line = json.dumps({"v": 1, "request": GOOD["request"]})
    (found,) = read(line)
    running = Replay(rules(ALLOW, EVIL))
    assert running.take(found) is None
    assert running.report().problems == {"context": 1}
    against = Replay(rules(ALLOW, {"id": "no", "effect": "deny"}), against=rules(ALLOW))
    change = against.take(found)
    assert change is not None
    assert change.direction.value == "tightened"


def test_lines_are_ascii_and_hold_no_end_of_line(tmp_path: Path) -> None:
    """T58: nothing in an argument ends a line or begins another record."""
    with keeping(*MIXED[:1]) as guard:
        pay = pay_tool(guard)
        with guard.session(agent=AGENT):
            pay('a\n{"v":1}\u2028\x85\x1b[31m', 1)
        (found,) = recorded_of(guard)
        line = line_of(found)
    assert line.isascii()
    assert line.splitlines() == [line]
    assert [one.request for one in read(line)] == [found.request]
