"""What leaves the house about a question or a record: made by the guard, bounded, masked, with its cuts said.

The call is rendered from the frozen bytes that would run. Hidden characters are written out, sensitive values
and what looks like a secret are masked, and a value that is cut says its length and its digest.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from agentguard.channels.masking import secretive
from agentguard.cli import approval_text as about
from agentguard.cli.call_text import Argument, arguments, sensitive
from agentguard.cli.safe_text import visible
from agentguard.stepup.model import Approval, State

__all__ = ["Shown", "clipped", "facts_of", "question_of"]

MOST: Final = 40
"""Arguments, rules and names that are listed; of more, it is said how many."""
_LONG: Final = 300
_NAME: Final = 80
WHOLE: Final = 1_200
"""Characters of a value that is shown whole; nothing is approved here of which less is shown."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What a channel may show: values at all, and secrets of ours that are masked wherever they stand."""

    values: bool = True
    known: tuple[str, ...] = ()


def clipped(text: str, limit: int = _LONG) -> str:
    """A text in which every character shows; a long one ends with its length and digest."""
    return _shortened(visible(text), limit)


def _shortened(text: str, limit: int = _LONG) -> str:
    """The same for a text in which every character shows already."""
    if len(text) <= limit:
        return text
    mark = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    return f"{text[: limit - 50]} … <{len(text):,} characters, sha256 {mark}>"


def question_of(approval: Approval, shown: Shown) -> dict[str, Any]:
    """A question as data: what would run, why it is asked, who may answer, until when."""
    listed, problem = _arguments(approval, shown)
    requirement = approval.requirement
    return {
        "id": approval.id,
        "digest": approval.digest,
        "state": approval.state.value,
        "tool": clipped(approval.tool),
        "tool_digest": clipped(approval.tool_digest),
        "agent": clipped(approval.agent),
        "principal": None if approval.principal is None else clipped(approval.principal),
        "chain": _listed(approval.chain),
        "asks": _shortened(about.asks(approval), 600),
        "why": [_shortened(line, 600) for line in about.why(approval)[:MOST]],
        "stakes": _shortened(about.stakes(approval), 600),
        "rules": _listed(requirement.rules),
        "stages": [
            {"reviewers": _listed(stage.reviewers), "quorum": stage.quorum}
            for stage in requirement.stages[:MOST]
        ],
        "stage": approval.stage,
        "reason_required": requirement.reason_required,
        "votes": _listed([f"{vote.subject}: {vote.verdict}" for vote in approval.votes]),
        "opened_at": approval.opened_at.isoformat(),
        "expires_at": approval.expires_at.isoformat(),
        "arguments": listed,
        "complete": not problem,
        "problem": problem,
        "in_full": f"agentguard approvals show {approval.id[:9]} --full",
    }


def answerable(question: Mapping[str, Any]) -> bool:
    """Whether an `approve` may be offered for what is shown."""
    return question["state"] == State.REQUESTED.value and bool(question["complete"])


def facts_of(said: Mapping[str, Any], known: Collection[str] = ()) -> dict[str, Any]:
    """What an event said, each text made visible and bounded."""
    return {name: _plain(value, known) for name, value in said.items()}


def _plain(value: Any, known: Collection[str]) -> Any:
    if isinstance(value, str):
        return "***" if any(one in value for one in known) else clipped(value)
    if isinstance(value, (list, tuple)):
        return [_plain(one, known) for one in value[:MOST]]
    return value


def _arguments(approval: Approval, shown: Shown) -> tuple[list[dict[str, Any]], str]:
    """The arguments, and why they cannot be shown as they are; nothing is approved that cannot be read."""
    try:
        plain = arguments(approval.arguments)
        if plain is None:
            return [], "the arguments were erased"
        names = [key.removeprefix("$") for key in json.loads(approval.arguments or b"{}")]
        hidden = sensitive(approval) | {
            name
            for name, one in zip(names, plain, strict=True)
            if not shown.values or secretive(name, one.value, shown.known)
        }
        found = arguments(approval.arguments, hidden) or []
    except ValueError:
        return [], "the arguments cannot be read"
    listed = [_argument(one, shown.values) for one in found]
    if len(listed) > MOST:
        return listed[:MOST], f"{len(listed) - MOST:,} of {len(listed):,} arguments are not shown here"
    cut = [str(one["name"]) for one in listed if one["cut"]]
    if cut and shown.values:
        return listed, f"`{cut[0]}` is too long to be shown in full here"
    return listed, ""


def _argument(one: Argument, values: bool) -> dict[str, Any]:
    whole = one.cut and not one.masked and len(one.full) <= WHOLE
    return {
        "name": _shortened(one.name, _NAME),
        "type": _shortened(one.kind, _NAME),
        "text": (one.full if whole else one.short) if values else "",
        "cut": one.cut and not one.masked and not whole,
        "masked": one.masked,
    }


def _listed(texts: Iterable[str], limit: int = _LONG) -> list[str]:
    found = list(texts)
    more = [f"… and {len(found) - MOST:,} more"] if len(found) > MOST else []
    return [clipped(text, limit) for text in found[:MOST]] + more
