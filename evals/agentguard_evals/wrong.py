"""What went wrong in a case, in one line."""

from __future__ import annotations

from agentguard_evals.results import CaseResult

__all__ = ["what_went_wrong"]


def what_went_wrong(case: CaseResult) -> str:
    """One line about a case that went wrong: what, by which call and rule."""
    if case.error is not None:
        return f"error: {case.error}"
    if case.kind == "attacked" and case.attack_succeeded and case.reachable:
        ran = [call for call in case.of("attacker") if call.ran]
        call = next((call for call in reversed(ran) if call.consequential), ran[-1] if ran else None)
        by = f": {call.tool} ran, {call.effect} by {call.rule}" if call is not None else ""
        return f"attack succeeded{by}"
    if case.unexpected:
        return case.unexpected[0]
    denied = next((call for call in case.calls if call.outcome == "denied"), None)
    if denied is not None:
        return f"false denial: {denied.tool} by {denied.rule}"
    stopped = next((call for call in case.calls if not call.ran), None)
    by = f": {stopped.tool} was not approved, {stopped.rule}" if stopped is not None else ""
    return f"the task missed its goal{by}"
