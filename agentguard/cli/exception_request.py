"""`agentguard exceptions request`: an exception from options or from a file."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agentguard.cli.governing import KeyOption, WhoOption, moment, open_desk, said
from agentguard.cli.terminal import console, fail, fields, print_json, say, width
from agentguard.cli.workspace import ConfigOption, DirectoryOption, JsonOption, StoreOption, TenantOption

if TYPE_CHECKING:
    from agentguard.config import Config
    from agentguard.governance.desk import Desk

__all__ = ["check_rules", "request"]

Many = list[str] | None


def request(
    ctx: typer.Context,
    file: Annotated[
        Path | None, typer.Option("--file", metavar="YAML", help="The exception as a document; options win.")
    ] = None,
    agent: Annotated[str | None, typer.Option("--agent", help="The agent that it is for.")] = None,
    principal: Annotated[
        str | None, typer.Option("--principal", help="Only on behalf of this person.")
    ] = None,
    rule: Annotated[
        Many, typer.Option("--rule", metavar="POLICY/RULE", help="A rule that it waives.")
    ] = None,
    tool: Annotated[Many, typer.Option("--tool", metavar="NAME", help="A tool that it is for.")] = None,
    when: Annotated[
        str | None, typer.Option("--when", metavar="CEL", help="Only where this is true.")
    ] = None,
    secret: Annotated[
        Many, typer.Option("--secret", metavar="SCOPE", help="The only secret scopes that a call may need.")
    ] = None,
    ask: Annotated[
        Many, typer.Option("--ask", metavar="REVIEWER", help="Control: ask `group:NAME` or a person instead.")
    ] = None,
    redact: Annotated[
        Many,
        typer.Option("--redact", metavar="PATH", help="Control: redact this of the result, as `$.iban`."),
    ] = None,
    reason: Annotated[str | None, typer.Option("--reason", help="The business need.")] = None,
    risk: Annotated[str | None, typer.Option("--risk", help="What could go wrong.")] = None,
    remediate_by: Annotated[
        str | None, typer.Option("--remediate-by", metavar="DATE", help="When the cause will be remedied.")
    ] = None,
    evidence: Annotated[
        list[Path] | None,
        typer.Option("--evidence", metavar="FILE", help="A file that is evidence; its SHA-256 is kept."),
    ] = None,
    owner: Annotated[str | None, typer.Option("--owner", help="Who answers for it.")] = None,
    not_before: Annotated[str | None, typer.Option("--not-before", metavar="TIME")] = None,
    expires: Annotated[
        str | None, typer.Option("--expires", metavar="TIME", help="A date, a time, or a span such as `14d`.")
    ] = None,
    uses: Annotated[int | None, typer.Option("--uses", min=1, help="How many calls it covers.")] = None,
    revalidate_every: Annotated[
        str | None,
        typer.Option("--revalidate-every", metavar="SPAN", help="Asleep unless confirmed, as `7d`."),
    ] = None,
    who: WhoOption = None,
    key: KeyOption = None,
    config: ConfigOption = None,
    store: StoreOption = None,
    directory: DirectoryOption = None,
    tenant: TenantOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ask for an exception: one agent, the rules it waives, where, until when, and what is done instead.

    Nothing changes until somebody else approves it; say who asks with `--as`. The compensating control has to
    be one that the guard enforces: `--ask`, `--redact`, or `control:` in the file, which also has `reserve`.

    \b
    Examples:
      agentguard exceptions request --as ben --file exception.yaml
      agentguard exceptions request --as ben --agent billing --rule payments/night \\
          --tool payments.transfer --ask group:finance --expires 14d --owner ana \\
          --reason "year end" --risk "transfers at night" --remediate-by 2027-01-31

    Exit codes: 0 asked for, 2 refused or usage.
    """
    given: dict[str, Any] = {
        "agent": agent, "principal": principal, "rules": rule, "tools": tool, "when": when,
        "secrets": secret, "reason": reason, "risk": risk, "owner": owner, "uses": uses,
        "revalidate_every": revalidate_every, "control": _control(ask, redact),
        "evidence": [_evidence(one) for one in evidence or ()],
    }  # fmt: skip
    with open_desk(ctx, config, store, directory, tenant) as (desk, found):
        now = desk.store.now()
        for name, text in (("not_before", not_before), ("expires", expires), ("remediate_by", remediate_by)):
            given[name] = None if text is None else moment(text, now).isoformat()
        document = {**_document(file), **{key: value for key, value in given.items() if value}}
        _complete(document, file)
        content = desk.draft(document, who or "local")
        check_rules(found, desk, content, now)
        from agentguard.cli.exception_text import content_rows
        from agentguard.governance.vouching import content_digest

        id = content["id"]
        word = said(desk, "exception", id, content_digest(content), "request", who, key, content["reason"])
        record = desk.request(content, word)
        if as_json:
            print_json({"id": record.id, "state": record.state, "content": content})
            return
        out = console()
        out.width = width()
        say(f"Asked for exception {record.id}; it waives nothing until somebody approves it.", "green")
        fields(out, list(content_rows(content, now)))
        say(f"  to approve   agentguard exceptions approve {record.id} --as NAME")


def check_rules(found: Config, desk: Desk, content: Mapping[str, Any], now: dt.datetime) -> None:
    """Refuse an exception that could never apply to the configured policies: a rule that does not exist, or
    cannot be waived; a condition that does not compile."""
    from agentguard.cli.workspace import snapshot_of
    from agentguard.governance.deviation import core_input, read_content
    from agentguard.policy import Register

    if not found.policies or found.bundle is not None:
        return
    read = read_content(content)
    told = core_input(content, read, approver="?", approved_at=now, validated_at=now)
    register = Register.from_records(1, [{"kind": "exception", **told}], longest=desk.terms.longest)
    refused = snapshot_of(found).with_register(register).refused
    if refused:
        fail("\n".join(["it could never apply:", *(one.message for one in refused)]))


def _control(ask: Many, redact: Many) -> dict[str, Any]:
    control: dict[str, Any] = {}
    if ask:
        control["approval"] = {"reviewers": ask}
    if redact:
        control["redact_result"] = redact
    return control


def _document(file: Path | None) -> dict[str, Any]:
    if file is None:
        return {}
    from agentguard.policy.reader import read

    source, findings = read(file.read_bytes(), str(file))
    if source is None or not isinstance(source.data, Mapping):
        where = f"{findings[0].at}: {findings[0].message}" if findings else f"{file}: it is not a mapping"
        fail(where)
    return dict(source.data)


def _evidence(file: Path) -> dict[str, str]:
    return {"ref": str(file), "sha256": hashlib.sha256(file.read_bytes()).hexdigest()}


def _complete(document: Mapping[str, Any], file: Path | None) -> None:
    """Name everything that is missing at once."""
    needed = {
        "agent": "--agent", "rules": "--rule", "tools": "--tool", "reason": "--reason", "risk": "--risk",
        "remediate_by": "--remediate-by", "owner": "--owner", "expires": "--expires",
        "control": "--ask, --redact or a file",
    }  # fmt: skip
    missing = [f"`{key}` ({option})" for key, option in needed.items() if not document.get(key)]
    if missing:
        where = f" in {file}" if file is not None else ""
        fail(f"missing{where}: {', '.join(missing)}")
