"""Asking for approval in the terminal: exactly what would run, why, what is at stake; the default is no.

::

    guard = Guard("policies/", channels=[TerminalChannel()])

The answer is `local`'s: an unverified one that counts as one person, and only where the rule allows it.
"""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TextIO

from agentguard.cli import approval_text as about
from agentguard.cli.answers import END, LATE, STOPPED, Line, Lines, StreamLines, standard_input
from agentguard.cli.call_text import Argument, arguments, barred, call_line, sensitive
from agentguard.cli.safe_text import visible
from agentguard.cli.terminal import ago, console, fields
from agentguard.errors import AgentGuardError, StoreError
from agentguard.stepup.channels import Question
from agentguard.stepup.eligibility import MAX_REASON
from agentguard.stepup.model import Approval, State, Verdict

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["TerminalChannel"]

APPROVE: Final = frozenset({"a", "approve", "approve once"})
REJECT: Final = frozenset({"", "r", "reject", "n", "no", "deny", "q", "quit", "exit"})
VIEW: Final = frozenset({"v", "view"})
MOST_ANSWERS: Final = 5
"""Answers that are none, after which the question is rejected."""
REASON_S: Final = 120
"""Seconds that a person has to type a reason."""


class TerminalChannel:
    """A channel that asks on this terminal.

    `input` is read instead of standard input, and then also where no terminal is; `out` is the rich console
    that is written to. Where nobody sits at a terminal it says how to answer elsewhere and gives no answer.
    """

    def __init__(
        self,
        out: Console | None = None,
        input: TextIO | None = None,
        *,
        clock: Callable[[], dt.datetime] | None = None,
    ) -> None:
        self._out = out
        self._lines: Lines | None = None if input is None else StreamLines(input)
        self._clock = clock or (lambda: dt.datetime.now(dt.UTC))

    def notify(self, question: Question) -> None:
        """Ask one question; the vote is cast here, and nothing a person types can raise."""
        lines = self._lines or standard_input()
        out = self._out
        if out is None:
            out = console(stderr=lines is None or not sys.stdout.isatty())
            lines = lines if out.is_terminal or self._lines is not None else None
        _Asking(question, out, lines, self._clock).run()


class _Asking:
    """One question from its showing to its answer."""

    def __init__(
        self, question: Question, out: Console, lines: Lines | None, clock: Callable[[], dt.datetime]
    ) -> None:
        self.question = question
        self.approval = question.approval
        self.out = out
        self.lines = lines
        self.clock = clock
        self.masked = sensitive(self.approval)
        self.ended = False

    def run(self) -> None:
        try:
            shown = arguments(self.approval.arguments, self.masked)
        except ValueError as error:
            name = visible(self.approval.id)
            self.line(f"APPROVAL  {name} cannot be shown, so it cannot be answered here: {error}", "red")
            return
        self.show(shown)
        if self.lines is None:
            self.line("Nobody is at a terminal to ask here. The call waits; answer with the command above.")
            return
        if not about.local_may_vote(self.approval):
            self.line("An answer typed here is not verified and does not count; a reviewer signs theirs:")
            self.line(f"  {about.answer_command(self.approval)} --as NAME")
            return
        self.lines.fresh()
        try:
            verdict = self.ask(shown, self.lines)
            if verdict is not None:
                self.vote(verdict, self.reason(verdict, self.lines))
        except (KeyboardInterrupt, EOFError):
            self.out.print()
            self.vote("deny", "rejected at the terminal (interrupted)")

    def line(self, text: str, style: str = "", indent: int = 0) -> None:
        """A paragraph; what is folded stays indented, so that no value can pass for a line of ours."""
        from rich.padding import Padding
        from rich.text import Text

        self.out.print(Padding(Text(text, style=style, overflow="fold"), (0, 0, 0, indent), expand=False))

    def show(self, shown: list[Argument] | None) -> None:
        approval, now = self.approval, self.clock()
        rules = about.asking_rules(approval)
        first = f"   rule {visible(str(rules[0].get('rule')))}" if rules else ""
        at = f"  {visible(str(rules[0]['at']))}" if rules and rules[0].get("at") else ""
        self.out.print()
        self.line(
            f"APPROVAL  {visible(approval.id[: about.SHORT])}{first}{at}   {about.deadline(approval, now)}",
            "bold yellow",
        )
        self.line(call_line(approval.tool, shown), "bold", indent=2)
        rows: list[tuple[str, str, str]] = []
        if shown and (any(one.cut for one in shown) or len(shown) > 1):
            for one in shown:
                view = "  [v] view" if one.cut else ""
                rows.append((f"  {one.name}", f"{one.kind}  {one.short}{view}", ""))
        rows.append(("agent", about.asks(approval), ""))
        rows += [("why" if not number else "", text, "") for number, text in enumerate(about.why(approval))]
        if stakes := about.stakes(approval):
            rows.append(("stakes", stakes, "red" if "UNTRUSTED" in stakes else ""))
        rows.append(("later", about.answer_command(approval), ""))
        fields(self.out, rows)

    def view(self, shown: list[Argument]) -> None:
        """Everything in full; each line of a value stands behind a bar that nothing in it can fake."""
        self.out.rule("all arguments in full", style="dim")
        for one in shown:
            self.line(f"{one.name}  ({one.kind}{', sensitive' if one.masked else ''})", "bold")
            for text in barred(one, self.out.width - 4):
                self.line(text, indent=2)
        self.out.rule(style="dim")

    def ask(self, shown: list[Argument] | None, lines: Lines) -> Verdict | None:
        """The answer; None when it is no longer wanted."""
        for _ in range(MOST_ANSWERS):
            left = (self.approval.expires_at - self.clock()).total_seconds()
            view = "/v" if shown else ""
            prompt = f"Approve once / Reject{' / View' if shown else ''} [a/r{view}, Enter = reject]"
            found = self.read(f"{prompt} {ago(self.approval.expires_at, self.clock())}: ", left, lines)
            if found == STOPPED:
                self.overtaken()
                return None
            if found == LATE:
                self.line("No answer in time: the call is denied.", "yellow")
                return None
            if found == END:
                self.line("End of input: rejected.")
                self.ended = True
                return "deny"
            word = " ".join(str(found).lower().split()).strip(".!")
            if word in APPROVE:
                return "approve"
            if word in REJECT:
                return "deny"
            if word in VIEW and shown:
                self.view(shown)
                self.line(call_line(self.approval.tool, shown), "bold", indent=2)
            else:
                self.line("Please answer `approve`, `reject` or `view`; anything unclear is no approval.")
        self.line(f"{MOST_ANSWERS} answers without a decision: rejected.")
        return "deny"

    def reason(self, verdict: Verdict, lines: Lines) -> str:
        """Why not, which the agent is told; an approval needs one only where the rule asks for it."""
        required = self.approval.requirement.reason_required
        if verdict == "approve" and not required:
            return ""
        left = (self.approval.expires_at - self.clock()).total_seconds() - 1
        text = "Reason (recorded): " if verdict == "approve" else "Reason, for the agent (Enter = none): "
        found = END if self.ended else self.read(text, min(left, REASON_S), lines)
        said = "" if isinstance(found, int) else found.strip()[:MAX_REASON]
        return said or ("rejected at the terminal without a reason" if required and verdict == "deny" else "")

    def read(self, prompt: str, seconds: float, lines: Lines) -> Line:
        from rich.text import Text

        self.out.print(Text(prompt, style="bold"), end="", soft_wrap=True)
        found = lines.read(seconds, self.answered)
        if isinstance(found, int):
            self.out.print()
        return found

    def answered(self) -> bool:
        try:
            return self.question.current().state is not State.REQUESTED
        except StoreError:
            return False

    def overtaken(self) -> None:
        try:
            current = self.question.current()
        except StoreError:
            return
        by = next((f" by {visible(vote.subject)}" for vote in reversed(current.votes)), "")
        self.line(f"Answered elsewhere{by}: {current.state.value}. Nothing to do.", "yellow")

    def vote(self, verdict: Verdict, reason: str) -> None:
        try:
            after = self.question.answer(verdict, reason=reason)
        except AgentGuardError as error:
            self.line(f"The answer was not counted: {visible(str(error))}", "red")
            return
        self.line(_result(after, verdict), "green" if verdict == "approve" else "yellow")


def _result(after: Approval, verdict: Verdict) -> str:
    """What became of it, and where it is recorded."""
    where = f"recorded in the ledger as event {visible(after.last_event or '?')}, vote of `local`"
    if verdict == "approve" and after.state is State.DENIED:
        return f"Too late: somebody denied it. ({where})"
    match after.state:
        case State.APPROVED:
            return f"Approved once: exactly this call may run. ({where})"
        case State.REQUESTED:
            return f"Your answer counts; more are needed. ({where})"
        case State.DENIED:
            return f"Rejected: the call does not run, the agent is told not to retry. ({where})"
        case _:
            return f"Your `{verdict}` was {where}; the approval is {after.state.value}."
