"""Reading YAML: strict types, no indirection, and a place for everything."""

from __future__ import annotations

import pytest
import yaml

from agentguard.policy import Source, read
from agentguard.policy.reader import MAX_DEPTH


def data(text: str) -> object:
    source, findings = read(text, "p.yaml")
    assert findings == []
    assert source is not None
    return source.data


def codes(text: str | bytes) -> list[str]:
    _, findings = read(text, "p.yaml")
    return [finding.code for finding in findings]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("NO", "NO"),
        ("no", "no"),
        ("on", "on"),
        ("y", "y"),
        ("true", True),
        ("False", False),
        ("~", None),
        ("null", None),
        ("12", 12),
        ("-3", -3),
        ("0", 0),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        ("12:30", "12:30"),
        ("12:30:45", "12:30:45"),
        ("2027-03-01", "2027-03-01"),
        ("2027-03-01T00:00:00Z", "2027-03-01T00:00:00Z"),
        ("1.2.3", "1.2.3"),
        ("'12'", "12"),
        ('"true"', "true"),
        ("=", "="),
        ("30m", "30m"),
    ],
)
def test_T46_a_plain_value_has_its_YAML_1_2_core_type(text: str, value: object) -> None:
    """`NO`, times and dates are text, numbers are decimal."""
    found = data(f"key: {text}\n")
    assert found == {"key": value}
    assert type(found["key"]) is type(value)  # type: ignore[index]


@pytest.mark.parametrize(
    "text", ["012", "1_000", ".nan", "-.inf", "0x1F", "0o17", "+.5", "1.", "1e999", "9" * 30]
)
def test_T46_a_number_that_YAML_versions_read_differently_is_refused(text: str) -> None:
    """What one parser takes for octal and another for decimal is no value of a policy."""
    assert codes(f"key: {text}\n") == ["AG007"]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("a: &x 1\nb: *x\n", "AG006"),
        ("a: &x [1]\n", "AG006"),
        ("a: *x\n", "AG006"),
        ("a: !!python/object:os.system {}\n", "AG006"),
        ("a: !thing x\n", "AG006"),
        ("a: {<<: {b: 1}}\n", "AG006"),
        ("%YAML 1.1\n---\na: 1\n", "AG006"),
        ("%TAG ! tag:x,2020:\n---\na: 1\n", "AG006"),
        ("a: 1\n---\nb: 1\n", "AG009"),
        ("1: a\n", "AG010"),
        ("null: a\n", "AG010"),
        ("true: a\n", "AG010"),
        ("? [a]\n: b\n", "AG010"),
        ("? {a: b}\n: b\n", "AG010"),
        ("? \n: b\n", "AG010"),
        ("a: [\n", "AG004"),
        ("a: b: c\n", "AG004"),
        ("a: @x\n", "AG004"),
        ("\ta: 1\n", "AG004"),
        ("a: \x00\n", "AG003"),
        ("a: x\u202ey\n", "AG003"),
        ("a: x\u200by\n", "AG003"),
        ("a: x\u2028b: y\n", "AG003"),
        ("a: 1\rb: 2\n", "AG003"),
    ],
)
def test_T46_what_hides_meaning_is_refused(text: str, code: str) -> None:
    """Indirection, several documents, odd keys and invisible characters do not belong into a policy."""
    assert codes(text)[0] == code


def test_T46_a_billion_laughs_is_refused_at_its_first_anchor() -> None:
    """Nothing is expanded, so nothing can grow."""
    bomb = "a: &a [x, x]\n" + "".join(
        f"{b}: &{b} [*{a}, *{a}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
    )
    assert codes(bomb) == ["AG006"]


@pytest.mark.parametrize("text", ["[" * 100_000, "a: " * 3 + "{a: " * 50_000, "- " * 100_000])
def test_T46_depth_is_bounded(text: str) -> None:
    """A deep nesting is a finding and not a crash."""
    assert codes(text)[0] in ("AG008", "AG004")
    assert codes("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1)) == ["AG008"]


def test_T46_size_is_bounded() -> None:
    """A file of many megabytes is no policy."""
    assert codes(b"#" * (16 * 1024 * 1024 + 1)) == ["AG008"]


def test_T46_duplicate_keys_are_errors_at_every_level_and_all_are_found() -> None:
    """The last one does not win; both places are named."""
    _, findings = read("a: 1\nb:\n  c: 1\n  c: 2\na: 2\n", "p.yaml")
    assert [(f.code, f.line, f.col) for f in findings] == [("AG005", 4, 3), ("AG005", 5, 1)]
    assert "first on line 3" in findings[0].message


def test_T23_bytes_that_are_no_UTF_8_are_a_finding() -> None:
    """The file is refused with the line of the first bad byte."""
    _, findings = read(b"a: 1\nb: \xff\n", "p.yaml")
    assert [(f.code, f.line) for f in findings] == [("AG003", 2)]


def test_a_condition_that_begins_with_an_exclamation_mark_says_that_it_needs_quotes() -> None:
    """The most common mistake has its own advice."""
    _, findings = read("when: !provenance(args.payee).from_user\n", "p.yaml")
    assert "needs quotes" in findings[0].hint


PLACES = """\
policy: p
rules:
  - id: one
    when: args.a && agnt.b
  - when: 'it''s && agnt.b'
  - when: "\\u0041\\t\\"x\\" && agnt.b"
  - when: |
      args.a &&

        agnt.b
  - when: >-
      args.a
      && agnt.b
  - when: args.a
      && agnt.b
  - when: |2
      args.a && agnt.b
"""


@pytest.mark.parametrize(
    ("index", "line", "col"),
    [(0, 4, 21), (1, 5, 21), (2, 6, 29), (3, 10, 9), (4, 13, 10), (5, 15, 10), (6, 17, 17)],
)
def test_a_position_inside_an_expression_has_a_line_and_a_column(index: int, line: int, col: int) -> None:
    """For plain, quoted, literal and folded texts the caret stands under the word in the file."""
    source, findings = read(PLACES, "p.yaml")
    assert findings == []
    assert source is not None
    text = source.data["rules"][index]["when"]
    place = source.inside(("rules", index, "when"), text.index("agnt"))
    assert (place.line, place.col, place.length) == (line, col, 4)
    assert source.text.split("\n")[line - 1][col - 1 : col + 3] == "agnt"


def test_keys_and_values_know_their_places() -> None:
    """Every key and every value has a line and a column from 1."""
    source, _ = read("a: 1\nb:\n  - c: xyz\n    d: {e: f}\n", "p.yaml")
    assert source is not None

    def at(*path: str | int, key: bool = False) -> tuple[int, int, int]:
        place = source.place(path, key=key)
        return place.line, place.col, place.length

    assert at("a") == (1, 4, 1)
    assert at("a", key=True) == (1, 1, 1)
    assert at("b", 0, "c") == (3, 8, 3)
    assert at("b", 0, "d", "e") == (4, 12, 1)
    assert at("b", 0, "d", "e", key=True) == (4, 9, 1)
    assert at("b", 0, "d", "gone") == (4, 5, 1)
    assert at("b") == (2, 1, 1)


def test_a_document_that_never_was_a_file_has_no_places() -> None:
    """Findings about it are without a line."""
    source = Source.from_mapping({"policy": "p"})
    assert source.place(("policy",)).line == 0


def test_a_frame_shows_no_control_characters() -> None:
    """What stands in a file cannot command the terminal that shows it."""
    source = Source(data=None, file="p", text="a: \x1b[31mred\n")
    assert "\x1b" not in source.frame(1, 4, 3)


@pytest.mark.skipif(not yaml.__with_libyaml__, reason="PyYAML without libyaml is ten times slower")
def test_ten_thousand_rules_are_read() -> None:
    """Large sets are read whole; how long it takes is a benchmark's affair."""
    text = "policy: p\nrules:\n" + "".join(
        f"  - id: r{i}\n    effect: allow\n    when: args.a > {i}\n" for i in range(10_000)
    )
    assert len(data(text)["rules"]) == 10_000
