"""The world that the demo's tools act on, and looking at what really happened in it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from agentguard.call import ContextRequest
from agentguard.demo.folder import Folder
from agentguard.demo.payments import Payments
from agentguard.demo.web import WebServer

__all__ = ["Office", "Seen"]


@dataclass(frozen=True, slots=True)
class Seen:
    """What was found in the world after a call: whether the tool's own code ran, what for, what is there now.

    `said` is the text that the tool gave to the agent, where it is somebody else's.
    """

    ran: bool
    text: str
    state: Mapping[str, Any]
    said: str | None = None


@dataclass(frozen=True, slots=True)
class _Note:
    tool: str
    arguments: Mapping[str, Any]
    look: Callable[[], str]
    said: str | None


class Office:
    """The database, the folder of documents and the web server; each tool notes where its effect is found."""

    def __init__(self, folder: Folder, web: WebServer) -> None:
        self.folder = folder
        self.web = web
        self.payments = Payments.create(folder.database)
        self._lock = threading.Lock()
        self._notes: list[_Note] = []

    def note(
        self, tool: str, arguments: dict[str, Any], look: Callable[[], str], said: str | None = None
    ) -> None:
        """A tool ran with these arguments; `look` looks at what it did."""
        with self._lock:
            self._notes.append(_Note(tool, arguments, look, said))

    def seen(self, tool: str, wanted: Mapping[str, Any] | None, ran: Mapping[str, Any] | None) -> Seen:
        """What became of one call: what the tool did with what ran, or that nothing happened."""
        found = self._take(tool, ran) if ran is not None else None
        state = self.state()
        if found is not None:
            return Seen(True, found.look(), state, found.said)
        url = (wanted or {}).get("url")
        host = urlsplit(url).hostname if isinstance(url, str) else None
        if host is not None:
            there = state["posts"].get(host, 0)
            text = f"{_count(there, 'post')} arrived for {host}"
        else:
            text = f"still {_count(state['transfers'], 'transfer')}, {state['balance']:,} on the account"
        return Seen(False, f"nothing: {text}", state)

    def _take(self, tool: str, arguments: Mapping[str, Any]) -> _Note | None:
        with self._lock:
            for note in self._notes:
                if note.tool == tool and note.arguments == arguments:
                    self._notes.remove(note)
                    return note
        return None

    def state(self) -> dict[str, Any]:
        """What can be counted."""
        return {
            "transfers": len(self.payments.transfers()),
            "balance": self.payments.balance(),
            "posts": self.web.counts(),
        }

    def facts(self, request: ContextRequest, names: frozenset[str]) -> Mapping[str, Any]:
        """A fact provider: whether the payee of a transfer was ever paid before."""
        payee = request.args.get("payee")
        if "context" not in names or not isinstance(payee, str):
            return {}
        return {"context": {"known_payee": self.payments.knows(payee)}}


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
