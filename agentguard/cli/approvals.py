"""`agentguard approvals`: what waits for a person, what exactly would run, and the answer."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agentguard.cli.edit import edit
from agentguard.cli.terminal import ago, columns, fail, print_json, say
from agentguard.cli.workspace import (
    ConfigOption,
    DirectoryOption,
    JsonOption,
    StoreOption,
    TenantOption,
    configuration,
    find_approval,
    open_people,
    open_records,
)

if TYPE_CHECKING:
    from agentguard.stepup.model import Verdict

__all__ = ["app"]

app = typer.Typer(help="List, read and answer approvals.", no_args_is_help=True, rich_markup_mode=None)

Id = Annotated[str, typer.Argument(metavar="ID", help="The approval's id, or at least 6 characters of it.")]
Who = Annotated[
    str | None,
    typer.Option("--as", metavar="SUBJECT", help="Answer as this reviewer, signed; else unverified `local`."),
]
Key = Annotated[
    Path | None,
    typer.Option("--key", metavar="FILE", help="The reviewer's private key; default: your own settings."),
]
Reason = Annotated[str, typer.Option("--reason", help="Why; a denial's reason is told to the agent.")]


@app.command("list")
def list_(
    ctx: typer.Context,
    state: Annotated[
        list[str] | None,
        typer.Option(
            "--state", metavar="STATE", help="Only these: requested, approved, denied, claimed, ..."
        ),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Also those that are over.")] = False,
    config: ConfigOption = None,
    store: StoreOption = None,
    tenant: TenantOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the approvals that wait for an answer, oldest first.

    \b
    Examples:
      agentguard approvals list
      agentguard approvals list --all
      agentguard approvals list --state approved --state claimed --json
    """
    from agentguard.cli import approval_text as about
    from agentguard.cli.approval_json import approval_json
    from agentguard.policy.findings import suggestion
    from agentguard.stepup.model import State

    known = [one.value for one in State]
    for word in state or ():
        if word not in known:
            fail(f"`{word}` is no state; {suggestion(word, known)}")
    wanted = [State(word) for word in state] if state else [] if everything else [State.REQUESTED]
    found = configuration(ctx, config)
    records = open_records(found, store)
    try:
        now = records.now()
        listed = records.approvals(tenant or found.tenant, states=wanted, limit=10_000)
    finally:
        records.close()
    if not state and not everything:
        listed = [one for one in listed if one.expires_at > now]
    if as_json:
        print_json([approval_json(one, now) for one in listed])
        return
    if not listed:
        say("Nothing waits for an answer." if not state and not everything else "There are none.")
        return
    columns(
        ("id", "state", "tool", "agent", "for", "expires", "rules"),
        [
            (
                one.id[: about.SHORT],
                about.state_text(one, now),
                one.tool,
                one.agent,
                one.principal or "",
                ago(one.expires_at, now),
                ", ".join(one.requirement.rules),
            )
            for one in listed
        ],
        keep=(0, 1),
    )
    counted = f"{len(listed)} approval{'' if len(listed) == 1 else 's'}"
    say(f"{counted}; `agentguard approvals show ID` says what would run")


@app.command()
def show(
    ctx: typer.Context,
    id: Id,
    full: Annotated[bool, typer.Option("--full", help="Every argument in full, sensitive ones too.")] = False,
    config: ConfigOption = None,
    store: StoreOption = None,
    directory: DirectoryOption = None,
    tenant: TenantOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show exactly what would run, why it is asked, and who may answer.

    Long values are cut in the middle, with their length and digest; sensitive ones are masked. `--full` shows
    all of them.

    \b
    Examples:
      agentguard approvals show a7f3b2
      agentguard approvals show a7f3b2 --full
    """
    from agentguard.cli.approval_json import approval_json
    from agentguard.cli.approval_screen import screen

    found = configuration(ctx, config)
    records = open_records(found, store)
    try:
        approval = find_approval(records, tenant or found.tenant, id)
        now = records.now()
    finally:
        records.close()
    if as_json:
        print_json(approval_json(approval, now, full=full))
        return
    screen(approval, open_people(found, directory), now, full=full)


@app.command()
def approve(
    ctx: typer.Context,
    id: Id,
    who: Who = None,
    key: Key = None,
    reason: Reason = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
    config: ConfigOption = None,
    store: StoreOption = None,
    directory: DirectoryOption = None,
    tenant: TenantOption = None,
) -> None:
    """Approve one call, once: exactly the one that is shown.

    The answer is signed with the reviewer's key where `--as` names one. Without it, it is an unverified one
    from this machine, which counts as one person and only where the rule allows it.

    \b
    Examples:
      agentguard approvals approve a7f3b2 --as ana --reason "known payee"
      agentguard approvals approve a7f3b2 --as ana --key ~/keys/ana.jwk --yes
      agentguard approvals approve a7f3b2

    Exit codes: 0 counted, 1 refused or not confirmed, 2 usage or configuration.
    """
    _vote(ctx, id, "approve", who, key, reason, yes, config, store, directory, tenant)


@app.command()
def deny(
    ctx: typer.Context,
    id: Id,
    who: Who = None,
    key: Key = None,
    reason: Reason = "",
    config: ConfigOption = None,
    store: StoreOption = None,
    directory: DirectoryOption = None,
    tenant: TenantOption = None,
) -> None:
    """Deny one call: one denial ends the question.

    \b
    Examples:
      agentguard approvals deny a7f3b2 --reason "wrong payee"
      agentguard approvals deny a7f3b2 --as ana --reason "wrong payee"
    """
    _vote(ctx, id, "deny", who, key, reason, True, config, store, directory, tenant)


app.command()(edit)


def _vote(
    ctx: typer.Context,
    id: str,
    verdict: Verdict,
    who: str | None,
    key: Path | None,
    reason: str,
    yes: bool,
    config: Path | None,
    store: str | None,
    directory: Path | None,
    tenant: str | None,
) -> None:
    from agentguard.cli import approval_text as about
    from agentguard.cli.approval_screen import outcome, screen
    from agentguard.cli.signing_keys import signed_answer
    from agentguard.errors import VoteRefused
    from agentguard.stepup.ballot import Answer, cast
    from agentguard.stepup.eligibility import LOCAL, fold

    if key is not None and who is None:
        fail("`--key` signs for somebody: say who with `--as SUBJECT`")
    found = configuration(ctx, config)
    people = open_people(found, directory)
    records = open_records(found, store)
    try:
        approval = find_approval(records, tenant or found.tenant, id)
        if approval.arguments is None and verdict == "approve":
            fail("the arguments of this call were erased, so nobody can see what would run; deny it", 1)
        if verdict == "approve":
            screen(approval, people, records.now(), full=False, brief=True)
            _confirm(yes)
        if who is not None:
            answer = signed_answer(approval, verdict, who, key, reason, records.now())
        else:
            # The digest is that of the approval which was shown: a changed call is another one.
            answer = Answer(subject=LOCAL, verdict=verdict, digest=approval.digest, reason=reason)
        try:
            after = cast(records, people, approval.tenant, approval.id, answer)
        except VoteRefused as error:
            could = "\n".join(f"could answer: {line}" for line in about.who(approval, people))
            raise VoteRefused(f"{error}\n{could}") from None
        voted = {fold(vote.subject) for vote in approval.votes}
        repeated = fold(people.subject(answer.subject)) in voted
        if not outcome(after, verdict, answer.subject, records.url, repeated=repeated):
            raise typer.Exit(1)
    finally:
        records.close()


def _confirm(yes: bool) -> None:
    """Ask whether exactly what was shown may run; anything but a clear yes is no."""
    if yes:
        return
    if not sys.stdin.isatty():
        fail("nobody is at a terminal to confirm; add `--yes` if you have seen the call")
    sys.stdout.write("Approve exactly this call, once? [approve/no, Enter = no]: ")
    sys.stdout.flush()
    try:
        typed = sys.stdin.readline().strip().lower()
    except (KeyboardInterrupt, OSError, ValueError):
        typed = ""
    if typed not in ("approve", "yes", "y", "a"):
        fail("not confirmed; nothing was answered", 1)
