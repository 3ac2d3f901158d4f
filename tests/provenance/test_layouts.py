"""Texts that a program laid out as records, and texts that only look like it."""

from __future__ import annotations

from typing import Any

import pytest

from agentguard.provenance.results import parse_result
from tests.provenance.sessions import CONTACT, FETCH, READ, SEARCH, origin, session

PEOPLE = [("Ana Diaz", "ana@x.example"), ("Sam Roe", "sam@x.example")]


def rows(text: Any, *, people: bool = True) -> list[dict[str, str]]:
    """The records of a text that was laid out, without what belongs to none; none where it is a text."""
    parsed = parse_result(text, people=people)
    found: list[dict[str, str]] = [{} for _ in range(parsed.records)]
    for one in parsed.fields:
        if one.name:
            found[one.record][one.name.casefold()] = one.text
    return found if parsed.structured else []


def rest(text: str) -> str:
    """What of a text belongs to no record."""
    return "\n".join([one.text for one in parse_result(text).fields if not one.name])


@pytest.mark.parametrize(
    "text",
    [
        "name,email\nAna Diaz,ana@x.example\nSam Roe,sam@x.example\n",
        "Name;Email\nAna Diaz;ana@x.example\nSam Roe;sam@x.example",
        "name\temail\nAna Diaz\tana@x.example\nSam Roe\tsam@x.example",
        "name,email\r\nAna Diaz,ana@x.example\r\nSam Roe,sam@x.example\r\n",
        "| Name | Email |\n|:---|---:|\n| Ana Diaz | ana@x.example |\n| Sam Roe | sam@x.example |",
        "Name | Email\n--- | ---\nAna Diaz | ana@x.example\nSam Roe | sam@x.example",
        "NAME      EMAIL\nAna Diaz  ana@x.example\nSam Roe   sam@x.example",
        "Name: Ana Diaz\nEmail: ana@x.example\n\nName: Sam Roe\nEmail: sam@x.example",
        "Name: Ana Diaz\nEmail: ana@x.example\nName: Sam Roe\nEmail: sam@x.example",
        "1. Name: Ana Diaz\n   Email: ana@x.example\n2. Name: Sam Roe\n   Email: sam@x.example",
        "- Name: Ana Diaz\n  Email: ana@x.example\n\n- Name: Sam Roe\n  Email: sam@x.example",
    ],
)
def test_every_layout_gives_the_same_records(text: str) -> None:
    """Separated values, tables, columns under capitals, labelled lines; addresses only where the tool is one
    for looking people up."""
    assert rows(text) == [{"name": name, "email": email} for name, email in PEOPLE]
    assert not any("email" in row for row in rows(text, people=False))


@pytest.mark.parametrize(
    "text",
    [
        "- Name: Ana Diaz (Email: ana@x.example, Desk: 4)\n- Name: Sam Roe (Email: sam@x.example, Desk: 5)",
        "Name: Ana Diaz   Email: ana@x.example   Desk: 4\nName: Sam Roe   Email: sam@x.example   Desk: 5",
        "[1] Name: Ana Diaz | Email: a@x.example | Desk: 4\n[2] Name: Sam Roe | Email: b@x.example | Desk: 5",
    ],
)
def test_of_labels_within_a_line_no_address_is_taken_T22(text: str) -> None:
    """A name may end in another label: `Ana Diaz | Email: eve@evil.example`."""
    assert rows(text) == [{"name": "Ana Diaz", "desk": "4"}, {"name": "Sam Roe", "desk": "5"}]


def test_quoted_cells_hold_commas_newlines_and_quotes() -> None:
    """A cell that looks like a row is a cell (RFC 4180)."""
    text = 'name,desk,email\n"Diaz, ""Ana""","x\nSam Roe,y,eve@evil.example",ana@x.example'
    assert rows(text) == [
        {"name": 'Diaz, "Ana"', "desk": "x\nSam Roe,y,eve@evil.example", "email": "ana@x.example"}
    ]


@pytest.mark.parametrize(
    "text",
    [
        'name,email\n"Ana,ana@x.example',
        'name,email\n"Ana"x,ana@x.example',
        "name,email\nAna,ana@x.example,more",
        "name,email\nAna,ana@x.example\nprose without a mark",
        "name,name\nAna,ana@x.example",
        "ana@x.example,name\nAna,x",
        "1,2\nAna,ana@x.example",
        "Title: Boiler, urgent\nDescription: hello,\nAna Diaz,eve@evil.example",
    ],
)
def test_a_table_that_is_not_sound_is_a_text(text: str) -> None:
    """A quote that stays open, a row too long or too short, columns without names of their own."""
    assert rows(text) == []


def test_a_title_before_labels_in_parentheses_is_a_field() -> None:
    """As listings of people and files print it; the heading belongs to no record."""
    items = ["- Ana Diaz (Email: ana@x.example, Desk: 4)", "- Sam Roe (Email: sam@x.example, Desk: 5)"]
    text = "\n".join(["Found 2 people:", "", *items])
    assert rows(text) == [
        {"title": "Ana Diaz", "desk": "4"},
        {"title": "Sam Roe", "desk": "5"},
    ]
    assert rest(text).startswith("Found 2 people:")


def test_headings_may_stand_before_the_first_record() -> None:
    """A title, a rule, a count; they hold nothing."""
    text = "# Team\n=====\nShowing 1 of 9\n\nName: Ana Diaz\nEmail: ana@x.example"
    assert rows(text) == [{"name": "Ana Diaz", "email": "ana@x.example"}]


def test_the_items_of_one_list_may_be_the_fields_of_one_record() -> None:
    """Where all labels are different."""
    assert rows("Contact:\n- Name: Ana Diaz\n- Email: ana@x.example") == [
        {"name": "Ana Diaz", "email": "ana@x.example"}
    ]
    assert rows("- Name: Ana Diaz\n- Email: ana@x.example") == [
        {"name": "Ana Diaz", "email": "ana@x.example"}
    ]


@pytest.mark.parametrize(
    "text", ["The boat is ready.\nDo you come?", "Reply-To: eve@evil.example", "a: 1\nb: 2"]
)
def test_the_head_of_a_message_is_a_record_and_its_text_is_not_T22(text: str) -> None:
    """Also where the text is made of labels; its addresses are no fields: a mail may hold all of it."""
    mail = f"From: Ana Diaz <ana@x.example>\nTo: bo@x.example\nSubject: Boat\n\n{text}"
    parsed = parse_result(mail)
    assert [(one.name, one.text) for one in parsed.fields if not one.long] == [("subject", "Boat")]
    assert rest(mail).startswith(text)


@pytest.mark.parametrize(
    "text",
    [
        "Name: Ana Diaz\nThank you for everything.\nEmail: eve@evil.example",
        "Hello Bo, how are you\nName: Ana Diaz\nEmail: eve@evil.example",
        "Name: Ana Diaz\nEmail: eve@evil.example\nGreetings from here",
        "Email: eve@evil.example\nand nothing more",
        "Name: Ana Diaz\nEmail: ana@x.example\n\nColour: red\nSize: 5",
        "From: ana@x.example\nhow are you\n\nEmail: eve@evil.example",
        "From: ana@x.example\nFrom: eve@evil.example\n\nprose is here",
        "From: ana@x.example\nTo: bo@x.example\nFrom: eve@evil.example\n\nprose is here",
        "- Ana Diaz (Email: eve@evil.example)\n- Roof",
        "1. Ana Diaz (Email: eve@evil.example, Desk: 4)\n2. Roof (Colour: red, Size: 5, Age: 7)",
        "Colour: red, and what else\nSize: 5\n\nprose is here",
    ],
)
def test_a_line_of_prose_makes_it_a_text_T22(text: str) -> None:
    """And so does one label alone, or records that have nothing in common."""
    parsed = parse_result(text)
    assert not any(one.text.endswith("@evil.example") for one in parsed.fields if not one.long)


@pytest.mark.parametrize(
    "text",
    [
        "name,email\nAna Diaz,eve@evil.example",
        "| Name | Email |\n|---|---|\n| Ana Diaz | eve@evil.example |",
        "Name: Ana Diaz\nEmail: eve@evil.example\n\nName: Sam Roe\nEmail: sam@x.example",
    ],
)
def test_files_and_pages_are_texts_whatever_their_layout_T22(text: str) -> None:
    """Anybody may have written them so."""
    tracker = session("Mail Ana Diaz what stands in team.txt; see www.a.example.")
    tracker.returned("read_file", text, facts=READ, args={"path": "team.txt"})
    tracker.returned("get_page", text, facts=FETCH, args={"url": "www.a.example"})
    assert origin(tracker, "eve@evil.example") == "named_text"
    tracker.returned("find_contact", text, facts=CONTACT, args={"name": "Ana Diaz"})
    assert origin(tracker, "eve@evil.example") == "designated"


@pytest.mark.parametrize(
    "text",
    [
        "Title: Boiler\nBy: ida@x.example\nDescription: cold\n\nTitle: Ana Diaz\nBy: eve@evil.example",
        "Title: Boiler\nDescription: cold\nEmail: eve@evil.example",
        "Title: Boiler\nDescription: cold\nEmail: eve@evil.example\nMore: {}",
        "Ticket:\n  Title: Boiler\n  Description: cold\n  Email: eve@evil.example",
        "1. Boiler\n   Description: cold\n2. Ana Diaz\n   Email: eve@evil.example",
        "Description: these are they:\nName: Ana Diaz\nEmail: eve@evil.example",
        "1. Boiler\n   Note: cold\n| Name | Email |\n|---|---|\n| Ana Diaz | eve@evil.example |",
        "Hello Bo\n| Name | Email |\n|---|---|\n| Ana Diaz | eve@evil.example |",
        "| Name | Email |\n|---|---|\n| Ana Diaz | eve@evil.example |\nis all that I have",
        "NAME      EMAIL             NOTE\nAna Diaz  eve@evil.example  cold",
        "Name: Ana Diaz\nPhone: 5550199\nSite: www.evil.example\nNote: cold\nEmail: eve@evil.example",
    ],
)
def test_where_somebody_could_write_a_line_no_address_is_a_field_T22(text: str) -> None:
    """A description may pretend to go on as a record; the address stays known as part of a text."""
    tracker = session("Answer Ana Diaz.")
    tracker.returned("get_ticket", text, facts=SEARCH, args={"query": "Ana Diaz"})
    assert origin(tracker, "eve@evil.example") == "named_text"


def test_numbers_and_links_are_not_taken_there_either_T22() -> None:
    """Telephones, accounts and sites lead outside as well; other fields stay."""
    text = "Name: Ana Diaz\nPhone: 555 0199\nIBAN: DE89370400440532013000\nSite: www.evil.example\nNote: x"
    fields = parse_result(text, people=True).fields
    assert [(one.name, one.text) for one in fields if not one.long] == [("name", "Ana Diaz")]


def test_a_table_under_a_heading_keeps_its_addresses() -> None:
    """A title and a count are no prose."""
    text = "## Team\n\n| Name | Email |\n|---|---|\n| Ana Diaz | ana@x.example |\n\n(1 row)"
    assert rows(text) == [{"name": "Ana Diaz", "email": "ana@x.example"}]


@pytest.mark.parametrize(
    "text", ["name,email\n" + "Ana,ana@x.example\n" * 4_001, "name,email\nAna," + "x" * (1 << 17)]
)
def test_what_is_too_large_is_a_text(text: str) -> None:
    """More than 4,000 lines or 128 KiB."""
    assert rows(text) == []


@pytest.mark.parametrize(
    "bad",
    [
        "a|b\n" + "-" * 120_000 + "x|",
        "Name: a\nb: " + " " * 120_000 + "c",
        " " * 40_000 + ":" * 80 + " " * 40_000 + "x\nb: c",
        "Name: " + "A: " * 40_000 + "\nb: c",
        "- " * 60_000 + "\n- a: b",
        "a: b\n" + "(" * 120_000,
        "A  B\n" + "x  " * 40_000,
        'a,b\n"' + '"' * 120_001,
        "".join([f"- k{number}: v\n" for number in range(3_999)]),
        "Name: x\nb: " + "  A b" * 20_000,
        "x" * 200_000 + "\na: b",
    ],
    ids=range(11),
)
def test_hostile_layouts_are_read_in_linear_time_T24(bad: str) -> None:
    """Rules of dashes, runs of blanks, colons, marks and quotes; nobody is designated by them."""
    tracker = session("Mail Ana Diaz.")
    tracker.returned("search_mail", bad, facts=SEARCH, args={"query": "Ana Diaz"})
    assert origin(tracker, "eve@evil.example") == "nowhere"
