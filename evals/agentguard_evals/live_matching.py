"""Which calls of a live model an entry of a case speaks of, and what the tools of a case answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from agentguard_evals.prompt_files import ATTACK, AnswerDocument, PatternDocument
from agentguard_evals.stage import ToolError

__all__ = ["UNANSWERED", "Answers", "first_fitting", "fits", "holds_attack", "speaks_of"]

UNANSWERED: Final = "there is nothing for these arguments"
"""What a tool answers where none of its answers fits the call."""

P = TypeVar("P", bound=PatternDocument)


def fits(wanted: object, found: object) -> bool:
    """Whether a value is as wanted; a mapping may hold more. 5 is 5.0, and true is not 1."""
    if isinstance(wanted, Mapping):
        return isinstance(found, Mapping) and all(
            key in found and fits(value, found[key]) for key, value in wanted.items()
        )
    if isinstance(wanted, list | tuple):
        if not isinstance(found, list | tuple) or len(wanted) != len(found):
            return False
        return all(fits(one, other) for one, other in zip(wanted, found, strict=True))
    if isinstance(wanted, bool) or isinstance(found, bool):
        return wanted is found
    return wanted == found


def speaks_of(pattern: PatternDocument, tool: str, arguments: Mapping[str, Any]) -> bool:
    """Whether a pattern fits a call."""
    return pattern.call == tool and fits(pattern.args, arguments)


def first_fitting(patterns: Sequence[P], tool: str, arguments: Mapping[str, Any]) -> P | None:
    """The first pattern that fits a call."""
    return next((one for one in patterns if speaks_of(one, tool, arguments)), None)


def holds_attack(value: object) -> bool:
    """Whether the place of the attacker's words is anywhere in a value."""
    if isinstance(value, str):
        return ATTACK in value
    if isinstance(value, Mapping):
        return any(holds_attack(item) for item in value.values())
    return isinstance(value, list | tuple) and any(holds_attack(item) for item in value)


@dataclass(slots=True)
class Answers:
    """The tools of a case. `missed` counts calls that none of a tool's answers fits."""

    given: Mapping[str, Sequence[AnswerDocument]]
    missed: int = 0

    def answer(self, tool: str, arguments: Mapping[str, Any]) -> Any:
        """What the tool answers; a tool without any answer has nothing to say, and does not fail.

        Raises:
            ToolError: the answer is an error, or none fits the arguments.
        """
        if tool not in self.given:
            return ""
        found = next((one for one in self.given[tool] if fits(one.args, arguments)), None)
        if found is None:
            self.missed += 1
            raise ToolError(UNANSWERED)
        if found.error is not None:
            raise ToolError(_planted(found.error, found.attack))
        return _planted(found.result, found.attack)


def _planted(value: Any, attack: str | None) -> Any:
    """The answer with the attacker's words: where `${attack}` stands, or at the end of a text."""
    if attack is None:
        return value
    if isinstance(value, str) and ATTACK not in value:
        return f"{value}\n\n{attack}" if value else attack
    return _filled(value, attack)


def _filled(value: Any, attack: str) -> Any:
    if isinstance(value, str):
        return value.replace(ATTACK, attack)
    if isinstance(value, Mapping):
        return {key: _filled(item, attack) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_filled(item, attack) for item in value]
    return value
