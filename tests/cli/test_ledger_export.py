"""`agentguard ledger export`: events for other tools, from and to a time, safe to open (T57, T58)."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
import sqlite3
import stat
from pathlib import Path
from typing import Any

import pytest

from agentguard.call import ContextRequest
from agentguard.cli.export_formats import COLUMNS
from agentguard.decision import Effect
from agentguard.ids import uuid7
from agentguard.ledger import events
from agentguard.ledger.log import leaf_hash
from agentguard.store import open_store
from tests.cli.support import HOSTILE, RAW, open_question, records, run
from tests.ledger.ocsf_schema import problems
from tests.store.support import ARGS_HMAC, START, decided, ended, make_decision

FORMATS = ("events", "ocsf", "csv")
FORMULA = '=HYPERLINK("http://x","click")'


def fill(path: Path, number: int = 3) -> None:
    """One call an hour, from ten o'clock."""
    store = records(path)
    for hour in range(number):
        at = START + dt.timedelta(hours=hour)
        event = decided(at=at)
        store.append("default", [event, ended(event, at=at)])
    store.append("eu", [decided("eu")])
    store.close()


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def table(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_every_format_has_every_event(project: Path) -> None:
    """With its number; those of the named tenant alone."""
    fill(project)
    found = lines(run("ledger", "export", "--format", "events").stdout)
    assert [one["seq"] for one in found] == [1, 2, 3, 4, 5, 6]
    store = records(project)
    assert [{k: v for k, v in one.items() if k != "seq"} for one in found] == [
        json.loads(row.leaf) for row in store.events("default")
    ]
    hashes = [leaf_hash(row.leaf).hex() for row in store.events("default")]
    store.close()
    ocsf = lines(run("ledger", "export", "--format", "ocsf").stdout)
    assert [problems(one) for one in ocsf] == [[]] * 6
    assert [one["unmapped"]["leaf_hash"] for one in ocsf] == hashes
    rows = table(run("ledger", "export", "--format", "csv").stdout)
    assert [(one["seq"], one["type"]) for one in rows][:2] == [("1", "decision"), ("2", "outcome")]
    assert len(rows) == 6
    assert tuple(rows[0]) == COLUMNS
    eu = lines(run("ledger", "export", "--format", "events", "--tenant", "eu").stdout)
    assert [one["tenant"] for one in eu] == ["eu"]


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize(
    ("begin", "end", "count"),
    [
        (None, None, 6),
        ("2026-11-20T11:00", None, 4),
        ("2026-11-20T11:00:00.000001Z", None, 2),
        (None, "2026-11-20T11:00Z", 2),
        ("2026-11-20T12:00+01:00", "2026-11-20T13:00+01:00", 2),
        ("2026-11-20", "2026-11-21", 6),
        ("2026-11-21", None, 0),
        (None, "2026-11-20", 0),
    ],
)
def test_from_and_to_a_time(
    project: Path, format: str, begin: str | None, end: str | None, count: int
) -> None:
    """A date, a time in UTC, a time with a zone; the end is excluded."""
    fill(project)
    span = [*(["--from", begin] if begin else []), *(["--to", end] if end else [])]
    out = run("ledger", "export", "--format", format, *span).stdout
    assert len(out.splitlines()) == count + (format == "csv")


@pytest.mark.parametrize("wrong", ["yesterday", "2026-13-01", "=1", "1"])
def test_what_is_no_time_is_refused(project: Path, wrong: str) -> None:
    """Before anything is written."""
    fill(project)
    found = run("ledger", "export", "--format", "csv", "--from", wrong, code=2)
    assert found.stdout == ""
    assert "--from" in found.stderr


@pytest.mark.parametrize("format", ["jsonl", *FORMATS])
@pytest.mark.parametrize("end", ["2026-11-20", "2026-11-20T12:00+01:00", "2026-11-20T11:00Z"])
def test_a_period_that_holds_no_instant_is_refused(project: Path, format: str, end: str) -> None:
    """An empty export would look like a quiet month; no file is made either."""
    fill(project)
    out = project / "out"
    span = ("--from", "2026-11-20T11:00", "--to", end)
    found = run("ledger", "export", "--format", format, *span, "--output", str(out), code=2)
    assert "`--from` and `--to`" in found.stderr
    assert not out.exists()


@pytest.mark.parametrize("format", FORMATS)
def test_only_some_types(project: Path, format: str) -> None:
    """By name, by the beginning of names, and several."""
    open_question(project)
    fill(project)

    def count(*types: str) -> int:
        named = [part for one in types for part in ("--type", one)]
        out = run("ledger", "export", "--format", format, *named).stdout
        return len(out.splitlines()) - (format == "csv")

    assert count() == 8
    assert count("outcome") == 3
    assert count("approval.") == 1
    assert count("approval.", "outcome") == 4
    assert count("approval.opened", "vote") == 1
    assert count("nothing") == 0
    assert "--type" in run("ledger", "export", "--type", "vote", code=2).stderr


def test_a_file_is_for_its_owner_and_never_written_over(project: Path) -> None:
    """As the exports with arguments."""
    fill(project)
    run("ledger", "export", "--format", "csv", "--output", "out.csv")
    assert stat.S_IMODE((project / "out.csv").stat().st_mode) == 0o600
    assert (project / "out.csv").read_bytes().count(b"\r\n") == 7
    assert "exists" in run("ledger", "export", "--format", "csv", "--output", "out.csv", code=2).stderr


def hostile(project: Path, text: str) -> None:
    """An event in which every text that comes from outside is hostile."""
    request = ContextRequest.from_mapping(
        {
            "tool": "pay",
            "args": {},
            "agent": {"id": text},
            "principal": text,
            "chain": [{"id": text}],
            "call_id": text,
            "session": {"id": text, "labels": [], "calls": 1},
            "environment": text,
            "secrets": [text],
            "now": START.isoformat(),
        }
    )
    store = records(project)
    about: dict[str, Any] = {"tenant": "default", "at": START, "request": request, "args_hmac": ARGS_HMAC}
    event = events.decision(id=uuid7(), decision=make_decision(Effect.DENY), runs=False, **about)
    store.append("default", [event])
    store.close()


@pytest.mark.parametrize("format", FORMATS)
def test_T57_nothing_that_a_terminal_obeys_is_written(project: Path, format: str) -> None:
    """No escape sequence, no bidirectional override, no line end of another kind."""
    hostile(project, HOSTILE)
    out = run("ledger", "export", "--format", format).stdout
    for raw in RAW:
        assert raw not in out.replace("\r\n", "\n"), repr(raw)
    assert len(out.splitlines()) == 1 + (format == "csv")


@pytest.mark.parametrize("format", FORMATS)
def test_T58_nothing_in_an_event_ends_a_line_or_begins_another_record(project: Path, format: str) -> None:
    """Line ends of every kind, quotes, separators, JSON in JSON."""
    text = '\n{"seq":99}\r\u2028\x85","x\n"=1'
    hostile(project, text)
    out = run("ledger", "export", "--format", format).stdout
    if format == "csv":
        (one,) = table(out)
        assert one["agent"] != text
    else:
        (data,) = lines(out)
        agent = data["agent"] if format == "events" else data["actor"]["app_uid"]
        assert agent == text, "as JSON it comes back exactly"


def test_T58_formulas_are_text_in_every_column(project: Path) -> None:
    """Also in the cell that holds JSON, which stays JSON."""
    hostile(project, FORMULA)
    (one,) = table(run("ledger", "export", "--format", "csv").stdout)
    for column in ("agent", "principal", "chain", "session", "call_id"):
        assert one[column] == f"'{FORMULA}", column
    assert json.loads(one["more"])["environment"] == FORMULA
    assert '"=' not in one["more"]
    assert not [value for value in one.values() if value[:1] in tuple("=+-@")]


@pytest.mark.parametrize("format", FORMATS)
def test_damaged_events_are_told_and_never_left_out_silently_T64(project: Path, format: str) -> None:
    """Whatever of them can be written is, in any stretch of time, and the command fails."""
    fill(project)
    db = sqlite3.connect(project / "records.db")
    for seq, change in ((2, "leaf = x'00'"), (3, "leaf = '{}'"), (4, "type = 'vote'"), (5, "id = 'x'")):
        db.execute(f"UPDATE event SET {change} WHERE key & 255 = {seq}")
    db.commit()
    db.close()
    found = run("ledger", "export", "--format", format, "--from", "2030-01-01", code=1)
    assert "4 records are damaged; run `agentguard ledger verify`" in found.stderr
    if format == "events":
        assert lines(found.stdout) == [{"seq": seq, "damaged": True} for seq in (2, 3, 4, 5)]
    if format == "csv":
        assert [(one["seq"], one["type"]) for one in table(found.stdout)] == [
            (str(seq), "damaged") for seq in (2, 3, 4, 5)
        ]


def test_an_export_takes_no_more_memory_for_more_events(project: Path) -> None:
    """It asks for a batch at a time and writes each line before the next batch."""
    from agentguard.ledger.exporting import exported

    store = open_store("memory:")
    for _ in range(30):
        store.append("default", [decided() for _ in range(100)])
    asked: list[tuple[int, int]] = []
    rows = store.rows

    def seen(tenant: str, **options: Any) -> Any:
        found = rows(tenant, **options)
        asked.append((options["after"], len(found)))
        return found

    store.rows = seen  # type: ignore[method-assign]
    for number, one in enumerate(exported(store, "default"), 1):
        assert one.seq == number
        assert sum(count for _, count in asked) - number < 1000
    assert asked == [(0, 1000), (1000, 1000), (2000, 1000), (3000, 0)]
    store.close()
