"""What a tool is taken to do, by its name, its description and its schema."""

from __future__ import annotations

from typing import Any

import pytest

from agentguard import ToolFacts
from agentguard.provenance.facts import infer, inference
from tests.provenance.support import tool


@pytest.mark.parametrize(
    ("name", "action"),
    [
        ("get_invoice", "read"),
        ("listInvoices", "read"),
        ("Invoices.search", "read"),
        ("acme-crm-get-invoice", "read"),
        ("message_search", "read"),
        ("invoice_delete", "delete"),
        ("list_delete", "delete"),
        ("search_and_replace_all", "update"),
        ("find-then-delete", "delete"),
        ("reply", "send"),
        ("post_message", "send"),
        ("buyLicence", "pay"),
        ("reserveTable", "book"),
        ("createPage", "create"),
        ("renameBranch", "update"),
        ("shareFolder", "grant"),
        ("run_shell", "execute"),
        ("get_last_update", "read"),
        ("get_run", "read"),
        ("return_goods", "update"),
    ],
)
def test_the_verb_of_a_name_tells(name: str, action: str) -> None:
    """In any style of names, after the name of a product, joined to another verb, or at the end."""
    assert infer(tool(name))["action"] == action


@pytest.mark.parametrize(
    ("text", "action"),
    [
        ("Deletes all of it.", "delete"),
        ("This tool allows you to search for things", "read"),
        ("Belongs to the toolbox. Tool description: Sends a telegram.", "send"),
        ("Returns a list", "read"),
    ],
)
def test_where_the_name_has_no_verb_the_description_tells(text: str, action: str) -> None:
    """Its first verb, past the words that are before it."""
    assert infer(tool("gizmo", text))["action"] == action


@pytest.mark.parametrize(
    "name",
    [
        "past_orders",
        "freeSlots",
        "recent-order",
        "upcoming_calls",
        "closed_tickets",
        "archivedPosts",
        "sent_mails",
    ],
)
def test_a_name_that_describes_things_asks_to_see_them(name: str) -> None:
    """A state before a noun, a participle before several; what is a verb elsewhere is a noun there."""
    found = inference(tool(name))
    assert (found.facts["action"], found.known) == ("read", True)


@pytest.mark.parametrize(
    "name",
    [
        "free_memory",
        "free_slot",
        "archived_post",
        "dispose_all_groups",
        "past",
        "next_song",
        "recent_orders_delete",
    ],
)
def test_a_state_that_may_be_a_verb_or_stands_behind_one_says_nothing_T21(name: str) -> None:
    """One thing may be freed, and a word that no list knows may be a verb."""
    assert infer(tool(name))["action"] != "read"


def test_a_grave_description_counts_against_a_name_that_describes_things_T06() -> None:
    """As against any name that only reads."""
    assert infer(tool("past_orders", "Deletes the orders of the past."))["action"] == "delete"


@pytest.mark.parametrize(
    ("definition", "action"),
    [
        (tool("placeCall", number="string"), "send"),
        (tool("make_outbound_call", phone_number="string"), "send"),
        (tool("make_post", text="string"), "send"),
        (tool("place_block", x="number"), "update"),
        (tool("make_call_list", name="string"), "create"),
        (tool("browser.open", url="string"), "fetch"),
        (tool("open_url", url="string"), "fetch"),
        (tool("open", page_url="string"), "fetch"),
        (tool("browser.open"), "update"),
        (tool("open_issue", title="string", url="string"), "update"),
        (tool("open_page", url="string", content="string"), "update"),
        (tool("open_connection", host="string"), "update"),
        (tool("open_door", door="string"), "update"),
    ],
)
def test_a_verb_is_read_with_its_object(definition: Any, action: str) -> None:
    """A call that is made is sent, a page that is opened is fetched; what is written there is no look-up."""
    assert infer(definition)["action"] == action


@pytest.mark.parametrize("name", ["gizmo", "frobnicate_widget", "вывести_список", "gеt_invoice", "", "!!!"])
def test_what_cannot_be_told_is_an_update_that_may_destroy_T21(name: str) -> None:
    """Also a name that only looks like `get`: the second letter of the fourth one is Cyrillic."""
    facts = infer(tool(name))
    assert (facts["action"], facts["writes"], facts["destructive"]) == ("update", True, True)
    assert facts["uncertain"] is True


def test_a_grave_verb_of_the_description_counts_against_a_harmless_name_T06() -> None:
    """A tool named as if it read, whose text says that it deletes."""
    found = inference(tool("get_cleanup", "Deletes every mail that is older than a week."))
    assert found.facts["action"] == "delete"
    assert "get" in found.why["action"]


@pytest.mark.parametrize(
    ("definition", "action"),
    [
        (tool("fetch_page", url="string"), "fetch"),
        (tool("query", "Run SQL on the data.", query="string"), "execute"),
        (tool("inspect", command="string"), "execute"),
        (tool("schedule_transaction", payee="string", amount="number"), "pay"),
        (tool("update_password", password="string"), "credential"),
        (tool("add_user_to_team", user="string", team="string"), "grant"),
        (tool("set_access", user="string", role="string"), "grant"),
        (tool("search_mail", query="string", mark_as_read="boolean"), "update"),
        (tool("echo", content="string", file_name="string"), "update"),
        (tool("add_product", name="string", price="number"), "create"),
    ],
)
def test_arguments_say_more_than_the_verb(definition: Any, action: str) -> None:
    """An address, a command, an amount of money, a password, a member, a switch with an effect (T29)."""
    assert infer(definition)["action"] == action


def test_what_leaves_and_what_a_download_writes() -> None:
    """Somebody else gets a share or an invitation; whoever logs in names himself; a download makes a file."""
    assert infer(tool("share_report", report_id="string"))["external"] is True
    assert infer(tool("create_event", guests="array"))["external"] is True
    assert infer(tool("login", email="string", password="string"))["external"] is False
    assert infer(tool("download_report", report_id="string"))["writes"] is False
    assert infer(tool("download_report", file_path="string"))["writes"] is True


def test_nothing_is_promised_for_the_operator() -> None:
    """`read_only` switches on batched records, `untrusted_output: false` trust: both are the operator's."""
    facts = infer(tool("get_time", hints={"readOnlyHint": True, "idempotentHint": True}))
    assert "read_only" not in facts
    assert "idempotent" not in facts
    assert facts.get("untrusted_output") is not False


@pytest.mark.parametrize(
    ("hints", "changed"),
    [
        ({"readOnlyHint": False}, {"action": "update", "writes": True}),
        ({"destructiveHint": True}, {"action": "update", "writes": True, "destructive": True}),
        ({"openWorldHint": True}, {"external": True}),
        ({"readOnlyHint": "no", "destructiveHint": 1, "openWorldHint": None}, {}),
    ],
)
def test_a_hint_makes_a_tool_more_dangerous(hints: dict[str, Any], changed: dict[str, Any]) -> None:
    """A claim of the server counts where it warns; what is not true or false claims nothing."""
    plain = dict(infer(tool("get_page", name="string")))
    assert dict(infer(tool("get_page", name="string", hints=hints))) == {**plain, **changed}


CALMING = {"readOnlyHint": True, "destructiveHint": False, "openWorldHint": False, "idempotentHint": True}


def test_a_hint_never_makes_a_tool_less_dangerous_T06() -> None:
    """Whoever offers the tool wrote the hint as well."""
    definition = tool("delete_page", name="string")
    assert infer({**definition, "annotations": CALMING}) == infer(definition)


def test_unless_the_operator_trusts_the_server() -> None:
    """Then what it says counts, and still promises nothing that the operator has to promise."""
    facts = infer(tool("gizmo", hints=CALMING), trusted=True)
    assert (facts["action"], facts["writes"], facts["destructive"]) == ("read", False, False)
    assert facts["idempotent"] is True
    assert "read_only" not in facts
    assert "uncertain" not in facts


def test_what_is_inferred_can_be_declared() -> None:
    """Every key is one of `ToolFacts`, and the facts do not contradict each other."""
    for name in ("get_page", "delete_page", "run_sql", "gizmo", "login", "get_secret"):
        facts = infer(tool(name, url="string", password="string"))
        assert ToolFacts.parse(facts, name).to_facts()["action"] == facts["action"]


@pytest.mark.parametrize("junk", [None, 7, "x", [], ["a"], {"properties": 3}, {"properties": {"a": None}}])
def test_definitions_of_other_shapes_are_read_as_saying_nothing(junk: Any) -> None:
    """Schema, name, description and hints of any type."""
    facts = infer({"name": junk, "description": junk, "parameters": junk, "annotations": junk})
    assert facts["action"] in ("update", "read")
    assert infer({})["uncertain"] is True


def test_names_of_secrets_are_noticed() -> None:
    """In the tool's name or its arguments; tokens of a trade are no credentials."""
    assert infer(tool("get_api_key"))["touches_secrets"] is True
    assert infer(tool("login", password="string"))["touches_secrets"] is True
    assert infer(tool("get_token_price", "Price of a coin.", token="string"))["touches_secrets"] is False
    assert infer(tool("get_page"))["touches_secrets"] is False
