"""`docs/channels.md` says what is so."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any, get_args

import pytest

from agentguard.channels import expiring, lanes, outbox, receiving, signing, webhook
from agentguard.channels.options import EventName, SlackAnswers, SlackEntry, WebhookEntry
from agentguard.channels.rendering import MOST, WHOLE
from agentguard.channels.signing import webhook_headers
from tests.channels.support import ANSWER_KEY, KEY, Scene, desk
from tests.cli.conftest import work
from tests.cli.support import POLICY, folder, run
from tests.cli.test_app import LEAVES

__all__ = ["work"]

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "channels.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def code(name: str) -> Any:
    """A function of one of the page's blocks."""
    (block,) = [block for block in BLOCKS if f"def {name}(" in block]
    names: dict[str, Any] = {}
    exec(compile(block, "docs/channels.md", "exec"), names)  # noqa: S102
    return names[name]


def test_a_receiver_written_as_the_page_says_takes_what_we_send() -> None:
    """And refuses what is altered, old, or came before."""
    genuine, seen = code("genuine"), set[str]()
    headers = webhook_headers((b"old" * 10, KEY), "id-1", int(time.time()), b"{}")
    assert not genuine(KEY, headers, b"{ }", seen)
    assert not genuine(ANSWER_KEY, headers, b"{}", seen)
    assert genuine(KEY, headers, b"{}", seen)
    assert not genuine(KEY, headers, b"{}", seen)
    assert not genuine(KEY, webhook_headers((KEY,), "id-2", int(time.time()) - 400, b"{}"), b"{}", seen)


def test_an_answer_written_as_the_page_says_is_taken(here: Scene) -> None:
    """It is signed as the page signs it."""
    approval = here.ask()
    question = {"id": approval.id, "digest": approval.digest}
    at = int(here.clock().timestamp())
    headers, body = code("answer")(ANSWER_KEY, "msg_1", at, question, "U0ANA", "approve")
    assert desk(here).take("ops", headers, body).result == "approved"


def test_the_configuration_of_the_page_is_right(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`agentguard check` finds nothing."""
    (text,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    folder(work, agentguard_yaml=text, policies__pay_yaml=POLICY.replace("tools: [pay]", 'tools: ["*"]'))
    run("check")
    rows = json.loads(run("channels", "list", "--json").output)
    assert [row["name"] for row in rows] == ["ops", "finance"]


def test_every_key_and_event_stands_on_the_page() -> None:
    """With the meaning of each."""
    keys = {*WebhookEntry.model_fields, *SlackEntry.model_fields, *SlackAnswers.model_fields}
    for key in keys:
        assert f"`{key}`" in PAGE, key
    for name in get_args(EventName):
        assert f"`{name}`" in PAGE or name.endswith(".*"), name


def test_the_figures_are_those_of_the_code() -> None:
    """Where a bound is named, it is the one that is enforced."""
    defaults = {name: field.default for name, field in WebhookEntry.model_fields.items()}
    for text in (
        f"after\n  {outbox.LEASE_S} seconds",
        f"At most {outbox.MOST_WAITING} things wait".replace("At", "at"),
        f"of more than {WHOLE:,} characters",
        f"Of more than {MOST} arguments",
        f"within {expiring.WARNED.days} days",
        f"| after so many a delivery is given up, {defaults['attempts']};",
        f"| for one request, {defaults['timeout_s']:g};",
        f"one agent and rule, {defaults['lane_limit']};",
        f"told singly {defaults['lane_limit']} times in ten minutes",
    ):
        assert text in PAGE, text
    assert (lanes.WINDOW_S, signing.WINDOW_S) == (600, 300)
    assert receiving.LARGEST == webhook.LARGEST == 64 * 1024


def test_the_statuses_are_those_of_the_code(here: Scene) -> None:
    """Each that an answer can have stands in the table."""
    listed = {int(status) for status in re.findall(r"^\| (\d{3}) \|", PAGE, re.MULTILINE)}
    assert listed == {200, 400, 401, 403, 404, 409, 503}


def test_the_links_lead_somewhere() -> None:
    """Pages and tests."""
    for link in re.findall(r"\]\(([^)#]+)", PAGE):
        assert (DOCS / link).exists(), link


def test_the_commands_of_the_page_exist() -> None:
    """With their options."""
    for line in re.findall(r"^agentguard (.+)$", PAGE, re.MULTILINE):
        words = line.split()
        known = {name for option in LEAVES[tuple(words[:2])].params for name in option.opts}
        assert {word for word in words if word.startswith("--")} <= known, line
