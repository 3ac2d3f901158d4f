"""What the arguments of a tool are taken to be."""

from __future__ import annotations

from typing import Any

import pytest

from agentguard.provenance.facts import infer
from tests.provenance.support import tool


def role(name: str, kind: Any = "string", of: str = "do_it", text: str = "") -> str:
    """The role of one argument."""
    schema = {"type": kind} if isinstance(kind, str) else dict(kind)
    if text:
        schema["description"] = text
    found: str = infer(tool(of, **{name: schema}))["roles"][name]
    return found


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("recipients", "recipient"), ("userEmail", "recipient"), ("channel_id", "recipient"),
        ("to", "recipient"), ("reply_to", "recipient"), ("account_number", "recipient"),
        ("IBAN", "recipient"),
        ("url", "destination"), ("callbackUrl", "destination"), ("webhook", "destination"),
        ("attachments", "attachment"),
        ("file_path", "path"), ("directory", "path"), ("outputDir", "path"),
        ("command", "command"), ("sql", "command"), ("script", "command"),
        ("query", "query"), ("search_term", "query"),
        ("role", "permission"), ("access_level", "permission"), ("visibility", "permission"),
        ("password", "credential"), ("apiKey", "credential"), ("openai_api_key", "credential"),
        ("auth_token", "credential"), ("token", "credential"),
        ("body", "content"), ("message", "content"), ("title", "content"),
        ("start_date", "time"), ("deadline", "time"),
        ("id", "object"), ("invoice_id", "object"), ("email_id", "object"), ("name", "object"),
        ("flag", "other"), ("x", "other"),
    ],
)  # fmt: skip
def test_the_name_of_an_argument_tells_its_role(name: str, wanted: str) -> None:
    """Written in any style; the last word counts most."""
    assert role(name) == wanted


@pytest.mark.parametrize(
    ("name", "kind", "wanted"),
    [
        ("max_tokens", "integer", "other"),
        ("page_token", "string", "other"),
        ("country_code", "string", "other"),
        ("code", "string", "object"),
        ("travel_to", "string", "other"),
        ("from_account_number", "string", "object"),
        ("sender", "string", "object"),
        ("amount", "number", "amount"),
        ("amount", "array", "other"),
        ("include_attachments", "boolean", "other"),
        ("is_public", "boolean", "permission"),
        ("to", {"type": "string", "format": "date"}, "time"),
    ],
)
def test_what_only_sounds_like_a_role_is_none(name: str, kind: Any, wanted: str) -> None:
    """Counts, codes of countries, switches, times."""
    assert role(name, kind) == wanted


@pytest.mark.parametrize(
    ("schema", "wanted"),
    [
        ({"type": "string", "format": "uri"}, "destination"),
        ({"type": "string", "format": "email"}, "recipient"),
        ({"type": "string", "description": "The IBAN of the payee."}, "recipient"),
        ({"type": "string", "description": "A password of at least 8 characters"}, "credential"),
    ],
)
def test_format_and_description_tell_where_the_name_does_not(schema: Any, wanted: str) -> None:
    """A format first."""
    assert role("x", schema) == wanted


def test_code_is_a_command_where_the_text_names_a_language_T27() -> None:
    """Or where the tool executes."""
    assert role("code", text="Python to evaluate") == "command"
    assert role("code", of="run_code") == "command"
    assert role("query", text="A SQL statement") == "command"
    assert role("query", text="What to look for") == "query"


def test_parts_of_objects_have_roles_of_their_own_T31() -> None:
    """In objects, lists of objects, alternatives and references, so that nothing hides one level down."""
    schema = {
        "type": "object",
        "properties": {
            "message": {"type": "object", "properties": {"to": {"type": "string"}}},
            "guests": {"type": "array", "items": {"type": "object", "properties": {"email": {}}}},
            "either": {"anyOf": [{"type": "null"}, {"type": "object", "properties": {"url": {}}}]},
            "auth": {"$ref": "#/$defs/Auth"},
            "loop": {"$ref": "#/properties/loop"},
        },
        "$defs": {"Auth": {"properties": {"password": {"type": "string"}}}},
    }
    facts = infer({"name": "do_it", "parameters": schema})
    wanted = {
        "message.to": "recipient", "guests.email": "recipient", "either.url": "destination",
        "auth.password": "credential",
    }  # fmt: skip
    assert wanted.items() <= facts["roles"].items()
    assert facts["sensitive"] == ("auth",)


def test_credentials_and_numbers_of_cards_are_masked() -> None:
    """Recipients and amounts are not: a reviewer has to see them."""
    facts = infer(tool("pay", password="string", card_number="string", payee="string", amount="number"))
    assert set(facts["sensitive"]) == {"password", "card_number"}


def test_a_schema_that_is_not_read_whole_is_uncertain_T24() -> None:
    """What is past the bound could be anything."""
    wide = {"properties": {f"a{number}": {"type": "string"} for number in range(5_000)}}
    deep: dict[str, Any] = {"properties": {"end": {"type": "string"}}}
    for _ in range(50):
        deep = {"properties": {"a": deep}}
    for schema in (wide, deep):
        facts = infer({"name": "get_page", "parameters": schema})
        assert facts["uncertain"] is True
        assert facts["destructive"] is True


def test_adversarial_texts_are_read_in_bounded_steps_T24_T45() -> None:
    """Megabytes of words, names and nested alternatives: the same facts as of their beginnings."""
    text = "Gets a page. " + "aA-" * 1_000_000
    assert infer(tool("query", "x" * 3_000 + " SQL", query="string"))["action"] == "read"
    assert infer(tool("query", "x" * 1_000 + " SQL", query="string"))["action"] == "execute"
    assert infer(tool("get_page", text)) == infer(tool("get_page", text[:3_000]))
    assert infer(tool("get_" + "aB" * 1_000_000))["action"] == "read"
    bomb: Any = {"type": "string"}
    for _ in range(30):
        bomb = {"anyOf": [bomb, bomb], "items": bomb}
    assert infer({"name": "get_page", "parameters": {"properties": {"a": bomb}}})["action"] == "read"
