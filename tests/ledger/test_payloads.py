"""The payloads beside the ledger: compared with the digests in its events, where the key is there (T64)."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentguard import AgentIdentity, Guard, Snapshot
from agentguard.ledger.keys import known_key
from agentguard.ledger.verify import TenantReport, verify
from agentguard.store import Store, open_store
from tests.ledger.attacker import opened, run, url

DOCUMENT = {
    "policy": "pay",
    "tools": ["pay"],
    "rules": [{"id": "all", "effect": "allow", "when": "context.region == 'eu'"}],
}


def facts(request: object, names: frozenset[str]) -> dict[str, object]:
    return {"resource": {"type": "account", "id": "A"}, "context": {"region": "eu"}}


def work(path: Path, *, replayable: bool) -> None:
    """Five calls of one principal and one of another."""
    with Guard(
        snapshot=Snapshot.from_documents([DOCUMENT]), store=url(path), replayable=replayable, facts=[facts]
    ) as guard:

        @guard.tool("pay")
        def pay(amount: int) -> int:
            return amount

        for principal, amounts in (("ben", range(5)), ("eve", [100])):
            with guard.session(agent=AgentIdentity("billing"), principal=principal):
                for amount in amounts:
                    pay(amount)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """With everything that a replay needs: arguments, context and facts of each call."""
    work(tmp_path / "store.db", replayable=True)
    return tmp_path / "store.db"


def check(path: Path, key: bytes | None = None) -> TenantReport:
    with opened(path) as store:
        found = key if key is not None else known_key(store.url)
        return verify(store, payloads_key=found).tenants[0]


def test_untouched_payloads_are_what_their_digests_say(path: Path) -> None:
    """Arguments, context and facts of six calls."""
    report = check(path)
    assert report.ok, report.findings
    assert report.payloads is not None
    assert (report.payloads.same, report.payloads.missing) == (18, 0)
    with opened(path) as store:
        assert verify(store).tenants[0].payloads is None, "without the key nothing is said about them"


@pytest.mark.parametrize(
    ("content", "what"), [("amount", "arguments"), ("resource", "facts"), ("labels", "context")]
)
def test_a_changed_payload_is_found_and_its_event_named_T64(path: Path, content: str, what: str) -> None:
    """The leaf is untouched, so the tree says nothing of it."""
    where = f"instr(content, CAST('\"{content}\"' AS BLOB))"
    run(path, f"UPDATE payload SET content = CAST('{{}}' AS BLOB) WHERE {where}")
    with opened(path) as store:
        assert verify(store).ok
    report = check(path)
    assert {found.kind for found in report.findings} == {"payload"}
    assert f"the {what} kept beside it" in report.findings[0].message
    assert report.first_bad == 2


@pytest.mark.parametrize("content", ["CAST('{\"amount\":9}' AS BLOB)", "'text'", "5"])
def test_changed_arguments_beside_their_event_are_found_T64(tmp_path: Path, content: str) -> None:
    """Where a guard keeps nothing but them."""
    path = tmp_path / "store.db"
    work(path, replayable=False)
    assert check(path).ok
    run(path, f"UPDATE event SET content = {content} WHERE key & 255 = 4")
    (found,) = check(path).findings
    assert (found.kind, found.seq) == ("payload", 4)


def test_the_wrong_key_agrees_with_nothing(path: Path) -> None:
    """A report that says so, and no error."""
    assert not check(path, b"x" * 32).ok


def test_erasing_leaves_the_ledger_valid_and_is_counted(path: Path) -> None:
    """What is gone cannot be compared; what is left is."""
    with opened(path) as store:
        size, root = store.head("default")
        assert store.erase("default", "ben") > 0
        assert store.head("default") == (size, root)
    report = check(path)
    assert report.ok, report.findings
    assert report.payloads is not None
    assert report.payloads.missing == 10, "arguments and context of five calls"
    assert report.payloads.same == 8, "facts that both had, and what the other principal had"


def test_any_store_will_do() -> None:
    """It reads through the protocol alone."""
    store: Store = open_store("memory:")
    with Guard(snapshot=Snapshot.from_documents([DOCUMENT]), store=store, facts=[facts]) as guard:

        @guard.tool("pay")
        def pay(amount: int) -> int:
            return amount

        with guard.session(agent=AgentIdentity("billing"), principal="ben"):
            pay(1)
        report = verify(store, payloads_key=guard._key).tenants[0]
    assert report.ok
    assert report.payloads is not None
    assert report.payloads.same == 1
    store.close()
