"""AgentDojo's honest tasks in other words, and with agents that look things up otherwise.

The calls are those of the ground truth. An agent that lists makes a look-up without the user's words; one
that searches with words of its own takes a word of the record that it looks for, which the user did not say.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from agentguard_evals.case import Gap, Kind, Suite, ToolDefinition, Verdict
from agentguard_evals.dojo import Adapt, Pair, Run
from agentguard_evals.dojo_world import (
    VERSION,
    FunctionCall,
    FunctionsRuntime,
    World,
    digest_of,
    shown,
    worlds,
)
from agentguard_evals.halves import Half, Split, halves
from agentguard_evals.rewording import Agent, Variant, read_variants, reworded
from agentguard_evals.stage import Stage

__all__ = ["load_paraphrased", "own_words"]

_DATA: Final = Path(__file__).parent / "data" / "paraphrased"
_LISTS: Final[Mapping[str, str]] = {
    "search_emails": "get_received_emails",
    "search_files": "list_files",
    "search_files_by_filename": "list_files",
}
"""The tool that lists what another one searches."""
_BY_DAY: Final = ("search_calendar_events", "get_day_calendar_events")
_QUERY: Final[Mapping[str, str]] = {
    "search_emails": "query",
    "search_calendar_events": "query",
    "search_files": "query",
    "search_files_by_filename": "filename",
    "search_contacts_by_name": "query",
}
_WORD: Final = re.compile(r"[A-Za-z]{5,}")


def load_paraphrased(split: Split) -> Sequence[Suite]:
    """One suite for each half, its variants apart.

    Raises:
        ConfigurationError: the package agentdojo is not there, or a file of variants is refused.
    """
    return [_suite(half) for half in halves(split)]


def _suite(half: Half) -> Suite:
    found = worlds()
    variants = read_variants(_DATA / f"{half}.yaml")
    every = [
        _Reworded(world, user, one) for one in variants for world in found for user in world.suite.user_tasks
    ]
    cases = [case for case in every if case.differs]
    gap = Gap("tasks that a variant leaves as they are", len(every) - len(cases), "they are not played")
    return Suite(
        name=f"paraphrased-{half.replace('_', '-')}",
        title=f"AgentDojo's honest tasks in other words ({half})",
        reread="paraphrased",
        split=half,
        version=VERSION,
        digest=digest_of(found),
        judged="all calls of the task ran; AgentDojo's own checks where the agent is its ground truth",
        cases=cases,
        gaps=[gap],
    )


@dataclass(frozen=True, slots=True)
class _Reworded:
    """A user task in the words, or with the agent, of a variant."""

    world: World
    user: str
    variant: Variant

    @property
    def id(self) -> str:
        return f"{self.variant.name}/{self.world.name}/{self.user}"

    @property
    def group(self) -> str:
        return self.variant.name

    @property
    def kind(self) -> Kind:
        return "honest"

    @property
    def reachable(self) -> bool:
        return True

    @property
    def original(self) -> str:
        return str(self.world.suite.user_tasks[self.user].PROMPT)

    @property
    def prompt(self) -> str:
        return reworded(self.original, self.variant)

    @property
    def differs(self) -> bool:
        """Whether the variant changes anything here."""
        if self.variant.agent is None:
            return self.prompt != self.original
        task = self.world.suite.user_tasks[self.user]
        env = task.init_environment(self.world.environment())
        adapt = _adapting(self.world, self.prompt, self.variant.agent)
        return any(adapt(env, call) != call for call in task.ground_truth(env.model_copy(deep=True)))

    @property
    def tools(self) -> tuple[ToolDefinition, ...]:
        return self.world.tools

    def play(self, stage: Stage) -> Verdict:
        run = Run(Pair(self.world, self.user, None, "first"), stage)
        if self.variant.agent is None:
            return run.play()
        run.play(_adapting(self.world, self.prompt, self.variant.agent))
        return Verdict(utility=not run.refused, attack_succeeded=None)


def _adapting(world: World, prompt: str, agent: Agent) -> Adapt:
    known = {tool.name for tool in world.tools}

    def adapt(env: Any, call: FunctionCall) -> FunctionCall:
        if agent == "lists":
            return _listing(call, known)
        return _searching(world, env, call, prompt, last=agent == "last_own_word")

    return adapt


def _listing(call: FunctionCall, known: set[str]) -> FunctionCall:
    search, by_day = _BY_DAY
    if call.function == search and call.args.get("date") and by_day in known:
        return FunctionCall(function=by_day, args={"day": call.args["date"]})
    lists = _LISTS.get(call.function)
    return FunctionCall(function=lists, args={}) if lists in known else call


def _searching(world: World, env: Any, call: FunctionCall, prompt: str, *, last: bool) -> FunctionCall:
    """The same search with a word of what it finds, which the prompt does not hold; unchanged without one."""
    name = _QUERY.get(call.function)
    if name is None or name not in call.args:
        return call
    wanted = _found(world, env, call)
    for word in own_words(wanted, prompt, last=last):
        other = FunctionCall(function=call.function, args={**call.args, name: word})
        if wanted in _found(world, env, other):
            return other
    return call


def _found(world: World, env: Any, call: FunctionCall) -> str:
    runtime = FunctionsRuntime(world.suite.tools)
    result, error = runtime.run_function(env.model_copy(deep=True), call.function, call.args)
    return "" if error is not None else shown(result)


def own_words(found: str, prompt: str, *, last: bool) -> Iterator[str]:
    """Words of what was found that the user did not say."""
    said = prompt.lower()
    words = list(dict.fromkeys(_WORD.findall(found)))
    for word in reversed(words) if last else words:
        if word.lower() not in said:
            yield word
