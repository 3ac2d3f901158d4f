"""Tools whose verb says `add` or `create`, and that reach somebody or let somebody in."""

from __future__ import annotations

from typing import Any

import pytest

from agentguard.provenance.facts import infer
from tests.provenance.support import tool


def defined(name: str, arguments: tuple[str, ...]) -> Any:
    """A tool of texts."""
    texts: dict[str, Any] = dict.fromkeys(arguments, "string")
    return tool(name, **texts)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("add_message", ("channel", "text")),
        ("create_message", ("to", "body")),
        ("messages.create", ("to", "body")),
        ("create_sms", ("recipient", "text")),
        ("createDm", ("user_id", "text")),
    ],
)
def test_a_message_that_is_made_for_somebody_is_sent(name: str, arguments: tuple[str, ...]) -> None:
    """It goes out at once, also to a channel."""
    assert infer(defined(name, arguments))["action"] == "send"


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("add_message_draft", ("channel", "text")),
        ("create_draft_message", ("to", "body")),
        ("create_message_template", ("channel", "text")),
        ("add_message", ("title", "text")),
        ("add_message_folder", ("recipient", "text")),
    ],
)
def test_what_is_only_kept_is_made(name: str, arguments: tuple[str, ...]) -> None:
    """A draft, a template, a text for nobody."""
    assert infer(defined(name, arguments))["action"] == "create"


@pytest.mark.parametrize(
    "name",
    ["create_guest_code", "add_access_code", "set_gate_pin", "createVisitorPass", "create_entry_keycard"],
)
def test_a_code_for_a_door_is_a_grant(name: str) -> None:
    """Whoever has it gets in."""
    assert infer(tool(name, guest="string"))["action"] == "grant"


@pytest.mark.parametrize(
    ("name", "action"),
    [
        ("create_discount_code", "create"),
        ("list_guest_codes", "read"),
        ("revoke_guest_code", "delete"),
        ("create_guest_list", "create"),
    ],
)
def test_another_code_and_what_ends_one_is_none(name: str, action: str) -> None:
    """By the door and the code together."""
    assert infer(tool(name, code="string"))["action"] == action
