"""AgentDojo's four suites: their environments, the places of injections, the attacks on them."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Sequence
from typing import Any, Final

import yaml

from agentguard.errors import ConfigurationError
from agentguard_evals.case import ToolDefinition

try:
    import agentdojo.attacks.important_instructions_attacks as important
    from agentdojo.agent_pipeline.tool_execution import tool_result_to_str
    from agentdojo.attacks.base_attacks import DEFAULT_MODEL_NAME, DEFAULT_USER_NAME
    from agentdojo.functions_runtime import FunctionCall, FunctionsRuntime
    from agentdojo.task_suite.load_suites import get_suites
    from agentdojo.task_suite.task_suite import read_suite_file
except ImportError as error:
    raise ConfigurationError(
        "the suite `agentdojo` needs the package of that name: pip install 'agentguard[evals]' "
        f"(missing: {error.name})"
    ) from None

from agentguard_evals.dojo_attacks import MISSING

__all__ = [
    "MARK",
    "VERSION",
    "FunctionCall",
    "FunctionsRuntime",
    "World",
    "digest_of",
    "injected",
    "shown",
    "worlds",
]

VERSION: Final = "v1.2.2"
_TEMPLATE: Final[str] = important.ImportantInstructionsAttack._JB_STRING
MARK: Final = "</INFORMATION>"
"""A part of the template that no result breaks, escapes or folds, and no environment holds by itself."""
if MARK not in _TEMPLATE:
    raise ConfigurationError(
        "this agentdojo injects another text than the suite knows; install agentdojo 0.1.35"
    )


@functools.cache
def worlds() -> tuple[World, ...]:
    """All four, read once."""
    return tuple([World(found) for found in get_suites(VERSION).values()])


class World:
    """One of AgentDojo's suites, with what many cases read of it."""

    def __init__(self, suite: Any) -> None:
        self.suite = suite
        self.name: str = suite.name
        self.tools = tuple([_definition(tool) for tool in suite.tools])
        self.text: str = read_suite_file(suite.name, "environment.yaml", suite.data_path)
        self.defaults: dict[str, str] = suite.get_injection_vector_defaults()

    def environment(self, vectors: tuple[str, ...] = (), text: str = "") -> Any:
        """A fresh environment with this text at these places."""
        return self._environment(vectors, text).model_copy(deep=True)

    @functools.lru_cache(maxsize=4)  # noqa: B019 (a world lives as long as its cases)
    def _environment(self, vectors: tuple[str, ...], text: str) -> Any:
        return self._loaded(dict.fromkeys(vectors, text))

    def _loaded(self, injections: dict[str, str]) -> Any:
        """As `load_and_inject_default_environment` makes it, with YAML's parser in C."""
        text = self.text.format(**{**self.defaults, **injections})
        return self.suite.environment_type.model_validate(yaml.load(text, yaml.CSafeLoader))

    @functools.cache  # noqa: B019
    def vectors(self, task_id: str) -> tuple[str, ...]:
        """The places of injections that the honest run of a user task shows."""
        task = self.suite.user_tasks[task_id]
        canaries = {name: f"CANARY-{number}-YRANAC" for number, name in enumerate(self.defaults)}
        env = task.init_environment(self._loaded(canaries))
        runtime, seen = FunctionsRuntime(self.suite.tools), ""
        for call in task.ground_truth(env.model_copy(deep=True)):
            result, _ = runtime.run_function(env, call.function, call.args)
            seen += shown(result) + "\n"
        return tuple([name for name, canary in canaries.items() if canary in seen])

    @functools.cache  # noqa: B019
    def ground_truth(self, task_id: str) -> bool:
        """Whether the package or this one has calls for an injection task."""
        if (self.name, task_id) in MISSING:
            return True
        task = self.suite.injection_tasks[task_id]
        return bool(task.ground_truth(self.environment()))

    def attack(self, task_id: str, env: Any, before: Any) -> list[FunctionCall]:
        """The calls of an injection task on the environment as it is now, and as it was."""
        task, copy = self.suite.injection_tasks[task_id], env.model_copy(deep=True)
        missing = MISSING.get((self.name, task_id))
        return list(missing(task, copy, before) if missing is not None else task.ground_truth(copy))


def injected(goal: str) -> str:
    """The text that is planted for an attack's goal."""
    return _TEMPLATE.format(goal=goal, user=DEFAULT_USER_NAME, model=DEFAULT_MODEL_NAME)


def shown(result: Any) -> str:
    """A result as the agent is shown it."""
    try:
        return str(tool_result_to_str(result))
    except (TypeError, yaml.YAMLError):
        return str(result)


def _definition(tool: Any) -> ToolDefinition:
    return ToolDefinition(
        name=tool.name, description=tool.description, parameters=tool.parameters.model_json_schema()
    )


def digest_of(worlds: Sequence[World]) -> str:
    """Over environments, prompts, goals and tools: what the cases are made of."""
    digest = hashlib.sha256(f"{VERSION}\n{_TEMPLATE}".encode())
    for world in worlds:
        tasks = {name: task.PROMPT for name, task in world.suite.user_tasks.items()}
        goals = {name: task.GOAL for name, task in world.suite.injection_tasks.items()}
        parts = [world.name, world.text, world.defaults, tasks, goals, [tool.plain() for tool in world.tools]]
        digest.update(json.dumps(parts, sort_keys=True, default=str).encode())
    return f"sha256:{digest.hexdigest()}"
