"""`agentguard baselines` and `agentguard report`, in a folder as a user has it."""

from __future__ import annotations

import datetime as dt
import json
import re
from pathlib import Path
from typing import Any

import pytest

from agentguard import AgentIdentity, Guard, Snapshot
from agentguard.governance.report import Report
from agentguard.store import open_store
from tests.cli.conftest import work
from tests.cli.support import HOSTILE, RAW, folder, run
from tests.store.support import FakeClock

__all__ = ["work"]

POLICY = """\
policy: pay
owner: ana
controls: [NHI5]
tools: ["*"]
rules:
  - id: any
    effect: allow
  - id: new
    effect: flag
    when: baseline.new_tool
    flag: {owner: ana}
  - id: never
    effect: deny
    when: "false"
"""
CONFIG = """\
policies: policies/
store: sqlite:///records.db
directory: directory.yaml
governance: {break_glass_minutes: 60}
"""
DAY = dt.timedelta(days=1)
EVERYTHING = {"policy": "pay", "tools": ["*"], "rules": [{"id": "any", "effect": "allow"}]}


@pytest.fixture
def place(work: Path) -> Path:
    """A project whose agent worked for some days, with people who have keys."""
    folder(work, agentguard_yaml=CONFIG, policies__pay_yaml=POLICY, tools_yaml="pay: {writes: true}\n")
    (work / "directory.yaml").write_text("people: {}\n")
    for name in ("ana", "ben", "owen"):
        run("reviewers", "enroll", name)
    days(3)
    run("agents", "register", "billing", "--owner", "owen")
    return work


def days(
    count: int,
    *,
    begin: int = 5,
    tool: str = "pay",
    agent: str = "billing",
    calls: int = 20,
    environment: str | None = None,
) -> None:
    """So many days of work, the first of them `begin` days ago."""
    clock = FakeClock(dt.datetime.now(dt.UTC).replace(hour=9, minute=0) - begin * DAY)
    store = open_store("sqlite:///records.db", clock=clock)
    with Guard(snapshot=Snapshot.from_documents([EVERYTHING]), store=store) as guard:

        @guard.tool(tool)
        def body(amount: int) -> int:
            return amount

        for _ in range(count):
            with guard.session(agent=AgentIdentity(agent, owner="owen"), environment=environment):
                for amount in range(calls):
                    body(amount=amount)
            clock.at += DAY
    store.close()


def learned(*more: str) -> dict[str, Any]:
    text = run("baselines", "learn", "billing", "--from", "10d", "--as", "ben", "--json", *more).stdout
    return dict(json.loads(text))


# Baselines


def test_a_baseline_is_learned_shown_and_approved(place: Path) -> None:
    """What is approved is what is shown; a refusal names who can."""
    shown = run("baselines", "learn", "billing", "--from", "10d", "--as", "ben").stdout
    assert "Proposed: version 1" in shown
    assert "60 calls on 3 days" in shown
    assert "agentguard baselines approve billing --as owen" in shown
    refused = run("baselines", "approve", "billing", "--as", "ana", "--yes", code=1)
    assert "`owen` owns agent `billing`" in refused.stderr
    assert "In force: version 1" in run("baselines", "approve", "billing", "--as", "owen", "--yes").stdout
    assert json.loads(run("baselines", "list", "--json").stdout)[0]["state"] == "approved"
    assert "approved" in run("baselines", "show", "billing").stdout
    assert run("ledger", "verify").exit_code == 0


def test_a_dry_run_proposes_nothing(place: Path) -> None:
    """It shows the same."""
    assert learned("--dry-run")["proposed"] is False
    run("baselines", "show", "billing", code=2)


def test_a_next_version_is_shown_as_a_difference_and_what_widens_is_marked(place: Path) -> None:
    """Against the version in force; what widens comes first."""
    learned()
    run("baselines", "approve", "billing", "--as", "owen", "--yes")
    days(2, begin=2, tool="wipe")
    shown = run("baselines", "learn", "billing", "--from", "10d", "--as", "ben").stdout
    assert "Against version 1, in force" in shown
    assert "WIDENS   new tool `wipe`" in shown
    assert (
        "WIDENS   new tool `wipe`" in run("baselines", "approve", "billing", "--as", "owen", "--yes").stdout
    )


def test_what_widens_slowly_is_seen_against_the_first_version(place: Path) -> None:
    """Each step is small; the second comparison is with where it began."""
    for version, calls in enumerate((20, 30, 45), start=1):
        if version > 1:
            days(2, begin=2, calls=calls, tool="pay")
        learned()
        run("baselines", "approve", "billing", "--as", "owen", "--yes")
    days(2, begin=2, calls=90)
    shown = run("baselines", "learn", "billing", "--from", "10d", "--as", "ben").stdout
    assert "Against version 3, in force" in shown
    first = shown.partition("Against version 1 of")[2]
    assert re.search(r"WIDENS\s+`pay`: [\d,]+ calls an hour \(p95\), and not 20", first)


def test_a_proposal_can_be_rejected_and_a_baseline_revoked(place: Path) -> None:
    """Each says where it stands then."""
    learned()
    assert "is rejected" in run("baselines", "reject", "billing", "--as", "owen").stdout
    learned()
    run("baselines", "approve", "billing", "--as", "owen", "--yes")
    assert "has no baseline now" in run("baselines", "revoke", "billing", "--as", "ben").stdout
    run("baselines", "reject", "billing", code=1)
    assert run("ledger", "verify").exit_code == 0


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (("billing", "--from", "1h"), 1, "too few"),
        (("nobody", "--from", "10d"), 1, "too few"),
        (("billing", "--from", "10d", "--zone", "Mars"), 2, "not a time zone"),
        (("billing", "--from", "soon"), 2, "is no time"),
        (("billing", "--from", "10d", "--to", "2099-01-01"), 2, "ends in the future"),
        (("billing", "--from", "10d", "--ends", "2y"), 2, "2y"),
    ],
)
def test_what_cannot_be_learned_is_said(place: Path, args: tuple[str, ...], code: int, message: str) -> None:
    """With what to do."""
    assert message in run("baselines", "learn", *args, code=code).stderr


def test_nothing_hostile_reaches_the_terminal(place: Path) -> None:
    """Names that somebody else chose."""
    days(3, environment=HOSTILE)
    for text in (
        run("baselines", "learn", "billing", "--from", "10d", "--as", "ben").stdout,
        run("report").stdout,
    ):
        assert not any(raw in text for raw in RAW)


# The report


def test_the_report_fits_on_a_page_and_names_what_to_look_into(place: Path) -> None:
    """In a terminal of 80 columns no line is longer."""
    shown = run("report", COLUMNS="80").stdout
    assert "60 allow" in shown
    assert "verified up to event" in shown
    assert "pay/never" in shown
    assert max(len(line) for line in shown.splitlines()) <= 80
    assert len(shown.splitlines()) <= 66


def test_findings_decide_the_exit_code_where_that_is_asked_for(place: Path) -> None:
    """And nowhere else."""
    assert run("report").exit_code == 0
    assert "to look into" in run("report", "--fail-on", "findings", code=1).stdout


def test_the_report_as_data_is_of_its_schema(place: Path) -> None:
    """Version 1, read back by its model."""
    text = run("report", "--json").stdout
    report = Report.model_validate_json(text)
    assert report.effects == {"allow": 60}
    schema = json.loads(run("schema", "report").stdout)
    assert set(json.loads(text)) == set(schema["properties"])


def test_the_report_as_a_page_needs_nothing_from_outside_and_escapes_everything(place: Path) -> None:
    """No script, no link, no image; names are text."""
    days(2, begin=2, agent="<img src=x>")
    run("report", "--html", "report.html")
    page = (place / "report.html").read_text()
    assert "default-src 'none'" in page
    assert not re.search(r"<(script|img|link|iframe|object)|<[^>]*(src|href)=|https?://", page)
    assert "&lt;img src=x&gt;" in page


def test_a_period_that_ends_before_it_begins_is_refused(place: Path) -> None:
    """Nothing is guessed."""
    assert "begins when it ends" in run("report", "--from", "1d", "--to", "2d", code=2).stderr


def test_without_policies_the_report_says_that_unused_rules_are_not_known(place: Path) -> None:
    """It is made all the same."""
    (place / "policies" / "pay.yaml").write_text("policy: [broken\n")
    found = run("report")
    assert "which rules are unused cannot be told" in found.stderr


# Breaking the glass, and a restored store


def test_the_glass_is_broken_with_one_command_T65(place: Path) -> None:
    """Confirmed, in force at once, an open flag, and a finding of the report."""
    args = (
        "--agent",
        "billing",
        "--rule",
        "pay/never",
        "--tool",
        "pay",
        "--reason",
        "payroll",
        "--as",
        "ana",
        "--owner",
        "ben",
    )
    shown = run("exceptions", "break-glass", *args, "--yes").stdout
    assert "In force: EX-" in shown
    assert "agentguard/break-glass" in run("flags", "list").stdout
    assert "break glass" in run("report").stdout
    run("exceptions", "break-glass", *args, "--minutes", "90", "--yes", code=1)
    run("exceptions", "break-glass", *args, input="no\n", code=2)


def test_a_restored_store_begins_another_life_and_its_ledger_says_so(place: Path) -> None:
    """Confirmed; no approval from before can be claimed."""
    with_reason = ("store", "renew-epoch", "--reason", "restored the backup")
    assert "confirm" in run(*with_reason, code=2).stderr
    store = open_store("sqlite:///records.db")
    before = store.epoch
    store.close()
    found = json.loads(run(*with_reason, "--yes", "--json").stdout.partition("\n")[2])
    store = open_store("sqlite:///records.db")
    assert store.epoch == found["epoch"] != before == found["previous"]
    (event,) = [json.loads(row.leaf) for row in store.events("default", types=("store.renewed",))]
    store.close()
    assert (event["reason"], event["epoch"]) == ("restored the backup", found["epoch"])
    assert run("ledger", "verify").exit_code == 0
    assert "store.renewed" in run("report").stdout
