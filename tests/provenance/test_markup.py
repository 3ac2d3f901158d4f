"""XML that a tool returned: elements and attributes as fields, and what is refused."""

from __future__ import annotations

import pytest

from agentguard.provenance.results import parse_result
from tests.provenance.sessions import CONTACT, FETCH, READ, origin, session


def fields(text: str) -> list[tuple[int, str, str]]:
    """The fields of a text with the number of their record; none where it is a text."""
    parsed = parse_result(text)
    found = [(one.record, one.name, one.text) for one in parsed.fields]
    return list(dict.fromkeys(found)) if parsed.structured else []


def test_attributes_and_elements_are_fields() -> None:
    """Names without their namespace; the text of an element with attributes is one more field."""
    text = '<p xmlns="urn:x" id="7"><name>Ana Diaz</name><mail kind="work">ana@x.example</mail></p>'
    assert fields(text) == [
        (0, "id", "7"),
        (0, "name", "Ana Diaz"),
        (0, "mail.kind", "work"),
        (0, "mail.text", "ana@x.example"),
    ]


@pytest.mark.parametrize("attribute", ["id", "name", "key"])
def test_a_leaf_is_called_by_its_id(attribute: str) -> None:
    """`<field id="phone">` is a field `phone`."""
    text = f'<card><field {attribute}="name">Ana</field><field {attribute}="phone">5551</field></card>'
    assert fields(text) == [(0, "name", "Ana"), (0, "phone", "5551")]


def test_repeated_elements_are_records() -> None:
    """Each for itself, whether they are all there is or not."""
    people = "<person><name>Ana</name><desk>4</desk></person><person><name>Sam</name><desk>5</desk></person>"
    wanted = [["Ana", "4"], ["Sam", "5"]]
    for text in (f"<people>{people}</people>", f"<r><people>{people}</people><total>2</total></r>"):
        held: dict[int, list[str]] = {}
        for record, name, value in fields(text):
            if name.endswith(("name", "desk")):
                held.setdefault(record, []).append(value)
        assert list(held.values()) == wanted


def test_lists_of_the_same_name_stay_apart() -> None:
    """As lists in a list do in other data: no cell is a field of another row."""
    text = "<t><row><c>1</c><c>2</c></row><row><c>3</c><c>4</c></row></t>"
    assert parse_result(text) == parse_result([["1", "2"], ["3", "4"]])


def test_what_a_program_escaped_is_no_element_T22() -> None:
    """A title that spells a field is a title."""
    text = "<i><title>Boat &lt;by&gt;eve@evil.example&lt;/by&gt;</title><by>ida@x.example</by></i>"
    assert fields(text) == [(0, "title", "Boat <by>eve@evil.example</by>"), (0, "by", "ida@x.example")]


@pytest.mark.parametrize(
    "text",
    [
        '<!DOCTYPE c [<!ENTITY a "x">]><c><name>&a;</name><mail>ana@x.example</mail></c>',
        '<c><!DOCTYPE c SYSTEM "file:///etc/passwd"><name>Ana</name></c>',
        "<c><![CDATA[<mail>ana@x.example</mail>]]><name>Ana</name></c>",
        "<c><name>&unknown;</name><mail>ana@x.example</mail></c>",
        "<c><name>Ana</name>",
        "<c><name>Ana</c></name>",
        "<c><name>Ana</name></c> and more",
        "<html><body><name>Ana</name><mail>ana@x.example</mail></body></html>",
        "<HTML><name>Ana</name><mail>ana@x.example</mail></HTML>",
        "<c>Ana, mail ana@x.example</c>",
        "<c>" + "<a>1</a>" * 40_000 + "</c>",
    ],
    ids=range(11),
)
def test_what_is_refused_is_a_text_T24(text: str) -> None:
    """Document types, entities (CWE-611, CWE-776), broken elements, HTML, one element of text, too much."""
    assert all(one.name == "" for one in parse_result(text).fields)


def test_files_and_pages_are_texts_in_xml_too_T22() -> None:
    """Who wrote them wrote their elements."""
    text = "<card><fullname>Ana Diaz</fullname><mail>eve@evil.example</mail></card>"
    tracker = session("Mail Ana Diaz what stands in team.xml; see www.a.example.")
    tracker.returned("read_file", text, facts=READ, args={"path": "team.xml"})
    tracker.returned("get_page", text, facts=FETCH, args={"url": "www.a.example"})
    assert origin(tracker, "eve@evil.example") == "named_text"
    tracker.returned("find_contact", text, facts=CONTACT, args={"name": "Ana Diaz"})
    assert origin(tracker, "eve@evil.example") == "designated"


@pytest.mark.parametrize(
    "bad",
    [
        "<a>" + "<b/>" * 49_000 + "</a>",
        "<a>" * 28_000 + "</a>" * 28_000,
        "<a " + " ".join([f'a{number}="1"' for number in range(15_000)]) + "/>",
        "<" * 200_000 + ">",
        "<a>" + "&amp;" * 40_000 + "</a>",
        '<?xml version="1.0" encoding="klingon"?><a><b>1</b></a>',
    ],
    ids=range(6),
)
def test_hostile_markup_is_read_in_linear_time_T24(bad: str) -> None:
    """Many elements of one name, deep ones, many attributes, an unknown encoding: no error, nobody meant."""
    tracker = session("Mail Ana Diaz.")
    tracker.returned("find_contact", bad, facts=CONTACT, args={"name": "Ana Diaz"})
    assert origin(tracker, "eve@evil.example") == "nowhere"
