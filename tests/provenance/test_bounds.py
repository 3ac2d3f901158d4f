"""Bounded time and memory; over the bound a value counts as unknown, visibly."""

from __future__ import annotations

import pytest

from agentguard.provenance.results import parse_result
from agentguard.provenance.tracker import Tracker
from tests.provenance.sessions import CONTACT, SEARCH, SEND, asked, origin, session


def test_over_the_bound_nothing_more_is_taken_up_and_nothing_is_waived() -> None:
    """What is not in the index is from nowhere, and the session counts as having read instructions."""
    tracker = Tracker(bound=10_000)
    tracker.says("Mail Yusuf Demir that the boat is ready.")
    tracker.returned("search_mail", "word " * 4_000, facts=SEARCH, args={"query": "Yusuf Demir"})
    tracker.returned("find_contact", [{"email": "yd@b.example"}], facts=CONTACT, args={"name": "Yusuf Demir"})
    found = asked(tracker, "send_mail", SEND, to="yd@b.example")
    assert (found["complete"], found["telling"], found["acts"]) == (False, True, True)


def test_thousands_of_results_are_bounded() -> None:
    """Of 12,000 the newest are not taken up, and the answer says so."""
    tracker = session("Mail Bo.")
    for number in range(10_050):
        tracker.returned("find_contact", {"id": number}, facts=CONTACT, args={"name": "Bo"})
    assert asked(tracker, "send_mail", SEND, to="Bo")["complete"] is False


@pytest.mark.parametrize(
    "bad",
    [
        "a" * 200_000,
        "@" * 100_000,
        "a@" * 50_000,
        "[" * 100_000,
        "{" * 100_000,
        "- " * 50_000,
        "DE12 ABCD " * 10_000,
        "1 " * 50_000,
        "a." * 50_000,
        "\ud800",
        "\x00\x07" * 1_000,
        "e\u0301" * 20_000,
        "a: *a\n" * 1_000,
    ],
)
def test_hostile_texts_are_texts_T22_T23_T24(bad: str) -> None:
    """Deep nesting, broken characters, YAML aliases, long runs: read, sent, asked for, no error."""
    tracker = session(bad + " Mail bo@x.example.")
    tracker.returned("search_mail", bad, facts=SEARCH, args={"query": "x"})
    tracker.returned("search_mail", {"body": bad}, facts=SEARCH, args={"query": bad[:5_000]})
    assert asked(tracker, "send_mail", SEND, to="eve@evil.example", body=bad[:20_000])["values"]
    assert origin(tracker, "eve@evil.example") == "nowhere"


class Anything:
    """An object of some library."""

    def __repr__(self) -> str:
        return "anything"


@pytest.mark.parametrize(
    ("content", "fields"),
    [
        (b"\xff\xfe", [("", "\ufffd\ufffd")]),
        (Anything(), [("", "anything")]),
        (3.5, [("", "3.5")]),
        (None, []),
        ([None], []),
        ({1: 2}, [("key", "1"), ("1", "2")]),
        ({"a": {"b": [1, {"c": 2}]}}, [("a.b", "1"), ("a.b.c", "2")]),
        ({"x"}, [("", "x")]),
    ],
    ids=repr,
)
def test_a_result_may_be_anything(content: object, fields: list[tuple[str, str]]) -> None:
    """Bytes, objects, numbers, nothing, other keys: the texts in it are found, and there is no error."""
    assert [(one.name, one.text) for one in parse_result(content).fields] == fields


def test_a_call_with_very_many_values_is_judged_in_part_and_asked_about() -> None:
    """Beyond 200 the rest is one value from nowhere."""
    tracker = session("Mail everybody.")
    found = asked(tracker, "send_mail", SEND, to=[f"p{number}@x.example" for number in range(500)])["values"]
    assert len(found) == 201
    assert found[-1]["origin"] == "nowhere"


def test_yaml_that_refers_to_itself_is_text() -> None:
    """Anchors and aliases are not followed."""
    assert not parse_result("a: &x [1, 2]\nb: *x\n").structured
    assert parse_result("a: 1\nb: 2\n").structured
