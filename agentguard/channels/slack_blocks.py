"""A notice as a message of Slack, in Block Kit (https://api.slack.com/block-kit).

Everything from outside stands escaped: `&`, `<` and `>` as Slack's entities, so that nothing becomes a link
or a mention, and a back quote as `\\x60`, so that nothing leaves its code block. Values stand in code blocks,
where Slack formats nothing. A message has at most 50 blocks of 3,000 characters; what does not fit is said.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from agentguard.channels.channel import Notice
from agentguard.channels.lanes import SUMMARY
from agentguard.channels.rendering import Shown, answerable, clipped, facts_of, question_of

__all__ = ["APPROVE", "DENY", "REASON", "escaped", "message_of"]

APPROVE: Final = "agentguard_approve"
DENY: Final = "agentguard_deny"
REASON: Final = "agentguard_reason"
_SECTION: Final = 2800
_MOST_BLOCKS: Final = 46
_MOST_WHY: Final = 8
_MOST_VALUE: Final = 2000

_WORDS: Final[Mapping[str, str]] = {
    "approval.opened": "A call waits for an answer",
    "approval.escalated": "A call still waits: further people may answer",
    "approval.approved": "Approved",
    "approval.denied": "Denied: the call does not run",
    "approval.expired": "Expired: nobody decided in time, the call does not run",
    "approval.withdrawn": "Withdrawn: the caller gave up",
    "approval.superseded": "Superseded: the call is decided anew",
    "approval.revoked": "Revoked before it was used",
    "flag.opened": "A flag was opened",
    "flag.reopened": "A flag was opened again",
    "flag.escalated": "A flag is overdue and was passed on",
    "flag.breached": "GOVERNANCE BREACH: a flag is past its last level",
    "exception.expiring": "An exception will be over soon",
    "exception.expired": "An exception is over",
    "exception.revoked": "An exception was revoked",
    "agent.suspended": "An agent was suspended: no call of it runs",
    "test": "A test: messages reach you here",
    SUMMARY: "Many at once, told together",
}


def escaped(text: str) -> str:
    """Text as Slack shows it and does nothing with it."""
    plain = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return plain.replace("`", "\\x60").replace("\n", " ")


def message_of(notice: Notice, shown: Shown, *, buttons: bool) -> dict[str, Any]:
    """`text` and `blocks` of a message; with buttons where an answer is wanted and all of it is shown."""
    title = _WORDS.get(notice.type, notice.type)
    blocks: list[dict[str, Any]] = [_header(title)]
    about = notice.subject
    if notice.approval is not None:
        question = question_of(notice.approval, shown)
        about = f"{question['tool']} by {question['agent']}"
        blocks += _question(notice, question, buttons=buttons)
    else:
        blocks += _said(notice, shown)
    text = f"{title}: {escaped(clipped(about, 200))}"
    return {"text": text, "blocks": blocks}


def _question(notice: Notice, question: Mapping[str, Any], *, buttons: bool) -> list[dict[str, Any]]:
    lines = [f"{question['tool']}", *[_argument(one) for one in question["arguments"]]]
    if not question["arguments"]:
        lines.append("(no arguments)" if question["complete"] else "")
    ends = [
        {"label": "asks", "text": question["asks"]},
        *[{"label": "why", "text": text} for text in _first(question["why"])],
        {"label": "stakes", "text": question["stakes"] or "nothing declared"},
        {"label": "answers", "text": "; ".join(_stage(stage) for stage in question["stages"])},
        {"label": "votes", "text": "; ".join(question["votes"]) or "none yet"},
        {"label": "until", "text": f"{_moment(question['expires_at'])}"},
        {"label": "digest", "text": question["digest"]},
        {"label": "in full", "text": question["in_full"]},
    ]
    if by := notice.said.get("by"):
        ends.insert(0, {"label": "by", "text": clipped(str(by))})
    if question["problem"]:
        ends.insert(0, {"label": "NOT ALL OF IT IS SHOWN", "text": question["problem"]})
    head = _code_blocks(lines)
    tail = _code_blocks([f"{one['label']}: {one['text']}" for one in ends])
    room = _MOST_BLOCKS - len(tail) - 2
    cut = len(head) > room
    blocks = [*head[: max(room, 0)], *tail]
    if cut:
        blocks.append(_section("*Not all arguments fit here; see them in full before you answer elsewhere.*"))
    if (
        buttons
        and question["state"] == "requested"
        and notice.type in ("approval.opened", "approval.escalated")
    ):
        blocks += _buttons(question, approve=answerable(question) and not cut)
    return blocks


def _first(lines: Sequence[str]) -> list[str]:
    """So many that a message has room for the call itself."""
    more = [f"… and {len(lines) - _MOST_WHY:,} more"] if len(lines) > _MOST_WHY else []
    return [*lines[:_MOST_WHY], *more]


def _argument(one: Mapping[str, Any]) -> str:
    text = one["text"] or "(values are not sent here)"
    marks = "".join(f" [{word}]" for word in ("cut", "masked") if one[word])
    name = one["name"] if str(one["name"]).isidentifier() else json.dumps(one["name"], ensure_ascii=False)
    return f"{name} ({one['type']}) = {text}{marks}"


def _stage(stage: Mapping[str, Any]) -> str:
    return f"{stage['quorum']} of {', '.join(stage['reviewers'])}"


def _said(notice: Notice, shown: Shown) -> list[dict[str, Any]]:
    said = {notice.family: notice.subject, **notice.said}
    lines = [f"{name}: {_text(value)}" for name, value in facts_of(said, shown.known).items()]
    return _code_blocks(lines)


def _text(value: Any) -> str:
    return ", ".join(str(one) for one in value) if isinstance(value, list) else str(value)


def _buttons(question: Mapping[str, Any], *, approve: bool) -> list[dict[str, Any]]:
    """Deny stands first and asks nothing more; to approve is confirmed, and never the styled one."""
    value = json.dumps({"a": question["id"], "d": question["digest"]}, separators=(",", ":"))
    deny = {"type": "button", "action_id": DENY, "text": _plain("Deny"), "value": value}
    elements: list[dict[str, Any]] = [deny]
    if approve and len(value) <= _MOST_VALUE:
        elements.append(
            {
                "type": "button",
                "action_id": APPROVE,
                "text": _plain("Approve once"),
                "value": value,
                "confirm": {
                    "title": _plain("Approve exactly this call?"),
                    "text": _plain(f"{clipped(question['tool'], 100)} runs once, as shown."),
                    "confirm": _plain("Approve once"),
                    "deny": _plain("Back"),
                    "style": "danger",
                },
            }
        )
    reason = {
        "type": "input",
        "block_id": REASON,
        "optional": not question["reason_required"],
        "label": _plain("Reason"),
        "element": {"type": "plain_text_input", "action_id": REASON, "max_length": 500},
    }
    return [reason, {"type": "actions", "elements": elements}]


def _code_blocks(lines: Sequence[str]) -> list[dict[str, Any]]:
    """Sections of code; a line stands whole in one of them, its end cut off never."""
    blocks: list[dict[str, Any]] = []
    held = ""
    for line in lines:
        for piece in _pieces(escaped(line)):
            if held and len(held) + len(piece) > _SECTION:
                blocks.append(_section(f"```{held}```"))
                held = ""
            held += f"{piece}\n"
    if held.strip():
        blocks.append(_section(f"```{held}```"))
    return blocks


def _pieces(text: str) -> list[str]:
    """Parts of a line that fit; no entity is broken in two."""
    found: list[str] = []
    while len(text) > _SECTION - 10:
        end = _SECTION - 10
        amp = text.rfind("&", end - 6, end)
        if amp != -1 and ";" not in text[amp:end]:
            end = amp
        found.append(text[:end])
        text = text[end:]
    return [*found, text]


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text, "verbatim": True}}


def _header(text: str) -> dict[str, Any]:
    return {"type": "header", "text": _plain(text[:150])}


def _plain(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": escaped(text), "emoji": False}


def _moment(text: str) -> str:
    return f"{dt.datetime.fromisoformat(text):%Y-%m-%d %H:%M} UTC"
