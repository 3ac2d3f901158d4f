"""Risky prompts of one's own: a YAML file of cases, each with a prompt and the wanted effects.

A case has its calls recorded, or a live model plays it (`live`); `prompt_files` says what a file looks like.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentguard.access import check_access
from agentguard.canonical import digest
from agentguard.errors import ConfigurationError
from agentguard.policy import read_files
from agentguard.policy.findings import Finding
from agentguard.policy.source import Source
from agentguard_evals.asking import Asker, Live, Model
from agentguard_evals.case import Case, Gap, Kind, Suite, ToolDefinition, Verdict
from agentguard_evals.live import LivePrompt, mismatch
from agentguard_evals.live_checks import live_problems
from agentguard_evals.prompt_files import STOPPED, CallDocument, CaseDocument, PromptsDocument, read_document
from agentguard_evals.results import ModelUse
from agentguard_evals.rows import BrokenRow, Row, row_of
from agentguard_evals.stage import Stage, ToolError

__all__ = ["Prompt", "load_prompts", "read_prompts"]


@dataclass(frozen=True, slots=True)
class Prompt:
    """A case of a file with recorded calls."""

    id: str
    group: str
    document: CaseDocument
    calls: tuple[CallDocument, ...]
    row: Row

    @property
    def kind(self) -> Kind:
        return "attacked" if any(call.attack for call in self.calls) else "honest"

    @property
    def reachable(self) -> bool:
        return True

    @property
    def prompt(self) -> str | None:
        return self.document.prompt

    @property
    def tools(self) -> tuple[ToolDefinition, ...]:
        return self.row.tools

    def play(self, stage: Stage) -> Verdict:
        """Every call in its order; what was wanted is compared with what the guard decided."""
        ran: dict[bool, list[bool]] = {True: [], False: []}
        unexpected: list[str] = []
        for number, call in enumerate(self.calls, 1):
            answer = stage.call(
                call.call, call.args, _answering(call), origin="attacker" if call.attack else "user"
            )
            ran[call.attack].append(answer.ran)
            wanted = call.want or (STOPPED if call.attack else None)
            unexpected += mismatch(number, stage.decided(), wanted, call.rule)
        return Verdict(
            utility=all(ran[False]) if ran[False] else None,
            attack_succeeded=any(ran[True]) if self.kind == "attacked" else None,
            unexpected=tuple(unexpected),
            wishes=True,
        )


def _answering(call: CallDocument) -> Any:
    def answer(arguments: Mapping[str, Any]) -> Any:
        if call.error is not None:
            raise ToolError(call.error)
        return call.result

    return answer


def load_prompts(
    path: str | Path, *, model: Model | None = None, max_turns: int = 10, timeout_s: float = 300.0
) -> Suite:
    """The suite of a file; `model` plays its cases with `answers`, within turns and seconds of one case.

    A model is a callable, awaited or not, with `messages` and `tools` as Chat Completions has them. Without
    one such cases end in an error.

    Raises:
        ConfigurationError: it is refused; the message holds every problem with its place.
    """
    live = None
    if model is not None:
        live = Live(asker=Asker(model), max_turns=max_turns, timeout_s=timeout_s)
    return read_prompts(Path(path), live)


def read_prompts(path: Path, live: Live | None) -> Suite:
    """The same with a model that was made ready before.

    Raises:
        ConfigurationError: the file is refused.
    """
    files = read_files(path)
    findings = [*files.findings, *check_access([path])]
    source = files.sources[0] if files.sources else None
    document, problems = (None, []) if source is None else read_document(source)
    cases = [] if source is None or document is None else list(_cases(source, document, live, problems))
    if findings or problems or document is None:
        raise _refused(path, [*findings, *problems])
    return Suite(
        name=document.suite,
        title=document.description or f"risky prompts of {path.name}",
        reread=str(path),
        version="",
        digest=digest(path.read_bytes()),
        judged="the wanted effects of the file; an attack succeeds when one of its calls runs",
        cases=cases,
        gaps=tuple(_gaps(document)),
        model=_use(live) if any(isinstance(case, LivePrompt) for case in cases) else None,
    )


def _cases(
    source: Source, document: PromptsDocument, live: Live | None, problems: list[Finding]
) -> Iterator[Case]:
    seen: set[str] = set()
    for index, case in enumerate(document.cases):
        if case.id in seen:
            problems.append(
                source.finding("AG402", f"two cases are called `{case.id}`", ("cases", index, "id"))
            )
        seen.add(case.id)
        steps = [{"call": call.call, "args": call.args} for call in case.calls or ()]
        try:
            row = row_of({"tools": document.tools, "steps": steps})
        except BrokenRow as error:
            problems.append(source.finding("AG103", f"in case `{case.id}`: {error}", ("cases", index)))
            continue
        found = list(live_problems(source, index, case, [tool.name for tool in row.tools]))
        problems += found
        if found:
            continue
        group = case.group or document.suite
        if case.calls is not None:
            yield Prompt(case.id, group, case, tuple(case.calls), row)
        else:
            yield LivePrompt(
                case=case.id, group=group, document=case, tools=row.tools, system=document.system, live=live
            )


def _use(live: Live | None) -> ModelUse | None:
    if live is None:
        return None
    model = live.asker.model
    return ModelUse(
        name=str(getattr(model, "name", None) or getattr(model, "__name__", None) or type(model).__name__),
        url=getattr(model, "url", None),
        key_variable=getattr(model, "key_variable", None),
        temperature=getattr(model, "temperature", None),
        max_turns=live.max_turns,
        timeout_s=live.timeout_s,
    )


def _gaps(document: PromptsDocument) -> Iterator[Gap]:
    free = sum(call.want is None and not call.attack for case in document.cases for call in case.calls or ())
    if free:
        yield Gap("calls without `want`", free, "they are counted, and no effect of theirs is wrong")


def _refused(path: Path, findings: list[Finding]) -> ConfigurationError:
    lines = [
        f"{one.at or path}: {one.code} {one.message}" + (f"; {one.hint}" if one.hint else "")
        for one in findings
    ]
    return ConfigurationError("\n".join(lines))
