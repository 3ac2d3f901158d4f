"""Answers to proofs as a person reads them: the answer, the call that shows it, what it rests on."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from agentguard.cli.safe_text import visible
from agentguard.cli.terminal import console, fields, width

if TYPE_CHECKING:
    from rich.console import Console

    from agentguard.policy.proving import Answer, Comparison, Counterexample, Unknown
    from agentguard.policy.proving.suite import Proved

__all__ = ["as_data", "show", "show_all", "show_comparison"]

_STYLES: Final = {
    "PROVED": "green", "REFUTED": "bold red", "UNKNOWN": "bold yellow", "REACHABLE": "green",
    "UNREACHABLE": "bold red", "EQUAL": "green", "NARROWER": "green", "WIDER": "bold red",
    "INCOMPARABLE": "bold red",
}  # fmt: skip
_TOLD: Final = {
    "equal": "every call gets exactly as far as today",
    "narrower": "no call gets further than today, and some do not get as far",
    "wider": "some calls get further than today, and none less far",
    "incomparable": "some calls get further than today, and others less far",
    "unknown": "not settled for every tool",
}
_TOOLS: Final = 8

Row = tuple[str, str, str]


def as_data(answer: Answer) -> dict[str, Any]:
    """The answer for programs, with the case to paste."""
    from agentguard.policy.proving.cases import case_of

    found = answer.to_json()
    if answer.counterexample is not None:
        found["case"] = case_of(answer.counterexample, answer.question, _wanted(answer.counterexample))
    return found


def show(answer: Answer, *, reached: bool = False) -> None:
    """Print one answer; `reached` where a call that matches is what was hoped for."""
    out = _console()
    title = answer.question if answer.found == "proved" or not answer.opposite else answer.opposite
    _answer(out, answer, _word(answer, reached), title, reached)


def show_all(answers: Sequence[Proved], warnings: Sequence[str] = ()) -> None:
    """Print the answers to a file's claims, and a line of counts."""
    out = _console()
    _warned(out, warnings)
    for one in answers:
        reached = one.proof.document.reachable is not None
        title = f"{one.proof.document.name}  {one.proof.at}"
        if one.holds == "proved":
            _line(out, "PROVED", title)
            _warned(out, one.answer.warnings)
        else:
            _answer(out, one.answer, one.holds.upper(), title, reached)
    counts = [
        f"{sum(one.holds == held for one in answers)} {held}" for held in ("proved", "refuted", "unknown")
    ]
    seconds = sum(one.answer.seconds for one in answers)
    _line(out, "", f"Proofs: {', '.join(counts)} ({seconds:.2f} s).")


def show_comparison(found: Comparison) -> None:
    """Print how a candidate stands to today's set."""
    out = _console()
    word = found.relation
    told = _TOLD[word]
    if word == "unknown" and found.wider.differs:
        told = "some calls get further than today; whether others get less far is not settled"
    _line(out, word.upper(), f"the candidate is {word}: {told}" if word != "unknown" else told)
    _warned(out, found.warnings)
    _rows(
        out, [("tools", _listed(found.tools), ""), ("holds", f"where {'; '.join(found.assumptions)}", "dim")]
    )
    for way, direction in (("further", found.wider), ("less far", found.narrower)):
        if direction.witness is not None:
            _line(out, "", f"A call that gets {way} than today:")
            wanted = str(direction.witness.decisions["today"].effect)
            _example(out, direction.witness, wanted, f"gets no {way} than it did")
    for part in found.parts:
        if part.relation not in ("equal", found.relation):
            _rows(out, [("of these", f"{', '.join(part.tools)}: {part.relation}", "")])
    _rows(out, [("besides", note, "yellow") for note in found.notes])
    _unknown(out, found.unknown)
    _line(out, "", f"{len(found.tools)} kinds of tools in {found.seconds:.2f} s.")


def _word(answer: Answer, reached: bool) -> str:
    if reached:
        return {"proved": "UNREACHABLE", "refuted": "REACHABLE", "unknown": "UNKNOWN"}[answer.found]
    return answer.found.upper()


def _answer(out: Console, answer: Answer, word: str, title: str, reached: bool) -> None:
    _line(out, word, title)
    _warned(out, answer.warnings)
    _rows(out, [("tools", _listed(answer.tools), "")])
    if answer.counterexample is not None:
        want = None if reached else _wanted(answer.counterexample)
        _example(out, answer.counterexample, want, answer.question)
    _unknown(out, answer.unknown)
    _rows(out, [("holds", f"where {'; '.join(answer.assumptions)}", "dim")])
    _line(out, "", f"{answer.seconds:.2f} s.")


def _example(out: Console, example: Counterexample, want: str | None, name: str) -> None:
    from agentguard.policy.proving.cases import case_of, plain_request

    rows: list[Row] = []
    label = "call"
    for key, value in plain_request(example).items():
        shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=repr)
        rows.append((label, f"{key}: {visible(shown)}", ""))
        label = ""
    rows += [_decided(name, example) for name in example.decisions]
    _rows(out, rows)
    text = case_of(example, name, want) if want is not None else None
    if text is not None:
        _rows(out, [("case", "for a `*_test.yaml`; `want` is yours to change:", "dim")])
        _plain(out, text)


def _wanted(example: Counterexample) -> str:
    """What the case of a counterexample asks for, so that it fails today: no call, or a call after all."""
    return "allow" if example.decisions["today"].effect == "deny" else "deny"


def _decided(name: str, example: Counterexample) -> Row:
    decision = example.decisions[name]
    deciding = decision.deciding
    by = f" by {deciding.name}{f'  {deciding.at}' if deciding.at else ''}" if deciding is not None else ""
    error = f" (error: {deciding.error})" if deciding is not None and deciding.error else ""
    label = "decided" if len(example.decisions) == 1 else name
    return label, visible(f"{decision.effect}{by}{error}"), "bold"


def _unknown(out: Console, found: Iterable[Unknown]) -> None:
    for one in found:
        _rows(out, [("why", f"{one.tools}: {one.reason}", "yellow")])
        for met in one.met:
            at = f"  {met.at}" if met.at else ""
            _rows(out, [("outside", visible(f"{met.rule}{at}: {', '.join(met.constructs)}"), "yellow")])


def _warned(out: Console, warnings: Iterable[str]) -> None:
    _rows(out, [("warning", visible(one), "yellow") for one in warnings])


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _TOOLS:,} more; --json lists all" if len(names) > _TOOLS else ""
    return visible(", ".join(names[:_TOOLS]) + more)


def _console() -> Console:
    out = console()
    out.width = width()
    return out


def _rows(out: Console, rows: Sequence[Row]) -> None:
    if rows:
        fields(out, rows)


def _plain(out: Console, text: str) -> None:
    """Lines to be copied: never folded."""
    from rich.text import Text

    for line in text.splitlines():
        out.print(Text(f"    {line}"), soft_wrap=True)


def _line(out: Console, word: str, text: str) -> None:
    from rich.text import Text

    for line in _wrapped(f"{word}  {text}" if word else text, out.width):
        styled = Text(line)
        if word:
            styled.highlight_words([word], _STYLES[word])
        out.print(styled, soft_wrap=True)


def _wrapped(text: str, columns: int) -> Iterator[str]:
    import textwrap

    yield from textwrap.wrap(
        visible(text),
        max(columns, 40),
        subsequent_indent="  ",
        break_on_hyphens=False,
        break_long_words=False,
    )
