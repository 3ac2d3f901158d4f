"""The compiled code beside the interpreter: what each says of one expression, and whether that agrees."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agentguard import cel
from agentguard.cel.values import UNDECIDED
from tests.cel.suite import quick, shown


def exact(program: cel.Program, bindings: Mapping[str, Any]) -> tuple[str, Any, Any]:
    """What the interpreter says: a value, or an error with its text and place."""
    try:
        return "value", shown(program.interpret(bindings)), None
    except cel.CelError as error:
        return type(error).__name__, error.message, error.position


def evaluated(program: cel.Program, bindings: Mapping[str, Any]) -> tuple[str, Any, Any]:
    """What ``evaluate`` says, in the same form."""
    try:
        return "value", shown(program.evaluate(bindings)), None
    except cel.CelError as error:
        return type(error).__name__, error.message, error.position


def check(source: str, environment: cel.Environment, bindings: Mapping[str, Any]) -> bool:
    """Whether compiled code answered; ``AssertionError`` where it answered otherwise than the interpreter."""
    try:
        program = cel.compile(source, environment=environment)
    except cel.CelException:
        return False
    wanted = exact(program, bindings)
    for _ in range(3):
        # The first evaluations may be the interpreter's alone.
        assert evaluated(program, bindings) == wanted
    answer = quick(program, bindings)
    if answer is UNDECIDED:
        return False
    assert ("value", shown(answer), None) == wanted
    return True
