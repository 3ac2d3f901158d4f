"""`agentguard demo`: agents of two frameworks on tools that really act, and all five effects of the guard."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import typer

from agentguard.cli.terminal import complain, console, fail, print_json

if TYPE_CHECKING:
    from agentguard.demo.run import Models
    from agentguard.demo.screen import Screen
    from agentguard.demo.voting import Answering
    from agentguard.stepup.channels import Channel

__all__ = ["demo"]

_NEEDED: Final = {"langchain": "langchain", "langgraph": "langchain", "openai": "openai"}
_INTERRUPTED: Final = 130


def demo(
    approve: Literal["yes", "no", "none"] | None, json: bool, model: str | None, keep: Path | None
) -> int:
    """Run it; 0 when all five effects were shown and the ledger was verified.

    Raises:
        typer.Exit: with 1 when they were not, 2 when something is missing, 130 when it was interrupted.
    """
    missing = sorted({extra for name, extra in _NEEDED.items() if importlib.util.find_spec(name) is None})
    if missing:
        fail(f"the demo needs {' and '.join(missing)}; run `pip install 'agentguard[all]'`")
    from agentguard.demo.folder import demo_folder
    from agentguard.demo.run import Demo
    from agentguard.demo.screen import Screen

    models = _models(model)
    answering = approve or ("ask" if _somebody() else "none")
    note = "" if approve or answering == "ask" else "there is no terminal to ask at"
    screen = None if json else Screen()
    try:
        with demo_folder(keep) as folder:
            run = Demo(
                folder=folder,
                answering=answering,
                channel=_channel(answering, screen, str(folder.path)),
                models=models,
                screen=screen,
                kept=keep is not None,
                note=note,
            )
            summary = asyncio.run(run.run())
    except KeyboardInterrupt:
        if sys.stderr.isatty():
            sys.stderr.write("\n")
        complain("interrupted; a call that waited for an answer is withdrawn and does not run")
        raise typer.Exit(_INTERRUPTED) from None
    except Exception as error:
        if model is None or not type(error).__module__.startswith("openai"):
            raise
        fail(f"the live model `{model}` could not be asked: {error}")
    if screen is None:
        print_json(run.data)
    if not summary.ok:
        raise typer.Exit(1)
    return 0


def _models(name: str | None) -> Models:
    """Who plays each act: the recordings, or the live model where its library is there."""
    from agentguard.demo.run import Models

    if name is None:
        return Models()
    if not os.environ.get("OPENAI_API_KEY"):
        fail(
            "a live model needs OPENAI_API_KEY, and OPENAI_BASE_URL for an endpoint other than OpenAI's; "
            "without `--model` the demo plays recorded conversations"
        )
    if importlib.util.find_spec("langchain_openai") is None:
        note = f"act 1 recorded (`pip install langchain-openai` makes it live), act 2 live: {name}"
        return Models(openai=name, note=note)
    return Models(langchain=name, openai=name)


def _somebody() -> bool:
    """Whether a person sits at this terminal and sees what is asked."""
    return sys.stdin.isatty() and (sys.stdout.isatty() or sys.stderr.isatty())


def _channel(answering: Answering, screen: Screen | None, folder: str) -> Channel | None:
    from agentguard.cli.prompt import TerminalChannel
    from agentguard.demo.voting import Announced, FixedAnswer

    match answering:
        case "yes":
            return FixedAnswer("approve")
        case "no":
            return FixedAnswer("deny")
        case "none":
            return None
        case "ask":
            if screen is None:
                return TerminalChannel(console(stderr=True))
            asking = screen.asking
            return Announced(TerminalChannel(), lambda: asking(folder))
