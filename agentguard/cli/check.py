"""`agentguard check`: policies, configuration, tool facts and directory, before anything depends on them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from agentguard.cli.terminal import fail, width
from agentguard.cli.workspace import ConfigOption
from agentguard.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agentguard.config import Config, ToolEntry
    from agentguard.policy import Finding, ToolArguments

__all__ = ["check"]

Format = Literal["text", "json", "github", "sarif"]


def check(
    ctx: typer.Context,
    paths: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[PATHS]...", help="Policy files and folders; default: the configuration's."),
    ] = None,
    config: ConfigOption = None,
    tools: Annotated[
        Path | None,
        typer.Option("--tools", metavar="FILE", help="Tool facts: which tools and arguments there are."),
    ] = None,
    output: Annotated[Format, typer.Option("--format", help="How findings are printed.")] = "text",
    code: Annotated[
        str | None, typer.Option("--explain", metavar="CODE", help="Say what a finding's code means.")
    ] = None,
) -> None:
    """Check policies, and the configuration with all that it names.

    Everything wrong in every file is reported in one run, with file, line and column; in tests and
    proofs beside the policies too. Tool names that no tool-facts file knows, arguments that are not in a
    tool's schema, files without a rule and rules that can never matter are findings too.

    \b
    Examples:
      agentguard check
      agentguard check policies/ --tools tools.yaml
      agentguard check --format github
      agentguard check --explain AG210

    Exit codes: 0 nothing found, 1 findings, 2 usage.
    """
    if code is not None:
        _explain(code)
        return
    import datetime as dt

    from agentguard.access import check_access, near
    from agentguard.cli.beside import named_in, proof_findings, test_findings
    from agentguard.config import CONFIG_NAME, find_config, read_config
    from agentguard.policy import check_files, read_files

    findings: list[Finding] = []
    read: Config | None = None
    extra: list[str] = []
    file = find_config(explicit=config or (ctx.obj if isinstance(ctx.obj, Path) else None))
    if file is not None and (not paths or config is not None):
        if not file.exists():
            fail(f"the configuration `{file}` does not exist; `agentguard init` writes one")
        read, found = read_config(file)
        findings += found
        extra.append(str(file))
        if read is None and not paths:
            _report(findings, extra, 0, output, loaded=False)
    if read is None and not paths:
        fail(
            f"name a policy file or folder, or run this beside `{CONFIG_NAME}` (`agentguard init` writes one)"
        )
    entries, found = _tools(read, tools, extra)
    findings += found
    findings += _directory(read, extra)
    named = named_in(
        [str(path) for path in paths or ()] or [near(path) for path in (read and read.policies) or ()]
    )
    files = read_files(named.policies)
    findings += check_access(dict.fromkeys([*named.policies, *files.names]))
    known = _arguments(entries) if entries is not None else None
    schemas = {name: one.schema for name, one in (entries or {}).items() if one.schema is not None}
    default = (read or _nothing()).default.effect
    checked = check_files(
        files,
        tools=known,
        schemas=schemas,
        now=dt.datetime.now(dt.UTC),
        default=default,
        others_permit=any(engine.permits for engine in (read or _nothing()).engines),
    )
    findings += checked.findings
    found, tested = test_findings(named.tests, files)
    more, proved = proof_findings(named.proofs, files)
    misnamed = {one.file for one in checked.findings if one.code == "AG013"}
    findings += check_access([*tested, *proved])
    findings += [one for one in (*found, *more) if one.file not in misnamed]
    _report(findings, [*extra, *files.names, *tested, *proved], checked.rules, output)


def _nothing() -> Config:
    from agentguard.config import Config
    from agentguard.policy import Default

    return Config(policies=(), default=Default())


def _tools(
    config: Config | None, named: Path | None, extra: list[str]
) -> tuple[Mapping[str, ToolEntry] | None, list[Finding]]:
    """The tools that are known; None where no tool-facts file is named, so that no name is unknown."""
    from agentguard.access import near
    from agentguard.config import read_tool_facts

    path = str(named) if named is not None else near(config.tools) if config and config.tools else None
    if path is None:
        return None, []
    extra.append(path)
    return read_tool_facts(path)


def _directory(config: Config | None, extra: list[str]) -> list[Finding]:
    """What is wrong with the directory of reviewers."""
    import dataclasses

    from agentguard.access import check_access, near
    from agentguard.policy import Finding
    from agentguard.stepup.directory import check_document, read_document

    if config is None or config.directory is None:
        return []
    path = near(config.directory)
    extra.append(path)
    findings = check_access([path])
    try:
        document, found = read_document(Path(path))
        findings += [dataclasses.replace(one, code="AG303") for one in found]
        if document is not None:
            check_document(document, path)
    except ConfigurationError as error:
        message = str(error).removeprefix(f"`{path}` ").removeprefix(f"{path}: ")
        findings.append(Finding(code="AG303", file=path, message=message))
    return findings


def _arguments(entries: Mapping[str, ToolEntry]) -> ToolArguments:
    return {name: entry.arguments for name, entry in entries.items()}


def _report(
    findings: Sequence[Finding], files: Sequence[str], rules: int, output: Format, loaded: bool | None = None
) -> None:
    """Print, and end with 1 where anything was found."""
    from agentguard import policy

    counts = {"files": len(dict.fromkeys(files)), "rules": rules}
    match output:
        case "text":
            columns = width() if sys.stdout.isatty() else None
            text = policy.render_text(findings, loaded=loaded, width=columns, **counts)
        case "json":
            # Escaped once more: what is printed must not hold characters that a terminal obeys.
            data = json.loads(policy.render_json(findings, loaded=loaded, **counts))
            text = json.dumps(data, indent=2) + "\n"
        case "github":
            text = policy.render_github(_nearby(findings))
        case "sarif":
            known = _explanations()
            made = policy.render_sarif(_nearby(findings), version=_installed(), explanations=known)
            text = json.dumps(json.loads(made), indent=2) + "\n"
    sys.stdout.write(text)
    raise typer.Exit(1 if findings else 0)


def _nearby(findings: Sequence[Finding]) -> list[Finding]:
    """With files as seen from here: that is how a repository knows them."""
    import dataclasses

    from agentguard.access import near

    return [dataclasses.replace(one, file=near(Path(one.file))) if one.file else one for one in findings]


def _installed() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("agentguard")
    except PackageNotFoundError:
        return ""


def _explanations() -> dict[str, str]:
    from agentguard.config import EXPLANATIONS as CONFIGURATION
    from agentguard.policy import EXPLANATIONS
    from agentguard.policy.testing import EXPLANATIONS as TESTS

    return {**EXPLANATIONS, **CONFIGURATION, **TESTS}


def _explain(code: str) -> None:
    import textwrap

    from agentguard.policy.findings import suggestion

    known = _explanations()
    found = known.get(code.strip().upper())
    if found is None:
        hint = suggestion(code.upper(), known) or f"codes are {min(known)} to {max(known)}"
        fail(f"there is no finding `{code}`; {hint}")
    typer.echo(
        f"{code.strip().upper()}\n{textwrap.fill(found, 88, initial_indent='  ', subsequent_indent='  ')}"
    )
