"""T57: nothing from outside reaches a terminal as a command, and nothing invisible stays invisible."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentguard.cli.safe_text import for_markup, marked, quoted, visible, visible_lines


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain [text] é ж 日本 “quotes” … 🙂", "plain [text] é ж 日本 “quotes” … 🙂"),
        ("\x1b[31mred\x1b]8;;x\x07", r"\x1b[31mred\x1b]8;;x\x07"),
        ("a\rb\nc\td\x00\x7f", r"a\rb\nc\td\x00\x7f"),
        ("\x9b2J", r"\x9b2J"),
        ("\u202egnp.exe\u2066", r"\u202egnp.exe\u2066"),
        ("ze\u200bro\ufeff\u00ad", r"ze\u200bro\ufeff\xad"),
        ("tag\U000e0041", r"tag\U000e0041"),
        ("e\u0301", "e\\u0301"),
        ("filler\u3164\u2800", "filler\\u3164\\u2800"),
        ("\u2028\u2029\u00a0", r"\u2028\u2029\xa0"),
        ("\ud800", "\\ud800"),
        ("pаypal", "pа[U+0430]ypal"),
        ("ask оur", "ask о[U+043E]ur"),
        ("the сор", "the с[U+0441]о[U+043E]р[U+0440]"),
        ("привет мир", "привет мир"),
        ("ｐay", "ｐ[U+FF50]ay"),
        ("a∕b", "a∕[U+2215]b"),
    ],
)
def test_T57_what_cannot_be_seen_or_would_be_obeyed_is_written_out(text: str, shown: str) -> None:
    assert visible(text) == shown
    assert marked(text) is (text != shown)


@given(st.text())
def test_T57_no_text_leaves_a_character_that_a_terminal_obeys(text: str) -> None:
    for shown in (visible(text), quoted(text), for_markup(text)):
        assert shown.isprintable()


@given(st.text(), st.text())
def test_T56_two_texts_are_never_quoted_alike(one: str, other: str) -> None:
    """A backslash and a quote are escaped too, so that nothing can pass for an escape or an end."""
    assert (quoted(one) == quoted(other)) is (one == other)


def test_T56_a_mark_that_was_typed_is_not_one_of_ours() -> None:
    assert quoted("жa") == '"ж[U+0436]a"'
    assert quoted("ж[U+0436]a") == '"ж\\[U+0436]a"'


def test_T57_markup_is_text() -> None:
    from rich.text import Text

    for text in ("[bold]x[/bold]", "[/]", "\\[red]", "[link=http://x]y[/link]", "ends\\"):
        assert Text.from_markup(f"[b]{for_markup(text)}[/b]").plain == text


def test_lines_end_only_where_a_newline_is() -> None:
    assert visible_lines("a\r\nb\u2028c\rd\n") == ["a", r"b\u2028c\rd", ""]
