"""`agentguard init`: a configuration to start from, which passes `agentguard check`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from agentguard.cli.safe_text import visible
from agentguard.cli.terminal import fail, say

__all__ = ["init"]


def init(
    folder: Annotated[Path, typer.Argument(metavar="[DIR]", help="Where to write.")] = Path("."),
    observe: Annotated[
        bool,
        typer.Option(
            "--observe", help="First rollout: what no rule permits runs, and is recorded as a flag."
        ),
    ] = False,
    owner: Annotated[
        str | None,
        typer.Option("--owner", metavar="NAME", help="Who answers for it; default: your login name."),
    ] = None,
    until: Annotated[
        str | None,
        typer.Option("--until", metavar="DATE", help="Last day of observing; default: in two weeks."),
    ] = None,
    pack: Annotated[
        list[str] | None,
        typer.Option(
            "--pack", metavar="NAMES", help="Packs of policies to begin with, such as `hijack,spend`."
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over files that are there.")] = False,
) -> None:
    """Write a commented starter configuration: agentguard.yaml, policies/, tools.yaml, directory.yaml.

    Beside the policy lie its tests, and JSON Schemas by which editors check what you write. With `--pack` the
    policies are copies of packs, for you to change. Nothing is written over unless `--force` says so.

    \b
    Examples:
      agentguard init
      agentguard init my-agent --observe --owner ana --until 2027-01-31
      agentguard init --pack least-privilege,destructive --owner ana
    """
    from agentguard.cli import templates

    if (until and not observe) or (owner and not (observe or pack)):
        fail("`--owner` and `--until` say who observes until when: add `--observe`")
    copied = _packs(pack, owner) if pack else None
    default = templates.DENY
    if observe:
        default = templates.flag(owner or _login(), _until(until))
    files = templates.files(default, copied)
    there = [name for name in files if (folder / name).exists() or (folder / name).is_symlink()]
    if there and not force:
        names = ", ".join(f"`{folder / name}`" for name in there)
        fail(f"{names}: already there, so nothing was written; `--force` replaces")
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
        if path.is_symlink():
            fail(f"`{path}` is a link; it is not written through")
        path.write_text(text, encoding="utf-8", newline="\n")
        path.chmod(path.stat().st_mode & ~0o022)
    if observe:
        say(
            "Observing: until the date in agentguard.yaml, what no rule permits runs and is recorded.",
            "yellow",
        )
    say(f"Wrote {', '.join(visible(str(folder / name)) for name in files)}", "green")
    say("Next:")
    where = "" if str(folder) == "." else f"cd {visible(str(folder))} && "
    say(f"  {where}agentguard check        # should find nothing")
    say(f"  {where}agentguard test         # what the policy decides, case by case")
    if copied is not None:
        say(f"  {where}agentguard tools classify FILE   # what your tools do, for you to correct")
        rules = [text for name, text in copied.items() if not name.endswith(("_test.yaml", ".md"))]
        if not any("effect: allow" in text for text in rules):
            say("Nothing permits anything yet: write rules that allow, or add the pack `permit`.", "yellow")
        return
    say("  then guard a tool, for example in guarded.py:\n")
    typer.echo("".join(f"      {line}\n" if line else "\n" for line in templates.EXAMPLE.splitlines()))


def _packs(named: list[str], owner: str | None) -> dict[str, str]:
    """The files of packs by the paths where they are written, with the owner's name in them."""
    from agentguard_policies import PackError, open_pack
    from agentguard_policies.pack import OWNER

    answers = json.dumps(owner or _login(), ensure_ascii=False)
    found: dict[str, str] = {}
    for name in dict.fromkeys(one.strip() for each in named for one in each.split(",") if one.strip()):
        try:
            folder = open_pack(name).folder
        except PackError as error:
            fail(str(error))
        for path in sorted(folder.iterdir()):
            if path.suffix in (".yaml", ".md", ".toml"):
                text = path.read_text(encoding="utf-8")
                found[f"policies/{name}/{path.name}"] = text.replace(f"owner: {OWNER}", f"owner: {answers}")
    if not found:
        fail("`--pack` names no pack; `agentguard eval suites` lists them")
    return found


def _login() -> str:
    import getpass

    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        fail("your login name is not known here; say who answers for it with `--owner NAME`")


def _until(named: str | None) -> str:
    """An end date in the future."""
    import datetime as dt

    from agentguard.policy.scalars import instant

    now = dt.datetime.now(dt.UTC)
    if named is None:
        return (now + dt.timedelta(days=14)).date().isoformat()
    try:
        found = instant(named)
    except ValueError:
        fail(f"`{named}` is not a date such as 2027-01-31")
    if found <= now:
        fail(f"`{named}` has passed; observing would be over before it began")
    return named
