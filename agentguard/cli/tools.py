"""`agentguard tools`: what tools do, by their definitions, for a person to correct and to pin."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agentguard.cli.safe_text import visible
from agentguard.cli.terminal import complain, fail, print_json, say
from agentguard.cli.workspace import JsonOption

if TYPE_CHECKING:
    from agentguard.provenance.definitions import Definition

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Say what tools do, by their definitions, and pin them.")

Files = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="[FILE]...", help="Definitions: JSON or JSON lines, also `.gz`; MCP, OpenAI, Anthropic."
    ),
]
McpOption = Annotated[
    list[Path] | None,
    typer.Option("--mcp", metavar="FILE", help="The result of an MCP server's `tools/list`."),
]
ModuleOption = Annotated[
    list[str] | None,
    typer.Option(
        "--module", metavar="PKG", help="A Python module with a guard or with tools; it is imported."
    ),
]


@app.command()
def classify(
    files: Files = None,
    mcp: McpOption = None,
    module: ModuleOption = None,
    trust_hints: Annotated[
        bool,
        typer.Option("--trust-hints", help="The servers are trusted: their hints may make a tool harmless."),
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="FILE", help="Write tool facts there; what the file says already is kept."
        ),
    ] = None,
    repin: Annotated[
        bool, typer.Option("--repin", help="With `--out`: the changed definitions were looked at; pin them.")
    ] = False,
    measure: Annotated[
        Path | None,
        typer.Option(
            "--measure", metavar="FILE", help="Compare with the hints that the tools of FILE declare."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Infer what tools do from name, description, schema and MCP hints, and show why, for review.

    Inference is a first reading: whoever offers a tool wrote its definition. What cannot be told counts as
    the more dangerous. Hints make a tool more dangerous, never less, unless `--trust-hints` is given.

    \b
    Examples:
      agentguard tools classify tools.json
      agentguard tools classify --mcp listed.json --out tools.yaml
      agentguard tools classify --module my_agent.tools --json

    Exit codes: 0, 1 when a definition could not be read, 2 usage and unreadable files.
    """
    if measure is not None:
        from agentguard.cli.tool_measure import show_measured

        show_measured(measure, as_json=as_json)
        return
    from agentguard.cli.tool_file import write_facts
    from agentguard.cli.tool_text import show_table, table_json
    from agentguard.provenance.facts import inference

    definitions, broken = _read(files, mcp, module)
    found = [(one, inference(one.plain(), trusted=trust_hints)) for one in definitions]
    looks = _alike([one.name for one in definitions])
    if as_json:
        print_json({"tools": [table_json(*one) for one in found], "alike": looks, "broken": broken})
    else:
        show_table(found)
        for text in (*looks, *broken):
            complain(text)
    if out is not None:
        for line in write_facts(out, found, repin=repin):
            complain(line) if as_json else say(line)
    elif repin:
        fail("`--repin` is about a file: add `--out FILE`")
    raise typer.Exit(1 if broken else 0)


@app.command()
def check(
    files: Files = None,
    against: Annotated[
        Path, typer.Option("--against", metavar="FILE", help="The tool facts with the pinned definitions.")
    ] = Path("tools.yaml"),
    mcp: McpOption = None,
    module: ModuleOption = None,
    as_json: JsonOption = False,
) -> None:
    """Notice tools whose definitions changed since they were pinned, new ones, and names that look alike.

    \b
    Examples:
      agentguard tools check listed.json
      agentguard tools check --mcp listed.json --against tools.yaml --json

    Exit codes: 0 nothing found, 1 findings, 2 usage and unreadable files.
    """
    from agentguard.cli.tool_file import compared

    definitions, broken = _read(files, mcp, module)
    found = [
        *compared(against, definitions),
        *({"kind": "alike", "text": text} for text in _alike([one.name for one in definitions])),
        *({"kind": "broken", "text": text} for text in broken),
    ]
    if as_json:
        print_json(found)
    else:
        for one in found:
            say(f"{one['kind']:<9} {visible(one['text'])}", "" if one["kind"] == "new" else "yellow")
        say(f"{len(definitions)} tools, {len(found)} findings")
    raise typer.Exit(1 if found else 0)


def _read(
    files: list[Path] | None, mcp: list[Path] | None, modules: list[str] | None
) -> tuple[list[Definition], list[str]]:
    """The definitions that are named, each name once, and what could not be read."""
    from agentguard.cli.tool_reading import of_file, of_module
    from agentguard.provenance.definitions import Definition

    if not (files or mcp or modules):
        fail("name a file with definitions of tools, `--mcp FILE` or `--module PKG`")
    found: dict[str, Definition] = {}
    broken: list[str] = []
    sources = [of_file(path) for path in (*(files or ()), *(mcp or ()))] + [
        of_module(one) for one in modules or ()
    ]
    for source in sources:
        for one in source:
            if not isinstance(one, Definition):
                broken.append(str(one))
            elif one.name in found and found[one.name].digest != one.digest:
                broken.append(f"two tools are called `{visible(one.name)}`; the first one is shown")
            else:
                found.setdefault(one.name, one)
    return list(found.values()), broken


def _alike(names: list[str]) -> list[str]:
    """Names that a person would take for each other, and names that no policy can name (T22, T28)."""
    from agentguard.errors import ConfigurationError
    from agentguard.looks import skeleton
    from agentguard.tools import tool_name

    found: list[str] = []
    looks: dict[str, list[str]] = {}
    for name in names:
        looks.setdefault(skeleton(name).replace("-", ""), []).append(name)
        try:
            tool_name(name)
        except ConfigurationError as error:
            found.append(str(error))
    for alike in looks.values():
        if len(alike) > 1:
            named = ", ".join(f"`{visible(one)}`" for one in alike)
            found.append(f"these names look alike and are different tools: {named}")
    return found
