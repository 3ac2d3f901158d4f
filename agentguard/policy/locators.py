"""Hosts, networks, paths and globs: reading what points somewhere, without being fooled by its spelling.

Every function raises ValueError where two programs could read the text differently: an error makes every rule
but an allow rule fire, so an ambiguous text never gets past a deny by looking like something else.
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from functools import lru_cache
from typing import Any, Final

import re2

__all__ = ["ascii_only", "glob", "has_hidden", "host", "in_network", "parse_network", "path_within"]

MAX_TEXT: Final = 8192
"""Characters of a text that these functions read."""
_MAX_PATTERN: Final = 500
_URL: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{0,31})://([^/?#]*)(?:[/?#].*)?", re.ASCII)
_LABEL: Final = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_NUMERIC: Final = re.compile(r"(?:[0-9]+|0x[0-9a-f]*)")
_PERCENT: Final = re.compile(r"%[0-9A-Fa-f]{2}")
_DRIVE: Final = re.compile(r"[A-Za-z]:")
_DOTS: Final = frozenset({".", ".."})

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def _bounded(text: str) -> None:
    if len(text) > MAX_TEXT:
        raise ValueError(f"the text has more than {MAX_TEXT} characters")


def _control(text: str) -> bool:
    return not text.isascii() or any(char <= " " or char == "\x7f" for char in text)


def host(url: str) -> str:
    """The host of an absolute URL, lower case and without a final dot; IPv6 without brackets."""
    _bounded(url)
    if _control(url) or "\\" in url:
        raise ValueError("the URL holds white space, a backslash or a character outside ASCII")
    found = _URL.fullmatch(url)
    if found is None:
        raise ValueError("not an absolute URL with `scheme://host`")
    authority = found[2]
    if "@" in authority:
        raise ValueError("the URL holds user information before the host")
    if "%" in authority:
        raise ValueError("the host of the URL is percent-encoded")
    if authority.startswith("["):
        inner, closed, rest = authority[1:].partition("]")
        if not closed or (rest and not _port(rest)):
            raise ValueError("the host of the URL is not an IPv6 address in brackets")
        return str(_address(inner))
    name, colon, port = authority.partition(":")
    if colon and not _port(":" + port):
        raise ValueError("the port of the URL is not a number")
    name = name.lower().removesuffix(".")
    labels = name.split(".")
    if not name or len(name) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise ValueError("the URL has no usable host")
    if _NUMERIC.fullmatch(labels[-1]):
        return str(_address(name))
    return name


def _port(text: str) -> bool:
    return text == ":" or (
        text[0] == ":" and text[1:].isdigit() and len(text) <= 6 and int(text[1:]) <= 65535
    )


def _address(text: str) -> Address:
    try:
        if "%" in text or len(text) > 64:
            raise ValueError
        found = ipaddress.ip_address(text)
    except ValueError:
        raise ValueError("not an IP address in its usual form") from None
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
        return found.ipv4_mapped
    return found


@lru_cache(maxsize=512)
def parse_network(text: str) -> Network:
    """A network such as `10.0.0.0/8`.

    Raises:
        ValueError: it is none, or has bits set behind its prefix.
    """
    if len(text) > 64 or "/" not in text:
        raise ValueError(f"`{text[:60]}` is not a network such as `10.0.0.0/8`")
    try:
        return ipaddress.ip_network(text, strict=True)
    except ValueError as error:
        raise ValueError(f"`{text}` is not a network such as `10.0.0.0/8`: {error}") from None


def in_network(ip: str, network: str) -> bool:
    """Whether an address lies in a network; an IPv4 address written as IPv6 counts as IPv4."""
    found = parse_network(network)
    address = _address(ip)
    return address.version == found.version and address in found


def _steps(path: str) -> list[str]:
    """The segments of an absolute path, or ValueError where its spelling may hide another path."""
    _bounded(path)
    if not path.startswith("/") or path.startswith("//"):
        raise ValueError("not an absolute path such as `/srv/data`")
    if "\\" in path or any(char < " " or char == "\x7f" for char in path):
        raise ValueError("the path holds a backslash or a control character")
    if _PERCENT.search(path):
        raise ValueError("the path is percent-encoded")
    if not path.isascii():
        plain = unicodedata.normalize("NFKC", path)
        if any(plain.count(mark) != path.count(mark) for mark in "./\\~%") or has_hidden(path):
            raise ValueError("the path holds characters that look like `.` or `/`, or that cannot be seen")
    steps = [step for step in path.split("/") if step not in ("", ".")]
    for step in steps:
        if step == "..":
            raise ValueError("the path holds `..`")
        if step.startswith("~"):
            raise ValueError("the path holds `~`")
        if _DRIVE.match(step):
            raise ValueError("the path holds a drive")
    return steps


@lru_cache(maxsize=512)
def parse_base(base: str) -> tuple[str, ...]:
    """The segments of a folder that a policy names.

    Raises:
        ValueError: it is not an absolute path in its plain form.
    """
    return tuple(_steps(base))


def path_within(path: str, base: str) -> bool:
    """Whether an absolute path is a folder or lies below it, by its spelling alone."""
    wanted = parse_base(base)
    return tuple(_steps(path)[: len(wanted)]) == wanted


def glob(value: str, pattern: str) -> bool:
    """Whether a text matches a pattern: `*` and `?` stay within a segment, `**` spans segments."""
    compiled = parse_glob(pattern)
    _bounded(value)
    if "\\" in value or "\x00" in value or not _DOTS.isdisjoint(value.split("/")):
        raise ValueError("the text holds `.` or `..` as a segment, a backslash or NUL")
    return compiled.fullmatch(value) is not None


@lru_cache(maxsize=512)
def parse_glob(pattern: str) -> Any:
    """A pattern compiled for matching in linear time.

    Raises:
        ValueError: it is too long, empty, or `**` is not a whole segment.
    """
    if not pattern or len(pattern) > _MAX_PATTERN:
        raise ValueError(f"a pattern has 1 to {_MAX_PATTERN} characters")
    if "\\" in pattern or "\x00" in pattern or "[" in pattern or "{" in pattern:
        raise ValueError(f"`{pattern[:60]}`: a pattern has `*`, `?` and `**`, no other wildcard or escape")
    parts = pattern.split("/")
    built = ""
    for i, part in enumerate(parts):
        last = i == len(parts) - 1
        if part == "**":
            built += "(?:.*)" if last else "(?:[^/]*/)*"
            continue
        if "**" in part:
            raise ValueError(f"`{pattern[:60]}`: `**` must be a whole segment")
        built += "".join(_GLOB.get(char) or re2.escape(char) for char in part)
        built += "" if last else "/"
    options = re2.Options()
    options.log_errors = False
    options.dot_nl = True
    options.max_mem = 1 << 22
    return re2.compile(built, options)


_GLOB: Final = {"*": "[^/]*", "?": "[^/]"}


def ascii_only(text: str) -> bool:
    """Whether a text holds printable ASCII characters and nothing else."""
    return text.isascii() and text.isprintable()


def has_hidden(text: str) -> bool:
    """Whether a text holds characters that are not seen: control, format, private-use, line separators."""
    if text.isascii():
        return not text.isprintable() and any(
            (char < " " and char not in "\t\n") or char == "\x7f" for char in text
        )
    return any(
        unicodedata.category(char) in ("Cc", "Cf", "Co", "Cs", "Cn", "Zl", "Zp") and char not in "\t\n"
        for char in text
    )
