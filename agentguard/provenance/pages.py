"""Working on one page: clicking and typing where a browser's snapshots say that something is.

What a click does no tool says, so the first one is asked about. A person who approves it may approve the others
on the same host with it: elements that the browser listed, no files, no other addresses.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from agentguard.provenance.judged import Judged
from agentguard.provenance.kinds import Kind
from agentguard.provenance.names import name_words
from agentguard.provenance.origins import Reading
from agentguard.provenance.seen import Source

__all__ = ["Page", "page_of", "works_on_pages"]

_TOOLS: Final = frozenset({"browser", "page", "playwright", "puppeteer", "chrome", "webdriver", "tab"})
_ACTS: Final = frozenset({
    "click", "type", "fill", "select", "press", "hover", "check", "uncheck", "scroll", "drag", "choose", "tap", "input",
})  # fmt: skip
_HANDLES: Final = frozenset({"ref", "element", "uid", "selector", "index", "target", "locator", "node"})
_HANDLE: Final = re.compile(r"[a-z]{0,4}\d{1,6}(?:[a-z]{1,2}\d{1,6})?")
_URL: Final = re.compile(
    r"(?:page url|current url|url|location)\W{1,4}(https?://[^\s/\"'<>`]{1,253})", re.IGNORECASE
)
_LOOKED_AT: Final = 4_000


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
    """The page that a call works on, where it is one of clicking or typing and the browser says where it is."""
    origin = _origin(reading) if _works(kind, judged) else ""
    return Page(origin) if origin else None


def works_on_pages(tool: str) -> bool:
    """Whether a tool clicks or types in a browser."""
    words = set(name_words(tool))
    return not _TOOLS.isdisjoint(words) and not _ACTS.isdisjoint(words)


def _works(kind: Kind, judged: Sequence[Judged]) -> bool:
    words = set(kind.words)
    deciding = [one for one in judged if one.value.key or one.value.link]
    acts = not _TOOLS.isdisjoint(words) and not _ACTS.isdisjoint(words)
    return acts and all(_handle(one) for one in deciding)


def _handle(one: Judged) -> bool:
    """Whether a value is an element that the browser listed, or one of the user's own."""
    named = name_words(one.value.path)[-1:]
    listed = bool(named) and named[0] in _HANDLES and _HANDLE.fullmatch(one.value.text.strip()) is not None
    return one.origin.name == "user" or (listed and bool(one.origin.sources))


def _origin(reading: Reading) -> str:
    """Where the browser is, as its newest result says that says it."""
    for source in reversed(reading.seen.sources):
        if not _TOOLS.isdisjoint(name_words(source.tool)):
            found = _said(source)
            if found:
                return found
    return ""


def _said(source: Source) -> str:
    for text in source.texts:
        match = _URL.search(text[:_LOOKED_AT])
        if match is not None:
            return match[1].casefold()
    for places in source.fields.values():
        for place in places:
            if name_words(place.name)[-1:] == ("url",):
                match = _URL.match(f"url: {place.raw}")
                if match is not None:
                    return match[1].casefold()
    return ""
