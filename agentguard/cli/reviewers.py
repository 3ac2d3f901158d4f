"""`agentguard reviewers`: give a reviewer a key, and see who can answer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agentguard.cli.terminal import columns, fail, print_json, say
from agentguard.cli.workspace import ConfigOption, DirectoryOption, JsonOption, configuration

if TYPE_CHECKING:
    from agentguard.config import Config

__all__ = ["app"]

app = typer.Typer(
    help="People who answer approvals, and their keys.", no_args_is_help=True, rich_markup_mode=None
)


@app.command()
def enroll(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The reviewer's id in the directory.")],
    group: Annotated[
        list[str] | None, typer.Option("--group", metavar="G", help="A group to be in; may be repeated.")
    ] = None,
    key: Annotated[
        Path | None,
        typer.Option("--key", metavar="FILE", help="Where the private key goes; default: your own settings."),
    ] = None,
    config: ConfigOption = None,
    directory: DirectoryOption = None,
) -> None:
    """Make a key pair: the private key for the reviewer, the public one into the directory.

    Run it as the reviewer, on a machine where the agent does not run: whoever reads the private key can
    answer for them.

    \b
    Examples:
      agentguard reviewers enroll ana --group finance
      agentguard reviewers enroll ben --key ~/keys/ben.jwk --directory directory.yaml
    """
    from agentguard.access import check_access, near
    from agentguard.cli.signing_keys import default_key
    from agentguard.stepup.enrolment import enroll as enrolled

    people = _directory(configuration(ctx, config), directory)
    for loose in check_access([people] if people.exists() else []):
        fail(f"{loose.file}: {loose.message}; {loose.hint}")
    target = key or default_key(name)
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    public = enrolled(people, name, target, groups=group or ())
    say(f"Enrolled {name}{' in ' + ', '.join(group) if group else ''}.", "green")
    say(f"  private key  {target}  (keep it where no agent can read it)")
    say(f"  public key   {public['kid']}  in {near(people)}")
    say(f"  to answer    agentguard approvals approve ID --as {name}" + (f" --key {target}" if key else ""))


@app.command("list")
def list_(
    ctx: typer.Context,
    config: ConfigOption = None,
    directory: DirectoryOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the people of the directory, their groups and their keys.

    \b
    Examples:
      agentguard reviewers list
      agentguard reviewers list --directory directory.yaml --json
    """
    from agentguard.access import near
    from agentguard.stepup.directory import load

    path = _directory(configuration(ctx, config), directory)
    document = load(path)
    if as_json:
        print_json(document.model_dump(mode="json", exclude_none=True))
        return
    if not document.people:
        say(f"Nobody is in {near(path)} yet; `agentguard reviewers enroll NAME --group G` adds a person.")
        return
    columns(
        ("subject", "name", "groups", "keys", "aliases"),
        [
            (
                subject + (" (disabled)" if person.disabled else ""),
                person.name,
                ", ".join(person.groups),
                ", ".join((public.kid or public.x)[:12] for public in person.keys) or "none: cannot sign",
                ", ".join(person.aliases),
            )
            for subject, person in document.people.items()
        ],
    )
    for name, inner in document.groups.items():
        if inner.includes:
            say(f"group {name} includes {', '.join(inner.includes)}")


def _directory(config: Config, named: Path | None) -> Path:
    path = named or config.directory
    if path is None:
        fail("no directory of reviewers is configured; name one with `--directory directory.yaml`")
    return path
