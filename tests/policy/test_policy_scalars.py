"""Durations, dates, tool patterns, time windows, and reading hosts, networks, paths and globs."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentguard.policy import locators
from agentguard.policy.scalars import duration, instant, pattern_covers, tool_matches, well_formed_tool
from agentguard.policy.windows import parse_windows


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("45s", 45), ("30m", 1800), ("1h", 3600), ("3d", 259_200), ("2w", 1_209_600), ("1h30m", 5400)],
)
def test_a_duration_is_a_number_with_a_unit(text: str, seconds: int) -> None:
    """Units may be added up, the larger first."""
    assert duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "30", "m", "-1h", "1.5h", "30 m", "30M", "1m1h", "0s", "99999w", 30, None, True, "³0m"]
)
def test_what_is_no_duration_is_refused(text: object) -> None:
    """Numbers without a unit are ambiguous, zero and decades are mistakes."""
    with pytest.raises(ValueError, match="duration"):
        duration(text)


def test_a_date_is_its_beginning_in_UTC_and_a_time_needs_a_zone() -> None:
    """So that a date means one point in time everywhere."""
    assert instant("2027-03-01") == dt.datetime(2027, 3, 1, tzinfo=dt.UTC)
    assert instant("2027-03-01T02:00:00+02:00") == dt.datetime(2027, 3, 1, tzinfo=dt.UTC)
    for text in ("2027-03-01T00:00:00", "20270301", "tomorrow", "2027-13-01", 5, None):
        with pytest.raises(ValueError, match="date"):
            instant(text)


@pytest.mark.parametrize(
    ("pattern", "tool", "expected"),
    [
        ("payments.transfer", "payments.transfer", True),
        ("payments.*", "payments.transfer", True),
        ("payments.*", "payments.eu.transfer", True),
        ("payments.*", "paymentsx.transfer", False),
        ("payments.*", "payments", False),
        ("payments.*", "Payments.transfer", False),
        ("*", "anything", True),
        ("bash", "bash_session", False),
        ("read-file", "read_file", False),
    ],
)
def test_T28_a_pattern_matches_whole_segments_and_the_same_case(
    pattern: str, tool: str, expected: bool
) -> None:
    """A prefix never ends within a name, and look-alike names are other names."""
    assert tool_matches(pattern, tool) is expected


@given(
    st.sampled_from(["*", "a.*", "a.b.*", "a", "a.b", "ab.*"]),
    st.sampled_from(["*", "a.*", "a.b.*", "a", "a.b", "b"]),
)
def test_a_pattern_covers_another_when_it_matches_all_its_tools(wide: str, narrow: str) -> None:
    """Coverage is what matching says, on a sample of tools."""
    tools = ["a", "b", "ab", "a.b", "a.c", "a.b.c", "ab.c", "a.bc"]
    if pattern_covers(wide, narrow):
        assert all(tool_matches(wide, tool) for tool in tools if tool_matches(narrow, tool))


@pytest.mark.parametrize(
    "name", ["pаyments.transfer", "payments\u200b", "a..b", ".a", "a.", "", "a\n", "ａ", "a*", "x" * 201]
)
def test_T21_a_tool_name_that_no_pattern_can_name_is_not_well_formed(name: str) -> None:
    """Look-alikes, hidden characters and empty segments."""
    assert not well_formed_tool(name)


def at(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)


@pytest.mark.parametrize(
    ("window", "moment", "expected"),
    [
        ("Mon-Fri 07:00-20:00 Europe/Berlin", "2026-11-20T06:00:00Z", True),
        ("Mon-Fri 07:00-20:00 Europe/Berlin", "2026-11-20T05:59:59Z", False),
        ("Mon-Fri 07:00-20:00 Europe/Berlin", "2026-11-20T19:00:00Z", False),
        ("Mon-Fri 07:00-20:00 Europe/Berlin", "2026-07-20T05:00:00Z", True),
        ("Mon-Fri 07:00-20:00 Europe/Berlin", "2026-11-21T10:00:00Z", False),
        ("Fri 22:00-06:00 UTC", "2026-11-20T23:00:00Z", True),
        ("Fri 22:00-06:00 UTC", "2026-11-21T05:00:00Z", True),
        ("Fri 22:00-06:00 UTC", "2026-11-20T05:00:00Z", False),
        ("Sun 22:00-06:00 UTC", "2026-11-23T05:00:00Z", True),
        ("Sat-Mon 00:00-24:00 UTC", "2026-11-22T12:00:00Z", True),
        ("Sat-Mon 00:00-24:00 UTC", "2026-11-24T12:00:00Z", False),
        ("08:00-09:00 UTC; 17:00-18:00 UTC", "2026-11-24T17:30:00Z", True),
        ("Mon,Wed 08:00-09:00 UTC", "2026-11-24T08:30:00Z", False),
    ],
)
def test_a_window_knows_days_hours_and_zones(window: str, moment: str, expected: bool) -> None:
    """Over midnight the day is that of the beginning; the end is outside; DST is the zone's."""
    assert any(one.holds(at(moment)) for one in parse_windows(window)) is expected


@pytest.mark.parametrize(
    "window",
    [
        "",
        "07:00-20:00",
        "Mon-Fri 7-20 UTC",
        "Xyz 07:00-20:00 UTC",
        "25:00-26:00 UTC",
        "07:00-07:00 UTC",
        "07:00-20:00 Mars/Base",
        "07:00-20:00 ../etc/passwd",
        "07:60-20:00 UTC",
        "x" * 2000,
    ],
)
def test_what_is_no_window_is_refused(window: str) -> None:
    """Also zones that would be paths."""
    with pytest.raises(ValueError, match=r"."):
        parse_windows(window)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://Example.COM/a@b", "example.com"),
        ("https://example.com:8443/x", "example.com"),
        ("https://example.com./", "example.com"),
        ("HTTP://127.0.0.1/", "127.0.0.1"),
        ("http://[::ffff:10.0.0.1]/", "10.0.0.1"),
        ("http://[2001:DB8::1]:80/", "2001:db8::1"),
        ("https://xn--mnchen-3ya.de", "xn--mnchen-3ya.de"),
        ("https://example.com?x", "example.com"),
    ],
)
def test_T26_the_host_of_a_URL_is_read_strictly(url: str, expected: str) -> None:
    """In lower case, without port, final dot or brackets; IPv4 inside IPv6 is IPv4."""
    assert locators.host(url) == expected


@pytest.mark.parametrize(
    "url",
    [
        "https://good.com@evil.com/",
        "https://user:pw@good.com/",
        "https://good.com\\@evil.com/",
        "https://good.com%2eevil.com/",
        "https:/good.com",
        "https:good.com",
        "//good.com",
        "good.com",
        "https://",
        "https:///x",
        "https://gооd.com/",
        "https://ｇood.com/",
        "https://good.com /",
        "https://good.com\n.evil.com/",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0x7f.1/",
        "http://017700000001/",
        "http://127.1/",
        "http://127.0.0.01/",
        "http://[::1%25eth0]/",
        "http://[::1]x/",
        "http://good.com:x/",
        "http://good.com:99999/",
        "http://-a.com/",
        "http://a..com/",
        "javascript:alert(1)",
        "https://good.com" + "x" * 9000,
    ],
)
def test_T26_a_URL_that_two_programs_read_differently_is_an_error(url: str) -> None:
    """User information, encoded or look-alike hosts, numbers for addresses, missing slashes."""
    with pytest.raises(ValueError, match=r"."):
        locators.host(url)


def test_T26_networks_see_through_IPv4_written_as_IPv6() -> None:
    """A deny on a private network is not passed by another spelling; odd spellings are errors."""
    assert locators.in_network("10.1.2.3", "10.0.0.0/8")
    assert locators.in_network("::ffff:10.1.2.3", "10.0.0.0/8")
    assert not locators.in_network("11.1.2.3", "10.0.0.0/8")
    assert not locators.in_network("::1", "10.0.0.0/8")
    for text in ("010.1.2.3", "10.1", "167838211", "0xa.1.2.3", "fe80::1%eth0", "localhost", ""):
        with pytest.raises(ValueError, match="address"):
            locators.in_network(text, "10.0.0.0/8")
    for network in ("10.0.0.1/8", "10.0.0.0", "x/8", "10.0.0.0/33"):
        with pytest.raises(ValueError, match="network"):
            locators.in_network("10.1.2.3", network)


def test_T25_a_path_lies_within_a_folder_by_whole_segments() -> None:
    """A folder whose name merely begins the same is another folder."""
    assert locators.path_within("/srv/data/a/b", "/srv/data")
    assert locators.path_within("/srv/data", "/srv/data/")
    assert locators.path_within("/srv//data/./x", "/srv/data")
    assert not locators.path_within("/srv/database", "/srv/data")
    assert not locators.path_within("/srv", "/srv/data")
    assert not locators.path_within("/SRV/data/x", "/srv/data")


@pytest.mark.parametrize(
    "path",
    [
        "/srv/data/../x",
        "/srv/data/..",
        "../x",
        "x",
        "",
        "~/x",
        "/srv/~root",
        "/srv/%2e%2e/x",
        "/srv/%2fx",
        "/srv\\..\\x",
        "/srv/\x00x",
        "/srv/\nx",
        "//host/share",
        "/C:/x",
        "C:/x",
        "/srv/．．/x",
        "/srv/‥/x",
        "/srv/a／b",
        "/srv/\u202ex",
        "/" + "a/" * 5000,
    ],
)
def test_T25_a_path_that_may_lead_elsewhere_is_an_error(path: str) -> None:
    """Traversal, home folders, encodings, drives, shares, look-alike dots, control characters."""
    with pytest.raises(ValueError, match=r"path|characters"):
        locators.path_within(path, "/srv/data")


@pytest.mark.parametrize(
    ("value", "pattern", "expected"),
    [
        ("/srv/a.txt", "/srv/*.txt", True),
        ("/srv/a/b.txt", "/srv/*.txt", False),
        ("/srv/a/b.txt", "/srv/**/*.txt", True),
        ("/srv/b.txt", "/srv/**/*.txt", True),
        ("/srv/a/b", "/srv/**", True),
        ("/srvx", "/srv/**", False),
        ("/srv/A.txt", "/srv/a.txt", False),
        ("a.b", "a?b", True),
        ("a/b", "a?b", False),
        ("a+b(c)", "a+b(c)", True),
        ("mail.example.com", "*.example.com", True),
        ("example.com.evil", "*.example.com", False),
        ("x\n/srv/a", "/srv/*", False),
    ],
)
def test_a_glob_knows_segments(value: str, pattern: str, expected: bool) -> None:
    """`*` and `?` stay within a segment, `**` spans them, everything else is literal."""
    assert locators.glob(value, pattern) is expected


def test_T25_a_glob_does_not_match_through_dots() -> None:
    """A text with `.` or `..` segments is an error, so a pattern on it is never passed."""
    for value in ("/srv/../etc/x", "/srv/./x", "/srv\\x", "/srv/\x00"):
        with pytest.raises(ValueError, match="segment"):
            locators.glob(value, "/srv/**")
    for pattern in ("", "a**", "[a]", "{a,b}", "x" * 501, "a\\b"):
        with pytest.raises(ValueError, match=r"pattern|\*\*"):
            locators.parse_glob(pattern)


def test_T45_a_glob_takes_linear_time() -> None:
    """Many stars against a long text cost no more than one pass."""
    assert not locators.glob("a" * 8000, "*a" * 200 + "b")


def test_T21_hidden_characters_are_seen() -> None:
    """Zero-width, bidirectional and control characters are found; ordinary text of any script is not."""
    assert all(locators.has_hidden(text) for text in ("a\u200bb", "a\u202eb", "a\x07b", "\ufeffa", "a\ue000"))
    assert not any(locators.has_hidden(text) for text in ("Müller", "日本語", "a\tb\nc", ""))
    assert locators.ascii_only("ACME Ltd.")
    assert not any(locators.ascii_only(text) for text in ("АСМЕ", "a\u200b", "a\n"))
