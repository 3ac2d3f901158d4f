"""Tools that are named and described as things: they return them."""

from __future__ import annotations

from typing import Any

import pytest

from agentguard.provenance.facts import infer


def tool(name: str, description: str, **arguments: str) -> dict[str, Any]:
    properties = {key: {"type": kind} for key, kind in arguments.items()}
    schema = {"type": "object", "properties": properties, "required": list(arguments)}
    return {"name": name, "description": description, "parameters": schema}


@pytest.mark.parametrize(
    ("name", "description"),
    [
        ("familyBoard", "Cards of a board, with who wrote them."),
        ("whiteboard", "What is written on the kitchen's board."),
        ("hub.devices", "Entities with state and attributes, all or those of an area."),
        ("UnitFile", "File of a flat (tenants, meters, keys)."),
        ("class_register", "Pupils of a class with guardians, as the register holds them."),
        ("shop__past_orders", "Earlier orders."),
        ("ticket_queue", "Open tickets of a house."),
        ("expenses.report", "An expense report."),
        ("po_lookup", "Purchase order with what was received on it."),
        ("notes_open", "Open one of the shared notes."),
        ("tariffs", "[API] [beta] Prices of an area."),
    ],
)
def test_what_is_named_and_described_as_a_thing_reads(name: str, description: str) -> None:
    """In the plural, with an article, before `of`, after an adjective, behind tags."""
    facts = infer(tool(name, description, key="string"))
    assert facts["action"] == "read"
    assert "uncertain" not in facts


@pytest.mark.parametrize(
    ("name", "description"),
    [
        ("git_pull", "Pull changes from a remote repository."),
        ("reboot-cameras", "this tool is for rebooting one or more cameras"),
        ("favourite_staff", "[Requires Login] Favourite or unfavourite a staff member."),
        ("upscale_images", "Upscale one or more images."),
        ("nightly", "The nightly cleanup of old records."),
        ("helper", "A powerful tool that creates maps."),
        ("estop", "An emergency shutdown."),
        ("placeholder", "Description not available"),
        ("frobnicator", "Frobnicate the records of an account."),
        ("refunder", "Interferes with refunds"),
        ("pulls.open", "Open a new pull request."),
        ("open_door", "Open the door."),
        ("vault", ""),
    ],
)
def test_what_may_be_an_action_is_no_thing(name: str, description: str) -> None:
    """Unknown verbs, names of actions, tools that speak of themselves, things that begin."""
    facts = infer(tool(name, description, key="string"))
    assert facts["action"] not in ("read", "fetch")


@pytest.mark.parametrize(
    ("name", "description", "arguments"),
    [
        ("pending_payments", "Approve pending payments.", {}),
        ("shared_files", "Share files with a user.", {"user": "string"}),
        ("open_gate", "Open the gate and record it.", {}),
        ("open_position", "Open a position with an entry price.", {"symbol": "string"}),
        ("open_share_link", "Open a link to a file for everyone.", {"file": "string"}),
        ("open_lockbox", "Open the lockbox, card required.", {}),
        ("thermostat", "The temperature in a room.", {"room": "string", "degrees": "number"}),
        ("alarm", "Status of the alarm.", {"mode": "string"}),
        ("refunds", "Refunds of an order.", {"order": "string"}),
        ("deploys", "Deploys of a service.", {"service": "string"}),
    ],
)
def test_what_is_set_opened_or_done_is_no_thing(
    name: str, description: str, arguments: dict[str, str]
) -> None:
    """Names and descriptions that look harmless, of tools that are not."""
    assert infer(tool(name, description, **arguments))["action"] not in ("read", "fetch")


@pytest.mark.parametrize("argument", ["content", "amount", "password", "command", "attachment", "permission"])
def test_a_thing_that_is_given_something_is_none(argument: str) -> None:
    """Something to keep, to spend or to run."""
    kind = "number" if argument == "amount" else "string"
    facts = infer(tool("entries", "Entries of a ledger.", **{argument: kind}))
    assert facts["action"] != "read"


@pytest.mark.parametrize(
    ("name", "argument", "role"),
    [
        ("approve_invoice", "invoiceNo", "object"),
        ("lock_door", "door", "object"),
        ("set_flag", "flag", "object"),
        ("share_folder", "with", "recipient"),
        ("append_note", "title", "object"),
        ("send_text", "number", "recipient"),
        ("place_call", "script", "content"),
    ],
)
def test_what_a_tool_acts_on_has_a_role(name: str, argument: str, role: str) -> None:
    """By its name, else as the first text that the tool cannot do without."""
    facts = infer(tool(name, "", **{argument: "string"}))
    assert facts["roles"][argument] == role


def test_a_public_link_gives_access() -> None:
    """To everybody, so that it is no change like another."""
    assert (
        infer(tool("fs.public_link", "Make a link that anybody can open.", path="string"))["action"]
        == "grant"
    )
