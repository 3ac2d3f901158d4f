"""The demo as a person reads it: what the agent wanted, what the guard said and why, what really happened."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Final

from rich.text import Text

from agentguard import Effect
from agentguard.cli.call_text import arguments, call_line
from agentguard.cli.safe_text import quoted, visible, visible_lines
from agentguard.cli.terminal import ago, console, width
from agentguard.demo.acts import PRINCIPAL
from agentguard.demo.office import Seen
from agentguard.demo.story import CallStory
from agentguard.demo.summary import Summary

__all__ = ["Screen"]

STYLES: Final = {
    Effect.ALLOW: "bold green",
    Effect.FLAG: "bold yellow",
    Effect.CONSTRAIN: "bold cyan",
    Effect.STEP_UP: "bold magenta",
    Effect.DENY: "bold red",
}
_LEGEND: Final = {
    Effect.ALLOW: "the call runs",
    Effect.FLAG: "it runs, and somebody has to look at it by a date",
    Effect.CONSTRAIN: "it runs, with arguments that the rule changed",
    Effect.STEP_UP: "it waits for a person",
    Effect.DENY: "it does not run",
}
_WORDS: Final = {effect: effect.value.replace("_", " ").upper() for effect in Effect}
_SAID_LINES: Final = 5
_FULL: Final = 100
"""Columns that a line of text has at most, however wide the terminal is."""

Row = tuple[str, str, str]


class Screen:
    """Writes to standard output."""

    def __init__(self) -> None:
        self.out = console()
        self.out.width = min(width(), _FULL)
        self._number = 0

    def opening(self, about: Sequence[tuple[str, str]]) -> None:
        self._print(Text("agentguard: the guard between an AI agent and its tools", style="bold"))
        self._print(
            "Two agents work with tools that really act: a payments database, a folder of documents and a "
            "web server on 127.0.0.1. Before each call the guard asks the policies. They answer one of five:"
        )
        self._rows(((_WORDS[effect], text, "") for effect, text in _LEGEND.items()), STYLES, indent=2)
        self._rows(((label, text, "") for label, text in about), indent=2)

    def act(self, number: int, title: str, prompt: str) -> None:
        self.out.print()
        self._heading(f"act {number}: {title}")
        self._rows([("user", visible(prompt), "italic")], label=4, indent=0)

    def asking(self, folder: str) -> None:
        """Above a question that is about to be asked; `folder` is where it could be answered too."""
        self.out.print()
        text = f"The next call waits for {PRINCIPAL}, for whom the agent works. That is you."
        self._print(Text(text, style=STYLES[Effect.STEP_UP]))
        self._print(Text(f"(From another terminal: cd {visible(folder)} first.)", style="dim"))

    def call(self, story: CallStory, seen: Seen) -> None:
        self._number += 1
        shown = arguments(story.canonical) if story.canonical is not None else None
        line = call_line(story.tool, shown) if shown is not None else f"{visible(story.tool)}(...)"
        self.out.print()
        self._rows([(f"{self._number}", line, "bold")], label=2, indent=0)
        at = visible(story.rule.at or "") if story.rule is not None else ""
        rows: list[Row] = [(_WORDS[story.effect], f"{visible(story.name)}   {at}", "")]
        rows += [*_why(story), *_asked(story), *_changed(story), *_items(story)]
        if story.outcome is not None and story.outcome.status != "succeeded":
            rows.append(("outcome", f"the tool {visible(story.outcome.status)}", "red"))
        rows.append(("happened", visible(seen.text), "" if seen.ran else "bold"))
        self._rows(rows, STYLES, indent=4)
        if seen.said is not None:
            self._said(seen.said)

    def answer(self, text: str) -> None:
        """A live model's last words."""
        self.out.print()
        self._rows([("agent", quoted(text[:600]), "")], label=5, indent=0)

    def closing(self, summary: Summary, commands: Sequence[tuple[str, str]]) -> None:
        self.out.print()
        self._heading("what was recorded")
        self._recorded(summary)
        self.out.print()
        effects = ", ".join(f"{count} {_WORDS[effect]}" for effect, count in summary.effects.items() if count)
        world = summary.state
        posts = ", ".join(f"{count} for {visible(host)}" for host, count in sorted(world["posts"].items()))
        ok = summary.ledger.ok
        verdict = "intact: every event is as it was written" if ok else "NOT INTACT"
        self._rows(
            [
                ("verdicts", effects, ""),
                ("world", f"{world['transfers']} transfers, {world['balance']:,} left; posts: {posts}", ""),
                ("ledger", f"{summary.ledger.size} events, {verdict}", "green" if ok else "bold red"),
                ("root", summary.ledger.root, "dim"),
                *(("", f"{found.kind}: {visible(found.message)}", "red") for found in summary.findings),
            ],
            indent=0,
        )
        if summary.missing:
            lacking = ", ".join(_WORDS[effect] for effect in summary.missing)
            self.out.print()
            self._print(Text(f"Not seen in this run: {lacking}.", style="yellow"))
        self.out.print()
        self._print(Text("next", style="bold"))
        longest = max(len(command) for command, _ in commands)
        self._rows(((command, text, "") for command, text in commands), label=longest, indent=2)

    def _recorded(self, summary: Summary) -> None:
        """Events by type, and beside them the work items that are open now."""
        types = sorted(summary.types.items())
        items = [
            f"{visible(item.rule)}, for {visible(item.owner)}"
            + (f", due {item.due.astimezone():%a %d %b}" if item.due is not None else "")
            for item in summary.items
        ]
        wide = max(len(name) for name, _ in types)
        self._print(Text(f"{'events':<{wide}}        open work items", style="dim"))
        for name, item in zip_longest(types, items or ["none"]):
            left = f"{name[0]:<{wide}} {name[1]:>4}" if name is not None else " " * (wide + 5)
            self._folded(Text(f"{left}   "), Text(item or "", style="yellow"))

    def _said(self, text: str) -> None:
        """A document's words, behind a bar and escaped: they are not ours."""
        lines = [line for line in visible_lines(text) if line.strip()]
        more = [f"and {len(lines) - _SAID_LINES} more lines"] if len(lines) > _SAID_LINES else []
        for line in [*lines[:_SAID_LINES], *more]:
            self._folded(Text(" " * 15 + "│ ", style="dim"), Text(line, style="italic"), bar=True)

    def _heading(self, text: str) -> None:
        self.out.print(
            Text.assemble((f"── {text} ", "bold"), ("─" * max(0, self.out.width - len(text) - 4), "dim"))
        )

    def _print(self, text: Text | str) -> None:
        """A paragraph, folded at the width; nothing is padded, so that a pipe gets the words only."""
        self._folded(Text(), text if isinstance(text, Text) else Text(text))

    def _rows(
        self,
        rows: Iterable[Row],
        styles: Mapping[Effect, str] | None = None,
        *,
        label: int = 9,
        indent: int,
    ) -> None:
        """Labelled lines; what is folded stays under itself."""
        by_word = {_WORDS[effect]: style for effect, style in (styles or {}).items()}
        for name, text, style in rows:
            head = Text.assemble(" " * indent, (name.ljust(label), by_word.get(name, "dim")), "  ")
            self._folded(head, Text(text, style=style))

    def _folded(self, head: Text, body: Text, *, bar: bool = False) -> None:
        """What is folded stays under itself, behind a bar if there is one."""
        body.overflow = "fold"
        for number, line in enumerate(
            body.wrap(self.out, max(20, self.out.width - head.cell_len)) or [Text()]
        ):
            full = Text.assemble(head if bar or not number else " " * head.cell_len, line)
            full.rstrip()
            self.out.print(full, soft_wrap=True)


def _why(story: CallStory) -> Iterator[Row]:
    rule = story.rule
    if rule is None:
        return
    yield "because", visible(rule.reason or "the rule says so"), ""
    if rule.error:
        yield "error", f"the rule could not be evaluated, so it applies: {visible(rule.error)}", "red"
    elif story.when and story.effect is not Effect.ALLOW:
        yield "when", visible(" ".join(story.when.split())), "dim"


def _asked(story: CallStory) -> Iterator[Row]:
    if story.asked is None:
        return
    people = ", ".join(name for stage in story.asked.requirement.stages for name in stage.reviewers)
    whom = f" ({visible(story.asked.principal)})" if story.asked.principal else ""
    yield "asked", f"{visible(people)}{whom}, until {story.asked.expires_at.astimezone():%H:%M:%S}", ""
    for vote in story.votes:
        word = "approved" if vote.verdict == "approve" else "rejected"
        how = "an unverified answer from this machine" if vote.assurance == "local" else vote.assurance
        said = f': "{visible(vote.reason)}"' if vote.reason else ""
        yield "answer", f"{word} by {visible(vote.subject)}, {how}{said}", ""
    if not story.votes and story.answered is not None:
        yield "answer", f"nobody answered: {story.answered.type.partition('.')[2]}", ""


def _changed(story: CallStory) -> Iterator[Row]:
    for name, before, after in story.changed:
        yield "before", f"{visible(name)} = {_value(before)}", "dim"
        yield "after", f"{visible(name)} = {_value(after)}", ""


def _items(story: CallStory) -> Iterator[Row]:
    for item in story.items:
        due = f", due {ago(item.due, dt.datetime.now(dt.UTC))}" if item.due is not None else ""
        escalate = f", else it goes to {visible(item.escalate_to)}" if item.escalate_to else ""
        yield "work item", f"for {visible(item.owner)}{due}{escalate}", ""


def _value(value: object) -> str:
    return quoted(value) if isinstance(value, str) else visible(str(value))
