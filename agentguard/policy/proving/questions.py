"""The questions: can it ever happen, can this rule ever matter, does a candidate let more through."""

from __future__ import annotations

import datetime as dt
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from agentguard import cel
from agentguard.call import ContextRequest
from agentguard.decision import Decision, Effect
from agentguard.errors import ConfigurationError
from agentguard.policy.evaluation import truth
from agentguard.policy.findings import suggestion
from agentguard.policy.functions import bindings_for
from agentguard.policy.proving.answers import (
    ASSUMPTIONS,
    SILENT,
    VACUOUS,
    Answer,
    Comparison,
    Counterexample,
    Direction,
    Found,
    Unknown,
)
from agentguard.policy.proving.changes import notes
from agentguard.policy.proving.consulted import Consulted, assumptions_of
from agentguard.policy.proving.inputs import Inputs
from agentguard.policy.proving.joining import Decided, Joiner, Met, signature
from agentguard.policy.proving.searching import Deadline, Nothing, Search, Undecided
from agentguard.policy.proving.solver import Truth, both, either, required
from agentguard.policy.proving.tools import Class, classes_of, reads_tool
from agentguard.policy.rules import Rule
from agentguard.policy.scalars import pattern_covers, well_formed_tool
from agentguard.policy.snapshot import Snapshot

__all__ = ["OUTCOMES", "Bounds", "Outcome", "compare", "condition_of", "never", "reachable"]

Outcome = Literal["runs", "asks", "passes", "denied"]
OUTCOMES: Final[dict[Outcome, str]] = {
    "runs": "runs without an approval",
    "asks": "waits for an approval",
    "passes": "runs, or may run once it is approved",
    "denied": "is denied",
}
"""What can become of a call."""
_RANKS: Final = {"runs": 0, "asks": 1, "denied": 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """For which times an answer holds (from `begin` on, or `at` one), and how long a question may take.

    `engines` are the other decision points that are asked beside the policies.
    """

    begin: dt.datetime
    at: dt.datetime | None = None
    timeout_s: float = 60.0
    engines: tuple[Consulted, ...] = ()

    @property
    def assumptions(self) -> tuple[str, ...]:
        """Everything that an answer takes for granted."""
        when = f"{self.begin.isoformat()} or later" if self.at is None else self.at.isoformat()
        return (f"the time is {when}", *assumptions_of(self.engines, ASSUMPTIONS, SILENT))

    @property
    def permitting(self) -> tuple[Consulted, ...]:
        return tuple(one for one in self.engines if one.permits)


def became(decision: Decision) -> Literal["runs", "asks", "denied"]:
    """What a decision lets become of a call."""
    match decision.effect:
        case Effect.DENY:
            return "denied"
        case Effect.STEP_UP:
            return "asks"
        case _:
            return "runs"


def condition_of(text: str) -> cel.Program:
    """A condition as policies have them.

    Raises:
        ConfigurationError: it is none.
    """
    from agentguard.policy.expressions import Expressions, Fault

    found = Expressions().compile(text)
    if isinstance(found, Fault):
        hint = f"; {found.hint}" if found.hint else ""
        raise ConfigurationError(f"the condition `{text[:200]}`: {found.message}{hint}")
    return found


@dataclass(slots=True)
class _Report:
    """What was found class by class."""

    outside: dict[str, Met] = field(default_factory=dict)
    unknown: list[Unknown] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)


class _Question:
    """One class of tools with its symbolic request."""

    def __init__(self, tools: Class, rules: Sequence[Rule], when: cel.Program | None, bounds: Bounds) -> None:
        programs = [rule.condition for rule in rules] + [when]
        trees = [program.ast for program in programs if program is not None]
        trees += [one.program.ast for rule in rules for one in rule.sets if one.program is not None]
        trees += [part.ast for rule in rules for part in _reserved(rule)]
        name, stated = tools.term() if reads_tool(trees) else (tools.name, [])
        self.inputs = Inputs(name, bounds.begin, bounds.at)
        self.inputs.constraints += stated
        self.time = self.inputs.now
        concerned = [one for one in bounds.permitting if one.concerns(tools.name)]
        self.joiner = Joiner(self.inputs, concerned)
        self.tools = tools
        self.when: Truth = True
        if when is not None:
            verdict, constructs = self.joiner.plain.condition(when)
            self.when = verdict.true
            if constructs:
                self.joiner.met["the question"] = Met("the question", None, constructs)

    def search(
        self,
        wanted: Truth,
        deadline: Deadline,
        confirmed: Callable[[ContextRequest], bool],
        *snapshots: Snapshot,
    ) -> ContextRequest | Nothing | Undecided:
        """A request that is as wanted, decided for real by these sets."""

        def errors(request: ContextRequest) -> int:
            decisions = [snapshot.decide(request) for snapshot in snapshots]
            return sum(one.error is not None for decision in decisions for one in decision.matched)

        return Search(self.inputs, deadline, confirmed, errors).run(both(self.when, wanted))

    def vacuous(self, deadline: Deadline) -> bool:
        """Whether it is proved that no call fulfils the condition of the question."""
        return Search(self.inputs, deadline, lambda _: False, lambda _: 0).empty(self.when)

    def unknown(self, found: Undecided) -> Unknown:
        """Why there is no answer, with the constructs that stood in the way and the rules that hold them."""
        met = [
            Met(one.rule, one.at, tuple(text for text in one.constructs if text in found.blamed))
            for one in self.joiner.met.values()
        ]
        named = tuple(one for one in met if one.constructs)
        engines = ", ".join(f"`{one.rule}`" for one in named if one.rule.startswith("engine/"))
        # INVARIANT: no policy may be called `engine`.
        reason = f"{engines} may permit it where no rule denies it" if engines else found.reason
        return Unknown(self.tools.label, reason, named)


def _reserved(rule: Rule) -> list[cel.Program]:
    plan = rule.reserve
    if plan is None:
        return []
    return [*plan.per, *([] if isinstance(plan.amount, int) else [plan.amount])]


def _holds(program: cel.Program | None, request: ContextRequest) -> bool:
    return program is None or truth(program, bindings_for(request)) is True


def never(
    snapshot: Snapshot, outcome: Outcome, *, tool: str = "*", when: str | None = None, bounds: Bounds
) -> Answer:
    """Whether no call to these tools that satisfies `when` has this outcome.

    Raises:
        ConfigurationError: the tool or the condition is none, or z3 is not installed.
    """
    required()
    begin = time.perf_counter()
    program = condition_of(when) if when is not None else None
    deadline, report = Deadline(bounds.timeout_s), _Report()
    question = f"no call to `{tool}`{f' with `{when}`' if when else ''} {OUTCOMES[outcome]}"
    example: Counterexample | None = None
    vacuous = when is not None

    for tools in _classes(snapshot.rules, tool, bounds):

        def confirmed(request: ContextRequest, tools: Class = tools) -> bool:
            here = tools.holds(request.tool) and _holds(program, request)
            return here and _is(became(snapshot.decide(request)), outcome)

        rules = tools.rules(snapshot.rules)
        one = _Question(tools, rules, program, bounds)
        wanted = _wanted(one.joiner.decided(rules, snapshot.default), outcome)
        found = one.search(wanted, deadline, confirmed, snapshot)
        report.labels.append(tools.label)
        report.outside.update(one.joiner.met)
        if isinstance(found, ContextRequest):
            example = Counterexample(found, {"today": snapshot.decide(found)})
            break
        if isinstance(found, Undecided):
            report.unknown.append(one.unknown(found))
        vacuous = vacuous and isinstance(found, Nothing) and one.vacuous(deadline)
    if vacuous and example is None:
        report.unknown.append(Unknown(tool, VACUOUS))
    answer = _answer(question, example, report, bounds, begin)
    return replace(answer, warnings=_uncovered(snapshot.rules, tool))


def _is(found: str, outcome: Outcome) -> bool:
    return found != "denied" if outcome == "passes" else found == outcome


def _wanted(decided: Decided, outcome: Outcome) -> Truth:
    match outcome:
        case "runs":
            return decided.runs
        case "asks":
            return decided.asks
        case "passes":
            return either(decided.runs, decided.asks)
        case "denied":
            return decided.denied


def _answer(
    question: str, example: Counterexample | None, report: _Report, bounds: Bounds, begin: float
) -> Answer:
    found: Found = "refuted" if example is not None else "unknown" if report.unknown else "proved"
    return Answer(
        question=question,
        found=found,
        tools=tuple(report.labels),
        counterexample=example,
        unknown=tuple(report.unknown),
        outside=tuple(report.outside.values()) if found == "proved" else (),
        assumptions=bounds.assumptions,
        seconds=time.perf_counter() - begin,
    )


def _uncovered(rules: Iterable[Rule], tool: str) -> tuple[str, ...]:
    """What to say of tools that no rule is about."""
    patterns = [pattern for rule in rules for pattern in rule.tools]
    if tool == "*" or any(pattern_covers(tool, one) or pattern_covers(one, tool) for one in patterns):
        return ()
    near = suggestion(tool, [one for one in patterns if one != "*"], listed=0)
    hint = f"; {near}" if near else ""
    return (f"no rule names `{tool}` and none covers it by a pattern: only the default decides{hint}",)


def _classes(rules: Iterable[Rule], tool: str, bounds: Bounds) -> tuple[Class, ...]:
    base = tool.removesuffix(".*") if tool.endswith(".*") else tool
    if tool != "*" and not well_formed_tool(base):
        raise ConfigurationError(f"`{tool[:60]}` is no tool or pattern of tools, such as `payments.*`")
    return classes_of(rules, tool, [pattern for one in bounds.permitting for pattern in one.tools])


def reachable(snapshot: Snapshot, rule: str, *, when: str | None = None, bounds: Bounds) -> Answer:
    """Whether a rule's condition can be true at all; `proved` means that it never is.

    Raises:
        ConfigurationError: there is no such rule, or the condition is none, or z3 is not installed.
    """
    required()
    begin = time.perf_counter()
    named = {one.name: one for one in snapshot.rules}
    if rule not in named:
        hint = suggestion(rule, named, listed=5)
        raise ConfigurationError(f"there is no rule `{rule[:100]}`{f'; {hint}' if hint else ''}")
    found, deadline, report = named[rule], Deadline(bounds.timeout_s), _Report()
    program = condition_of(when) if when is not None else None
    with_ = f" with `{when}`" if when else ""
    question, opposite = f"rule `{rule}` matches no call{with_}", f"a call{with_} matches rule `{rule}`"
    example: Counterexample | None = None
    for tools in _own(found):
        one = _Question(tools, [found], program, bounds)
        fired = one.joiner.fired(found, one.joiner.plain)

        def confirmed(request: ContextRequest, tools: Class = tools) -> bool:
            return tools.holds(request.tool) and _holds(program, request) and _holds(found.condition, request)

        answer = one.search(fired.true, deadline, confirmed, snapshot)
        report.labels.append(tools.label)
        report.outside.update(one.joiner.met)
        if isinstance(answer, ContextRequest):
            example = Counterexample(answer, {"today": snapshot.decide(answer)})
            break
        if isinstance(answer, Undecided):
            report.unknown.append(one.unknown(answer))
    return replace(_answer(question, example, report, bounds, begin), opposite=opposite)


def _own(rule: Rule) -> tuple[Class, ...]:
    """The tools of one rule: here all of a pattern are alike."""
    return tuple(one for pattern in rule.tools for one in classes_of([rule], pattern) if one.rules([rule]))


def compare(today: Snapshot, candidate: Snapshot, *, tool: str = "*", bounds: Bounds) -> Comparison:
    """How a candidate stands to today's set: runs without an approval, waits for one, is denied.

    Raises:
        ConfigurationError: the tool is none, or z3 is not installed.
    """
    required()
    begin = time.perf_counter()
    deadline = Deadline(bounds.timeout_s)
    parts = [
        _compared(one, today, candidate, bounds, deadline)
        for one in _classes([*today.rules, *candidate.rules], tool, bounds)
    ]
    return Comparison(
        tools=tuple(name for part in parts for name in part.tools),
        wider=_joined([part.wider for part in parts]),
        narrower=_joined([part.narrower for part in parts]),
        parts=tuple(parts),
        unknown=tuple(one for part in parts for one in part.unknown),
        notes=tuple(notes(today.rules, candidate.rules, tool)),
        warnings=_uncovered([*today.rules, *candidate.rules], tool),
        assumptions=bounds.assumptions,
        seconds=time.perf_counter() - begin,
    )


def _joined(directions: list[Direction]) -> Direction:
    shown = next((one for one in directions if one.differs), None)
    if shown is not None:
        return shown
    return Direction("unknown" if any(one.found == "unknown" for one in directions) else "proved")


def _compared(
    tools: Class, today: Snapshot, candidate: Snapshot, bounds: Bounds, deadline: Deadline
) -> Comparison:
    old, new = tools.rules(today.rules), tools.rules(candidate.rules)
    same = Counter(map(signature, old)) == Counter(map(signature, new))
    if same and today.default.to_json() == candidate.default.to_json():
        return Comparison(tools=(tools.label,), wider=Direction("proved"), narrower=Direction("proved"))
    one = _Question(tools, [*old, *new], None, bounds)
    before, after = one.joiner.decided(old, today.default), one.joiner.decided(new, candidate.default)
    unknown: list[Unknown] = []

    def direction(wanted: Truth, sign: int) -> Direction:
        def confirmed(request: ContextRequest) -> bool:
            ranks = [_RANKS[became(one.decide(request))] for one in (today, candidate)]
            return tools.holds(request.tool) and (ranks[1] - ranks[0]) * sign > 0

        found = one.search(wanted, deadline, confirmed, today, candidate)
        if isinstance(found, ContextRequest):
            decisions = {"today": today.decide(found), "candidate": candidate.decide(found)}
            return Direction("refuted", Counterexample(found, decisions))
        if isinstance(found, Undecided):
            unknown.append(one.unknown(found))
            return Direction("unknown")
        return Direction("proved")

    wider = direction(_less(after, before), -1)
    narrower = direction(_less(before, after), 1)
    return Comparison(
        tools=(tools.label,), wider=wider, narrower=narrower, unknown=tuple(dict.fromkeys(unknown))
    )


def _less(one: Decided, other: Decided) -> Truth:
    """That a call gets further by one set than by the other."""
    return either(both(one.runs, either(other.asks, other.denied)), both(one.asks, other.denied))
