"""The screen of one approval, and what is said after an answer."""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from agentguard.cli import approval_text as about
from agentguard.cli.call_text import Argument, arguments, barred, sensitive
from agentguard.cli.safe_text import visible
from agentguard.cli.terminal import ago, console, fail, fields, say, width
from agentguard.stepup.directory import Directory
from agentguard.stepup.model import Approval, State, Verdict

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["outcome", "screen"]

Row = tuple[str, str, str]


def screen(
    approval: Approval, directory: Directory, now: dt.datetime, *, full: bool, brief: bool = False
) -> None:
    """Everything about one approval; `brief` is what somebody who answers now has to see."""
    out = console()
    out.width = width()
    try:
        shown = arguments(approval.arguments, () if full else sensitive(approval))
    except ValueError as error:
        fail(f"approval `{approval.id}` cannot be shown: {error}; do not approve it", 1)
    state = about.state_text(approval, now)
    say(f"APPROVAL  {visible(approval.id)}   {state}", "bold yellow")
    fields(out, [("tool", visible(approval.tool), "bold"), *_arguments(shown, full)])
    if full and shown:
        _in_full(out, shown)
    fields(out, _rows(approval, directory, now, state, brief))


def _arguments(shown: list[Argument] | None, full: bool) -> Iterator[Row]:
    if shown is None:
        yield "args", "erased", "red"
        return
    if not shown:
        yield "args", "none", ""
    for one in shown if not full else ():
        more = "  (--full shows it)" if one.cut else ""
        yield f"  {one.name}", f"{one.kind}  {one.short}{more}", ""


def _in_full(out: Console, shown: list[Argument]) -> None:
    """Each line of a value stands behind a bar that nothing in the value can fake."""
    from rich.text import Text

    for one in shown:
        out.print(Text(f"    {one.name}  ({one.kind})", style="bold"))
        for line in barred(one, out.width - 6):
            out.print(Text(f"    {line}"), soft_wrap=True)


def _rows(
    approval: Approval, directory: Directory, now: dt.datetime, state: str, brief: bool
) -> Iterator[Row]:
    yield "agent", about.asks(approval), ""
    for number, text in enumerate(about.why(approval)):
        yield "why" if not number else "", text, ""
    if stakes := about.stakes(approval):
        yield "stakes", stakes, "red" if "UNTRUSTED" in stakes else ""
    yield "runs", f"{visible(approval.tool)} with definition {_mark(approval.tool_digest)}, once", ""
    yield "digest", visible(approval.digest), ""
    for number, text in enumerate(about.who(approval, directory)):
        yield "may" if not number else "", text, ""
    for number, (name, text) in enumerate(about.excluded(approval)):
        yield "may not" if not number else "", f"{name}: {text}", ""
    for number, vote in enumerate(approval.votes):
        reason = f': "{visible(vote.reason)}"' if vote.reason else ""
        word = f"{visible(vote.subject)} {vote.verdict} ({vote.assurance}, {ago(vote.at, now)}){reason}"
        yield "votes" if not number else "", word, ""
    if not approval.votes:
        yield "votes", "none yet", ""
    if isinstance(plan := approval.shown.get("plan"), Mapping):
        wide = f"`{about.answer_command(approval)} --grant` shows and grants what the user handed over"
        yield "plan", f"{wide}: {len(plan.get('tools') or ())} tools, {plan.get('uses')} uses", ""
    yield "until", about.deadline(approval, now), ""
    if approval.note:
        yield "note", visible(approval.note), ""
    if state == State.REQUESTED.value and not brief:
        suffix = "" if about.local_may_vote(approval) else " --as NAME"
        yield "answer", f"{about.answer_command(approval)}{suffix}", "bold"
        yield "", f"{about.answer_command(approval, 'deny')}{suffix} --reason WHY", "bold"


def outcome(approval: Approval, verdict: Verdict, subject: str, url: str, *, repeated: bool) -> bool:
    """Say what became of an answer, and where it is recorded; False when it came too late."""
    wanted = State.APPROVED if verdict == "approve" else State.DENIED
    if approval.state is State.REQUESTED and repeated:
        text = "This person's answer was counted before; answers of others are needed."
    elif approval.state is State.REQUESTED:
        text = "Counted; more answers are needed."
    elif approval.state is not wanted:
        text = f"Too late: the approval is {approval.state.value}."
    elif verdict == "approve":
        text = "Approved: exactly this call may run, once."
    else:
        text = "Denied: the call does not run."
    say(text, "green" if approval.state is State.APPROVED else "yellow")
    say(
        f"  recorded as {visible(subject)}'s `{verdict}` on {visible(approval.id)}, "
        f"event {visible(approval.last_event or '?')} of {visible(url)}"
    )
    sys.stdout.flush()
    return approval.state in (wanted, State.REQUESTED)


def _mark(digest: str) -> str:
    return visible(digest.removeprefix("sha256:")[:12]) or "unknown"
