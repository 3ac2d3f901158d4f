"""Working on one page: clicking and typing where a browser's snapshots say that something is.

What a click does no tool says, so the first one is asked about. A person who approves it may approve the
others on the same host with it: elements that the browser listed, no files, no other addresses.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from agentguard.provenance.judged import Judged
from agentguard.provenance.kinds import Kind
from agentguard.provenance.names import name_words
from agentguard.provenance.origins import Reading
from agentguard.provenance.seen import Place, Source

__all__ = ["Page", "page_of", "works_on_pages"]

_TOOLS: Final = frozenset({"browser", "page", "playwright", "puppeteer", "chrome", "webdriver", "tab"})
_ACTS: Final = frozenset({
    "click", "type", "fill", "select", "press", "hover", "check", "uncheck", "scroll", "drag", "choose",
    "tap", "input",
})  # fmt: skip
_MOVING: Final = frozenset(
    {"navigate", "goto", "go", "open", "back", "forward", "tab", "tabs", "new", "visit", "load"}
)
_LEADING: Final = frozenset({"click", "press", "select", "choose", "tap"})
"""What may lead elsewhere: where the browser is then it has to say."""
_LOOKING: Final = frozenset({"snapshot", "state", "wait"})
_HANDLES: Final = frozenset({"ref", "element", "uid", "selector", "index", "target", "locator", "node"})
_HANDLE: Final = re.compile(r"[a-z]{0,4}\d{1,6}(?:[a-z]{1,2}\d{1,6})?")
_URL: Final = re.compile(
    r"(?<![\w/])(?:page url|current url|url|location)\W{1,4}(https?://[^\s/\"'<>`]{1,253})", re.IGNORECASE
)
_LOOKED_AT: Final = 400
"""Characters at the head of a result, where the browser itself speaks; what follows is the page."""


@dataclass(frozen=True, slots=True)
class Page:
    """The origin (scheme and host) on which somebody may go on."""

    origin: str

    def said(self) -> tuple[str, ...]:
        """For a person."""
        return ("browser", f"further clicks and typing on {self.origin}, until the browser is elsewhere")

    def covers(self, kind: Kind, judged: Sequence[Judged], reading: Reading) -> bool:
        """Whether a call goes on there."""
        return _works(kind, judged) and _origin(reading) == self.origin


def page_of(kind: Kind, judged: Sequence[Judged], reading: Reading) -> Page | None:
    """The page that a call of clicking or typing works on, where the browser says where it is."""
    origin = _origin(reading) if _works(kind, judged) else ""
    return Page(origin) if origin else None


def works_on_pages(words: Iterable[str]) -> bool:
    """Whether a tool whose name has these words clicks or types in a browser."""
    held = frozenset(words)
    return not _TOOLS.isdisjoint(held) and not _ACTS.isdisjoint(held)


def _works(kind: Kind, judged: Sequence[Judged]) -> bool:
    deciding = [one for one in judged if one.value.key or one.value.link]
    return works_on_pages(kind.words) and all(_handle(one) for one in deciding)


def _handle(one: Judged) -> bool:
    """Whether a value is an element that the browser listed, or one of the user's own."""
    named = name_words(one.value.path)[-1:]
    listed = bool(named) and named[0] in _HANDLES and _HANDLE.fullmatch(one.value.text.strip()) is not None
    return one.origin.name == "user" or (listed and any(map(_browser, one.origin.sources)))


def _browser(source: Source) -> bool:
    return not _TOOLS.isdisjoint(name_words(source.tool))


def _origin(reading: Reading) -> str:
    """Where the browser is, as its newest result that says it says."""
    for source in reversed(reading.seen.sources):
        words = set(name_words(source.tool))
        if _TOOLS.isdisjoint(words):
            continue
        moved = not (_MOVING | _LEADING).isdisjoint(words)  # maybe elsewhere now, whatever came before
        if moved or not (_ACTS | _LOOKING).isdisjoint(words):
            found = _said(source)
            if found or moved:
                return found.pop() if len(found) == 1 else ""
    return ""


def _said(source: Source) -> set[str]:
    """The origins that a result gives as its own: a page's title may name another beside it."""
    for text in source.texts:
        for line in text[:_LOOKED_AT].splitlines():
            found = {match[1].casefold() for match in _URL.finditer(line)}
            if found:
                return found
    tops = [places for record, places in source.fields.items() if record not in source.parents]
    return _fields(tops) or _fields(source.fields.values())


def _fields(records: Iterable[Iterable[Place]]) -> set[str]:
    return {
        match[1].casefold()
        for places in records
        for place in places
        if name_words(place.name)[-1:] == ("url",) and (match := _URL.match(f"url: {place.raw}")) is not None
    }
