"""The exceptions of the expression language.

``CelException``
├── ``CelError``           an evaluation failed; CEL's error value, absorbed by ``&&``, ``||`` and macros
│   └── ``LimitExceeded``  a bound on cost or size was hit; ends the whole evaluation, never absorbed
├── ``CelSyntaxError``     the source cannot be compiled
└── ``Unsupported``        the construct belongs to CEL, and this implementation leaves it out
"""

from __future__ import annotations


class CelException(Exception):
    """Root of everything that compiling and evaluating raise."""


class CelError(CelException):
    """An evaluation failed; ``position`` is the code point offset in the source where known."""

    def __init__(self, message: str, position: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.position = position


class LimitExceeded(CelError):
    """A bound on cost or size was hit, so the evaluation ended as a whole."""


class CelSyntaxError(CelException):
    """The source cannot be compiled; ``line`` and ``column`` are 1-based, ``position`` is 0-based.

    ``candidates`` is the closest known name where the cause is an unknown one, else ``None``.
    """

    def __init__(
        self, message: str, source: str = "", position: int = 0, candidates: str | None = None
    ) -> None:
        self.position = min(max(position, 0), len(source))
        self.line = source.count("\n", 0, self.position) + 1
        self.column = self.position - (source.rfind("\n", 0, self.position) + 1) + 1
        self.message = message
        self.candidates = candidates
        super().__init__(f"{message} (line {self.line}, column {self.column})")


class Unsupported(CelException):
    """The construct is CEL, and left out here; ``docs/cel.md`` lists what and why."""

    def __init__(self, message: str, position: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.position = position
