"""`agentguard exceptions list`: those in force or asked for, and those that somebody should look at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from agentguard.cli.governing import moment, open_desk, swept
from agentguard.cli.terminal import ago, columns, complain, fail, print_json, say
from agentguard.cli.workspace import ConfigOption, DirectoryOption, JsonOption, StoreOption, TenantOption

if TYPE_CHECKING:
    import datetime as dt

    from agentguard.cli.exception_text import Listed
    from agentguard.governance.desk import Desk

__all__ = ["list_"]


def list_(
    ctx: typer.Context,
    state: Annotated[
        list[str] | None,
        typer.Option("--state", metavar="STATE", help="Only these: requested, active, asleep, expired, ..."),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Also those that are over.")] = False,
    expiring: Annotated[
        str | None,
        typer.Option("--expiring", metavar="SPAN", help="In force and over within this, as `14d`."),
    ] = None,
    unused: Annotated[bool, typer.Option("--unused", help="In force and never used.")] = False,
    unvalidated: Annotated[
        bool, typer.Option("--unvalidated", help="Asleep until somebody confirms them, or refused.")
    ] = False,
    still_matching: Annotated[
        bool, typer.Option("--still-matching", help="Expired, and calls since would have needed them.")
    ] = False,
    config: ConfigOption = None,
    store: StoreOption = None,
    directory: DirectoryOption = None,
    tenant: TenantOption = None,
    as_json: JsonOption = False,
) -> None:
    """List exceptions, those that expire first at the top.

    \b
    Examples:
      agentguard exceptions list
      agentguard exceptions list --expiring 14d
      agentguard exceptions list --unused
      agentguard exceptions list --unvalidated --json
      agentguard exceptions list --still-matching
    """
    from agentguard.cli.exception_text import listed, state_text

    chosen = [expiring is not None, unused, unvalidated, still_matching]
    if sum(chosen) > 1:
        fail("choose one of `--expiring`, `--unused`, `--unvalidated` and `--still-matching`")
    _check_states(state)
    with open_desk(ctx, config, store, directory, tenant) as (desk, _):
        swept(desk)
        now = desk.store.now()
        found, damaged = listed(desk, desk.store.records(desk.tenant, "exception"))
        if still_matching:
            _aftermath(desk, found, as_json=as_json)
            return
    for id, why in damaged:
        complain(f"exception `{id}` cannot be read and waives nothing: {why}")
    until = None if expiring is None else moment(expiring, now)
    rows = [
        one
        for one in sorted(found, key=lambda one: (one.told.read.expires, one.told.record.id))
        if _wanted(one, state_text(one.told, now, one.refused), state, everything, until, unused, unvalidated)
    ]
    if as_json:
        print_json([one.to_json(now) for one in rows])
        return
    if not rows:
        say(
            "There are none."
            if everything or state or any(chosen)
            else "No exception is in force or asked for."
        )
        return
    _table(rows, now)
    say(f"{len(rows)} exception{'' if len(rows) == 1 else 's'}; `agentguard exceptions show ID` says more")


def _check_states(state: Sequence[str] | None) -> None:
    from agentguard.governance.exceptions import ExceptionState
    from agentguard.policy.findings import suggestion

    known = [*[one.value for one in ExceptionState], "asleep", "refused", "not begun"]
    for word in state or ():
        if word not in known:
            fail(f"`{word}` is no state; {suggestion(word, known)}")


def _wanted(
    one: Listed,
    state: str,
    states: Sequence[str] | None,
    everything: bool,
    until: dt.datetime | None,
    unused: bool,
    unvalidated: bool,
) -> bool:
    in_force = state in ("active", "asleep", "refused", "not begun")
    if states:
        return state in states
    if until is not None:
        return in_force and one.told.read.expires <= until
    if unused:
        return in_force and one.uses == 0
    if unvalidated:
        return state in ("asleep", "refused")
    return everything or in_force or state == "requested"


def _table(rows: Sequence[Listed], now: dt.datetime) -> None:
    from agentguard.cli.exception_text import control_text, state_text

    columns(
        ("id", "state", "agent", "waives", "instead", "expires", "uses"),
        [
            (
                one.told.record.id,
                state_text(one.told, now, one.refused)
                + (" (renewal asked)" if one.told.pending is not None else ""),
                one.told.read.agent,
                ", ".join(one.told.read.rules),
                control_text(one.told.content["control"]),
                ago(one.told.read.expires, now),
                f"{one.uses}" + (f"/{one.told.read.uses}" if one.told.read.uses else ""),
            )
            for one in rows
        ],
    )


def _aftermath(desk: Desk, found: Sequence[Listed], *, as_json: bool) -> None:
    from agentguard.cli.exception_text import state_text
    from agentguard.governance.aftermath import still_matching

    now = desk.store.now()
    over = {
        one.told.record.id: one.told.read
        for one in found
        if one.told.approved is not None and state_text(one.told, now) == "expired"
    }
    rows = still_matching(desk.store, desk.tenant, over)
    if as_json:
        print_json(
            [
                {
                    "id": one.id,
                    "expired": one.since.isoformat(),
                    "calls": one.calls,
                    "unclear": one.unclear,
                    "last": one.last,
                    "tools": list(one.tools),
                }
                for one in rows
            ]
        )
        return
    if not rows:
        say("No call since would have needed an exception that expired.")
        return
    columns(
        ("id", "agent", "expired", "calls since", "unclear", "last", "tools"),
        [
            (
                one.id,
                over[one.id].agent,
                ago(one.since, now),
                str(one.calls),
                str(one.unclear),
                one.last[:16] + "Z",
                ", ".join(one.tools),
            )
            for one in rows
        ],
    )
    say("unclear: the condition of the exception cannot be checked on what was kept of the call")
