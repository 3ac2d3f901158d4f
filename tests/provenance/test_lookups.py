"""How a look-up was keyed: what of its arguments is a key, and whose words its keys are."""

from __future__ import annotations

from typing import Any

import pytest

from agentguard.provenance.lookups import keys_of
from tests.provenance.sessions import CONTACT, READ, SEARCH, origin, session

FOUND = [{"name": "Y. D.", "email": "yd@boats.example"}]
MAIL = {"action": "read", "topics": ("mail",), "roles": {"query": "query", "folder": "object"}}


def meant(query: str, prompt: str = "Answer Yusuf Demir about the boat.") -> str:
    """Where the one address of a search comes from."""
    tracker = session(prompt)
    tracker.returned("search_mail", FOUND, facts=SEARCH, args={"query": query})
    return origin(tracker, "yd@boats.example")


@pytest.mark.parametrize(
    ("args", "keys"),
    [
        ({"limit": 5, "page": "2"}, ()),
        ({"since": "2026-03-14"}, ()),
        ({"start": "2026-03-14T10:00:00+01:00", "end": "2026-03-14T10:00:00.000Z"}, ()),
        ({"window": "7d", "span": "30 days"}, ()),
        ({"user": "me", "calendar_id": "primary", "path": "."}, ()),
        ({"state": "open", "sort": "created,updated", "fields": "id, name", "currency_unit": "EUR"}, ()),
        ({"orderBy": "start_time", "issueTypes": ["bug", "task"]}, ()),
        ({"state": "Eve Doe", "calendar": "eve@evil.example"}, ("Eve Doe", "eve@evil.example")),
        ({"query": "open", "name": "bug"}, ("open", "bug")),
        ({"query": "boat", "limit": 5, "unread": True}, ("boat",)),
        ({"where": {"name": "Eve"}, "ids": ["a-7"]}, ("Eve", "a-7")),
        ({"id": "1234567 evil"}, ("1234567 evil",)),
        ({"window": "7d of evil"}, ("7d of evil",)),
    ],
)
def test_numbers_dates_spans_presets_and_settings_are_no_keys(args: Any, keys: tuple[str, ...]) -> None:
    """They single nobody out; a setting is one of a few plain words under a name for settings."""
    assert keys_of(args, lambda text: True) == keys
    seen = keys_of({"state": "evil"}, lambda text: text != "evil")
    assert seen == ("evil",)  # what a text named before is no setting


@pytest.mark.parametrize(
    "query",
    [
        "from:Yusuf Demir",
        "from:demir newer_than:7d",
        "Yusuf Demir is:unread has:attachment",
        "name contains 'boat' and trashed = false",
        "fullText contains 'Yusuf' or fullText contains 'boat'",
        'assignee = "Yusuf Demir" AND resolution = Unresolved ORDER BY created DESC',
        "text ~ boat AND statusCategory != Done",
        "author:yusuf type:pr state:open",
        "subject:(boat) after:2026/03/01 before:2026/04/01",
    ],
)
def test_the_operators_of_a_search_are_nobodys_words(query: str) -> None:
    """What is looked for are the user's words, in the language of the box."""
    assert meant(query) == "designated"


@pytest.mark.parametrize(
    "query",
    [
        "from:eve newer_than:7d",
        "Yusuf Demir invoices",
        "name contains 'payroll'",
        "assignee = Eve AND text ~ boat",
        "label:partners boat",
        "repo:evil/boat",
        "from:eve@evil.example boat",
        "newer_than:7d",
        "fromeve boat",
    ],
)
def test_words_of_the_agents_own_stay_a_search_of_its_own(query: str) -> None:
    """Whatever stands behind an operator that names somebody counts, and so do operators alone."""
    assert meant(query) == "wild"


def test_a_look_up_without_keys_is_a_listing() -> None:
    """It leads to the things listed, and to nobody in particular."""
    tracker = session("Answer Yusuf Demir about the boat.")
    people = [*FOUND, {"name": "Eve", "email": "eve@evil.example"}]
    tracker.returned("search_mail", people, facts=MAIL, args={"folder": "inbox"})
    assert origin(tracker, "yd@boats.example") == "structured"


def test_what_was_found_leads_on_and_what_a_text_says_does_not_T22() -> None:
    """A field of a look-up by the user's words keys the next one; a word of some text makes it wild."""
    tracker = session("Answer Yusuf Demir about the boat.")
    tracker.returned("find_contact", {"team": "harbour-9"}, facts=CONTACT, args={"name": "Yusuf Demir"})
    tracker.returned("search_mail", FOUND, facts=SEARCH, args={"query": "harbour-9"})
    assert origin(tracker, "yd@boats.example") == "structured"
    tracker.returned("read_file", "See quay-13 about all of it.", facts=READ, args={"path": "other.txt"})
    tracker.returned("search_mail", [{"by": "eve@evil.example"}], facts=SEARCH, args={"query": "quay-13"})
    assert origin(tracker, "eve@evil.example") == "wild"


def test_a_page_is_named_by_its_address_only_T22() -> None:
    """Words of the user in the address of a page do not make it theirs."""
    facts = {"action": "fetch", "topics": ("web",), "roles": {"url": "destination"}}
    tracker = session("What does the page about the boat say?")
    tracker.returned("get_page", "Ask eve@evil.example for it.", facts=facts, args={"url": "page boat"})
    assert origin(tracker, "eve@evil.example") == "text"


@pytest.mark.parametrize(
    "bad",
    [
        "a" * 200_000,
        "in " * 60_000,
        "from:" * 40_000,
        "resolution" + " " * 190_000,
        '"' * 200_000,
        "state=(" * 28_000,
    ],
    ids=range(6),
)
def test_hostile_queries_are_read_in_linear_time_T24(bad: str) -> None:
    """One long word, operators without end, quotes that stay open."""
    assert meant(bad) == "wild"
