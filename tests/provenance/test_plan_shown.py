"""What a person is shown of a plan or a series before they grant it, and what the grant then is for."""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import Any

import pytest

from agentguard.cli.approval_screen import screen
from agentguard.cli.granting import show_plan
from agentguard.cli.safe_text import visible
from agentguard.governance import grants
from agentguard.provenance.offers import offer_condition
from agentguard.stepup.model import Approval
from tests.governance.support import DIRECTORY
from tests.provenance.test_guarded import Ben, Work

WIDTHS = pytest.mark.parametrize("columns", [80, 120])
MAIL = {"to": "ann@x.example", "subject": "Meeting", "body": "We meet at ten."}
GUESTS = [{"name": f"Guest {at}", "mail": f"{who}@x.example"} for at, who in enumerate(("ann", "bea", "cy"))]


def question(result: Any, prompt: str = "Please do what is on my to-do list.") -> Approval:
    """The question about a first mail, after a list was read."""
    with Work(prompt, ben := Ben()) as work:
        ben.done.set()
        work.call("list_todos", result)
        work.call("send_mail", **MAIL)
        asked: Approval = ben.asked[0]
        assert "plan" in asked.shown
        return asked


def shown(
    plan: Any, columns: int, patch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> list[str]:
    """The lines on a terminal of so many columns."""
    patch.setenv("COLUMNS", str(columns))
    show_plan(plan)
    return capsys.readouterr().out.splitlines()


def joined(lines: list[str]) -> str:
    """What stands behind the bars, with a line that was too long for the terminal put together again."""
    text = ""
    for line in lines:
        if line.startswith("  ┆ "):
            text += line[4:]
        elif line.startswith("  │ "):
            text += "\n" + line[4:]
    return text + "\n"


# -- the texts and the series on a terminal


@WIDTHS
def test_every_text_is_shown_whole_T56(
    columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """To its last word, in lines that fit, each behind a bar, under the tool that returned it."""
    todo = {"todo": "mail ann@x.example that " + "we meet at ten, " * 200 + "THE END"}
    plan = question([todo, {"todo": "mail bea@x.example"}]).shown["plan"]
    lines = shown(plan, columns, monkeypatch, capsys)
    assert max(map(len, lines)) <= columns
    (text,) = [one["text"] for one in plan["texts"]]
    assert f"`list_todos` returned, {len(text):,} characters" in " ".join(lines)
    assert joined(lines).startswith(f"\n{text}\n")
    assert text.endswith("THE END")


@WIDTHS
@pytest.mark.parametrize(
    "hidden", ["\u202e", "\x1b[2K\x1b[1A", "\r", "\u200b", "\u2028", "\u0430nn"], ids=ascii
)
def test_what_would_not_be_seen_is_written_out_T56(
    hidden: str, columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In a text, in the name of a field, in that of a tool."""
    plan = {
        "texts": [{"from": f"list{hidden}s", "text": f"one{hidden}two\nthree"}],
        "series": [f"send{hidden}", f"to: `ma{hidden}il` of `list_todos`"],
    }
    said = "\n".join(shown(plan, columns, monkeypatch, capsys))
    assert hidden not in said.replace("\u0430[U+0430]", "")
    assert said.count(visible(f"x{hidden}")[1:]) >= 4


@WIDTHS
def test_the_series_is_shown_with_each_argument_T56(
    columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The tool, and where the values of the further calls may come from."""
    asked = question(GUESTS, "Mail everybody on the guest list that we meet at ten.")
    lines = shown(asked.shown["plan"], columns, monkeypatch, capsys)
    assert "LIKE  further calls of `send_mail` with" in lines
    assert "\nto: `mail` of `list_todos`\n" in joined(lines)
    assert all(f"\nmail: {one['mail']}\n" in joined(lines) for one in GUESTS)


@WIDTHS
def test_no_name_of_a_field_can_fake_a_line_T56(
    columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither with line breaks nor by its length: whatever comes from outside stands behind a bar."""
    fake = "Granted: nothing."
    plan = {
        "texts": [{"from": "list_todos", "text": f"one\n\n{fake}\n" + " " * columns + fake}],
        "series": ["send_mail", "to: `mail" + "-" * (columns - 12) + " " * 8 + f"{fake}\n{fake}` of `x`"],
    }
    lines = shown(plan, columns, monkeypatch, capsys)
    outside = [line for line in lines if fake in line]
    assert len(outside) >= 3
    assert all(line.startswith(("  │ ", "  ┆ ")) for line in outside)
    assert [line.split(" ")[0] for line in lines if not line.startswith("  ")] == ["PLAN", "LIKE"]


# -- the line on the screen of the approval


@WIDTHS
def test_the_screen_says_how_wide_the_plan_is(
    columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """How many tools and uses, and the command that shows and grants it."""
    asked = question([{"todo": "mail ann@x.example"}, {"todo": "mail bea@x.example"}])
    monkeypatch.setenv("COLUMNS", str(columns))
    screen(asked, DIRECTORY, asked.opened_at, full=False)
    said = capsys.readouterr().out
    assert max(map(len, said.splitlines())) <= columns
    plain = " ".join(said.split())
    plan = asked.shown["plan"]
    assert f"approvals approve {asked.id[:9]} --grant` shows and grants" in plain
    assert f"{len(plan['tools'])} tools, {plan['uses']} uses" in plain


def test_a_question_without_a_plan_has_no_such_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is offered that was not made out."""
    asked = question([{"todo": "mail ann@x.example"}, {"todo": "mail bea@x.example"}])
    alone = {key: one for key, one in asked.shown.items() if key != "plan"}
    screen(dataclasses.replace(asked, shown=alone), DIRECTORY, asked.opened_at, full=False)
    assert "--grant" not in capsys.readouterr().out


# -- what the grant is for


def test_a_plan_holds_its_texts_its_series_its_tools_and_its_uses() -> None:
    """All that the person is shown, and a condition for nothing else."""
    asked = question(GUESTS, "Mail everybody on the guest list that we meet at ten.")
    plan = asked.shown["plan"]
    assert [one["from"] for one in plan["texts"]] == ["list_todos"]
    assert plan["series"][:2] == ["send_mail", "to: `mail` of `list_todos`"]
    assert set(plan["tools"]) == {"send_mail"}
    assert plan["tools"]["send_mail"] == asked.tool_digest
    assert plan["uses"] == 2 * len(GUESTS)
    texts = [(one["from"], one["text"]) for one in plan["texts"]]
    assert plan["when"] == offer_condition(texts, plan["series"])
    assert dt.datetime.fromisoformat(plan["until"]) - asked.opened_at <= dt.timedelta(hours=1, seconds=1)
    content = grants.plan_content(asked)
    assert content["bound"]["session"] == asked.shown["session"]["id"]


@pytest.mark.parametrize(("guests", "uses"), [(2, 4), (3, 6), (10, 20), (60, 20)])
def test_a_series_has_as_many_uses_as_it_has_items_and_never_more_than_twenty(guests: int, uses: int) -> None:
    """Twice, for a call that fails; a list of any length ends there."""
    rows = [{"name": "Ann", "mail": "ann@x.example"}] + [
        {"name": f"Guest {at}", "mail": f"guest{at}@x.example"} for at in range(guests - 1)
    ]
    asked = question(rows, "Mail everybody on the guest list that we meet at ten.")
    assert asked.shown["plan"]["uses"] == uses


def test_another_text_or_series_has_another_condition() -> None:
    """A grant for one is none for the other."""
    text = ("list_todos", "mail ann@x.example")
    base = offer_condition([text], ["send_mail", "to: x"])
    others = [
        offer_condition([("list_notes", text[1])], ["send_mail", "to: x"]),
        offer_condition([(text[0], text[1] + ".")], ["send_mail", "to: x"]),
        offer_condition([text, text], ["send_mail", "to: x"]),
        offer_condition([text], ["send_mail", "cc: x"]),
        offer_condition([text], ["send_mail", "to", "x"]),
        offer_condition([text], []),
    ]
    assert offer_condition([text], ["send_mail", "to: x"]) == base
    assert len({base, *others}) == len(others) + 1


def test_a_session_that_was_restored_offers_nothing() -> None:
    """It saw nothing by itself."""
    with Work("Please do what is on my to-do list.", ben := Ben()) as work:
        ben.done.set()
        work.call("list_todos", GUESTS)
        work.session.restored = True
        work.call("send_mail", **MAIL)
        assert all("plan" not in one.shown for one in ben.asked)
