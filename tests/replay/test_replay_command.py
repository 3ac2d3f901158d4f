"""`agentguard replay` and `agentguard ledger export` as a user runs them."""

from __future__ import annotations

import datetime as dt
import io
import json
import os
import re
import stat
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import yaml

from agentguard import Guard
from agentguard.cli.replay import progress
from agentguard.store import open_store
from tests.cli.support import HOSTILE, RAW, run
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
    policy_file,
    rules,
)

WIDER = {**ALLOW, "when": "args.amount <= 1000"}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a store of recorded calls and two sets of policies."""
    for name in ("AGENTGUARD_CONFIG", "COLUMNS", "AGENTGUARD_LEDGER_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    os.chmod(tmp_path, 0o755)
    with keeping(ALLOW, LARGE, EVIL, store="sqlite:///agentguard.db", pause="raise") as guard:
        pay = pay_tool(guard)
        with guard.session(agent=AGENT, principal="ben"):
            for amount in (1, 2, 3, 150, 2000):
                pay("ACME", amount)
            pay("EVIL", 5)
    policy_file(tmp_path / "same", ALLOW, LARGE, EVIL)
    policy_file(tmp_path / "wider", WIDER, {**LARGE, "when": "args.amount > 1000"}, EVIL)
    policy_file(tmp_path / "stricter", ALLOW, {**LARGE, "effect": "deny", "approval": None}, EVIL)
    _drop_none(tmp_path / "stricter" / "bank.yaml")
    return tmp_path


def _drop_none(path: Path) -> None:
    data = yaml.safe_load(path.read_text())
    data["rules"] = [
        {key: value for key, value in rule.items() if value is not None} for rule in data["rules"]
    ]
    path.write_text(yaml.safe_dump(data))


def counts(*args: str | Path, code: int) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run("replay", *args, "--json", code=code).stdout)["counts"]
    return found


def test_the_same_set_is_clean(place: Path) -> None:
    """Exit 0, everything unchanged."""
    found = counts("same", code=0)
    assert (found["unchanged"], found["replayed"], found["loosened"]) == (6, 6, 0)
    assert (
        run("replay", "same")
        .stdout.rstrip()
        .endswith("Replay: 0 loosened, 0 tightened, 0 re-attributed, 0 errors, 6 unchanged.")
    )


def test_a_loosening_is_exit_1_and_stands_first(place: Path) -> None:
    """With both rules, the place of the new one, how many, an example, and who is asked no more."""
    text = run("replay", "wider", code=1, COLUMNS="160").stdout
    assert "LOOSENED\n  ~ effect step_up -> allow   n 1\n      then  bank/large" in text
    assert "now   bank/small  wider/bank.yaml:" in text
    assert re.search(r"e\.g\.  \S+ \S+  bank\.transfer  billing  decision [0-9a-f-]{36}", text)
    assert re.search(r"group:finance  2 +1 +-1 +-1", text)
    assert "would not have been asked" in text
    assert text.rstrip().endswith("Replay: 1 loosened, 0 tightened, 0 re-attributed, 0 errors, 5 unchanged.")


def test_a_tightening_is_exit_0(place: Path) -> None:
    """It is shown all the same, with the approvals it would have spared."""
    text = run("replay", "stricter", code=0).stdout
    assert "TIGHTENED\n  ~ effect step_up -> deny   n 2" in text
    assert "2 denied instead of asked" in text


def test_an_accept_file_accepts_what_it_names_and_no_more(place: Path) -> None:
    """As many calls, of those tools, by those rules; a candidate that goes further is loosened again."""
    run("replay", "wider", "--write-accept", "accepted.yaml", code=1)
    assert "(1 accepted)" in run("replay", "wider", "--accept", "accepted.yaml", code=0).stdout
    policy_file(
        place / "widest",
        {**ALLOW, "when": "args.amount <= 9000"},
        {**LARGE, "when": "args.amount > 9000"},
        EVIL,
    )
    assert counts("widest", "--accept", "accepted.yaml", code=1)["accepted"] == 0
    data = yaml.safe_load(Path("accepted.yaml").read_text())
    for change in ({"at_most": 0}, {"tools": []}, {"was": "none"}, {"extra": 1}):
        wrong = {**data, "loosened": [{**data["loosened"][0], **change}]}
        Path("wrong.yaml").write_text(yaml.safe_dump(wrong))
        assert "wrong.yaml" in run("replay", "wider", "--accept", "wrong.yaml", code=2).stderr
    for change in (
        {"tools": ["other"]},
        {"by": "bank/evil"},
        {"now_by": "bank/x"},
        {"now": "flag"},
        {"less": []},
    ):
        other = {**data, "loosened": [{**data["loosened"][0], **change}]}
        Path("other.yaml").write_text(yaml.safe_dump(other))
        run("replay", "wider", "--accept", "other.yaml", code=1)


def test_what_is_accepted_and_no_longer_happens_is_said(place: Path) -> None:
    """An accept file does not gather dust."""
    run("replay", "wider", "--write-accept", "accepted.yaml", code=1)
    assert (
        "names what no longer happens: step_up by bank/large"
        in run("replay", "same", "--accept", "accepted.yaml").stdout
    )


@pytest.mark.parametrize(
    "text", ["efect: deny", "effect: deny\n    when: args.", "effect: deny\n    effect: allow"]
)
def test_a_candidate_that_does_not_load_is_exit_2_T40_T48(place: Path, text: str) -> None:
    """Nothing is replayed, and the reason is named with its place."""
    (place / "broken").mkdir()
    (place / "broken" / "bank.yaml").write_text(
        f'policy: bank\nowner: x\ntools: ["*"]\nrules:\n  - id: a\n    {text}\n'
    )
    found = run("replay", "broken", code=2)
    assert found.stdout == ""
    assert "bank.yaml:" in found.stderr


def test_a_candidate_that_anybody_may_change_is_refused_T47(place: Path) -> None:
    """As everywhere else."""
    os.chmod(place / "wider" / "bank.yaml", 0o666)
    assert "AG301" in run("replay", "wider", code=2).stderr


def test_usage_errors_are_exit_2(place: Path) -> None:
    """Times that are none, two sources, a file that is not there, nothing recorded in that time."""
    run("replay", "same", "--from", "yesterday", code=2)
    run("replay", "same", "--store", "sqlite:///agentguard.db", "--jsonl", "x.jsonl", code=2)
    run("replay", "same", "--jsonl", "missing.jsonl", code=2)
    run("replay", "same", "--store", "sqlite:///missing.db", code=2)
    run("replay", "nowhere", code=2)
    assert "no recorded decision" in run("replay", "same", "--to", "2001-01-01", code=2).stderr
    assert "no recorded decision" in run("replay", "same", "--tenant", "other", code=2).stderr


def test_a_store_without_context_says_how_to_keep_it(place: Path) -> None:
    """Exit 2: nothing was replayed, so nothing was shown to be safe."""
    with Guard(snapshot=rules(ALLOW), store="sqlite:///plain.db") as guard:
        pay = pay_tool(guard)
        with guard.session(agent=AGENT):
            pay("ACME", 1)
    assert "replayable: true" in run("replay", "same", "--store", "sqlite:///plain.db", code=2).stderr


def test_the_span_and_the_limit(place: Path) -> None:
    """`--limit` stops, `--from` begins."""
    assert counts("same", "--limit", "2", code=0)["replayed"] == 2
    assert "stopped after 2 decisions" in run("replay", "same", "--limit", "2").stderr
    assert counts("same", "--from", "2001-01-01T00:00+01:00", "--to", "2999-01-01", code=0)["replayed"] == 6


def test_two_sets_are_compared_over_the_same_calls(place: Path) -> None:
    """`--against` decides the past anew."""
    found = counts("wider", "--against", "stricter", code=1)
    assert (found["loosened"], found["unchanged"]) == (2, 4)
    assert counts("wider", "--against", "recorded", code=1)["loosened"] == 1


def test_damage_is_exit_1_T64(place: Path) -> None:
    """It is named, and the way to learn more."""
    import sqlite3

    with sqlite3.connect("agentguard.db") as db:
        db.execute("UPDATE event SET content = x'00' WHERE type = 'decision' AND key % 2 = 0")
    db.close()
    text = run("replay", "same", code=1).stdout
    assert "DAMAGED: " in text
    assert "agentguard ledger verify" in text


def test_a_damaged_line_is_no_matter_of_the_ledger_T64(place: Path) -> None:
    """What has to be mended is the file."""
    Path("bad.jsonl").write_text("{\n")
    text = run("replay", "same", "--jsonl", "bad.jsonl", code=2).stdout
    assert "DAMAGED: 1 record does not read back; export the file again:" in text


def test_without_the_key_it_says_that_digests_are_not_compared(place: Path) -> None:
    """And makes no key of its own."""
    key = Path("agentguard.db.key")
    key.unlink()
    assert "not compared with their digests" in run("replay", "same").stderr
    assert not key.exists()


def test_an_export_is_replayed_as_the_store_is(place: Path) -> None:
    """Written for its owner only, never over another file."""
    run("ledger", "export", "--output", "out.jsonl")
    assert stat.S_IMODE(os.stat("out.jsonl").st_mode) == 0o600
    run("ledger", "export", "--output", "out.jsonl", code=2)
    assert counts("wider", "--jsonl", "out.jsonl", code=1) == counts("wider", code=1)
    printed = run("ledger", "export", "--to", "2001-01-01").stdout
    assert all('"approval"' in line for line in printed.splitlines())


def test_the_register_is_used(place: Path) -> None:
    """A grant in a file satisfies the step-up of the candidate."""
    begin = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)  # the calls were made just now
    grant = {
        "id": "G-1", "agent": "billing", "rules": ["bank/large"], "tools": ["bank.transfer"],
        "stages": [{"reviewers": ["group:finance"]}], "approved_at": begin.isoformat(),
        "expires": (begin + dt.timedelta(days=30)).isoformat(), "reason": "quarter end", "local": True,
    }  # fmt: skip
    Path("register.yaml").write_text(yaml.safe_dump({"version": 1, "grants": [grant]}))
    assert counts("same", "--register", "register.yaml", code=1)["loosened"] == 2
    Path("register.yaml").write_text("version: 1\ngrant: []\n")
    run("replay", "same", "--register", "register.yaml", code=2)


def hostile(place: Path) -> Path:
    """Records in which names and reasons hold what a terminal or a browser would obey."""
    markup = '<script>alert(1)</script><img src=x onerror=alert(1)>" hx-get="/x" {{ 7*7 }} [red]'
    policy_file(place / "open", {"id": "any", "effect": "allow", "reason": markup})
    line = {
        "v": 1, "id": HOSTILE + markup, "decision": {"effect": "deny", "matched": [
            {"rule_id": HOSTILE, "policy": markup, "effect": "deny", "at": "javascript:alert(1)" + HOSTILE}
        ]},
        "request": {"tool": "t", "agent": {"id": HOSTILE + markup}, "now": "2026-11-20T10:00:00Z"},
        "asked": [],
    }  # fmt: skip
    approval = {"id": HOSTILE, "decision_id": line["id"], "tool": markup, "state": markup, "votes": 1}
    step = {
        **line,
        "decision": {
            "effect": "step_up",
            "obligations": [
                {"kind": "approve", "expires_in_s": 9, "stages": [{"reviewers": [HOSTILE + markup]}]}
            ],
            "exceptions": [{"id": HOSTILE + markup, "waived": []}],
        },
    }
    path = place / "hostile.jsonl"
    rows = [line, step, {"v": 1, "approval": approval}, {"v": 1, HOSTILE: markup}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize("columns", ["80", "120"])
def test_no_text_of_a_record_reaches_the_terminal_as_a_command_T57(place: Path, columns: str) -> None:
    """Escapes, bidirectional overrides and invisible characters are written out, in text and in JSON."""
    path = hostile(place)
    for args in (["--all"], ["--json"], []):
        found = run("replay", "open", "--jsonl", path, *args, code=1, COLUMNS=columns)
        for raw in RAW:
            assert raw not in found.stdout + found.stderr
    text = run("replay", "open", "--jsonl", path, code=1, COLUMNS=columns).stdout
    assert "\\x1b[31m" in text.replace("\n", "").replace(" ", "")


class _Page(HTMLParser):
    """The elements and attributes of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.values: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            self.attributes.add(name)
            self.values.append(value or "")


def test_no_text_of_a_record_becomes_markup_T52(place: Path) -> None:
    """The page has the elements of its template and no others, no script, and asks nobody for anything."""
    run("replay", "open", "--jsonl", hostile(place), "--html", "page.html", code=1)
    text = Path("page.html").read_text(encoding="utf-8")
    page = _Page()
    page.feed(text)
    assert "&lt;script&gt;alert(1)" in text
    assert "49" not in re.sub(r"\d{2,}%", "", text).split("<body>")[1]
    assert not page.tags & {"script", "img", "a", "iframe", "link", "object", "form", "svg"}
    assert page.attributes <= {
        "lang", "charset", "http-equiv", "content", "name", "class", "style", "title", "scope",
    }  # fmt: skip
    assert not any(raw in text for raw in RAW)
    assert not re.search(r"https?://|url\(|@import", text.replace("http://x", ""))
    assert all(re.fullmatch(r"(width|height):[\d.]+%", value) for value in page.values if "%" in value)


def test_the_page_shows_what_the_terminal_shows(place: Path) -> None:
    """Counts, both rules, days, reviewers, approvals."""
    clock = FakeClock()
    store = open_store("sqlite:///mixed.db", clock=clock)
    with keeping(store=store, facts=[knows]) as guard:
        mixed_run(guard, clock)
    store.close()
    policy_file(place / "mixed", *MIXED[2:])
    found = run("replay", "mixed", "--store", "sqlite:///mixed.db", "--html", "page.html", code=None)
    text = Path("page.html").read_text(encoding="utf-8")
    assert found.stdout.rstrip().splitlines()[-1] in text
    assert "By day" in text
    assert "group:finance" in text
    assert text.count('<section class="group') == found.stdout.count("~ effect")


def test_every_row_is_listed_on_request(place: Path) -> None:
    """`--all` shows each call of a group."""
    assert run("replay", "stricter").stdout.count("e.g.") == 1
    assert run("replay", "stricter", "--all").stdout.count("e.g.") == 2


def test_a_bar_is_drawn_on_a_terminal_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """On standard error, so that the report can be piped; elsewhere nothing is written there."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    for stream, drawn in ((Terminal(), True), (io.StringIO(), False)):
        monkeypatch.setattr(sys, "stderr", stream)
        monkeypatch.setenv("TERM", "xterm")
        with progress(10) as moved:
            moved(5)
        assert ("records" in stream.getvalue()) is drawn
