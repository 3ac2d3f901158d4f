"""Why a call was decided as it was: each rule considered, what was true, false or in error, on what."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from agentguard import cel
from agentguard.call import ContextRequest
from agentguard.cel import ast
from agentguard.decision import Decision, Effect
from agentguard.policy.evaluation import truth
from agentguard.policy.functions import ENVIRONMENT, bindings_for
from agentguard.policy.rules import Rule

if TYPE_CHECKING:
    from agentguard.policy.snapshot import Snapshot

__all__ = ["Considered", "Explanation", "Outcome", "Part", "explain"]

Outcome = Literal["true", "false", "error", "value", "not reached"]

_MASK: Final = "***"
_SHOWN: Final = 120
_TELLING: Final = 40


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a condition: its text, what it came to, its own parts; `value` is masked text."""

    text: str
    outcome: Outcome
    value: str = ""
    parts: tuple[Part, ...] = ()
    joins: Literal["", "and", "or"] = ""

    def to_json(self) -> dict[str, Any]:
        return {
            "text": self.text,
            "outcome": self.outcome,
            "value": self.value,
            "joins": self.joins,
            "parts": [part.to_json() for part in self.parts],
        }


@dataclass(frozen=True, slots=True)
class Considered:
    """One rule of the tool and what became of it; `became` is empty where it did not fire."""

    name: str
    at: str | None
    effect: Effect
    condition: str
    outcome: Literal["true", "false", "error"]
    became: str = ""
    error: str = ""
    reason: str = ""
    part: Part | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "rule": self.name,
            "at": self.at,
            "effect": self.effect.value,
            "condition": self.condition,
            "outcome": self.outcome,
            "became": self.became,
            "error": self.error,
            "reason": self.reason,
            "part": self.part.to_json() if self.part is not None else None,
        }


@dataclass(frozen=True, slots=True)
class Explanation:
    """A decision with its reasons.

    `call` is the call as text, `rules` every rule of the tool in the order of the decision, `default` whether
    the default joined in, `changes` what would have to change for the call to run. Values of sensitive
    arguments are masked throughout.
    """

    decision: Decision
    call: str
    agent: str
    rules: tuple[Considered, ...]
    default: str
    changes: tuple[str, ...]
    constrained: bool = False

    def to_json(self) -> dict[str, Any]:
        return {
            "effect": self.decision.effect.value,
            "call": self.call,
            "agent": self.agent,
            "decision": self.decision.to_json(values=False),
            "rules": [rule.to_json() for rule in self.rules],
            "default": self.default,
            "changes": list(self.changes),
            "constrained": self.constrained,
        }

    def to_text(self, width: int = 100, *, decision_id: str | None = None) -> str:
        """For a person at a terminal of this width."""
        from agentguard.policy.explain_text import render

        return render(self, width=width, decision_id=decision_id)


def explain(snapshot: Snapshot, request: ContextRequest) -> Explanation:
    """Decide, and say why. The rules are shown on the arguments as they came, before any constraint."""
    decision = snapshot.decide(request)
    mask = _Mask(request)
    bindings = bindings_for(request)
    rules = tuple(
        _considered(rule, decision, bindings, mask, request) for rule in snapshot.rules_for(request.tool)
    )
    joined = any(match.name == "agentguard/default" for match in decision.matched)
    default = snapshot.default.at(request.now)[0].effect
    return Explanation(
        decision=decision,
        call=mask.call(),
        agent=str(request.agent.get("id", "")),
        rules=rules,
        default=f"{default.value}: nothing permits this call" if joined else "not reached",
        changes=tuple(_changes(snapshot, decision, rules)),
        constrained=any(obligation.kind == "set" for obligation in decision.obligations),
    )


def _considered(
    rule: Rule, decision: Decision, bindings: Mapping[str, Any], mask: _Mask, request: ContextRequest
) -> Considered:
    outcome: Literal["true", "false", "error"] = "true"
    error = ""
    part = None
    if rule.condition is not None:
        found = truth(rule.condition, bindings)
        if isinstance(found, str):
            outcome, error = "error", found
        else:
            outcome = "true" if found else "false"
        part = _part(rule.condition.trace(bindings), mask, bindings, inherited=False)
    return Considered(
        name=rule.name,
        at=rule.at,
        effect=rule.effect,
        condition=rule.text if rule.condition is not None else "always",
        outcome=outcome,
        became=_became(rule, decision, outcome, request),
        error=error,
        reason=rule.matched.reason,
        part=part,
    )


def _became(rule: Rule, decision: Decision, outcome: str, request: ContextRequest) -> str:
    for match in decision.matched:
        if match.name == rule.name:
            changed = (
                " (converted)" if rule.converted is not None and match.effect is rule.converted.effect else ""
            )
            return match.effect.value + changed
    for match in decision.observed:
        if match.name == rule.name:
            return f"{match.effect.value}, observed only"
    for applied in decision.exceptions:
        if rule.name in applied.waived:
            return f"waived by exception {applied.id}"
    if outcome == "true" and rule.effect is Effect.STEP_UP:
        return "satisfied by a grant"
    if outcome == "error" and rule.grants:
        return "does not permit"
    return ""


class _Mask:
    """Which values may be shown: those of sensitive arguments may not, nor what is computed from them."""

    def __init__(self, request: ContextRequest) -> None:
        self.request = request
        declared = request.facts.get("sensitive")
        names = declared if isinstance(declared, (list, tuple)) else ()
        self.names = frozenset(name for name in names if isinstance(name, str))
        # Long values are cut where they are shown: their beginning tells them too.
        self.secrets = tuple(
            text[:_TELLING] for name in self.names for text in _texts(request.args.get(name)) if len(text) > 2
        )

    def hides(self, text: str) -> bool:
        """Whether an expression may reach a sensitive argument."""
        if not self.names:
            return False
        if re.search(r"(?<![\w.])arguments\s*\(", text):
            return True
        for found in re.finditer(r"(?<![\w.])args\b", text):
            field = re.match(r"\s*\.\s*\??([A-Za-z_]\w*)", text[found.end() :])
            if field is None or field[1] in self.names:
                return True
        return False

    def show(self, value: object, hidden: bool) -> str:
        if isinstance(value, bool):
            return str(value).lower()
        if hidden:
            return _MASK
        shown = shorten(value)
        return _MASK if self.tells(shown) else shown

    def tells(self, text: str) -> bool:
        """Whether a text holds the value of a sensitive argument."""
        return any(secret in text for secret in self.secrets)

    def call(self) -> str:
        args = ", ".join(
            f"{name}={_MASK if name in self.names else self.show(value, False)}"
            for name, value in self.request.args.items()
        )
        return f"{self.request.tool}({args})"


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _texts(item)


def shorten(value: object) -> str:
    """A value as one short line of printable characters."""
    if isinstance(value, str):
        body = "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in value[:_SHOWN])
        more = f"... ({len(value):,} characters)" if len(value) > _SHOWN else ""
        return f'"{body}"{more}'
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        inner = ", ".join(f"{key}: {shorten(item)}" for key, item in list(value.items())[:8])
        return f"{{{inner}{', ...' if len(value) > 8 else ''}}}"[: 2 * _SHOWN]
    if isinstance(value, (list, tuple)):
        inner = ", ".join(shorten(item) for item in value[:8])
        return f"[{inner}{', ...' if len(value) > 8 else ''}]"[: 2 * _SHOWN]
    return str(value)[:_SHOWN]


def _constant(node: ast.Node) -> bool:
    """Whether a part is a constant written as a call, such as `duration("1h")`."""
    return (
        isinstance(node, ast.Call)
        and node.function in ("duration", "timestamp")
        and all(isinstance(arg, ast.Literal) for arg in node.args)
    )


def _reached(trace: cel.Trace, bindings: Mapping[str, Any]) -> cel.Trace:
    """An operand of `&&` or `||` that was not needed, evaluated all the same: a reader wants to know."""
    if trace.state != "skipped":
        return trace
    try:
        return cel.compile(trace.text, environment=ENVIRONMENT).trace(bindings)
    except cel.CelException:
        return trace


def _part(trace: cel.Trace, mask: _Mask, bindings: Mapping[str, Any] | None, *, inherited: bool) -> Part:
    """A part of the condition; `bindings` are given as long as no macro has named a variable."""
    node = trace.node
    # Where a value came from is not the value.
    hidden = inherited or (not isinstance(node, ast.PathCall) and mask.hides(trace.text))
    # A macro names the elements of what it walks over: below it they may be parts of a hidden value.
    local = inherited or (hidden and isinstance(node, (ast.Comprehension, ast.Bind, ast.Block)))
    joins: Literal["", "and", "or"] = ""
    if isinstance(node, ast.Call) and node.function in (ast.AND, ast.OR):
        joins = "and" if node.function == ast.AND else "or"
    children = trace.children
    if joins and bindings is not None:
        children = tuple(_reached(child, bindings) for child in children)
    inner = bindings if joins else None
    parts = tuple(
        _part(child, mask, inner, inherited=local) for child in children if not _constant(child.node)
    )
    match trace.state:
        case "value":
            value = trace.value
            if value is True or value is False:
                return Part(trace.text, "true" if value else "false", str(value).lower(), parts, joins)
            return Part(trace.text, "value", mask.show(value, hidden), parts, joins)
        case "error":
            error = trace.error.message if trace.error is not None else "error"
            return Part(trace.text, "error", _MASK if mask.tells(error) else error[:_SHOWN], parts, joins)
        case "skipped":
            return Part(trace.text, "not reached", "", parts, joins)


def _changes(snapshot: Snapshot, decision: Decision, rules: tuple[Considered, ...]) -> Iterator[str]:
    """What would have to be otherwise for the call to run, or to run without a person."""
    if decision.effect is Effect.STEP_UP:
        approval = decision.approval
        if approval is not None:
            stages = ", then ".join(
                f"{stage.quorum} of {', '.join(stage.reviewers)}" for stage in approval.stages
            )
            yield f"runs when approved by {stages}"
        return
    if decision.effect is not Effect.DENY:
        return
    considered = {rule.name: rule for rule in rules}
    by_name = {rule.name: rule for rule in snapshot.rules}
    for match in decision.matched:
        if match.effect is not Effect.DENY:
            continue
        rule = considered.get(match.name)
        if match.name == "agentguard/default":
            yield from _permits(rules, by_name)
        elif rule is not None:
            waivable = not by_name[match.name].non_waivable
            if match.error is not None and rule.outcome != "true":
                yield f"`{match.name}` denies because it cannot be evaluated: {match.error}"
                continue
            if match.error is not None:
                yield f"`{match.name}` denies: {match.error}"
                continue
            way = ", or an exception waives it" if waivable else "; it cannot be waived"
            if rule.condition == "always":
                yield f"`{match.name}` denies every such call" + (
                    ", unless an exception waives it" if waivable else ""
                )
            else:
                yield f"not denied by `{match.name}` if `{_one_line(rule.condition)}` were false{way}"


def _permits(rules: tuple[Considered, ...], by_name: Mapping[str, Rule]) -> Iterator[str]:
    found = False
    for rule in rules:
        compiled = by_name[rule.name]
        asks = compiled.effect is Effect.STEP_UP
        if not (compiled.grants or asks) or rule.outcome == "true":
            continue
        found = True
        failing = [part for part in _operands(rule.part) if part.outcome != "true"] if rule.part else []
        wanted = " && ".join(_one_line(part.text) for part in failing) or _one_line(rule.condition)
        verb = "a person would be asked" if asks else "allowed"
        cause = f" (now: {rule.error})" if rule.outcome == "error" else ""
        yield f"{verb} by `{rule.name}` if `{wanted}`{cause}"
    if not found:
        yield "no allow rule or step-up concerns this tool: write one"


def _operands(part: Part | None) -> tuple[Part, ...]:
    """The conditions that have to hold together, when the condition is a conjunction."""
    if part is None:
        return ()
    return part.parts if part.joins == "and" else (part,)


def _one_line(text: str) -> str:
    return " ".join(text.split())[:_SHOWN]
