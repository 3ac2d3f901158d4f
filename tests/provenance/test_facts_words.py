"""The word lists by which tools are read are checked data."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentguard.errors import ConfigurationError
from agentguard.provenance.tool_words import FILE, read_words, tool_words


def changed(tmp_path: Path, old: str, new: str) -> Path:
    """A copy of the shipped lists with one change."""
    text = FILE.read_text(encoding="utf-8")
    assert old in text
    file = tmp_path / "words.yaml"
    file.write_text(text.replace(old, new, 1), encoding="utf-8")
    return file


def test_the_shipped_lists_are_right() -> None:
    """They are read once."""
    assert tool_words() is tool_words()
    assert tool_words().classes["delete"] == "delete"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("  send: [\n    send,", "  send: [\n    send, delete,", "`delete` stands twice"),
        ("  send: [", "  sent: [", "`sent` is no class"),
        ("nouns_too: [\n", "nouns_too: [\n  unheard,\n", "`unheard` of `nouns_too`"),
        ("joints:", "joins:", "joints: Field required"),
        ("joints: [and,", "joints: [And,", "pattern"),
        ("  attachment: [attachment,", "  attachment: [url, attachment,", "`url` stands twice"),
    ],
)
def test_lists_that_contradict_themselves_are_refused(tmp_path: Path, old: str, new: str, said: str) -> None:
    """A word in two classes would mean whichever was read last."""
    with pytest.raises(ConfigurationError, match=said):
        read_words(changed(tmp_path, old, new))


def test_topics_are_found_in_singular_and_plural() -> None:
    """In the order of the file."""
    assert tool_words().topics_of(["emails", "calendar"]) == ("mail", "calendar")
    assert tool_words().topics_of(["nothing"]) == ()
