"""Compiling the expressions of policies, and turning what the compiler says into findings."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from agentguard import cel
from agentguard.policy.findings import closest
from agentguard.policy.functions import CONSTANTS, ENVIRONMENT, VARIABLES

__all__ = ["Expressions", "Fault"]

_QUOTED: Final = re.compile(r"`([^`]+)`")
_MEANT: Final = re.compile(r": (?:did you mean .*|see the list|declare it, or use a known name)$")
_CALLS: Final = re.compile(r"unknown function|wrong arguments|`\w+` (?:needs|is a member|is no member)")
_BOUNDS: Final = re.compile(r"too (?:long|large|deep)")


@dataclass(frozen=True, slots=True)
class Fault:
    """Why an expression cannot be used; `offset` is a position in its text."""

    code: str
    message: str
    offset: int = 0
    hint: str = ""


class Expressions:
    """A compiler that compiles the same text once."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[str, cel.Program | Fault] = {}

    def compile(self, text: str) -> cel.Program | Fault:
        """The program of an expression, or why there is none."""
        found = self._known.get(text)
        if found is None:
            found = self._known[text] = _compile(text)
        return found


def _compile(text: str) -> cel.Program | Fault:
    try:
        program = cel.compile(text, environment=ENVIRONMENT)
    except cel.CelSyntaxError as error:
        return _fault(text, error)
    except cel.Unsupported as error:
        return Fault("AG203", error.message, error.position or 0)
    except RecursionError:
        return Fault("AG203", "the expression is nested too deeply")
    return _constants(text, program) or program


def _fault(text: str, error: cel.CelSyntaxError) -> Fault:
    message = error.message
    quoted = _QUOTED.search(message)
    name = quoted[1] if quoted else ""
    if message.startswith("unknown name"):
        near = error.candidates or closest(name, VARIABLES)
        hint = (
            f"did you mean `{near}`?" if near else f"known: {', '.join(f'`{known}`' for known in VARIABLES)}"
        )
        return Fault("AG202", f"unknown name `{name}`", error.position, hint)
    if _CALLS.search(message):
        hint = f"did you mean `{error.candidates}`?" if error.candidates else ""
        found = re.compile(rf"\b{re.escape(name)}\s*\(").search(text, error.position) if name else None
        offset = found.start() if found else error.position
        return Fault("AG204", _MEANT.sub("", message), offset, hint if "did you mean" in message else "")
    return Fault("AG203" if _BOUNDS.search(message) else "AG201", message, error.position)


def _constants(text: str, program: cel.Program) -> Fault | None:
    """A constant argument that its function can never read."""
    if CONSTANTS.keys().isdisjoint(program.functions):
        return None
    for function, arguments in sorted(program.calls, key=repr):
        known = CONSTANTS.get(function)
        if known is None:
            continue
        position, parse = known
        constant = arguments[position] if position < len(arguments) else None
        if constant is None:
            continue
        try:
            parse(constant)
        except ValueError as error:
            called = re.compile(rf"\b{function}\s*\(").search(text)
            offset = text.find(constant, called.end() if called else 0)
            return Fault("AG205", f"{function}: {error}", max(offset, 0))
    return None
