"""The page about replays says what is so."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import yaml

from agentguard.ledger.recorded_lines import LineReader
from agentguard.policy.replay import PROBLEMS, Direction, Replay, read_accepted
from agentguard.policy.replay.accepting import Entry
from tests.replay.support import ALLOW, EVIL, rules

PAGE = (Path(__file__).parents[2] / "docs" / "replay.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.S)


def test_the_code_runs() -> None:
    """As it stands there."""
    (code,) = blocks("python")
    scope: dict[str, Any] = {}
    exec(compile(code, "replay.md", "exec"), scope)  # noqa: S102
    counts = scope["report"].to_json()["counts"]
    assert (counts["tightened"], counts["loosened"]) == (1, 0)


def test_the_accept_file_and_the_line_are_read() -> None:
    """What a reader copies works."""
    accepted = read_accepted(yaml.safe_load(blocks("yaml")[1]))
    assert accepted.entries[0].at_most == 12
    for name in Entry.model_fields:
        assert f"{name}:" in blocks("yaml")[1], name
    (line,) = blocks("json")
    (found,) = LineReader(io.StringIO(json.dumps(json.loads(line))))
    running = Replay(rules(ALLOW, EVIL))
    assert running.take(found) is None
    assert running.report().unchanged == 1


def test_every_problem_and_direction_is_on_the_page() -> None:
    """Nothing is counted that the page does not name."""
    for problem in PROBLEMS:
        assert f"| `{problem}` |" in PAGE, problem
    for direction in Direction:
        assert f"| **{direction.value}** |" in PAGE, direction
