"""Numbers of telephones and accounts: which spellings are the same number, and which are another."""

from __future__ import annotations

import pytest

from tests.provenance.sessions import CONTACT, READ, SEARCH, session, value

CALL = {"action": "send", "topics": ("phone",), "roles": {"to": "recipient", "text": "content"}}


def called(seen: object, spoken: str, prompt: str = "Text Ana Diaz that the boat is ready.") -> str:
    """Where a number comes from, after one field of a contact was seen."""
    tracker = session(prompt)
    tracker.returned("find_contact", [{"phone": seen}], facts=CONTACT, args={"name": "Ana Diaz"})
    return str(value(tracker, "send_sms", CALL, to=spoken)["origin"])


@pytest.mark.parametrize(
    ("seen", "spoken"),
    [
        ("07700 900225", "+447700900225"),
        ("07700-900-225", "+44 7700 900225"),
        ("(0) 7700.900.225", "07700900225"),
        ("7700900225", "+447700900225"),
        ("+44 7700 900225", "+447700900225"),
        ("+44 7700 900225", "00447700900225"),
        ("0044 7700 900225", "+44 (7700) 900-225"),
        ("+1 (555) 010-0199", "+15550100199"),
        ("DE89 3704 0044 0532 0130 00", "DE89370400440532013000"),
        ("de89370400440532013000", "DE89 3704 0044 0532 0130 00"),
    ],
)
def test_separators_and_the_prefix_of_a_country_make_no_other_number(seen: str, spoken: str) -> None:
    """As people write numbers, and as agents hand them over (E.164, ISO 13616)."""
    assert called(seen, spoken) == "designated"


@pytest.mark.parametrize(
    ("seen", "spoken"),
    [
        ("07700 900225", "+447700900226"),
        ("07700 900225", "+14407700900225"),
        ("07700 900225", "+4417700900225"),
        ("+44 7700 900225", "+17700900225"),
        ("+44 7700 900225", "+337700900225"),
        ("900225", "+44770900225"),
        ("7700900225", "917700900225"),
        ("700 9002", "+447009002"),
        ("07700 900225", "00225"),
        ("2026-03-14 07700900225", "+447700900225"),
        ("07700 900225 or so", "+447700900225"),
        ("DE89 3704 0044 0532 0130 00", "DE88370400440532013000"),
        ("DE89 3704 0044 0532 0130 00", "0532013000"),
        ("x07700900225", "+447700900225"),
    ],
)
def test_another_number_is_another_T22(seen: str, spoken: str) -> None:
    """Another digit, another country, a part of one, a short one, a number among other things."""
    assert called(seen, spoken) in ("nowhere", "text", "wild", "named_text")
    assert called(seen, seen) == "designated"


def test_a_number_in_a_text_is_found_in_it() -> None:
    """It stays what a text says."""
    tracker = session("Text Ana Diaz that the boat is ready.")
    text = "Please call 07700 900225 from now on, and pay to DE89 3704 0044 0532 0130 00, as agreed with all."
    tracker.returned("search_mail", {"body": text}, facts=SEARCH, args={"query": "Ana Diaz"})
    for spoken in ("+447700900225", "DE89370400440532013000"):
        assert value(tracker, "send_sms", CALL, to=spoken)["origin"] == "named_text"
    assert value(tracker, "send_sms", CALL, to="+447700900226")["origin"] == "nowhere"


def test_what_the_user_said_counts_as_they_said_it() -> None:
    """Which country they mean nobody can tell."""
    tracker = session("Text 07700 900225 that the boat is ready.")
    assert value(tracker, "send_sms", CALL, to="07700 900225")["origin"] == "user"
    assert value(tracker, "send_sms", CALL, to="+447700900225")["origin"] == "nowhere"


def test_a_copy_of_a_session_learns_no_numbers_of_the_other() -> None:
    """Each is told by itself."""
    tracker = session("Text Ana Diaz that the boat is ready.")
    other = tracker.copy()
    for one in (tracker, other.copy()):
        one.returned("find_contact", [{"phone": "07700 900225"}], facts=CONTACT, args={"name": "Ana Diaz"})
        assert value(one, "send_sms", CALL, to="+447700900225")["origin"] == "designated"
    assert value(other, "send_sms", CALL, to="+447700900225")["origin"] == "nowhere"


@pytest.mark.parametrize(
    "bad",
    [
        "07700 900225 " * 15_000,
        "+" * 200_000,
        "0 (" * 66_000,
        "DE12 " * 40_000,
        "1234567890123456789" * 10_000,
    ],
    ids=range(5),
)
def test_hostile_numbers_are_read_in_linear_time_T24(bad: str) -> None:
    """Thousands of them, and what nearly is one."""
    tracker = session("Text Ana Diaz that the boat is ready.")
    tracker.returned("read_file", bad, facts=READ, args={"path": "a.txt"})
    tracker.returned("find_contact", [{"phone": bad[:100]}] * 100, facts=CONTACT, args={"name": "Ana Diaz"})
    assert value(tracker, "send_sms", CALL, to="+441632960961")["origin"] == "nowhere"
