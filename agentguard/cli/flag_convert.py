"""`agentguard flags convert`: what enforcing a flagged rule would have done, and the rule so changed."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import typer

from agentguard.cli.flag_answers import desk_of, find, refusals, settle
from agentguard.cli.governing import KeyOption, WhoOption
from agentguard.cli.safe_text import visible
from agentguard.cli.terminal import complain, fail, print_json, say
from agentguard.cli.workspace import (
    ConfigOption,
    DirectoryOption,
    JsonOption,
    StoreOption,
    TenantOption,
    configuration,
    policies_of,
)
from agentguard.errors import ConfigurationError, RecordRefused

if TYPE_CHECKING:
    from agentguard.cli.flag_plan import Flagged, Plan
    from agentguard.config import Config
    from agentguard.governance.flag_desk import FlagDesk
    from agentguard.governance.flag_item import Item
    from agentguard.policy.replay import Report

__all__ = ["convert"]

To = Literal["step_up", "deny"]
_NAMES: Final = 5
_BOM: Final = b"\xef\xbb\xbf"


def convert(
    ctx: typer.Context,
    id: Annotated[str, typer.Argument(metavar="ID", help="The flag's id, or the beginning of it.")],
    to: Annotated[
        To | None, typer.Option("--to", help="Default: as the rule's flag says, else deny.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show it, and write nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
    begin: Annotated[
        str | None, typer.Option("--from", metavar="TIME", help="Replay from this time on: 2026-11-20.")
    ] = None,
    end: Annotated[
        str | None, typer.Option("--until", metavar="TIME", help="Replay before this time.")
    ] = None,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; kept with the flag.")] = "",
    who: WhoOption = None,
    key: KeyOption = None,
    config: ConfigOption = None,
    store: StoreOption = None,
    directory: DirectoryOption = None,
    tenant: TenantOption = None,
    as_json: JsonOption = False,
) -> None:
    """Turn a flagged rule into an enforced one: show what that would have done, and write it.

    The recorded calls are decided again with the policies as they are and as they would be. Then the change
    of the policy file is shown, and written if you say so: only that rule, with comments and layout as they
    were. An observed rule is enforced with its own effect. The flag is resolved as converted where `--as`
    says who you are (or where `governance: {local: true}` is configured).

    \b
    Examples:
      agentguard flags convert FL-0AKQMG3D --dry-run
      agentguard flags convert FL-0AKQMG3D --to step_up
      agentguard flags convert FL-0AKQMG3D --yes --as ana --reason "two weeks without a false alarm"

    Exit codes: 0 written (or shown), 1 refused or not confirmed, 2 usage, or a rule that cannot be converted.
    """
    from agentguard.cli.flag_plan import flagged_by, planned
    from agentguard.cli.replay import span_of

    found = configuration(ctx, config)
    if found.bundle is not None:
        fail("the policies in force are a signed bundle; change the rule where the bundle is built")
    if as_json and not (dry_run or yes):
        fail("`--json` asks nobody; add `--dry-run` or `--yes`")
    span = span_of(begin, end, "--until")
    with desk_of(found, store, tenant, directory) as desk, refusals():
        item = find(desk, id)
        plan = planned(found, item, to)
        flagged = flagged_by(desk.store, desk.tenant, item.rule)
        report = _replayed(found, desk, plan, store, span)
        if not as_json:
            _show(plan, flagged, report)
        if not dry_run:
            _confirm(yes, plan)
            _write(plan)
        resolved = not dry_run and _resolve(desk, item, plan, who, key, reason, quiet=as_json)
        if as_json:
            print_json(_json(item, plan, flagged, report, written=not dry_run, resolved=resolved))
    if not dry_run and not as_json:
        say(f"Written: {visible(plan.named)} is `{plan.done.after}` now. `agentguard test` runs its tests.")
        _check_again(found)


def _replayed(config: Config, desk: FlagDesk, plan: Plan, store: str | None, span: Any) -> Report:
    """The recorded calls under the policies as they are, and as they would be."""
    from agentguard.cli.replay import progress, source
    from agentguard.governance import in_force
    from agentguard.policy.prepare import collector_paused
    from agentguard.policy.replay import Replay

    version, rows = desk.store.register(desk.tenant)
    register = in_force(version, rows, tenant=desk.tenant, directory=desk.directory, terms=config.governance)
    running = Replay(plan.new.with_register(register), against=plan.old.with_register(register))
    with source(config, store, None, desk.tenant, span) as (reader, total, _):
        with progress(total) as moved, collector_paused():
            for number, recorded in enumerate(reader):
                running.take(recorded)
                if not number % 2000:
                    moved(reader.seen)
        return running.report(reader.approvals.values())


def _show(plan: Plan, flagged: Flagged, report: Report) -> None:
    from agentguard.cli.replay_text import show

    say(visible(_summary(plan, flagged)), "bold")
    if report.replayed:
        show(report, (plan.file,), everything=False)
    else:
        say("No record can be replayed: a guard keeps what that needs with `replayable: true`.", "yellow")
    say("")
    for line in plan.diff():
        style = {"+": "green", "-": "red", "@": "dim"}.get(line[:1], "")
        say(visible(line), style)


def _summary(plan: Plan, flagged: Flagged) -> str:
    would = {"deny": "would have been denied", "step_up": "would have waited for an approval"}
    what = would.get(plan.done.after, f"would have met `{plan.done.after}`")
    if not flagged.calls:
        return f"{plan.named}: no call was flagged by it."
    calls = "call" if flagged.calls == 1 else "calls"
    by = f"by {_some(flagged.agents)} with {_some(flagged.tools)}"
    return (
        f"{plan.named}, {plan.done.before} now: it flagged {flagged.calls:,} {calls} {by} from "
        f"{flagged.first[:10]} to {flagged.last[:10]}; each {what} unless something stronger held."
    )


def _some(names: Counter[str]) -> str:
    listed = [name for name, _ in names.most_common(_NAMES)]
    return ", ".join(listed) + (f" and {len(names) - _NAMES} more" if len(names) > _NAMES else "")


def _confirm(yes: bool, plan: Plan) -> None:
    """Anything but a clear yes is no."""
    if yes:
        return
    if not sys.stdin.isatty():
        fail("nobody is at a terminal to confirm; add `--yes` if you have seen the change, or `--dry-run`")
    sys.stdout.write(f"Write this to {visible(plan.file)}? [convert/no, Enter = no]: ")
    sys.stdout.flush()
    try:
        typed = sys.stdin.readline().strip().lower()
    except (KeyboardInterrupt, OSError, ValueError):
        typed = ""
    if typed not in ("convert", "yes", "y"):
        fail("not confirmed; nothing was written", 1)


def _write(plan: Plan) -> None:
    from agentguard.cli.atomic_file import replace_file

    path = Path(plan.file)
    begins = _BOM if path.read_bytes().startswith(_BOM) else b""
    before, after = (begins + text.encode() for text in (plan.before.text, plan.done.source.text))
    try:
        replace_file(path, before, after)
    except ConfigurationError as error:
        fail(str(error), 1)


def _resolve(
    desk: FlagDesk, item: Item, plan: Plan, who: str | None, key: Path | None, reason: str, *, quiet: bool
) -> bool:
    """Resolve the item as converted, where somebody says who they are; the file is written by now."""
    from agentguard.governance.flag_item import Resolution

    later = f"`agentguard flags resolve {item.id} converted --as SUBJECT --reason TEXT`"
    if not item.unresolved:
        return False
    if who is None and not desk.terms.local:
        complain(f"the flag itself stays open until somebody who may resolves it: {later}")
        return False
    try:
        drafted = desk.draft(item.id, Resolution.CONVERTED)
        settle(desk, item, drafted, who, key, reason or f"{plan.rule} is {plan.done.after} now")
    except (RecordRefused, ConfigurationError) as error:
        raise RecordRefused(f"{plan.named} is written, but the flag stays open: {error}") from None
    if not quiet:
        say(f"Resolved: {visible(item.id)} as converted, until {drafted['until'][:10]}.", "green")
    return True


def _check_again(config: Config) -> None:
    """What is to be said about the files as they are now."""
    import datetime as dt

    from agentguard.policy import check_files

    checked = check_files(policies_of(config), now=dt.datetime.now(dt.UTC), default=config.default.effect)
    for finding in checked.findings:
        complain(f"{finding.at}: {finding.code} {finding.message}")


def _json(
    item: Item, plan: Plan, flagged: Flagged, report: Report, *, written: bool, resolved: bool
) -> dict[str, Any]:
    return {
        "flag": item.id,
        "rule": plan.rule,
        "file": plan.file,
        "line": plan.done.line,
        "before": plan.done.before,
        "after": plan.done.after,
        "flagged": flagged.to_json(),
        "replay": report.to_json(),
        "diff": plan.diff(),
        "written": written,
        "resolved": resolved,
    }
