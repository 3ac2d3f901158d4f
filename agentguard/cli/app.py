"""The command `agentguard`: its commands, and what an error looks like."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup

from agentguard.cli import (
    agents,
    approvals,
    baselines,
    bundle,
    channels,
    check,
    demo_command,
    eval_run,
    exceptions,
    explain,
    flags,
    grants,
    init,
    ledger,
    proving,
    replay,
    report,
    reviewers,
    schema,
    store,
    test,
    tools,
)
from agentguard.cli.terminal import complain, fail
from agentguard.errors import AgentGuardError, VoteRefused

__all__ = ["app", "run"]

TRACEBACK: Final = "AGENTGUARD_TRACEBACK"


class _Commands(TyperGroup):
    """Turns errors into a few lines that say what to do: no traceback, exit 1 for refusals, else 2."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except VoteRefused as error:
            fail(f"the vote was refused: {error}", 1)
        except AgentGuardError as error:
            fail(str(error))
        except BrokenPipeError:
            raise
        except OSError as error:
            fail(f"{error.filename or 'a file'}: {error.strerror or type(error).__name__}")
        except RecursionError:
            fail("the input is nested too deeply")


app = typer.Typer(
    cls=_Commands,
    name="agentguard",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(value: bool) -> None:
    if value:
        from importlib.metadata import PackageNotFoundError, version

        try:
            found = version("agentguard")
        except PackageNotFoundError:
            found = "(not installed)"
        typer.echo(f"agentguard {found}")
        raise typer.Exit


@app.callback()
def root(
    ctx: typer.Context,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            metavar="FILE",
            help="The configuration; default: AGENTGUARD_CONFIG, then agentguard.yaml in this folder.",
        ),
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """The guard between AI agents and their tools.

    \b
    Start:   agentguard demo              see it work
             agentguard init              write a starter configuration
             agentguard check             is it right?
             agentguard test              does it decide as it should?
             agentguard replay CANDIDATE  what would it have changed?
             agentguard prove             what can no call ever do?
    Answer:  agentguard approvals list    what waits for a person
             agentguard approvals approve ID
             agentguard channels list     where people are told, and answer
    Govern:  agentguard exceptions list   deviations, in force and asked for
             agentguard agents suspend ID no call of it runs any more
             agentguard baselines learn ID --from DATE  what is normal for it
             agentguard report            what deviated, who was asked, what is overdue
    Audit:   agentguard ledger verify

    Exit codes: 0 clean, 1 findings or refused, 2 usage or configuration; of `prove` also 3, unknown.
    """
    ctx.obj = config


app.command()(init.init)
app.command()(check.check)
app.command("test")(test.run_cases)
app.command()(explain.explain)
app.command()(replay.replay)
app.command()(report.report)
app.command()(schema.schema)
app.command()(demo_command.demo)
app.add_typer(approvals.app, name="approvals")
app.add_typer(exceptions.app, name="exceptions")
app.add_typer(grants.app, name="grants")
app.add_typer(agents.app, name="agents")
app.add_typer(baselines.app, name="baselines")
app.add_typer(reviewers.app, name="reviewers")
app.add_typer(flags.app, name="flags")
app.add_typer(channels.app, name="channels")
app.add_typer(bundle.app, name="bundle")
app.add_typer(proving.app, name="prove")
app.add_typer(ledger.app, name="ledger")
app.add_typer(store.app, name="store")
app.add_typer(tools.app, name="tools")
app.add_typer(eval_run.app, name="eval")


def run() -> None:
    """The entry point; what nobody foresaw ends in two lines; `AGENTGUARD_TRACEBACK` shows it all."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
    except Exception as error:
        if os.environ.get(TRACEBACK):
            raise
        complain(f"this should not happen: {type(error).__name__}: {error}\nset {TRACEBACK}=1 to see where")
        sys.exit(2)
