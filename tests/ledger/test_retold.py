"""The table of approvals against the events: whatever of a row the events tell is compared (T64)."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentguard.ledger.keys import args_hmac
from agentguard.ledger.verify import verify
from tests.ledger.attacker import opened, run
from tests.store.support import answer, ask, settled, take

KEY = b"k" * 32
ARGUMENTS = b'{"amount":5000}'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A store in which an approval was asked for, voted, claimed and settled."""
    file = tmp_path / "store.db"
    with opened(file, create=True) as store:
        digest = args_hmac(KEY, ARGUMENTS)
        settled(store, take(store, answer(store, ask(store, arguments=ARGUMENTS, args_hmac=digest))))
    return file


def messages(path: Path, key: bytes | None = None) -> list[str]:
    with opened(path) as store:
        return [one.message for one in verify(store, payloads_key=key).tenants[0].findings]


def body(what: str, value: str) -> str:
    return f"UPDATE approval SET body = CAST(json_set(body, '$.{what}', {value}) AS BLOB)"


def vote(what: str, value: str) -> str:
    return f"UPDATE approval SET votes = CAST(json_set(votes, '$[0].{what}', {value}) AS BLOB)"


def test_an_untouched_row_is_what_its_events_say(path: Path) -> None:
    """In every state."""
    with opened(path) as store:
        answer(store, ask(store, call_id="denied"), verdict="deny")
        answer(store, ask(store, call_id="approved"))
        take(store, answer(store, ask(store, call_id="claimed")))
        ask(store, call_id="asked", principal=None, chain=())
    assert messages(path) == []


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ("UPDATE approval SET expires_at = expires_at + 1000000", "is not what was asked"),
        ("UPDATE approval SET digest = 'sha256:' || hex(zeroblob(32))", "is not what was asked"),
        ("UPDATE approval SET call_id = 'call-9'", "is not what was asked"),
        ("UPDATE approval SET agent = 'other'", "is not what was asked"),
        ("UPDATE approval SET principal = 'other'", "is not what was asked"),
        (body("tool", "'other'"), "is not what was asked"),
        (body("tool_digest", "'other'"), "is not what was asked"),
        (body("chain", "json('[]')"), "is not what was asked"),
        (body("excluded", "json('[]')"), "is not what was asked"),
        (body("snapshot", "'other'"), "is not what was asked"),
        (body("decision_id", "'other'"), "is not what was asked"),
        (body("args_hmac", "'other'"), "is not what was asked"),
        (body("requirement.stages[0].quorum", "2"), "is not what was asked"),
        (body("requirement.local", "json('true')"), "is not what was asked"),
        (body("requirement.rules", "json('[]')"), "is not what was asked"),
        (vote("subject", "'eve'"), "has other votes"),
        (vote("verdict", "'deny'"), "has other votes"),
        (vote("assurance", "'signed'"), "has other votes"),
        (vote("memberships", "json('[]')"), "has other votes"),
        (vote("digest", "'other'"), "has other votes"),
        (vote("reason", "'because'"), "has other votes"),
        (vote("at", "1"), "has other votes"),
        (vote("stage", "3"), "has other votes"),
        ("UPDATE approval SET votes = x'5b5d'", "has other votes"),
        ("UPDATE approval SET decided_at = decided_at + 1", "ended at another time"),
        ("UPDATE approval SET note = 'because'", "ended at another time, or for another reason"),
        ("UPDATE approval SET claimed_at = NULL", "was claimed otherwise"),
        ("UPDATE approval SET epoch = 'other'", "was claimed otherwise"),
        ("UPDATE approval SET settled_at = settled_at + 1", "has another outcome"),
        ("UPDATE approval SET outcome = CAST(replace(outcome, 'succeeded', 'failed') AS BLOB)", "outcome"),
        ("UPDATE approval SET outcome = NULL", "has another outcome"),
        ("UPDATE approval SET state = 'failed'", "is failed in the table and succeeded in the ledger"),
        ("UPDATE approval SET votes = x'7b'", "missing from the table, or damaged"),
    ],
)
def test_a_changed_column_is_found_T64(path: Path, change: str, why: str) -> None:
    """What was asked, the votes, the times, the claim and the outcome."""
    run(path, change)
    found = messages(path)
    assert len(found) == 1, found
    assert why in found[0]
    assert found[0].startswith("approval `")


def test_changed_arguments_of_an_approval_are_found_with_the_key_T64(path: Path) -> None:
    """They are what would run; their keyed digest is in the events."""
    assert messages(path, KEY) == []
    run(path, "UPDATE approval SET arguments = CAST('{\"amount\":9999}' AS BLOB)")
    assert messages(path) == [], "without the key nobody can tell"
    (found,) = messages(path, KEY)
    assert "holds other arguments" in found


def test_an_erased_approval_is_no_contradiction(path: Path) -> None:
    """Its arguments and what was shown are gone; what the events say is still there."""
    with opened(path) as store:
        assert store.erase("default", "ben") > 0
    assert messages(path, KEY) == []


def test_a_late_vote_is_not_one_of_the_row(tmp_path: Path) -> None:
    """It is recorded and changes nothing."""
    with opened(tmp_path / "store.db", create=True) as store:
        approval = answer(store, ask(store), verdict="deny")
        answer(store, approval, "bob")
    assert messages(tmp_path / "store.db") == []


@pytest.mark.parametrize(
    "column",
    ["id", "call_id", "digest", "state", "expires_at", "decided_at", "settled_at", "epoch", "last_event",
     "agent", "principal", "body", "votes", "note"],
)  # fmt: skip
def test_a_column_that_the_events_tell_cannot_be_changed_T64(path: Path, column: str) -> None:
    """Not by the least; the documentation lists those that no event tells."""
    number = column.endswith("_at")
    run(path, f"UPDATE approval SET {column} = {column}" + (" + 1" if number else " || 'x'"))
    assert messages(path)
