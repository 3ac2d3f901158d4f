"""`agentguard explain`: a call in, the decision and its reasons out; or a decision that was recorded."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from agentguard.cli.terminal import console, fail, fields, print_json, width
from agentguard.cli.workspace import (
    ConfigOption,
    JsonOption,
    StoreOption,
    TenantOption,
    configuration,
    open_records,
    snapshot_of,
)

__all__ = ["explain"]


def explain(
    ctx: typer.Context,
    request: Annotated[
        str | None,
        typer.Argument(metavar="[REQUEST.json|-]", help="A context request as JSON; - reads standard input."),
    ] = None,
    policies: Annotated[
        list[Path] | None,
        typer.Option("--policies", metavar="PATH", help="Policies to ask; default: the configuration's."),
    ] = None,
    rule: Annotated[
        str | None, typer.Option("--rule", metavar="POLICY/RULE", help="Show this rule only.")
    ] = None,
    decision: Annotated[
        str | None, typer.Option("--decision", metavar="ID", help="Show a recorded decision instead.")
    ] = None,
    config: ConfigOption = None,
    store: StoreOption = None,
    tenant: TenantOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say how a call would be decided, by which rule, and what would have to change.

    A request needs `tool` and `agent`; a fact that is left out is a fact that nobody supplied.

    \b
    Examples:
      echo '{"tool": "mail.send", "agent": "helper", "args": {"to": "x@example.com"}}' | agentguard explain -
      agentguard explain request.json --policies policies/ --json
      agentguard explain --decision 0199f3a2

    Exit codes: 0 explained (whatever the decision is), 2 usage or configuration.
    """
    found = configuration(ctx, config)
    if decision is not None:
        if request is not None:
            fail("name a request or `--decision`, not both")
        records = open_records(found, store)
        try:
            event = _recorded(records, tenant or found.tenant, decision)
            _show(event, _payload(records, tenant or found.tenant, event), as_json)
        finally:
            records.close()
        return
    if request is None:
        fail("name a file with a context request, or `-` for standard input; see `agentguard explain --help`")
    from agentguard.policy import explain as why

    asked = _request(request, found.tenant, found.environment)
    explanation = why(snapshot_of(found, policies or ()), asked)
    if rule is not None:
        import dataclasses

        kept = tuple(one for one in explanation.rules if one.name == rule)
        if not kept:
            names = ", ".join(f"`{one.name}`" for one in explanation.rules) or "none"
            fail(f"no rule `{rule}` concerns `{asked.tool}`; rules that do: {names}")
        explanation = dataclasses.replace(explanation, rules=kept)
    if as_json:
        print_json(explanation.to_json())
    else:
        sys.stdout.write(explanation.to_text(width=width()))


def _request(named: str, tenant: str, environment: str | None) -> Any:
    """The request in a file or on standard input, as strict JSON; tenant and environment as configured."""
    from agentguard.call import ContextRequest
    from agentguard.canonical import MAX_BYTES, loads
    from agentguard.errors import ArgumentsError, ConfigurationError

    where = "standard input" if named == "-" else named
    try:
        if named == "-":
            content = sys.stdin.buffer.read(4 * MAX_BYTES + 1)
        else:
            with open(named, "rb") as file:
                content = file.read(4 * MAX_BYTES + 1)
    except OSError as error:
        raise ConfigurationError(f"`{named}` cannot be read: {(error.strerror or 'error').lower()}") from None
    try:
        data = loads(content, what=where)
    except ArgumentsError as error:
        raise ConfigurationError(str(error)) from None
    if not isinstance(data, dict):
        raise ConfigurationError(f"`{where}`: a context request is a JSON object with `tool` and `agent`")
    defaults = {"tenant": tenant} | ({"environment": environment} if environment else {})
    return ContextRequest.from_mapping({**defaults, **data})


def _recorded(store: Any, tenant: str, typed: str) -> dict[str, Any]:
    """The decision event whose id begins with, or ends with, what was typed."""
    import json

    from agentguard.errors import NotFound

    wanted = typed.lower()
    if len(wanted) < 6:
        fail("name a decision by at least 6 characters of its id")
    found = [
        event
        for event in store.events(tenant, types=("decision",))
        if event.id.startswith(wanted) or event.id.endswith(wanted)
    ]
    if not found:
        raise NotFound(f"no decision `{typed}` is recorded for tenant `{tenant}`")
    if len(found) > 1:
        fail(f"{len(found)} decisions match `{typed}`; type more of the id")
    data: dict[str, Any] = json.loads(found[0].leaf)
    return data


def _payload(store: Any, tenant: str, event: dict[str, Any]) -> bytes | None:
    kept = store.payload(tenant, event.get("args_hmac", ""))
    if kept is not None:
        content: bytes = kept.content
        return content
    approval = event.get("approval")
    for one in store.approvals(tenant, prefix=approval, limit=1) if approval else ():
        return one.arguments  # type: ignore[no-any-return]  # the store is any store here
    return None


def _show(event: dict[str, Any], payload: bytes | None, as_json: bool) -> None:
    """A recorded decision: what was decided by which rule; the policies of that day are not needed."""
    if as_json:
        print_json(event)
        return
    from agentguard.cli.call_text import arguments, call_line
    from agentguard.cli.safe_text import visible

    decided = event["decision"]
    try:
        # Which arguments are sensitive is not in the record, so every value is masked.
        shown = arguments(payload)
        masked = arguments(payload, [one.name for one in shown]) if shown is not None else None
        call = call_line(event["tool"], masked)
    except ValueError:
        call = f"{visible(event['tool'])}(<unreadable>)"
    out = console()
    out.width = width()
    rows = [
        ("decision", event["id"], ""),
        ("at", event["at"], ""),
        ("agent", visible(event.get("agent", "")), ""),
    ]
    if event.get("principal"):
        rows.append(("for", visible(event["principal"]), ""))
    if event.get("approval"):
        rows.append(("approval", visible(event["approval"]), ""))
    for kind in ("matched", "observed"):
        for match in decided.get(kind, ()):
            at = f"  {visible(match['at'])}" if match.get("at") else ""
            reason = f'  "{visible(match["reason"])}"' if match.get("reason") else ""
            error = f"  error: {visible(match['error'])}" if match.get("error") else ""
            text = f"{visible(match['policy'])}/{visible(match['rule_id'])}{at}{reason}{error}"
            rows.append((match["effect"] if kind == "matched" else "observed", text, ""))
    for name in decided.get("granted_by", ()):
        rows.append(("granted", visible(name), ""))
    runs = "the call ran" if event.get("runs") else "the call did not run on this decision"
    rows.append(("then", runs, ""))
    typer.echo(f"{visible(decided['effect']).upper()}  {call}")
    fields(out, rows)
