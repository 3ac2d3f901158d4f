"""What somebody should look into, read off a report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from agentguard.governance.report.model import Report, ReportFinding
from agentguard.governance.report.tally import Limits

__all__ = ["findings_of"]

_MOST: Final = 50


def findings_of(report: Report, limits: Limits, unknown: Mapping[str, int]) -> Iterator[ReportFinding]:
    """Every finding, what is wrong with the evidence itself first.

    `unknown` counts, by agent, calls whose rule asked for a baseline that is not there.
    """
    yield from _ledger(report)
    yield from _changes(report)
    yield from _deviations(report, unknown)
    yield from _flags(report)
    yield from _people(report, limits)
    yield from _exceptions(report, limits)
    for agent in report.agents.suspended:
        yield ReportFinding(kind="agent suspended", about=agent, message="every call of it is denied")
    for agent, kind, message in report.agents.findings:
        yield ReportFinding(kind="inventory", about=agent, message=f"{kind}: {message}")
    if report.rules_known and report.agent is None:
        for rule in report.rules:
            if rule.in_force and not rule.fired and not rule.observed:
                yield ReportFinding(kind="rule unused", about=rule.rule, message="never fired in the period")
    for control in report.controls:
        if control.catalogue is None:
            message = "no catalogue here has this identifier; is it spelt right?"
            yield ReportFinding(kind="unknown control", about=control.id, message=message)


def _ledger(report: Report) -> Iterator[ReportFinding]:
    ledger = report.ledger
    for problem in ledger.problems[:_MOST]:
        yield ReportFinding(kind="ledger not intact", about=report.tenant, message=problem)
    if ledger.verified is not None and ledger.size and not ledger.checkpoints:
        message = "no checkpoint was compared: a rewrite of the whole store would not be seen"
        yield ReportFinding(kind="ledger not vouched for", about=report.tenant, message=message)


def _changes(report: Report) -> Iterator[ReportFinding]:
    for change in report.changes:
        when = f"{change.at:%Y-%m-%d %H:%M}Z"
        if change.kind == "policy.loaded" and change.loosens:
            yield ReportFinding(
                kind="policies loosened", about=change.event, message=f"{when}: {change.text}"
            )
        elif change.text.startswith("break glass"):
            yield ReportFinding(kind="break glass", about=change.event, message=f"{when}: {change.text}")


def _deviations(report: Report, unknown: Mapping[str, int]) -> Iterator[ReportFinding]:
    calls: dict[str, int] = {}
    tools: dict[str, list[str]] = {}
    for one in report.deviations:
        calls[one.agent] = calls.get(one.agent, 0) + one.calls
        if one.tool not in tools.setdefault(one.agent, []):
            tools[one.agent].append(one.tool)
    for agent, count in list(calls.items())[:_MOST]:
        named = ", ".join(tools[agent][:5])
        yield ReportFinding(kind="deviation", about=agent, message=f"{count:,} deviating calls of {named}")
    for agent, count in list(unknown.items())[:_MOST]:
        message = f"rules asked {count:,} times for a baseline that was not there or did not say"
        yield ReportFinding(kind="no baseline", about=agent, message=message)


def _flags(report: Report) -> Iterator[ReportFinding]:
    for flag in report.flags.lines:
        kind = "flag breach" if flag.breach else "flag overdue"
        message = f"{flag.rule}: due {flag.due:%Y-%m-%d}, {flag.holder} has it, {flag.calls:,} calls"
        yield ReportFinding.model_validate({"kind": kind, "about": flag.id, "message": message})


def _people(report: Report, limits: Limits) -> Iterator[ReportFinding]:
    for one in report.questions:
        answered = one.approved + one.denied
        if one.share is not None and answered >= limits.questions and one.share >= limits.share:
            message = f"{one.approved} of {answered} answers were yes: it asks for what people always permit"
            yield ReportFinding(kind="asks too much", about=one.rule, message=message)
    for person in report.reviewers:
        busiest = max(person.busiest_asked, person.busiest_answers)
        if busiest > limits.per_hour:
            message = f"{busiest} questions within one hour ({person.busiest_hour}Z)"
            yield ReportFinding(kind="reviewer overloaded", about=person.name, message=message)
        if person.approved_in_60s >= limits.per_minute:
            message = f"approved {person.approved_in_60s} in 60 s"
            yield ReportFinding(kind="approved too fast", about=person.name, message=message)


def _exceptions(report: Report, limits: Limits) -> Iterator[ReportFinding]:
    found = report.exceptions
    lines = {line.id: line for line in found.lines}
    for line in [lines[id] for id in found.expiring if id in lines][:_MOST]:
        message = f"ends on {line.expires:%Y-%m-%d}: {line.agent} and {', '.join(line.rules[:3])}"
        yield ReportFinding(kind="exception expiring", about=line.id, message=message)
    for line in [lines[id] for id in found.unused if id in lines][:_MOST]:
        message = f"never used in {line.age_days} days; revoke it if nobody needs it"
        yield ReportFinding(kind="exception unused", about=line.id, message=message)
    for id in found.unvalidated[:_MOST]:
        message = "waives nothing until somebody confirms it: `agentguard exceptions revalidate`"
        yield ReportFinding(kind="exception unvalidated", about=id, message=message)
    for over in [one for one in found.ended if one.matching][:_MOST]:
        message = f"expired, and {over.matching:,} calls of {over.agent} since would have needed it"
        yield ReportFinding(kind="exception still needed", about=over.id, message=message)
    for again in found.recurring[:_MOST]:
        message = f"{again.times} times for {again.agent} and {', '.join(again.rules[:3])}: change the rule"
        yield ReportFinding(kind="exception recurring", about=again.ids[-1], message=message)
