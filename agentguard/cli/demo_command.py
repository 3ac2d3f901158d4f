"""`agentguard demo`: the options of the demonstration, which is loaded only when it runs."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Annotated, Literal

import typer

from agentguard.cli.terminal import fail
from agentguard.cli.workspace import JsonOption

__all__ = ["demo"]


def demo(
    approve: Annotated[
        Literal["yes", "no", "none"] | None,
        typer.Option("--approve", help="Answer the approval instead of asking: yes, no, or none (nobody)."),
    ] = None,
    as_json: JsonOption = False,
    model: Annotated[
        str | None,
        typer.Option(
            "--model", metavar="NAME", help="A live model, with OPENAI_API_KEY (and OPENAI_BASE_URL)."
        ),
    ] = None,
    keep: Annotated[
        Path | None, typer.Option("--keep", metavar="DIR", help="Keep the demo's files in this folder.")
    ] = None,
) -> None:
    """Run an agent on real tools and see all five effects.

    \b
    Examples:
      agentguard demo
      agentguard demo --approve yes --keep demo-files
      agentguard demo --json | python -m json.tool
    """
    try:
        demonstration = importlib.import_module("agentguard.cli.demo")
    except ImportError as error:
        fail(f"the demo needs its frameworks ({error}); run `pip install 'agentguard[all]'`")
    demonstration.demo(approve, as_json, model, keep)
