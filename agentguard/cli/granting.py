"""`agentguard approvals approve --grant`: the same right again for a while, given with one approval."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from agentguard.cli.grants import terms_rows
from agentguard.cli.safe_text import visible
from agentguard.cli.terminal import complain, console, fail, fields, say, width
from agentguard.errors import NotFound, RecordRefused

if TYPE_CHECKING:
    from agentguard.config import Config
    from agentguard.stepup.directory import Directory
    from agentguard.stepup.model import Approval
    from agentguard.store.protocol import Store

__all__ = ["GrantTerms", "give", "propose", "show_plan"]

HOUR: Final = "1h"
"""How long a grant is good where nobody says; one for a session `DAY`."""
DAY: Final = "1d"


@dataclass(frozen=True, slots=True)
class GrantTerms:
    """The options of a grant, as they were typed."""

    uses: int | None = None
    expires: str | None = None
    when: str | None = None
    session: bool = False

    @property
    def given(self) -> bool:
        """Whether anything was typed besides `--grant`."""
        return self != GrantTerms()


def propose(store: Store, approval: Approval, terms: GrantTerms, reason: str) -> dict[str, Any]:
    """What the grant would say: what somebody proposed already, or the terms that were typed; shown.

    Raises:
        ConfigurationError: the terms are no terms.
        RecordRefused: there is one with other terms.
    """
    from agentguard.cli.governing import moment
    from agentguard.governance import grants

    now = store.now()
    try:
        told = grants.tell(store.record(approval.tenant, grants.KIND, grants.grant_id(approval.id)))
    except NotFound:
        told = None
    if told is not None and terms.given:
        fail(
            f"grant `{told.record.id}` was proposed for this approval already; join it with `--grant` alone, "
            f"or revoke it with `agentguard grants revoke {told.record.id}`"
        )
    if told is not None:
        content: Mapping[str, Any] = told.content
    elif isinstance(approval.shown.get("plan"), Mapping) and not terms.given:
        content = grants.plan_content(approval, reason=reason)
        show_plan(approval.shown["plan"])
    else:
        expires = terms.expires or (DAY if terms.session else HOUR)
        content = grants.grant_content(
            approval,
            expires=moment(expires, now),
            uses=terms.uses,
            when=_condition(terms.when),
            session=terms.session,
            reason=reason,
        )
    out = console()
    out.width = width()
    say(f"GRANT  {content['id']}   with this approval, for the same step-up again", "bold yellow")
    fields(out, list(terms_rows(content, now)))
    return dict(content)


def show_plan(plan: Mapping[str, Any]) -> None:
    """The whole texts that the grant is for, each line behind a bar that nothing in it can fake, and what
    calls like this one may hold."""
    from rich.text import Text

    from agentguard.cli.call_text import arguments, barred, bars

    out = console()
    out.width = width()
    for shown in plan["texts"]:
        text = str(shown["text"])
        [one] = arguments(json.dumps({"text": text}).encode()) or []
        say(f"PLAN  what `{visible(str(shown['from']))}` returned, {len(text):,} characters", "bold yellow")
        for line in barred(one, out.width - 4):
            out.print(Text(f"  {line}"), soft_wrap=True)
    if plan["series"]:
        tool, *slots = plan["series"]
        say(f"LIKE  further calls of `{visible(str(tool))}` with", "bold yellow")
        for line in slots:
            for row in bars(visible(str(line)), out.width - 4):
                out.print(Text(f"  {row}"), soft_wrap=True)


def give(
    config: Config,
    store: Store,
    directory: Directory,
    approval: Approval,
    content: Mapping[str, Any],
    who: str | None,
    key: Path | None,
    reason: str,
) -> bool:
    """Give the grant, after the approval was counted; False where it was refused."""
    from agentguard.cli.governing import said
    from agentguard.governance.desk import Desk
    from agentguard.governance.vouching import content_digest

    desk = Desk(store=store, directory=directory, tenant=approval.tenant, terms=config.governance)
    word = said(desk, "grant", content["id"], content_digest(content), "grant", who, key, reason)
    try:
        record = desk.grant(approval.id, content, word)
    except RecordRefused as error:
        complain(f"the answer was counted, and no grant was given: {error}")
        return False
    if record.state == "active":
        until = dt.datetime.fromisoformat(content["expires"])
        say(f"Granted: {record.id}, until {until:%Y-%m-%d %H:%M:%SZ}.", "green")
        say(f"  to end it    agentguard grants revoke {record.id}")
    else:
        say(
            f"Proposed: grant {record.id}. {_missing(store.approval(approval.tenant, approval.id))}", "yellow"
        )
    return True


def _condition(when: str | None) -> str | None:
    """The condition, refused where it could never be evaluated."""
    if when is None:
        return None
    from agentguard.policy.expressions import Expressions, Fault

    found = Expressions().compile(when)
    if isinstance(found, Fault):
        fail(f"`--when`: {found.message}")
    return when


def _missing(approval: Approval) -> str:
    """What a grant waits for that not everybody gave who approved."""
    from agentguard.stepup.model import State

    if approval.state is State.REQUESTED:
        return "The others who approve have to add `--grant`."
    return "It is never given: others approved without `--grant`; ask for it with the next approval."
