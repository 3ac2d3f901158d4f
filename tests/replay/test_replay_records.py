"""Records that cannot be decided again are told apart and never guessed (T22-24, T62, T64)."""

from __future__ import annotations

import enum
import sqlite3
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from agentguard import Guard
from agentguard.canonical import freeze
from agentguard.ledger.keys import args_hmac
from agentguard.ledger.recorded import StoreReader
from agentguard.policy.replay import Recorded, Replay
from agentguard.store.protocol import Payload
from tests.replay.support import (
    AGENT,
    ALLOW,
    APPROVAL,
    EVIL,
    OTHER,
    PEOPLE,
    answer,
    keeping,
    knows,
    pay_tool,
    recorded_of,
    replayed,
    rules,
)


def three_calls(guard: Guard, **options: Any) -> None:
    pay = pay_tool(guard, **options)
    with guard.session(agent=AGENT, principal="ben"):
        pay("ACME", 1)
        pay("EVIL", 2)
    with guard.session(agent=OTHER, principal="cleo"):
        pay("ACME", 3)


def test_erased_records_are_counted_and_the_others_replayed() -> None:
    """Erasing a person takes their arguments and context; nothing is said about those calls."""
    with keeping(ALLOW, EVIL) as guard:
        three_calls(guard)
        guard.store.erase("default", "ben")
        report = replayed(guard, rules(ALLOW))
    assert (report.problems, report.unchanged, report.groups) == ({"erased": 2}, 1, ())


def test_a_guard_that_keeps_nothing_says_what_to_do() -> None:
    """Without `replayable` the event names no context, and holds nothing else than before."""
    with Guard(snapshot=rules(ALLOW, EVIL), store="memory:", directory=PEOPLE) as guard:
        three_calls(guard)
        guard.flush()
        found = list(StoreReader(guard.store, "default"))
        leaves = [event.leaf for event in guard.store.events("default", types=["decision"])]
    assert [one.problem for one in found] == ["context"] * 3
    assert not any(word in leaf for leaf in leaves for word in (b'"context"', b'"calls"', b'"facts"'))


def test_what_a_person_erased_comes_back_with_later_calls() -> None:
    """A context is handed over again after a minute, so that an erasure does not end all replays."""
    with keeping(ALLOW) as guard:
        assert guard.memory is not None
        now = [0.0]
        guard.memory._clock = lambda: now[0]
        pay = pay_tool(guard)
        with guard.session(agent=AGENT, principal="ben"):
            pay("ACME", 1)
            guard.store.erase("default", "ben")
            pay("ACME", 2)
            now[0] = 61.0
            pay("ACME", 3)
        problems = [one.problem for one in recorded_of(guard)]
    assert problems == ["erased", None, None]


def test_a_context_is_kept_once_for_many_calls(tmp_path: Path) -> None:
    """A hundred calls of one agent to one tool name one context."""
    with keeping(ALLOW, store=f"sqlite:///{tmp_path}/a.db") as guard:
        pay = pay_tool(guard)
        for _ in range(10):
            with guard.session(agent=AGENT, principal="ben"):
                for i in range(10):
                    pay("ACME", i)
        found = recorded_of(guard)
    with sqlite3.connect(tmp_path / "a.db") as db:
        kept = db.execute(
            "SELECT count(DISTINCT key) FROM payload WHERE CAST(content AS TEXT) LIKE '{\"agent\"%'"
        ).fetchone()[0]
    assert (len(found), kept) == (100, 1)
    assert [one.request.session["calls"] for one in found if one.request is not None] == list(range(10)) * 10


def test_a_fact_that_nobody_asked_for_is_not_guessed() -> None:
    """The candidate reads the history; it was not fetched then, so nothing is known about it."""
    reads = {"id": "known", "effect": "deny", "when": "history.payments > 3"}
    with keeping(ALLOW, facts=[knows]) as guard:
        three_calls(guard)
        report = replayed(guard, rules(ALLOW, reads))
        before = replayed(guard, rules(ALLOW), against=rules(ALLOW, reads))
    assert (report.problems, report.lacking, report.replayed) == ({"fact": 3}, {"history": 3}, 0)
    assert before.problems == {"fact": 3}


def test_a_fact_that_was_asked_for_and_absent_is_absent() -> None:
    """The provider failed then: the rule fires in error, then as now."""
    reads = {"id": "known", "effect": "deny", "when": "history.payments > 30"}
    with keeping(ALLOW, reads, facts=[knows]) as guard:
        pay = pay_tool(guard)
        with guard.session(agent=AGENT):
            pay("LOST", 1)
            pay("ACME", 1)
        report = replayed(guard, guard.snapshot)
        loosened = replayed(
            guard, rules(ALLOW, {**reads, "when": "has(history.payments) && history.payments > 30"})
        )
    assert (report.unchanged, report.problems) == (2, {})
    assert loosened.to_json()["counts"]["not_replayable"] == {}


def test_facts_too_large_to_keep_do_not_stop_the_call(caplog: pytest.LogCaptureFixture) -> None:
    """The call runs and is recorded; its record cannot be replayed, and says so."""

    def large(request: Any, names: frozenset[str]) -> dict[str, Any]:
        return {name: {"text": "x" * 200_000} for name in names}

    reads = {"id": "reads", "effect": "deny", "when": "history.text == rates.text + 'x'"}
    with keeping(ALLOW, reads, facts=[large]) as guard:
        pay = pay_tool(guard)
        with guard.session(agent=AGENT):
            pay("ACME", 1)
        (found,) = recorded_of(guard)
    assert found.decision is not None
    assert (found.decision.effect.value, found.problem) == ("allow", "context")
    assert "without what a replay needs" in caplog.text
    assert "xxx" not in caplog.text


def test_what_was_fetched_at_the_claim_is_kept_too(tmp_path: Path) -> None:
    """The history has grown since the question was asked; both decisions are replayed on what they saw."""
    grown = iter(range(100))

    def history(request: Any, names: frozenset[str]) -> dict[str, Any]:
        return {"history": {"payments": next(grown)}}

    asks = {"id": "asks", "effect": "step_up", "when": "history.payments >= 0", "approval": APPROVAL}
    options: dict[str, Any] = {"facts": [history], "store": f"sqlite:///{tmp_path}/a.db", "pause": "raise"}
    with keeping(asks, **options) as guard:
        pay = pay_tool(guard)
        with guard.session(agent=AGENT, principal="ben"):
            pay("ACME", 1)
        (approval,) = guard.store.approvals("default")
        answer(guard, approval.id)
        guard.resume_sync(approval.id)
        found = recorded_of(guard)
        report = replayed(guard, rules({**asks, "when": "history.payments == 0"}))
    seen = [(one.phase, one.request and one.request.supplied["history"]["payments"]) for one in found]
    assert seen == [("decide", 0), ("claim", 1)]
    assert report.to_json()["approvals"][0]["how"] == "superseded"


def test_a_swap_during_the_decision_leaves_unknown_what_was_asked_for() -> None:
    """The facts that the new set reads are not those that were fetched for the old one."""
    reads = {"id": "reads", "effect": "deny", "when": "rates.hour > 3"}

    def swaps(request: Any, names: frozenset[str]) -> dict[str, Any]:
        guard.swap(rules(ALLOW, reads))
        return {}

    known = {"id": "known", "effect": "flag", "when": "history.payments > 3", "flag": {"owner": "ops"}}
    with keeping(ALLOW, known, facts=[swaps]) as guard:
        pay = pay_tool(guard)
        with guard.session(agent=AGENT):
            pay("ACME", 1)
        (found,) = recorded_of(guard)
        report = replayed(guard, rules(ALLOW, reads))
    assert found.asked == frozenset()
    assert report.problems == {"fact": 1}


def test_a_limit_that_was_used_up_is_not_replayed() -> None:
    """What a counter said depends on the calls before it."""
    spend = {**ALLOW, "reserve": {"key": "spend", "amount": "args.amount", "limit": 5, "window": "1d"}}
    with keeping(spend) as guard:
        pay = pay_tool(guard)
        with guard.session(agent=AGENT):
            pay("ACME", 4)
            pay("ACME", 4)
        report = replayed(guard, guard.snapshot)
    assert (report.unchanged, report.problems) == (1, {"limits": 1})


def test_what_the_guard_itself_refuses_no_policy_changes() -> None:
    """Without a session, by an unknown name, with wrong arguments: counted apart, not as loosened."""
    with keeping(ALLOW) as guard:
        pay = pay_tool(guard)
        pay("ACME", 1)
        with guard.session(agent=AGENT):
            pay("ACME", object())
        report = replayed(guard, rules({"id": "any", "effect": "allow"}))
    assert (report.own, report.replayed, report.problems) == (2, 0, {})


class Colour(enum.Enum):
    RED = "red"


def test_an_enumeration_is_known_to_its_class_only() -> None:
    """Its value is not in the record, and not guessed."""
    with keeping({"id": "any", "effect": "allow"}) as guard:

        @guard.tool("paint")
        def paint(colour: Colour) -> None: ...

        with guard.session(agent=AGENT):
            paint(Colour.RED)
        assert [one.problem for one in recorded_of(guard)] == ["value"]


def tampered(tmp_path: Path, statement: str, *values: Any) -> list[Recorded]:
    """The records of three calls after somebody changed the file."""
    with keeping(ALLOW, EVIL, store=f"sqlite:///{tmp_path}/a.db") as guard:
        three_calls(guard)
        guard.flush()
        with sqlite3.connect(tmp_path / "a.db") as db:
            assert db.execute(statement, values).rowcount > 0
        db.close()
        return recorded_of(guard)


DECISIONS = "WHERE type = 'decision'"


def changed(column: str, old: str, new: str, table: str = "event") -> str:
    """Another text in a column; what is stored stays bytes."""
    return f"UPDATE {table} SET {column} = CAST(replace({column}, '{old}', '{new}') AS BLOB)"


@pytest.mark.parametrize(
    ("statement", "problems"),
    [
        (f"UPDATE event SET leaf = x'7b22' {DECISIONS}", {"damaged": 3}),
        (f"UPDATE event SET leaf = CAST('[]' AS BLOB) {DECISIONS}", {"damaged": 3}),
        (f"UPDATE event SET id = id || 'x' {DECISIONS}", {"damaged": 3}),
        (changed("leaf", '"v":1', '"v":2'), {"damaged": 3}),
        (changed("leaf", '"effect":"deny"', '"effect":"maybe"'), {"damaged": 1, None: 2}),
        (changed("leaf", '"tenant":"default"', '"tenant":"other"'), {"damaged": 3}),
        (changed("leaf", '"args_hmac":"', '"args_hmac":["'), {"damaged": 3}),
        (changed("leaf", '"calls":0', '"call_":0'), {"damaged": 2, None: 1}),
        (changed("content", "EVIL", "ACME"), {"damaged": 1, None: 2}),
        (changed("content", "prod", "prob", "payload"), {"damaged": 2, None: 1}),
        ("UPDATE payload SET content = x'00'", {"damaged": 3}),
    ],
)
def test_damaged_records_are_no_unchanged_ones_T64(
    tmp_path: Path, statement: str, problems: dict[str | None, int]
) -> None:
    """Whatever was changed in the file, the record is reported, and is not counted as replayed."""
    found = tampered(tmp_path, statement)
    assert Counter(one.problem for one in found) == problems
    running = Replay(rules(ALLOW, EVIL))
    for one in found:
        running.take(one)
    report = running.report()
    assert report.damages == problems["damaged"]
    assert report.unchanged == 3 - problems["damaged"]
    assert not report.ok


def test_a_leaf_speaks_for_itself_alone_T64(tmp_path: Path) -> None:
    """One with a second decision behind its first is damaged, and does not change what others say."""
    with keeping(ALLOW, store=f"sqlite:///{tmp_path}/a.db") as guard:
        pay = pay_tool(guard)
        with guard.session(agent=AGENT):
            for i in range(3):
                pay("ACME", i)
        guard.flush()
        with sqlite3.connect(tmp_path / "a.db") as db:
            first = db.execute("SELECT min(key) FROM event WHERE type = 'decision'").fetchone()[0]
            two = changed("leaf", ',"tool":', ',"decision":{"effect":"deny"},"tool":')
            db.execute(f"{two} WHERE key = ?", (first,))
        db.close()
        found = recorded_of(guard)
        assert [one.problem for one in found] == ["damaged", None, None]
        assert replayed(guard, guard.snapshot).unchanged == 2


def under(key: bytes | None, content: bytes, keyed: bytes | None = None) -> Recorded:
    """The record of a call whose arguments were replaced by these bytes."""
    with keeping(ALLOW) as guard:
        three_calls(guard)
        event = next(iter(guard.store.events("default", types=["decision"])))
        name = args_hmac(guard._key, freeze({"payee": "ACME", "amount": 1, "note": ""}).canonical)
        store: Any = guard.store
        store._tenants["default"].payloads[name] = {"ben": Payload("ben", content)}
        reader = StoreReader(guard.store, "default", key=guard._key if key is None else keyed)
        assert event.type == "decision"
        return next(iter(reader))


BAD = (
    b'{"amount":1,"amount":1,"note":"","payee":"ACME"}',
    b'{"amount":NaN,"note":"","payee":"ACME"}',
    b'{"amount":1e999,"note":"","payee":"ACME"}',
    b'{"amount":1, "note":"","payee":"ACME"}',
    b'{"note":"","amount":1,"payee":"ACME"}',
    b'{"amount":1,"note":"\\ud800","payee":"ACME"}',
    b'{"amount":1,"note":"\xff","payee":"ACME"}',
    b'{"amount":' + b"[" * 5000 + b"]" * 5000 + b"}",
    b'{"amount":' + b"[" * 100 + b"]" * 100 + b"}",
    b'{"amount":{"$datetime":3}}',
    b'{"amount":{"$unknown":"3"}}',
    b'{"amount":{"$model":{"fields":3,"type":"a:B"}}}',
    b'{"note":"' + b"x" * (256 * 1024) + b'"}',
    b"[]",
    b"",
)


@pytest.mark.parametrize("content", BAD, ids=range(len(BAD)))
@pytest.mark.parametrize("keyed", [True, False])
def test_hostile_payload_bytes_are_damaged_T19_T20_T22_T23_T24(content: bytes, keyed: bool) -> None:
    """With the key by their digest, without it by their form; nothing raises, nothing is decided."""
    found = under(None if keyed else b"", content)
    assert (found.problem, found.request) == ("damaged", None)


def test_two_spellings_of_one_name_stay_two_T22() -> None:
    """NFC and NFD come back as they were."""
    with keeping(ALLOW) as guard:
        pay = pay_tool(guard)
        with guard.session(agent=AGENT):
            pay("caf\u00e9", 1)
            pay("cafe\u0301", 1)
        found = [one.request.args["payee"] for one in recorded_of(guard) if one.request is not None]
    assert found == ["caf\u00e9", "cafe\u0301"]


def test_each_tenant_is_replayed_alone_T62(tmp_path: Path) -> None:
    """One file with two tenants: neither sees a record, payload or approval of the other."""
    url = f"sqlite:///{tmp_path}/a.db"
    for tenant, payee in (("one", "EVIL"), ("two", "ACME")):
        with keeping(ALLOW, EVIL, store=url, tenant=tenant) as guard:
            pay = pay_tool(guard)
            with guard.session(agent=AGENT, principal="ben"):
                pay(payee, 1)
    with keeping(ALLOW, store=url, tenant="two") as guard:
        found = recorded_of(guard)
        assert [one.request.args["payee"] for one in found if one.request is not None] == ["ACME"]
        names = {event.leaf for event in guard.store.events("one", types=["decision"])}
        keys = {leaf.split(b'"args_hmac":"')[1].split(b'"')[0].decode() for leaf in names}
        assert keys
        assert guard.store.payloads("two", keys) == {}
