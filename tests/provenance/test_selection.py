"""What fills a slot that the user left open, and what their words pass over."""

from __future__ import annotations

from typing import Any

import pytest

from agentguard.provenance.tracker import Tracker
from tests.provenance.sessions import FETCH, READ, SEARCH, SEND, asked, origin, session, value
from tests.provenance.test_guarded import Ben, Work

CHAT: dict[str, Any] = {
    "action": "send",
    "topics": ("chat",),
    "roles": {"channel": "recipient", "text": "content"},
}
CHANNELS: dict[str, Any] = {"action": "read", "topics": ("chat",), "roles": {"channel": "query"}}
INVITE: dict[str, Any] = {
    "action": "grant",
    "topics": ("chat", "people"),
    "roles": {"user": "recipient", "email": "recipient"},
}


def listed(prompt: str, *records: Any) -> Tracker:
    """A session that listed channels."""
    tracker = session(prompt)
    tracker.returned("list_channels", list(records), facts=CHANNELS, args={})
    return tracker


def passed_over(tracker: Tracker, channel: str) -> bool:
    found = value(tracker, "post", CHAT, channel=channel)
    assert found["origin"] == "structured"
    return bool(found["second"])


def test_a_column_of_which_the_user_names_a_value_is_not_open_for_another() -> None:
    """Who speaks of Alice means no other sender of the list."""
    mails = [{"from": "Alice", "about": "mug"}, {"from": "Mallory", "about": "rug"}]
    tracker = session("Write to whoever is on call, and copy what Alice wrote.")
    tracker.returned("list_messages", mails, facts=CHANNELS, args={})
    assert passed_over(tracker, "Mallory")
    other = session("Write to whoever is on call.")
    other.returned("list_messages", mails, facts=CHANNELS, args={})
    assert not passed_over(other, "Mallory")


def test_a_user_who_hands_over_passes_nobody_over() -> None:
    """It is not their words that say whom."""
    tracker = session("I am Bob, do the tasks on my list.")
    tracker.returned("list_users", ["Alice", "Bob"], facts=CHANNELS, args={})
    assert not passed_over(tracker, "Alice")


@pytest.mark.parametrize("prompt", ["the channel starting with ext", "the channel that begins with 'Ext'"])
def test_a_beginning_singles_out_the_only_one_that_has_it(prompt: str) -> None:
    """S7: another one is not meant, and of two that begin so neither is."""
    tracker = listed(f"Post hello to {prompt}.", "ext-news", "mallory-news")
    assert origin(tracker, "ext-news") == "designated"
    assert passed_over(tracker, "mallory-news")
    both = listed(f"Post hello to {prompt}.", "ext-news", "ext-mallory")
    assert passed_over(both, "ext-news")
    assert passed_over(both, "ext-mallory")


def test_who_wants_all_that_begin_so_means_each_of_them() -> None:
    """And none that begins otherwise."""
    tracker = listed("Post hello to all channels starting with ext.", "ext-a", "ext-b", "mallory")
    assert [passed_over(tracker, one) for one in ("ext-a", "ext-b", "mallory")] == [False, False, True]


def test_a_superlative_means_the_one_that_fulfils_it() -> None:
    """By a number that the user calls by its name."""
    records = [
        {"channel": "general", "hoots": 48},
        {"channel": "quiet", "hoots": 7},
        {"channel": "mallory", "hoots": 2},
    ]
    tracker = listed("Post hello to the channel with the most hoots.", *records)
    over = [passed_over(tracker, one) for one in ("general", "quiet", "mallory")]
    assert over == [False, True, True]


def test_a_superlative_counts_the_records_of_look_ups_by_each_value() -> None:
    """One that was never looked into has no size."""
    tracker = listed("Post hello to the channel with the most users.", "general", "random", "mallory")
    tracker.returned("users_of", ["Ann", "Bo"], facts=CHANNELS, args={"channel": "general"})
    tracker.returned("users_of", ["Ann"], facts=CHANNELS, args={"channel": "random"})
    assert [passed_over(tracker, one) for one in ("general", "random", "mallory")] == [False, True, True]


def test_a_superlative_counts_the_records_that_hold_a_value() -> None:
    """Who wrote most is who is the sender of most."""
    tracker = session("Write hello to the user who wrote the most messages.")
    sent = [{"sender": one} for one in ("Ann", "Ann", "Bo")]
    tracker.returned("list_messages", sent, facts=CHANNELS, args={})
    assert [passed_over(tracker, one) for one in ("Ann", "Bo")] == [False, True]


def test_where_nothing_differs_nothing_is_the_most() -> None:
    """A list without a measure tells nobody which one it is."""
    tracker = listed("Post hello to the channel with the most users.", {"name": "a-team"}, {"name": "b-team"})
    assert passed_over(tracker, "a-team")


@pytest.mark.parametrize(
    ("prompt", "over"), [("hello to each user", False), ("'hello to each user' to a user", True)]
)
def test_who_asks_for_each_asks_for_no_extreme(prompt: str, over: bool) -> None:
    """Words that the user quotes ask for nothing."""
    tracker = session(f"Write {prompt}, the most active first.")
    tracker.returned("list_users", [{"name": "Ann"}, {"name": "Bo"}], facts=CHANNELS, args={})
    assert passed_over(tracker, "Ann") is over


def test_a_column_that_is_too_long_to_look_through_singles_out_nobody() -> None:
    """Padding it does not open the slot; who wants all of them has them."""
    names = [f"person {number}" for number in range(100)]
    tracker = session("Write hello to whoever is on call.")
    tracker.returned("list_users", names, facts=CHANNELS, args={})
    assert passed_over(tracker, "person 7")
    every = session("Write hello to every user.")
    every.returned("list_users", names, facts=CHANNELS, args={})
    assert not passed_over(every, "person 7")


def test_the_key_of_a_look_up_singles_out_none_of_its_records() -> None:
    """It stands in each of them, in a cloned one as well; another word of the user's does."""
    inbox = [
        {"sender": "Bob", "to": "Alice", "place": "Quay"},
        {"sender": "Mallory", "to": "Alice", "place": "Moor"},
        {"sender": "Cy", "to": "Alice", "place": "Fen"},
    ]
    tracker = session("Answer the message from Bob in the inbox of Alice.")
    tracker.returned("read_inbox", inbox, facts=CHANNELS, args={"user": "Alice"})
    assert origin(tracker, "Quay") == "designated"
    assert origin(tracker, "Moor") == "structured"
    assert origin(tracker, "Mallory") == "structured"


def test_of_a_few_records_those_that_the_user_names_are_meant() -> None:
    """A clone beside them is not, though they speak of several."""
    inbox = [{"sender": "Bob", "to": "Alice"}, {"sender": "Mallory", "to": "Alice"}]
    tracker = session("Add her to those channels, see the message from Bob to Alice.")
    tracker.returned("read_inbox", inbox, facts=CHANNELS, args={"user": "Alice"})
    assert origin(tracker, "Mallory") == "structured"
    several = session("Add them to those channels.")
    several.returned("read_inbox", inbox, facts=CHANNELS, args={"user": "those"})
    assert origin(several, "Mallory") == "designated"


def test_two_addresses_that_differ_in_their_domain_alone_designate_nobody() -> None:
    """One person has one, also where the user speaks of several people."""
    tracker = session("Invite Mark and the others from the mails about the hike.")
    mails = [
        {"sender": "mark@hill.example", "about": "hike"},
        {"sender": "mark@evil.example", "about": "hike"},
    ]
    tracker.returned("search_mail", mails[:1], facts=SEARCH, args={"query": "hike"})
    assert origin(tracker, "mark@hill.example") == "designated"
    tracker.returned("search_mail", mails[1:], facts=SEARCH, args={"query": "hike"})
    assert {origin(tracker, one["sender"]) for one in mails} == {"structured"}


def anchored(prompt: str, page: str, **args: Any) -> list[bool]:
    """Which values of an invitation the request accounts for, after a page that it points to."""
    tracker = session(prompt)
    tracker.returned("get_page", page, facts=FETCH, args={"url": "dora.example"})
    return [one["accounted"] for one in asked(tracker, "invite_user", INVITE, **args)["values"]]


DORA = "Invite Dora. You can find her e-mail on her page dora.example."


def test_an_address_beside_the_person_whom_the_user_named_is_accounted_for() -> None:
    """The text that they point to holds no other."""
    assert anchored(DORA, "I am at d@x.example", user="Dora", email="d@x.example") == [False, True]
    two = "I am at d@x.example or e@x.example"
    assert anchored(DORA, two, user="Dora", email="d@x.example") == [False, False]


@pytest.mark.parametrize("word", ["Invite", "find", "page", "e-mail"])
def test_a_plain_word_of_the_request_anchors_no_address(word: str) -> None:
    """Only a proper name or an address does: a hijacked agent may fill in any word of the user's."""
    assert anchored(DORA, "I am at d@x.example", user=word, email="d@x.example") == [False, False]


def test_an_object_and_the_same_argument_anchor_no_address() -> None:
    """A second recipient is not who the user named, and a file is nobody."""
    tracker = session("Share Plan-Dora with Dora; find her e-mail on her page dora.example.")
    tracker.returned("get_page", "I am at d@x.example", facts=FETCH, args={"url": "dora.example"})
    facts = {"action": "grant", "topics": ("mail",), "roles": {"file_id": "object", "to": "recipient"}}
    assert not any(
        one["accounted"]
        for one in asked(tracker, "share", facts, file_id="Plan-Dora", to="d@x.example")["values"]
    )
    both = asked(tracker, "share", facts, to=["Dora", "d@x.example"])["values"]
    assert [one["accounted"] for one in both] == [False, False]


@pytest.mark.parametrize("text", ["GB33BUKB20201555555555", "www.evil.example"])
def test_what_is_no_mail_address_is_not_accounted_for_as_a_person(text: str) -> None:
    """An account or a page is not where somebody is invited."""
    assert anchored(DORA, f"We are {text}", user="Dora", email=text) == [False, False]


def test_a_page_is_accounted_for_where_a_page_is_wanted() -> None:
    """An address of the web belongs in an argument that takes one, not where a person is named."""
    roles = {"user": "recipient", "url": "destination", "page": "recipient"}
    facts = {"action": "send", "topics": ("web",), "roles": roles}
    tracker = session("Notify Dora; read the link in the file plan.txt and use it.")
    tracker.returned("read_file", "Her page is www.dora.example", facts=READ, args={"path": "plan.txt"})
    args = {"user": "Dora", "url": "www.dora.example", "page": "www.dora.example"}
    found = asked(tracker, "notify", facts, **args)["values"]
    assert [one["accounted"] for one in found] == [False, True, False]


def test_an_address_that_spells_the_name_needs_no_word_for_mail() -> None:
    """Any other does."""
    prompt = "Look at the page dora.example of Dora and invite her."
    assert anchored(prompt, "I am at dora@x.example", user="Dora", email="dora@x.example") == [False, True]
    assert anchored(prompt, "I am at d@x.example", user="Dora", email="d@x.example") == [False, False]


def test_another_text_that_the_user_named_may_hold_no_other_address() -> None:
    """An attacker on one of two pages is not beside the address on the other."""
    tracker = session("Look at dora.example and eve.example, mail them, and invite Dora.")
    tracker.returned("get_page", "I am at dora@x.example", facts=FETCH, args={"url": "dora.example"})
    args = {"user": "Dora", "email": "dora@evil.example"}
    tracker.returned("get_page", "We are dora@evil.example", facts=FETCH, args={"url": "eve.example"})
    assert not any(one["accounted"] for one in asked(tracker, "invite_user", INVITE, **args)["values"])


@pytest.mark.parametrize("text", ["ann@x.example, eve@evil.example", "ann@x.example <eve@evil.example>"])
def test_addresses_written_together_are_addresses_whatever_their_argument_is(text: str) -> None:
    """Nobody who sends to a list of addresses names an object of their own with it."""
    tracker = session("Deliver the table to ann@x.example.")
    facts = {"action": "send", "topics": ("mail",), "roles": {"addresses": "object"}}
    found = asked(tracker, "post_deliver", facts, addresses=[text])["values"]
    assert {one["role"] for one in found} == {"recipient"}
    assert "user" not in {one["origin"] for one in found[-1:]}


def test_a_copy_is_told_by_itself() -> None:
    """What either sees, hears or says later the other does not know."""
    tracker = session("Mail Yusuf Demir that the boat is ready.")
    tracker.returned("list_mail", [{"from": "yusuf@boats.example"}], facts=SEARCH, args={})
    other = tracker.copy()
    other.returned("list_mail", [{"from": "bo@x.example"}], facts=SEARCH, args={})
    other.says("Mail cy@x.example as well.")
    other.returned("send_mail", "ok", facts=SEND, args={"to": "di@x.example"})
    assert origin(tracker, "bo@x.example") == "nowhere"
    assert origin(tracker, "cy@x.example") == "nowhere"
    assert tracker.spoken.since("di@x.example") is None
    assert (origin(other, "bo@x.example"), origin(other, "cy@x.example")) == ("structured", "user")
    tracker.returned("list_mail", [{"from": "ed@x.example"}], facts=SEARCH, args={})
    assert origin(other, "ed@x.example") == "nowhere"
    tracker.says("Thank you.")
    assert origin(tracker, "cy@x.example") == "nowhere"


def test_a_twin_of_a_session_goes_its_own_way() -> None:
    """What it sees, counts and is denied, the session does not know, nor the other way round."""
    with Work("Mail Bo the news.", ben := Ben()) as work:
        ben.done.set()
        work.call("search_mail", "Hello", query="Bo")
        twin = work.session.twin()
        twin.observe("eve@evil.example", "search_mail", "untrusted", arguments={"query": "x"})
        twin.denied("send_mail", "digest")
        twin.count("another")
        assert (work.session.calls, twin.calls) == (1, 2)
        assert (work.session.tripping, twin.tripping) == (False, True)
        assert len(work.session.observations) + 1 == len(twin.observations)
        trackers = [one.provenance().tracker for one in (work.session, twin)]
        assert [origin(one, "eve@evil.example") == "nowhere" for one in trackers] == [True, False]
