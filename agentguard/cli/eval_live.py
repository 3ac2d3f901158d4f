"""The options of `agentguard eval run` for cases that a live model plays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Final

import typer

from agentguard.cli.safe_text import visible
from agentguard.cli.terminal import fail

if TYPE_CHECKING:
    from agentguard_evals.asking import Live
    from agentguard_evals.case import Suite
    from agentguard_evals.results import ModelUse

__all__ = [
    "BaseUrlOption",
    "KeyOption",
    "ModelOption",
    "RepeatOption",
    "TemperatureOption",
    "TimeoutOption",
    "TurnsOption",
    "model_words",
    "opened",
    "played_by",
    "told",
]

DEFAULT_TURNS: Final = 10
DEFAULT_TIMEOUT_S: Final = 300.0

ModelOption = Annotated[
    str | None, typer.Option("--model", metavar="NAME", help="The live model of cases with `answers`.")
]
BaseUrlOption = Annotated[
    str | None,
    typer.Option("--base-url", metavar="URL", help="Its OpenAI-compatible endpoint; or OPENAI_BASE_URL."),
]
KeyOption = Annotated[
    str | None,
    typer.Option(
        "--api-key-env", metavar="NAME", help="The variable that holds its key; default: OPENAI_API_KEY."
    ),
]
TemperatureOption = Annotated[
    float | None, typer.Option("--temperature", metavar="T", min=0, max=2, help="Its temperature.")
]
TurnsOption = Annotated[
    int | None,
    typer.Option("--max-turns", metavar="N", min=1, max=100, help="Turns of one case; default: 10."),
]
TimeoutOption = Annotated[
    float | None, typer.Option("--timeout", metavar="S", min=1, help="Seconds of one case; default: 300.")
]
RepeatOption = Annotated[
    int | None,
    typer.Option("--repeat", metavar="N", min=1, max=1000, help="Play each of its cases N times, apart."),
]


@contextmanager
def opened(
    model: str | None,
    *,
    base_url: str | None,
    key_variable: str | None,
    temperature: float | None,
    max_turns: int | None,
    timeout: float | None,
    repeat: int | None,
) -> Iterator[Live | None]:
    """The model of the options, closed at the end; None where none is named, and then no other option is."""
    others = {
        "--base-url": base_url,
        "--api-key-env": key_variable,
        "--temperature": temperature,
        "--max-turns": max_turns,
        "--timeout": timeout,
        "--repeat": repeat,
    }
    if model is None:
        said = next((name for name, value in others.items() if value is not None), None)
        if said is not None:
            fail(f"`{said}` is about a live model, and none is named; add `--model NAME`")
        yield None
        return
    from agentguard_evals.asking import Asker, Live
    from agentguard_evals.endpoint import DEFAULT_KEY, Endpoint

    endpoint = Endpoint(
        model, base_url=base_url, key_variable=key_variable or DEFAULT_KEY, temperature=temperature
    )
    asker = Asker(endpoint)
    try:
        yield Live(asker=asker, max_turns=max_turns or DEFAULT_TURNS, timeout_s=timeout or DEFAULT_TIMEOUT_S)
    finally:
        asker.close()


def played_by(suites: Sequence[Suite], live: Live | None, repeat: int | None) -> list[Suite]:
    """The suites with the cases of a live model as often as was asked for.

    Ends the command where there are such cases and no model, or a model and no such case.
    """
    from agentguard_evals.live import LivePrompt, repeated

    waiting = [case for suite in suites for case in suite.cases if isinstance(case, LivePrompt)]
    if waiting and live is None:
        more = f" and {len(waiting) - 1:,} more" if len(waiting) > 1 else ""
        fail(
            f"a live model plays the case `{waiting[0].id}`{more}, and none is named; add `--model NAME` "
            "(and `--base-url URL`), or name the other cases with `--case ID`"
        )
    if live is not None and not waiting:
        fail("no case here is played by a live model, so `--model` says nothing; cases with `answers` are")
    return [repeated(suite, repeat or 1) for suite in suites]


def model_words(model: ModelUse | None) -> list[str]:
    """The options that name this model again."""
    if model is None:
        return []
    words = ["--model", model.name]
    words += ["--base-url", model.url] if model.url is not None else []
    if model.key_variable not in (None, "OPENAI_API_KEY"):
        words += ["--api-key-env", str(model.key_variable)]
    words += ["--temperature", f"{model.temperature:g}"] if model.temperature is not None else []
    words += ["--max-turns", str(model.max_turns)] if model.max_turns != DEFAULT_TURNS else []
    words += ["--timeout", f"{model.timeout_s:g}"] if model.timeout_s != DEFAULT_TIMEOUT_S else []
    return words


def told(model: ModelUse) -> str:
    """Which model played, how often it was asked, and what it counted."""
    parts = [f"live model {visible(model.name)}"]
    parts += [f"at {visible(model.url)}"] if model.url is not None else []
    if model.temperature is not None:
        parts.append(f"at temperature {model.temperature:g}")
    runs = f"each case {model.repeat:,} times; " if model.repeat > 1 else ""
    tokens = "tokens not counted"
    if model.prompt_tokens is not None or model.completion_tokens is not None:
        tokens = f"{model.prompt_tokens or 0:,} tokens in, {model.completion_tokens or 0:,} out"
    turns = "1 turn" if model.turns == 1 else f"{model.turns:,} turns"
    return f"{' '.join(parts)}; {runs}{turns}, {tokens}"
