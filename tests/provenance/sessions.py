"""A session's tracker with mail, files and contacts, as tests of provenance use it."""

from __future__ import annotations

from typing import Any

from agentguard.provenance.tracker import Tracker

SEARCH: dict[str, Any] = {"action": "read", "topics": ("mail",), "roles": {"query": "query"}}
CONTACT: dict[str, Any] = {"action": "read", "topics": ("people",), "roles": {"name": "query"}}
READ: dict[str, Any] = {"action": "read", "topics": ("file",), "roles": {"path": "path"}}
FETCH: dict[str, Any] = {"action": "fetch", "topics": ("web",), "roles": {"url": "destination"}}
SEND: dict[str, Any] = {
    "action": "send",
    "topics": ("mail",),
    "roles": {"to": "recipient", "cc": "recipient", "subject": "content", "body": "content"},
}
PAY: dict[str, Any] = {
    "action": "pay",
    "topics": ("money",),
    "roles": {"iban": "recipient", "amount": "amount"},
}
CREATE: dict[str, Any] = {
    "action": "create",
    "topics": ("file",),
    "roles": {"path": "path", "content": "content"},
}
DELETE: dict[str, Any] = {"action": "delete", "topics": ("file",), "roles": {"path": "path"}}


def session(prompt: str) -> Tracker:
    """A tracker to which the user has spoken."""
    tracker = Tracker()
    tracker.says(prompt)
    return tracker


def value(tracker: Tracker, tool: str, facts: dict[str, Any], **args: Any) -> dict[str, Any]:
    """What is known of the first value of a call."""
    found = tracker.facts(tool, facts, args)["asked"]["values"]
    return dict(found[0])


def origin(tracker: Tracker, text: str) -> str:
    """Where a recipient comes from."""
    return str(value(tracker, "send_mail", SEND, to=text)["origin"])


def asked(tracker: Tracker, tool: str, facts: dict[str, Any], **args: Any) -> dict[str, Any]:
    """What is known of a call."""
    return dict(tracker.facts(tool, facts, args)["asked"])
