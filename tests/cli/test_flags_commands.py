"""`agentguard flags`: what people and programs are shown, and what their answers do."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest

from agentguard import AgentIdentity, Guard
from agentguard.stepup.signing import generate_key
from agentguard.store import Store, open_store
from tests.cli.support import HOSTILE, RAW, run
from tests.store.support import FakeClock

ANA = generate_key()
CONFIG = """\
policies: policies/
store: sqlite:///records.db
directory: directory.yaml
replayable: true
"""
POLICY = """\
policy: p
tools: ["*"]
rules:
  - id: a
    effect: allow
  - id: f
    effect: flag
    when: args.amount > 10
    flag: {owner: ana, review_in: 3d, escalate_to: bob}
  - id: watched
    effect: deny
    when: args.amount > 1000
    observe: {owner: ops, until: 2099-01-01}
"""


@pytest.fixture
def place(work: Path) -> Path:
    """A configuration with policies and a directory in which ana has a key."""
    (work / "policies").mkdir(mode=0o755)
    files = {
        "agentguard.yaml": CONFIG,
        "policies/p.yaml": POLICY,
        "directory.yaml": f"people:\n  ana: {{keys: [{json.dumps(ANA.public)}]}}\n",
        "ana.jwk": json.dumps(ANA.private),
    }
    for name, text in files.items():
        (work / name).write_text(text, encoding="utf-8")
        (work / name).chmod(0o600 if name == "ana.jwk" else 0o644)
    return work


def calls(place: Path, *amounts: int, days_ago: float = 0, agent: str = "billing", tool: str = "pay") -> None:
    """Real calls through a guard, so long ago."""
    clock = FakeClock(dt.datetime.now(dt.UTC) - dt.timedelta(days=days_ago))
    with Guard.from_config(place / "agentguard.yaml", clock=clock) as guard:

        @guard.tool(tool)
        def pay(amount: int, **more: Any) -> int:
            return amount

        with guard.session(agent=AgentIdentity(agent, owner="owen")):
            for amount in amounts:
                pay(amount=amount)


def store_of(place: Path) -> Store:
    return open_store(f"sqlite:///{place}/records.db")


def listed(*more: str, code: int = 0) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(run("flags", "list", *more, "--json", code=code).stdout)
    return found


def test_the_list_takes_in_what_was_flagged_and_passes_on_what_is_overdue(place: Path) -> None:
    """Nobody has to run anything before."""
    calls(place, 50, 60, days_ago=4)
    (item,) = listed()
    assert (item["rule"], item["count"], item["state"], item["overdue"]) == ("p/f", 2, "open", True)
    assert (item["owner"], item["has_it"], item["level"], item["breached"]) == ("ana", "bob", 1, None)
    assert item["arguments"] == {"amount": "integer"}


@pytest.mark.parametrize(
    ("options", "rules"),
    [
        ((), ["p/watched", "p/f"]),
        (("--owner", "ana"), ["p/f"]),
        (("--owner", "bob"), ["p/f"]),
        (("--owner", "eve"), []),
        (("--rule", "watched"), ["p/watched"]),
        (("--rule", "p/f"), ["p/f"]),
        (("--agent", "research"), []),
        (("--overdue",), ["p/f"]),
        (("--breach",), []),
        (("--state", "acknowledged"), []),
    ],
)
def test_the_list_is_filtered_and_the_gravest_stands_first(
    place: Path, options: tuple[str, ...], rules: list[str]
) -> None:
    """By owner (or who has it now), rule, agent, state; a deny stands before a flag."""
    calls(place, 50, 5000, days_ago=4)
    assert [item["rule"] for item in listed(*options)] == rules


@pytest.mark.parametrize("columns", ["80", "120"])
def test_the_list_fits_the_terminal(place: Path, columns: str) -> None:
    """And says what to do next."""
    calls(place, 50, 5000, days_ago=10)
    out = run("flags", "list", COLUMNS=columns).stdout
    assert max(map(len, out.splitlines())) <= int(columns)
    assert "2 flags of 3 calls, 2 overdue, 2 breaches; `agentguard flags show ID`" in out
    assert "p/watched" in out


def test_a_breach_fails_a_build(place: Path) -> None:
    """With `--fail-on-breach`, and only then, and only if there is one."""
    calls(place, 50)
    run("flags", "list", "--fail-on-breach")
    calls(place, 5, 70, days_ago=10, agent="old")
    run("flags", "list")
    run("flags", "list", "--fail-on-breach", code=1)
    assert listed("--breach", "--fail-on-breach", code=1)[0]["agent"] == "old"
    run("flags", "list", "--agent", "billing", "--fail-on-breach")


def test_nothing_flagged_is_said(place: Path) -> None:
    """In words."""
    calls(place, 5)
    assert run("flags", "list").stdout == "No flags wait for anybody.\n"
    assert listed() == []


def test_show_says_everything_about_one(place: Path) -> None:
    """By the beginning of its id, in any case."""
    calls(place, 50, days_ago=4)
    (item,) = listed()
    out = run("flags", "show", item["id"][3:8].lower()).stdout
    for text in (
        item["id"],
        "p/f",
        "billing",
        "amount: integer",
        "ana",
        "bob, level 1",
        "a breach on",
        "escalated to bob",
    ):
        assert text in out
    assert json.loads(run("flags", "show", item["id"], "--json").stdout) == item


@pytest.mark.parametrize(("typed", "code"), [("FL", 2), ("FL-0000000", 2), ("../../x", 2), ("", 2)])
def test_an_id_that_names_nothing_is_an_error(place: Path, typed: str, code: int) -> None:
    """With what to do."""
    calls(place, 50)
    assert "flag" in run("flags", "show", typed, code=code).stderr


def test_a_signed_answer_resolves_a_flag(place: Path) -> None:
    """It leaves the list, with its reason and its end."""
    calls(place, 50)
    (item,) = listed()
    signed = ("--as", "ana", "--key", place / "ana.jwk")
    assert "resolve it by" in run("flags", "acknowledge", item["id"], *signed, "--reason", "asking").stdout
    assert listed("--state", "acknowledged")[0]["id"] == item["id"]
    run("flags", "resolve", item["id"], "false-positive", *signed, "--reason", "a test account")
    assert listed() == []
    (after,) = listed("--all")
    assert (after["resolution"], after["history"][-1]["reason"]) == ("false-positive", "a test account")
    again = run("flags", "resolve", item["id"], "converted", *signed, "--reason", "x", code=1)
    assert "resolved already" in again.stderr


@pytest.mark.parametrize(
    ("words", "said", "code"),
    [
        (("acknowledge", "--reason", "x"), "unverified", 1),
        (("resolve", "false-positive", "--reason", "x"), "unverified", 1),
        (("resolve", "accepted", "--reason", "x", "--as", "ana", "--key", "ana.jwk"), "--until", 1),
        (("resolve", "exception", "--reason", "x", "--as", "ana", "--key", "ana.jwk"), "EX-", 1),
        (("resolve", "converted", "--reason", "x", "--as", "eve"), "no key", 2),
        (("resolve", "converted", "--reason", " ", "--as", "ana", "--key", "ana.jwk"), "say why", 1),
        (("resolve", "forgotten", "--reason", "x"), "forgotten", 2),
        (("resolve", "converted"), "--reason", 2),
    ],
)
def test_what_does_not_count_says_why(place: Path, words: tuple[str, ...], said: str, code: int) -> None:
    """1 for a refusal, 2 for usage; nothing changes."""
    calls(place, 50)
    (item,) = listed()
    found = run("flags", words[0], item["id"], *words[1:], code=code)
    assert said in found.output + found.stderr
    assert listed()[0]["state"] == "open"


def test_nothing_from_outside_reaches_the_terminal_as_a_command_T57(place: Path) -> None:
    """Names of agents, tools, owners, rules and reasons are shown with what they hide written out."""
    from agentguard.decision import Flag, FlagLevel
    from agentguard.ids import uuid7
    from agentguard.ledger import events
    from tests.store.support import ARGS_HMAC, make_request

    calls(place, 5)
    store = store_of(place)
    flag = Flag(rule=f"p/{HOSTILE}", owner=HOSTILE, escalate_to=(FlagLevel(HOSTILE),), review_in_s=60)
    request = make_request(tool=HOSTILE, agent={"id": HOSTILE})
    at = store.now() - dt.timedelta(days=9)
    event = events.flag_raised(
        id=uuid7(), tenant="default", at=at, request=request, flag=flag, decision_id="d", args_hmac=ARGS_HMAC
    )
    store.append("default", [event])
    store.close()
    signed = ("--as", "ana", "--key", place / "ana.jwk")
    (item,) = listed()
    shown = [
        *[
            run("flags", *words, COLUMNS=columns)
            for columns in ("80", "120")
            for words in (("list",), ("show", item["id"]))
        ],
        run("flags", "list", "--json"),
        run("flags", "acknowledge", item["id"], *signed, "--reason", HOSTILE),
        run("flags", "show", item["id"]),
        run("flags", "show", item["id"], "--json"),
        run("flags", "convert", item["id"], "--dry-run", code=2),
    ]
    for found in shown:
        text = (found.stdout + found.stderr).replace("\n", "")
        assert not [raw for raw in RAW if raw in text], found.output
    assert "\\x1b" in shown[1].stdout


def test_a_store_that_cannot_be_read_fails_a_build(place: Path) -> None:
    """`--fail-on-breach` is not green because nobody could look."""
    assert "no store" in run("flags", "list", "--fail-on-breach", code=2).stderr
