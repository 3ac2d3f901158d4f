"""`agentguard approvals`: what waits for a person, what exactly would run, and the answer."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agentguard.cli.edit import edit
from agentguard.cli.terminal import ago, columns, complain, fail, print_json, say
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
    from agentguard.cli.granting import GrantTerms
    from agentguard.stepup.model import Approval, Verdict
    from agentguard.store import Store

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
Alike = Annotated[
    bool, typer.Option("--alike", help="The same answer to every waiting question that asks the same.")
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
    """List the approvals that wait for an answer, oldest first, ten of an agent and rule at a time.

    \b
    Examples:
      agentguard approvals list
      agentguard approvals list --all
      agentguard approvals list --state approved --state claimed --json
    """
    from agentguard.cli import approval_text as about
    from agentguard.cli.approval_json import approval_json
    from agentguard.policy.findings import suggestion
    from agentguard.stepup.alike import groups
    from agentguard.stepup.model import State
    from agentguard.stepup.queue import MOST, fairly, waiting

    known = [one.value for one in State]
    for word in state or ():
        if word not in known:
            fail(f"`{word}` is no state; {suggestion(word, known)}")
    wanted = [State(word) for word in state] if state else [] if everything else [State.REQUESTED]
    found = configuration(ctx, config)
    records = open_records(found, store)
    try:
        now = records.now()
        if not state and not everything:
            listed = waiting(records, tenant or found.tenant, now)
        else:
            listed = records.approvals(tenant or found.tenant, states=wanted, limit=MOST)
    finally:
        records.close()
    if len(listed) >= MOST:
        complain(
            f"there may be more: the oldest {len(listed):,} are listed; answer some, or choose with `--state`"
        )
    if as_json:
        print_json([approval_json(one, now) for one in listed])
        return
    if not listed:
        say("Nothing waits for an answer." if not state and not everything else "There are none.")
        return
    same = fairly(groups(listed))
    columns(
        ("id", "state", "tool", "agent", "for", "expires", "rules"),
        [
            (
                one.id[: about.SHORT] + (f" x{len(group)}" if len(group) > 1 else ""),
                about.state_text(one, now),
                one.tool,
                one.agent,
                one.principal or "",
                ago(one.expires_at, now),
                ", ".join(one.requirement.rules),
            )
            for group in same
            for one in group[:1]
        ],
        keep=(0, 1),
    )
    counted = f"{len(listed)} approval{'' if len(listed) == 1 else 's'}"
    if len(same) < len(listed):
        counted += f", {len(same)} different (`x2`: two that ask the same; `approve ID --alike` answers all)"
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
    grant: Annotated[
        bool, typer.Option("--grant", help="Also let the agent do this again for a while, without asking.")
    ] = False,
    uses: Annotated[
        int | None, typer.Option("--uses", min=1, help="How often a grant counts; else as often as needed.")
    ] = None,
    expires: Annotated[
        str | None, typer.Option("--expires", metavar="SPAN", help="How long a grant is good; default: 1h.")
    ] = None,
    when: Annotated[
        str | None,
        typer.Option("--when", metavar="CEL", help="What a grant covers; default: exactly these arguments."),
    ] = None,
    for_session: Annotated[
        bool, typer.Option("--for-session", help="A grant for the agent's session only; default: 1d.")
    ] = False,
    all_alike: Alike = False,
    config: ConfigOption = None,
    store: StoreOption = None,
    directory: DirectoryOption = None,
    tenant: TenantOption = None,
) -> None:
    """Approve one call, once: exactly the one that is shown.

    The answer is signed with the reviewer's key where `--as` names one. Without it, it is an unverified one
    from this machine, which counts as one person and only where the rule allows it.

    With `--grant` the same step-up is satisfied again without asking: for the same agent, person, delegation,
    environment and tool, and for the same arguments unless `--when` says otherwise. Where several people have
    to approve, each has to add `--grant`.

    \b
    Examples:
      agentguard approvals approve a7f3b2 --as ana --reason "known payee"
      agentguard approvals approve a7f3b2 --as ana --key ~/keys/ana.jwk --yes
      agentguard approvals approve a7f3b2
      agentguard approvals approve a7f3b2 --as ana --grant --uses 5 --expires 2h
      agentguard approvals approve a7f3b2 --as ana --grant --when 'args.amount <= 500' --for-session

    Exit codes: 0 counted, 1 refused or not confirmed, 2 usage or configuration.
    """
    from agentguard.cli.granting import GrantTerms

    terms = GrantTerms(uses, expires, when, for_session)
    if terms.given and not grant:
        fail("`--uses`, `--expires`, `--when` and `--for-session` are of a grant: add `--grant`")
    wanted = terms if grant else None
    if grant and all_alike:
        fail("a grant is given by one approval: leave out `--alike`")
    people = (config, store, directory, tenant)
    _vote(ctx, id, "approve", who, key, reason, yes, *people, wanted, all_alike=all_alike)


@app.command()
def deny(
    ctx: typer.Context,
    id: Id,
    who: Who = None,
    key: Key = None,
    reason: Reason = "",
    all_alike: Alike = False,
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
    _vote(ctx, id, "deny", who, key, reason, True, config, store, directory, tenant, all_alike=all_alike)


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
    grant: GrantTerms | None = None,
    *,
    all_alike: bool = False,
) -> None:
    from dataclasses import replace

    from agentguard.cli import approval_text as about
    from agentguard.cli.approval_screen import outcome, screen
    from agentguard.cli.granting import give, propose
    from agentguard.cli.signing_keys import signed_answer
    from agentguard.errors import VoteRefused
    from agentguard.stepup.ballot import Answer, cast
    from agentguard.stepup.eligibility import LOCAL, fold

    if key is not None and who is None:
        fail("`--key` signs for somebody: say who with `--as SUBJECT`")
    content = None
    found = configuration(ctx, config)
    people = open_people(found, directory)
    records = open_records(found, store)
    try:
        approval = find_approval(records, tenant or found.tenant, id)
        if approval.arguments is None and verdict == "approve":
            fail("the arguments of this call were erased, so nobody can see what would run; deny it", 1)
        if verdict == "approve":
            screen(approval, people, records.now(), full=False, brief=True)
            content = None if grant is None else propose(records, approval, grant, reason)
            if all_alike:
                say(f"{len(_alike(records, approval))} more ask exactly the same and are answered with it.")
            _confirm(yes, granting=content is not None)
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
        counted = outcome(after, verdict, answer.subject, records.url, repeated=repeated)
        if content is not None:
            counted = give(found, records, people, after, content, who, key, reason) and counted
        if all_alike:
            others = _alike(records, approval)
            for other in others:
                given = answer
                if who is not None:
                    given = signed_answer(other, verdict, who, key, reason, records.now())
                cast(records, people, other.tenant, other.id, replace(given, digest=other.digest))
            say(f"The same answer was given to {len(others)} more that ask the same.")
        if not counted:
            raise typer.Exit(1)
    finally:
        records.close()


def _alike(records: Store, approval: Approval) -> list[Approval]:
    """The other questions that wait and ask the same as this one did when it was shown."""
    from agentguard.stepup.alike import alike
    from agentguard.stepup.queue import waiting

    wanted = alike(approval)
    found = waiting(records, approval.tenant, records.now())
    return [one for one in found if alike(one) == wanted and one.id != approval.id]


def _confirm(yes: bool, *, granting: bool = False) -> None:
    """Ask whether exactly what was shown may run; anything but a clear yes is no."""
    if yes:
        return
    if not sys.stdin.isatty():
        fail("nobody is at a terminal to confirm; add `--yes` if you have seen the call")
    what = "and give the grant" if granting else "once"
    sys.stdout.write(f"Approve exactly this call, {what}? [approve/no, Enter = no]: ")
    sys.stdout.flush()
    try:
        typed = sys.stdin.readline().strip().lower()
    except (KeyboardInterrupt, OSError, ValueError):
        typed = ""
    if typed not in ("approve", "yes", "y", "a"):
        fail("not confirmed; nothing was answered", 1)
