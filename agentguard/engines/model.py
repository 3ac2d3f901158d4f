"""What another decision point has to be: a name, what it is asked about, and one method."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Awaitable, Iterable, Sequence
from typing import TYPE_CHECKING, Final, Literal, Protocol

from agentguard.call import ContextRequest
from agentguard.errors import ConfigurationError
from agentguard.opinion import Opinion

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

__all__ = ["Engine", "Settings", "Silent", "check_engines", "concerns", "input_of", "release"]

Silent = Literal["deny", "not_applicable"]
"""What it means that no policy of another decision point says anything."""

_NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,63}")
_LONGEST_S: Final = 60.0


class Engine(Protocol):
    """Another decision point. Ours derive nothing from it: whatever has these is one.

    `name` is how decisions call it (`engine/NAME`). `tools` are exact names, prefixes (`payments.*`) or `*`,
    as in policies. `permits` says that its allow counts as a grant of permission; without it it can only make
    a decision stricter. `timeout_s` bounds one answer. `local` says that `decide` neither waits nor blocks,
    so that it is called where the decision is made.

    What fails, comes too late, or answers something else than an `Opinion` is a deny.
    """

    @property
    def name(self) -> str: ...

    @property
    def tools(self) -> Sequence[str]: ...

    @property
    def permits(self) -> bool: ...

    @property
    def timeout_s(self) -> float: ...

    @property
    def local(self) -> bool: ...

    def decide(self, request: ContextRequest) -> Opinion | Awaitable[Opinion]:
        """What it says of this request; a coroutine where it waits."""
        ...


class Settings:
    """What our engines have in common.

    Raises:
        ConfigurationError: a name, pattern or time that cannot be.
    """

    local = False

    def __init__(self, name: str, tools: Iterable[str], permits: bool, timeout_s: float) -> None:
        if not _NAME.fullmatch(name):
            raise ConfigurationError(
                f"engine {name!r:.80}: a name is lower-case letters, digits, `-` and `_`, at most 64"
            )
        if isinstance(tools, str):
            raise ConfigurationError(f"engine `{name}`: tools is one string, {tools!r:.80}; pass a list")
        if not 0 < timeout_s <= _LONGEST_S:
            raise ConfigurationError(f"engine `{name}`: timeout_s must be above 0 and at most {_LONGEST_S:g}")
        self.name = name
        self.tools: Sequence[str] = tuple(tools)
        if not self.tools:
            raise ConfigurationError(f"engine `{name}`: it concerns no tool; leave `tools` out for all")
        for pattern in self.tools:
            _check_pattern(name, pattern)
        self.permits = permits
        self.timeout_s = timeout_s

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"


def _check_pattern(name: str, pattern: object) -> None:
    text = pattern if isinstance(pattern, str) else ""
    head = text[:-2] if text.endswith(".*") else text
    if text != "*" and (not head or "*" in head):
        raise ConfigurationError(
            f"engine `{name}`: {pattern!r:.80} is neither a tool's name, nor a prefix such as `payments.*`, "
            "nor `*`"
        )


def check_engines(engines: Sequence[Engine]) -> None:
    """Refuse what are no engines, or two of one name, before anything is asked of them.

    Raises:
        ConfigurationError: with the engine's name.
    """
    for engine in engines:
        _check(engine)
    names = [engine.name for engine in engines]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigurationError(f"two engines are called `{twice[0]}`; give one another name")


def release(engines: Iterable[Engine]) -> None:
    """Let go of what they hold, where they have a method `close`."""
    for engine in engines:
        close = getattr(engine, "close", None)
        if callable(close):
            with contextlib.suppress(Exception):
                close()


def _check(engine: Engine) -> None:
    try:
        Settings(engine.name, engine.tools, engine.permits, engine.timeout_s)
        complete = isinstance(engine.local, bool) and isinstance(engine.permits, bool)
    except (AttributeError, TypeError) as error:
        raise ConfigurationError(f"{engine!r:.80} is not an engine: {error}") from None
    if not complete or not callable(getattr(engine, "decide", None)):
        raise ConfigurationError(
            f"engine `{engine.name}`: `local` and `permits` are true or false, and `decide` is a method"
        )


def concerns(engine: Engine, tool: str) -> bool:
    """Whether an engine is asked about a tool."""
    return any(
        pattern == "*" or pattern == tool or (pattern.endswith(".*") and tool.startswith(pattern[:-1]))
        for pattern in engine.tools
    )


def input_of(request: ContextRequest) -> Mapping[str, Any]:
    """The request as data for an engine, without what other engines said."""
    data = request.to_mapping()
    data["supplied"] = {key: value for key, value in data["supplied"].items() if key != "engines"}
    return data
