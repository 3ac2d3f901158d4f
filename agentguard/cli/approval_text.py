"""An approval as people read it: why it is asked, what is at stake, who may answer and who may not."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

from agentguard.cli.safe_text import visible
from agentguard.cli.terminal import ago
from agentguard.errors import ConfigurationError
from agentguard.stepup.concerned import people_behind
from agentguard.stepup.directory import Directory
from agentguard.stepup.eligibility import LOCAL, PRINCIPAL
from agentguard.stepup.model import Approval, State

__all__ = [
    "answer_command", "asking_rules", "asks", "deadline", "excluded", "local_may_vote", "stakes",
    "state_text", "who", "why",
]  # fmt: skip

SHORT: Final = 9
"""Characters of an approval's id in a command: unique in practice, and checked."""
_HARM: Final = {"writes": "writes", "destructive": "destroys", "external": "reaches outside"}


def answer_command(approval: Approval, verdict: str = "approve") -> str:
    """The command that answers elsewhere or later."""
    return f"agentguard approvals {verdict} {visible(approval.id[:SHORT])}"


def asking_rules(approval: Approval) -> list[Mapping[str, Any]]:
    """The rules that ask, as the guard wrote them down at the opening: `rule`, `at`, `reason`, `error`."""
    rules = _maps(approval.shown.get("rules"))
    found = [rule for rule in rules if rule.get("effect", "step_up") == "step_up"]
    return found or [
        {"rule": name, "reason": approval.requirement.reason} for name in approval.requirement.rules
    ]


def why(approval: Approval) -> list[str]:
    """One line a rule: its reason, its name and place, and the error if that is why it fired."""
    lines: list[str] = []
    for rule in asking_rules(approval):
        name, at = visible(str(rule.get("rule", ""))), visible(str(rule.get("at") or ""))
        reason = visible(str(rule.get("reason") or "the rule asks for a person"))
        lines.append(f"{reason}  ({name}{', ' + at if at else ''})")
        if rule.get("error"):
            lines.append(f"the rule could not be evaluated: {visible(str(rule['error']))}")
    for rule in _maps(approval.shown.get("rules")):
        if rule.get("effect") == "flag":
            reason = visible(str(rule.get("reason") or ""))
            lines.append(f"also flagged by {visible(str(rule.get('rule')))}: {reason}")
    for change in _maps(approval.shown.get("changed")):
        rule_name = visible(str(change.get("rule")))
        lines.append(f"{visible(str(change.get('path')))} was rewritten by {rule_name}")
    return lines


def stakes(approval: Approval) -> str:
    """What is at stake: untrusted content in the session, what the tool does, with which rights, where."""
    shown = approval.shown
    session, facts = _map(shown.get("session")), _map(shown.get("facts"))
    parts: list[str] = []
    labels = [str(label) for label in _list(session.get("labels"))]
    if "untrusted" in labels:
        parts.append("UNTRUSTED content was read in this session")
    parts += [f"label {visible(label)}" for label in labels if label != "untrusted"]
    does = [text for name, text in _HARM.items() if facts.get(name) is True]
    if facts.get("read_only") is True:
        does.append("only reads (declared)")
    if does:
        parts.append(f"the tool {', '.join(does)}")
    if scopes := _list(shown.get("secrets")):
        parts.append("uses " + ", ".join(visible(str(scope)) for scope in scopes))
    if shown.get("environment"):
        parts.append(f"environment {visible(str(shown['environment']))}")
    return "; ".join(parts)


def asks(approval: Approval) -> str:
    """Which agent, for whom, through whom."""
    text = visible(approval.agent)
    owner = _map(approval.shown.get("agent")).get("owner")
    if owner:
        text += f" (owner {visible(str(owner))})"
    if approval.principal:
        text += f" for {visible(approval.principal)}"
    if approval.chain:
        text += f", through {' > '.join(visible(link) for link in approval.chain)}"
    return text


def deadline(approval: Approval, now: dt.datetime) -> str:
    """`expires 14:32 (in 5 min)`, in the local zone."""
    local = approval.expires_at.astimezone()
    day = "" if local.date() == now.astimezone().date() else f"{local:%Y-%m-%d} "
    verb = "expired" if approval.expires_at <= now else "expires"
    return f"{verb} {day}{local:%H:%M} ({ago(approval.expires_at, now)})"


def state_text(approval: Approval, now: dt.datetime) -> str:
    """The state, and `expired` for a question that nobody answered in time."""
    if approval.state is State.REQUESTED and approval.expires_at <= now:
        return State.EXPIRED.value
    return approval.state.value


def local_may_vote(approval: Approval) -> bool:
    """Whether an unverified answer from this machine can count."""
    requirement = approval.requirement
    open_stages = requirement.stages[approval.stage :] or requirement.stages[-1:]
    return requirement.local and bool(open_stages) and open_stages[0].quorum == 1


def who(approval: Approval, directory: Directory | None) -> Iterator[str]:
    """Who may answer, stage by stage, with the people that the directory knows."""
    requirement = approval.requirement
    barred = _barred(directory, approval)
    for number, stage in enumerate(requirement.stages):
        people: list[str] = []
        for name in stage.reviewers:
            people.append(_named(approval, directory, name, barred))
        many = len(requirement.stages) > 1
        label = f"stage {number + 1}{' (now)' if many and number == approval.stage else ''}: " if many else ""
        yield f"{label}{stage.quorum} of {', '.join(people)}"
        for step in stage.escalate:
            more = ", ".join(_named(approval, directory, name, barred) for name in step.reviewers)
            since = (approval.opened_at + dt.timedelta(seconds=step.after_s)).astimezone()
            yield f"from {since:%H:%M} also {more}"
    if requirement.local:
        yield f"an unverified answer from this machine counts as one person, `{LOCAL}`"
    else:
        yield "only signed or logged-in answers count"


def _named(approval: Approval, directory: Directory | None, name: str, barred: Collection[str]) -> str:
    """A reviewer's name in a requirement, with the people behind it that the directory knows."""
    if name == PRINCIPAL:
        return f"{visible(approval.principal or 'nobody')} (the principal, to confirm)"
    if not name.startswith("group:"):
        return visible(name)
    members = _members(directory, name.removeprefix("group:"))
    found = [visible(one) for one in sorted(members) if one not in barred]
    return f"{visible(name)} ({', '.join(found) or 'nobody the directory knows'})"


def excluded(approval: Approval) -> Iterator[tuple[str, str]]:
    """Who may not answer, and why."""
    owner = _map(approval.shown.get("agent")).get("owner")
    confirms = any(PRINCIPAL in stage.reviewers for stage in approval.requirement.stages)
    for name in sorted(approval.excluded):
        if confirms and name == approval.principal:
            continue  # may confirm: `who` says so
        reasons = [
            text
            for applies, text in (
                (name == approval.agent, "the agent that asks"),
                (name == approval.principal, "the principal: the call is on their behalf"),
                (name == owner, "the agent's owner"),
                (name in approval.chain, "in the chain of delegation"),
            )
            if applies
        ]
        yield visible(name), " and ".join(reasons) or "takes part in the call"


def _barred(directory: Directory | None, approval: Approval) -> frozenset[str]:
    try:
        return approval.excluded if directory is None else people_behind(directory, approval.excluded)
    except ConfigurationError:
        return approval.excluded


def _members(directory: Directory | None, group: str) -> frozenset[str]:
    try:
        return frozenset() if directory is None else directory.members(group)
    except ConfigurationError:
        return frozenset()


def _map(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: object) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else []


def _maps(value: object) -> list[Mapping[str, Any]]:
    return [item for item in _list(value) if isinstance(item, Mapping)]
