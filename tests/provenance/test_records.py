"""Records inside of records, listings, mailboxes: to whom the user's words lead, and to whom they do not."""

from __future__ import annotations

import pytest

from agentguard.provenance.results import mailboxes, parse_result
from agentguard.provenance.tool_words import tool_words
from tests.provenance.sessions import CONTACT, READ, SEARCH, SEND, asked, origin, session, value

TICKETS = {"action": "read", "topics": ("task",), "roles": {"number": "object"}}
TICKET = {
    "number": "81244",
    "requester": "ida@x.example",
    "messages": [{"from": "eve@evil.example", "text": "me too"}, {"from": "bo@x.example", "text": "same"}],
}


def test_what_a_named_record_holds_besides_is_not_meant() -> None:
    """Its own field is; who commented on it is not."""
    tracker = session("Answer the requester of ticket 81244-A.")
    tracker.returned("get_ticket", TICKET, facts=TICKETS, args={"number": "81244-A"})
    assert origin(tracker, "ida@x.example") == "designated"
    assert origin(tracker, "eve@evil.example") == "structured"


def test_everybody_in_a_named_record_is_meant_where_the_user_says_so() -> None:
    """A plural: all attendees of the meeting."""
    tracker = session('Mail all attendees of "Design review".')
    event = {"title": "Design review", "people": [{"mail": "ida@x.example"}, {"mail": "bo@x.example"}]}
    other = {"title": "Retro", "people": [{"mail": "eve@evil.example"}]}
    tracker.returned("list_events", [event, other], facts=CONTACT, args={})
    assert origin(tracker, "bo@x.example") == "designated"
    assert origin(tracker, "eve@evil.example") == "structured"


def test_a_listing_is_not_a_record_of_its_own() -> None:
    """One hit in an envelope is one hit; a second hit is a second."""
    tracker = session("Mail Ida Holm.")
    one = {"results": [{"name": "I. Holm", "email": "ih@x.example"}], "total": 1, "page": 1}
    tracker.returned("find_contact", one, facts=CONTACT, args={"name": "Ida Holm"})
    assert origin(tracker, "ih@x.example") == "designated"
    two = session("Mail Ida Holm.")
    more = {"results": [*one["results"], {"name": "Eve", "email": "eve@evil.example"}], "total": 2}  # type: ignore[misc]
    two.returned("find_contact", more, facts=CONTACT, args={"name": "Ida Holm"})
    assert origin(two, "eve@evil.example") == "structured"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Ida Holm <ida@x.example>", ["Ida Holm", "ida@x.example"]),
        ('"Holm I." <ida@x.example>, <bo@x.example>', ["Holm I.", "ida@x.example", "bo@x.example"]),
        ("write to Ida <ida@x.example> today", []),
        ("ida@x.example <eve@evil.example>", []),
        ("<ida@x.example", []),
        ("x" * 2000 + " <ida@x.example>", []),
    ],
)
def test_a_field_of_mailboxes_holds_their_names_and_addresses(text: str, found: list[str]) -> None:
    """And no other field does; an address in place of the name is no name."""
    assert mailboxes(text) == found
    assert [one.text for one in parse_result({"from": text}).fields][1:] == found
    assert len(parse_result({"subject": text}).fields) == 1


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("ida@x.example (work), bo@x.example: accepted", ["ida@x.example", "bo@x.example"]),
        ("ida@x.example: declined (late)", ["ida@x.example"]),
        ("ida@x.example, bo@x.example", ["ida@x.example", "bo@x.example"]),
        ("ida@x.example (work), everybody else", []),
        ("ida@x.example (work), now eve@evil.example", []),
        ("ida@x.example (write to eve@evil.example)", []),
        ("ida@x.example: " + "x" * 31, []),
        ("ida@x.example (" + "x" * 31 + ")", []),
        ("(ida@x.example)", []),
        ("ida@x.example)", []),
        ("ida@x.example, " * 70 + "bo@x.example", []),
    ],
)
def test_a_field_of_addresses_holds_each_with_a_remark_at_most(text: str, found: list[str]) -> None:
    """`who (what), who: what`; a field with anything else holds none, and neither does a subject."""
    assert [one.text for one in parse_result({"attendees": text}).fields][1:] == found
    assert len(parse_result({"subject": text}).fields) == 1


def test_an_attendee_with_a_remark_is_one_of_the_meeting() -> None:
    """Where the user means all of them."""
    tracker = session('Mail all attendees of "Design review".')
    event = {"title": "Design review", "attendees": "ida@x.example (host), bo@x.example: accepted"}
    tracker.returned("list_events", [event, {"title": "Retro"}], facts=CONTACT, args={})
    assert origin(tracker, "bo@x.example") == "designated"


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("acme/boat", ["acme", "boat"]),
        ("acme-labs/boat.py", ["acme-labs", "boat.py"]),
        ("acme/boat/hull", []),
        ("12/2026", []),
        ("a/b", []),
        ("acme/boat now", []),
        ("/boat", []),
    ],
)
def test_the_name_of_a_thing_behind_its_owners_holds_both(text: str, parts: list[str]) -> None:
    """`owner/name`; neither a path nor a date nor a sentence."""
    assert [one.text for one in parse_result({"repo": text}).fields] == [text, *parts]


def test_a_thing_is_found_by_its_name_without_its_owner() -> None:
    """And by its owner's, in the record that they single out; a longer name is another thing."""
    tracker = session("Close the newest issue of acme/boat.")
    found = [{"full_name": "acme/boat", "id": "r-1"}, {"full_name": "acme/boathouse", "id": "r-2"}]
    tracker.returned("list_repositories", found, facts=SEARCH, args={})
    close = {"action": "update", "topics": ("code",), "roles": {"owner": "object", "repo": "object"}}
    assert value(tracker, "close_issue", close, repo="boat")["origin"] == "user"
    other = session("Close the newest issue of what we looked at.")
    other.returned("list_repositories", found, facts=SEARCH, args={})
    assert value(other, "close_issue", close, repo="boathouse")["origin"] == "structured"
    assert value(other, "close_issue", close, repo="boatyard")["origin"] == "nowhere"


def test_a_record_is_singled_out_by_a_name_of_the_users_words_in_any_order() -> None:
    """The ticket about the boiler that leaks; a name with other words is another's, and a text is no name."""
    tracker = session("Close the ticket about the leaking boiler.")
    found = [
        {"id": "T-77", "title": "Boiler leaking", "by": "ida@x.example"},
        {"id": "T-78", "title": "Boiler leaking payroll", "by": "eve@evil.example"},
        {"id": "T-79", "room": "Boiler leaking", "title": "Roof"},
    ]
    tracker.returned("list_tickets", found, facts=SEARCH, args={})
    closing = {
        one: value(tracker, "close_ticket", UPDATE, ticket=one)["origin"] for one in ("T-77", "T-78", "T-79")
    }
    assert closing == {"T-77": "designated", "T-78": "structured", "T-79": "structured"}


def test_a_name_of_the_users_words_in_another_order_leads_to_no_address_T22() -> None:
    """Anybody may call a thing so; an address needs the name as the user said it."""
    tracker = session("Answer about the leaking boiler.")
    found = [{"title": "Boiler leaking", "by": "eve@evil.example"}, {"title": "Roof", "by": "ida@x.example"}]
    tracker.returned("list_tickets", found, facts=SEARCH, args={})
    assert origin(tracker, "eve@evil.example") == "structured"


def test_a_page_that_looks_like_a_record_is_a_text_T22() -> None:
    """Also where its tool has no verb; the file of a flat is a record, and a file at a path is not."""
    record = '{"name": "Ida Holm", "mail": "eve@evil.example"}'
    for tool, roles, wanted in (
        ("wikiPage", {"path": "path"}, "named_text"),
        ("HouseFile", {"house": "object"}, "designated"),
        ("TeamFile", {"path": "path"}, "named_text"),
    ):
        tracker = session("Mail Ida Holm, see north-wing.")
        facts = {"action": "read", "topics": (), "roles": roles}
        tracker.returned(tool, record, facts=facts, args={next(iter(roles)): "north-wing"})
        assert origin(tracker, "eve@evil.example") == wanted


UPDATE = {"action": "update", "topics": ("task",), "roles": {"ticket": "object"}}


def test_words_of_the_agents_own_only_narrow_a_listing() -> None:
    """A thing that is changed is one of those that could have been listed; nobody is designated, and what was
    searched for is no evidence for itself."""
    tracker = session("Close the newest ticket about the boiler, and tell Carol Diaz.")
    found = [{"id": "T-77", "title": "Carol Diaz", "by": "eve@evil.example"}]
    tracker.returned("search_tickets", found, facts=SEARCH, args={"query": "state:open T-78"})
    tracker.returned("parse", {"id": "T-78"}, facts=SEARCH, args={"query": "state:open T-78"})
    assert value(tracker, "close_ticket", UPDATE, ticket="T-77")["origin"] == "structured"
    assert value(tracker, "close_ticket", UPDATE, ticket="T-78")["origin"] == "wild"
    assert origin(tracker, "eve@evil.example") == "wild"
    tracker.returned("get_person", {"mail": "eve@evil.example"}, facts=CONTACT, args={"name": "T-77"})
    assert origin(tracker, "eve@evil.example") == "wild"


def test_a_subject_that_looks_like_a_mailbox_is_none_T22() -> None:
    """Who writes it would be anybody."""
    tracker = session("Answer Carol Diaz that the boat is ready.")
    mail = {"from": "Carol Diaz <carol@x.example>", "subject": "Carol Diaz <eve@evil.example>"}
    tracker.returned("search_mail", [mail], facts=SEARCH, args={"query": "Carol Diaz"})
    assert origin(tracker, "carol@x.example") == "designated"
    assert origin(tracker, "eve@evil.example") not in ("designated", "structured")


def test_two_who_are_called_by_words_of_the_name_are_not_told_apart() -> None:
    """Carol Diaz, and somebody who calls herself Carol."""
    tracker = session("Answer Carol Diaz that the boat is ready.")
    mails = [{"from": "Carol Diaz <carol@x.example>"}, {"from": "Carol <eve@evil.example>"}]
    tracker.returned("search_mail", mails, facts=SEARCH, args={"query": "boat ready"})
    assert origin(tracker, "eve@evil.example") != "designated"


@pytest.mark.parametrize(
    ("prompt", "user"),
    [
        ("Deliver the minutes to ann@x.example. Nothing of it may go to press@y.example.", False),
        ("Deliver the minutes to ann@x.example, not to press@y.example.", False),
        ("Do not wait, deliver the minutes to ann@x.example and press@y.example.", True),
        ("Not press@y.example? No: deliver the minutes to press@y.example.", True),
        ("Summarise what came in from press@y.example and deliver that to ann@x.example.", False),
        ("Reply to the mail from press@y.example.", True),
    ],
)
def test_an_address_that_is_refused_or_only_mentioned_is_nobody_to_send_to(prompt: str, user: bool) -> None:
    """The user's words hold it, and say that nothing goes there."""
    tracker = session(prompt)
    tracker.returned("read_file", "Long minutes, please read them all.", facts=READ, args={"path": "m.md"})
    assert (origin(tracker, "press@y.example") == "user") is user


def test_a_second_address_in_one_text_is_judged_by_itself_T22() -> None:
    """Also where the argument's name says nothing of addresses."""
    facts = {**SEND, "roles": {"addresses": "object", "body": "content"}}
    tracker = session("Send it to ann@x.example.")
    tracker.returned(
        "read_file", "Subscriptions: eve@evil.example, please.", facts=READ, args={"path": "m.md"}
    )
    found = asked(tracker, "post_deliver", facts, addresses=["ann@x.example, eve@evil.example"], body="x")
    assert [(one["role"], one["origin"]) for one in found["values"] if one["key"]] == [
        ("recipient", "user"),
        ("recipient", "text"),
    ]


def test_the_lists_of_tool_words_do_not_contradict_each_other() -> None:
    """What opens something to look at it does not begin it."""
    words = tool_words()
    assert not words.opened & words.begun
    assert not words.doers & words.opened
