"""The commands for exceptions, grants and agents, in a folder as a user has it."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from agentguard import AgentIdentity, ApprovalPending, Guard, ToolCallDenied
from agentguard.store import open_store
from tests.cli.conftest import work
from tests.cli.support import HOSTILE, RAW, folder, run

__all__ = ["work"]

POLICY = """\
policy: pay
tools: [pay]
rules:
  - id: small
    effect: allow
    when: args.amount <= 10000
  - id: night
    effect: deny
    when: args.amount > 5000
  - id: hard
    effect: deny
    when: args.amount > 9000
    non_waivable: true
  - id: large
    effect: step_up
    when: args.amount > 100
    approval: {reviewers: ["group:security"], expires_in: 10m}
"""
CONFIG = """\
policies: policies/
store: sqlite:///records.db
directory: directory.yaml
governance: {max_days: 90, max_renewals: 1, approvers: ["group:security"]}
"""
ASK = (
    "exceptions", "request", "--as", "ben", "--agent", "billing", "--rule", "pay/night",
    "--rule", "pay/large",
    "--tool", "pay", "--redact", "$.iban", "--expires", "14d", "--owner", "owen", "--reason", "year end",
    "--risk", "large sums", "--remediate-by", "2027-01-31",
)  # fmt: skip


@pytest.fixture
def place(work: Path) -> Path:
    """A project whose store exists, with people who have keys."""
    folder(work, agentguard_yaml=CONFIG, policies__pay_yaml=POLICY, tools_yaml="pay: {writes: true}\n")
    (work / "directory.yaml").write_text("people: {}\n")
    for name in ("ana", "ben", "cai"):
        run("reviewers", "enroll", name, "--group", "security")
    run("reviewers", "enroll", "eve")
    open_store("sqlite:///records.db").close()
    return work


def ask(*more: str) -> str:
    """Ask for an exception; returns its id."""
    return str(json.loads(run(*ASK, *more, "--json").stdout)["id"])


def pay(amount: int, agent: str = "billing", **session: Any) -> Any:
    """A guarded call in a guard of its own, as another process makes it."""
    with Guard.from_config("agentguard.yaml") as guard:

        @guard.tool("pay")
        def pay(amount: int) -> dict[str, str]:
            return {"iban": "DE99"}

        identity = AgentIdentity(agent, owner="owen")
        with guard.session(agent=identity, principal="zoe", pause="raise", **session):
            return pay(amount)


def listed(*args: str) -> list[dict[str, Any]]:
    return list(json.loads(run(*args, "--json").stdout))


# Exceptions


def test_an_exception_from_request_to_revocation(place: Path) -> None:
    """Asked for, approved by somebody else, in force for the next call, counted, revoked."""
    with pytest.raises(ToolCallDenied, match="pay/night"):
        pay(6000)
    id = ask()
    assert "requested" in run("exceptions", "list").stdout
    with pytest.raises(ToolCallDenied, match="pay/night"):
        pay(6000)
    shown = run("exceptions", "approve", id[3:7].lower(), "--as", "ana", "--yes").stdout
    for text in ("pay/night", "redacts $.iban", "year end", "large sums", "asked by ben", "In force"):
        assert text in shown
    assert "It was in force already" in run("exceptions", "approve", id, "--as", "ana", "--yes").stdout
    assert pay(6000) == {"iban": "[redacted by policy]"}
    (one,) = listed("exceptions", "list")
    assert (one["state"], one["uses"]) == ("active", 1)
    run("exceptions", "revoke", id, "--as", "cai", "--reason", "over")
    with pytest.raises(ToolCallDenied, match="pay/night"):
        pay(6000)
    assert "exception.revoked" in run("ledger", "show").stdout
    run("ledger", "verify")


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--as", "ben", "--yes"), "concerned"),
        (("--as", "eve", "--yes"), "group:security"),
        (("--yes",), "local"),
    ],
)
def test_who_may_not_approve_is_told_who_could_T11(place: Path, args: tuple[str, ...], said: str) -> None:
    """The command ends with 1, and nothing is in force."""
    id = ask()
    assert said in run("exceptions", "approve", id, *args, code=1).stderr
    assert listed("exceptions", "list")[0]["state"] == "requested"


def test_an_owner_that_the_ledger_saw_cannot_approve_T11(place: Path) -> None:
    """Also where nobody registered the agent."""
    run("reviewers", "enroll", "owen", "--group", "security")
    pay(5)
    assert "concerned" in run("exceptions", "approve", ask(), "--as", "owen", "--yes", code=1).stderr


@pytest.mark.parametrize("answer", ["", "\n", "no\n", "maybe\n"])
def test_nothing_is_approved_without_a_clear_yes(
    place: Path, answer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not at all where nobody is at a terminal."""
    id = ask()
    assert "--yes" in run("exceptions", "approve", id, "--as", "ana", input="yes\n", code=2).stderr
    monkeypatch.setattr("agentguard.cli.governing.sys.stdin", _Typed(answer))
    from agentguard.cli.governing import confirm

    with pytest.raises(BaseException, match="1"):
        confirm("Approve?", False)
    monkeypatch.setattr("agentguard.cli.governing.sys.stdin", _Typed("yes\n"))
    confirm("Approve?", False)


class _Typed:
    def __init__(self, line: str) -> None:
        self._line = line

    def isatty(self) -> bool:
        return True

    def readline(self) -> str:
        return self._line


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--rule", "pay/nigth"), "does not exist"),
        (("--rule", "pay/hard"), "non-waivable"),
        (("--rule", "pay/small"), "permits"),
        (("--when", "args.amount >"), "never apply"),
        (("--expires", "91d"), "90 days"),
        (("--expires", "soon"), "14d"),
        (("--tool", "*"), "no scope"),
        (("--evidence", "nowhere.pdf"), "nowhere.pdf"),
    ],
)
def test_what_could_never_apply_is_refused_when_it_is_asked_for(
    place: Path, more: tuple[str, ...], said: str
) -> None:
    """With what is wrong."""
    assert said in run(*ASK, *more, code=2).stderr
    assert listed("exceptions", "list", "--all") == []


def test_everything_that_is_missing_is_said_at_once(place: Path) -> None:
    """With the option for it."""
    said = run("exceptions", "request", "--agent", "billing", code=2).stderr
    for option in (
        "--rule",
        "--tool",
        "--reason",
        "--risk",
        "--remediate-by",
        "--owner",
        "--expires",
        "--ask",
    ):
        assert option in said


def test_an_exception_from_a_file(place: Path) -> None:
    """Everything that options cannot say; misspelt keys are refused; options win."""
    (place / "ex.yaml").write_text(
        "agent: billing\nrules: [pay/night]\ntools: [pay]\nwhen: args.amount < 8000\n"
        "control: {reserve: {key: year-end, limit: 5, window: 1d}, description: ops watches}\n"
        "reason: year end\nrisk: large sums\nremediate_by: 2027-01-31\nowner: owen\nexpires: 2026-01-01\n"
        "evidence: [{ref: TICKET-7, sha256: " + "ab" * 32 + "}]\nrevalidate_every: 7d\n"
    )
    (place / "proof.txt").write_text("proof")
    asked = ("exceptions", "request", "--as", "ben", "--file", "ex.yaml")
    assert "expires before it begins" in run(*asked, code=2).stderr
    found = json.loads(run(*asked, "--expires", "14d", "--evidence", "proof.txt", "--json").stdout)["content"]
    assert found["evidence"] == [{"ref": "proof.txt", "sha256": hashlib.sha256(b"proof").hexdigest()}]
    assert "takes 1 from `year-end`, at most 5 in 1d" in run("exceptions", "show", found["id"]).stdout
    (place / "ex.yaml").write_text("agnet: billing\n" + (place / "ex.yaml").read_text())
    assert "unknown key `agnet`" in run(*asked, "--expires", "14d", code=2).stderr


def test_renewals_revalidations_and_refusals(place: Path) -> None:
    """Each with its own word; the second renewal is one too many here."""
    id = ask("--revalidate-every", "7d")
    run("exceptions", "approve", id, "--as", "ana", "--yes")
    run("exceptions", "revalidate", id, "--as", "cai", "--yes")
    run("exceptions", "renew", id, "--expires", "30d", "--as", "ben")
    assert "renewal asked" in run("exceptions", "list").stdout.replace("\n", " ")
    assert "Rejected: the renewal" in run("exceptions", "reject", id, "--as", "ana").stdout
    run("exceptions", "renew", id, "--expires", "30d", "--as", "ben")
    assert "A renewal waits" in run("exceptions", "approve", id, "--as", "ana", "--yes").stdout
    said = run("exceptions", "renew", id, "--expires", "60d", "--as", "ben", code=1).stderr
    assert "1 times already" in said
    other = ask()
    run("exceptions", "withdraw", other, "--as", "ben")
    assert "withdrawn" in run("exceptions", "revoke", other, code=1).stderr


def test_reports_name_what_expires_is_unused_or_asleep(place: Path) -> None:
    """Each list has what it says and nothing else."""
    used, unused = ask("--expires", "40d"), ask("--expires", "7d", "--when", "args.amount == 1")
    for id in (used, unused):
        run("exceptions", "approve", id, "--as", "ana", "--yes")
    pay(6000)
    assert [one["id"] for one in listed("exceptions", "list", "--expiring", "14d")] == [unused]
    assert [one["id"] for one in listed("exceptions", "list", "--unused")] == [unused]
    assert listed("exceptions", "list", "--unvalidated") == []
    document = (place / "directory.yaml").read_text().replace("  ana:\n", "  ana:\n    disabled: true\n")
    (place / "directory.yaml").write_text(document)
    assert {one["id"] for one in listed("exceptions", "list", "--unvalidated")} == {used, unused}
    assert "no key for `ana`" in " ".join(run("exceptions", "show", used).stdout.split())
    assert "choose one" in run("exceptions", "list", "--unused", "--unvalidated", code=2).stderr
    assert "requested" in run("exceptions", "list", "--state", "request", code=2).stderr


def test_calls_that_still_need_an_expired_exception_are_counted(place: Path) -> None:
    """Those that its rules stopped since, in its scope and by its condition."""
    id = ask("--expires", "10m", "--when", "args.amount < 7000")
    run("exceptions", "approve", id, "--as", "ana", "--yes")
    later = dt.datetime.now(dt.UTC) + dt.timedelta(minutes=20)
    with Guard.from_config("agentguard.yaml", clock=lambda: later) as guard:

        @guard.tool("pay")
        def tool(amount: int) -> str:
            return "paid"

        for agent, amount in (("billing", 6000), ("billing", 6001), ("billing", 8000), ("other", 6000)):
            with guard.session(agent=AgentIdentity(agent)), pytest.raises(ToolCallDenied):
                tool(amount)
        from agentguard.governance.aftermath import still_matching
        from agentguard.governance.exceptions import tell

        told = tell(guard.store.record("default", "exception", id))
        (found,) = still_matching(guard.store, "default", {id: told.read})
    assert (found.id, found.calls, found.unclear, found.tools) == (id, 2, 0, ("pay",))


def test_ids_are_found_by_their_beginning(place: Path) -> None:
    """With or without its letters; too little, or none, says so."""
    id = ask()
    run("exceptions", "show", id.lower())
    assert "at least 3" in run("exceptions", "show", "EX-", code=2).stderr
    assert "list --all" in run("exceptions", "show", "000000", code=2).stderr


@pytest.mark.parametrize("columns", ["80", "120"])
def test_hostile_texts_are_shown_and_not_obeyed_T57(place: Path, columns: str) -> None:
    """In every command, at every width."""
    clean = HOSTILE.replace("\r", "")
    id = ask("--reason", clean, "--risk", clean, "--owner", clean, "--principal", clean)
    run("agents", "register", "billing", "--owner", clean, "--note", clean)
    for args in (
        ("exceptions", "list"), ("exceptions", "show", id), ("exceptions", "list", "--json"),
        ("agents", "list"), ("agents", "show", "billing"), ("ledger", "show"),
        ("agents", "findings"),
    ):  # fmt: skip
        out = run(*args, code=None, COLUMNS=columns).output
        assert not any(raw in out for raw in RAW if raw != "\r"), args
        assert max(map(len, out.splitlines())) <= int(columns) or "--json" in args, args


# Grants


def waiting(amount: int = 500) -> str:
    with pytest.raises(ApprovalPending) as pending:
        pay(amount, environment="prod")
    return pending.value.approval_id


def test_an_approval_as_a_grant(place: Path) -> None:
    """The next calls run without asking, as often as it says, and then somebody is asked again."""
    id = waiting()
    out = run(
        "approvals", "approve", id, "--as", "ana", "--yes", "--grant", "--uses", "2", "--expires", "2h"
    ).stdout  # fmt: skip
    assert "exactly these arguments" in out
    for _ in range(2):
        assert pay(500, environment="prod") == {"iban": "DE99"}
    (one,) = listed("grants", "list", "--all")
    assert (one["state"], one["uses"], one["content"]["uses"]) == ("spent", 2, 2)
    waiting()
    assert waiting(501) != id


def test_a_grant_is_listed_shown_and_revoked(place: Path) -> None:
    """At once for the next call."""
    run("approvals", "approve", waiting(), "--as", "ana", "--yes", "--grant", "--when", "args.amount < 600")
    (one,) = listed("grants", "list")
    assert one["state"] == "active"
    assert "args.amount < 600" in run("grants", "show", one["id"]).stdout
    assert pay(599, environment="prod")
    run("grants", "revoke", one["id"], "--as", "cai", "--reason", "enough")
    waiting(599)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--uses", "2"), "--grant"),
        (("--grant", "--when", "args.amount >"), "--when"),
        (("--grant", "--expires", "91d"), "90 days"),
        (("--grant", "--expires", "later"), "no time"),
    ],
)
def test_terms_that_are_none_give_nothing(place: Path, more: tuple[str, ...], said: str) -> None:
    """And say so; where the answer was counted before, that is said too."""
    found = run("approvals", "approve", waiting(), "--as", "ana", "--yes", *more, code=None)
    assert found.exit_code in (1, 2)
    assert said in found.stderr
    assert listed("grants", "list", "--all") == []


def test_a_second_reviewer_joins_the_grant_that_was_proposed(place: Path) -> None:
    """With the same terms, and not with others."""
    policy = (
        (place / "policies/pay.yaml").read_text().replace("expires_in: 10m", "quorum: 2, expires_in: 10m")
    )
    (place / "policies/pay.yaml").write_text(policy)
    id = waiting()
    first = run("approvals", "approve", id, "--as", "ana", "--yes", "--grant", "--expires", "2h").stdout
    assert "have to add `--grant`" in first
    wrong = ("approvals", "approve", id, "--as", "cai", "--yes", "--grant", "--uses", "9")
    assert "join it" in run(*wrong, code=2).stderr
    assert "Granted" in run("approvals", "approve", id, "--as", "cai", "--yes", "--grant").stdout
    assert pay(500, environment="prod")


def test_a_grant_that_others_did_not_give_is_said_to_be_lost(place: Path) -> None:
    """Who approved first is not asked again, so waiting for their `--grant` would be in vain."""
    policy = (place / "policies/pay.yaml").read_text()
    (place / "policies/pay.yaml").write_text(policy.replace("expires_in: 10m", "quorum: 2, expires_in: 10m"))
    id = waiting()
    run("approvals", "approve", id, "--as", "ana", "--yes")
    last = run("approvals", "approve", id, "--as", "cai", "--yes", "--grant").stdout
    assert "It is never given" in last
    assert "have to add" not in last


# Agents


def test_an_agent_is_suspended_and_restored(place: Path) -> None:
    """Its next call is denied, on every process, until somebody who may lets it act again."""
    assert pay(5)
    run("agents", "suspend", "billing", "--reason", "token leaked")
    with pytest.raises(ToolCallDenied, match="agentguard/agent"):
        pay(5)
    assert "signed with `--as" in run("agents", "restore", "billing", code=1).stderr
    run("agents", "restore", "billing", "--as", "ana")
    assert pay(5)
    run("agents", "offboard", "billing", "--as", "ana")
    assert "another one" in run("agents", "restore", "billing", "--as", "ana", code=1).stderr
    with pytest.raises(ToolCallDenied, match="agentguard/agent"):
        pay(5)


def test_the_inventory_is_what_was_registered_and_seen(place: Path) -> None:
    """And what is wrong with it is a finding with exit 1."""
    pay(5)
    (seen,) = listed("agents", "list")
    assert (seen["id"], seen["status"], seen["seen"]["owners"]) == ("billing", "seen", ["owen"])
    assert "not registered" in run("agents", "findings", code=1).stdout
    credential = "token,issuer=vault,rotated=2026-11-01"
    run("agents", "register", "billing", "--owner", "owen", "--tag", "x", "--credential", credential)
    run("agents", "register", "billing", "--environment", "prod", "--as", "ana")
    shown = run("agents", "show", "billing").stdout
    for text in ("owen", "prod", "issuer vault", "1 calls"):
        assert text in shown
    assert "owner gone" in run("agents", "findings", code=1).stdout
    run("reviewers", "enroll", "owen")
    assert "nothing found" in run("agents", "findings").stdout
    assert "no fact" in run("agents", "register", "billing", "--credential", "x,secret=y", code=2).stderr
    run("agents", "show", "nobody", code=1)


def test_a_suspension_of_an_id_that_nobody_saw_is_pointed_out(place: Path) -> None:
    """It counts all the same: the agent may come later, or the id is misspelt."""
    assert "No agent of this id" in run("agents", "suspend", "biling").stdout
    with pytest.raises(ToolCallDenied, match="agentguard/agent"):
        pay(5, "biling")


def test_every_command_has_help_with_examples(work: Path) -> None:
    """And says its exit codes where they differ."""
    for group, names in {
        "exceptions": (
            "request",
            "approve",
            "reject",
            "withdraw",
            "revalidate",
            "renew",
            "revoke",
            "list",
            "show",
        ),
        "grants": ("list", "show", "revoke"),
        "agents": ("list", "show", "register", "suspend", "restore", "offboard", "findings"),
    }.items():
        for name in names:
            found: Result = run(group, name, "--help")
            assert "Examples:" in found.stdout


def test_a_replay_sees_exceptions_as_they_are_and_no_suspension(place: Path) -> None:
    """What ran with an exception is decided alike; the denial of a suspended agent is the guard's own."""
    (place / "agentguard.yaml").write_text(CONFIG + "replayable: true\n")
    id = ask()
    run("exceptions", "approve", id, "--as", "ana", "--yes")
    pay(6000)
    run("agents", "suspend", "billing")
    with pytest.raises(ToolCallDenied, match="agentguard/agent"):
        pay(5)
    out = run("replay").stdout
    assert "0 loosened, 0 tightened" in out
    assert "1 unchanged" in out
    run("exceptions", "revoke", id)
    assert "1 tightened" in run("replay", code=None).stdout
