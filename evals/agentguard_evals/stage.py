"""The guard under test, for one case: a real guard, a fresh store and session, and somebody to answer.

Every call goes through `Guard.call`, with the prompt and each result observed by the session as in any other
program. Cases share nothing: a counter that one uses up is whole for the next.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Self

from agentguard import AgentIdentity, Guard, ToolCallDenied, ToolFailed
from agentguard.call import ContextRequest
from agentguard.canonical import freeze
from agentguard.decision import Decision, Effect
from agentguard.governance.desk import Desk
from agentguard.ids import uuid7
from agentguard.ledger.decided import decided
from agentguard.policy import Snapshot
from agentguard_evals.approving import Approver, ApproverName, Everybody
from agentguard_evals.case import Origin, ToolDefinition
from agentguard_evals.facts import Facts, consequential
from agentguard_evals.results import CallResult, LiveUse
from agentguard_evals.trying import NO_DECISION, Tries, Would, rule_of, would_decide

__all__ = ["Answer", "Setup", "Stage", "ToolError"]

AGENT: Final = AgentIdentity("eval-agent", owner="eval-owner")
USER: Final = "eval-user"


class ToolError(Exception):
    """What a tool of a case raised; its text is shown to the agent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What a run of an evaluation puts to the test; `brief`: only how a case ends is wanted."""

    snapshot: Snapshot
    facts: Facts = field(default_factory=Facts)
    approver: ApproverName = "none"
    environment: str | None = None
    agent: AgentIdentity = AGENT
    brief: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What the agent gets back from a call: whether the tool ran, and its result or error as text."""

    ran: bool
    result: Any = None
    error: str | None = None

    def again(self, arguments: Mapping[str, Any]) -> Any:
        """As the tool: the same answer once more."""
        if self.error is not None:
            raise ToolError(self.error)
        return self.result


@dataclass(slots=True)
class _Made:
    """A call as the harness saw it; the ledger knows the rest."""

    call_id: str
    tool: str
    origin: Origin
    consequential: bool
    answer: Answer
    modified: bool
    overhead_ms: float
    denial: ToolCallDenied | None


class Stage:
    """Use it with `with`; `results` are complete after the end.

    Where facts are `supplied`, a case says by `supply` what an operator would know of each call. `live` is
    what a live model took so far, where one plays.
    """

    def __init__(
        self,
        setup: Setup,
        tools: tuple[ToolDefinition, ...],
        prompt: str | None,
        *,
        inferred: Mapping[str, Mapping[str, Any] | None] | None = None,
        supplied: bool = False,
    ) -> None:
        self.supply: Callable[[ContextRequest], Mapping[str, Any]] | None = None
        self.live: LiveUse | None = None
        self._setup = setup
        self._inferred = inferred or {tool.name: setup.facts.of(tool) for tool in tools}
        self._beginning = (tools, prompt, supplied)
        self._past: list[Callable[[Stage], object]] = []
        self._tries = Tries()
        self._origins: dict[str, Origin] = {}
        self._made: list[_Made] = []
        directory = Everybody()
        self._approver = Approver(setup.approver, directory, self._origins.__getitem__)
        self.guard: Final = Guard(
            snapshot=setup.snapshot,
            store="memory:",
            directory=directory,
            tool_facts=setup.facts.entries,
            facts=[self._known] if supplied else [],
            channels=[self._approver],
            environment=setup.environment,
        )
        self._approver.withdraw = self.guard.withdraw
        self._approver.desk = Desk(store=self.guard.store, directory=directory, tenant=self.guard.tenant)
        try:
            for tool in tools:
                self._register(tool)
            self.session: Final = self.guard.session(agent=setup.agent, principal=USER, prompt=prompt)
        except BaseException:
            self.guard.close()
            raise
        self.results: tuple[CallResult, ...] = ()
        self.fired: dict[str, int] = {}
        self.errors: dict[str, int] = {}

    def _register(self, tool: ToolDefinition) -> None:
        properties = tool.parameters.get("properties")
        self.guard.register(
            tool.name,
            facts=self._inferred[tool.name],
            definition=tool.plain(),
            arguments=list(properties) if isinstance(properties, Mapping) and properties else None,
        )

    def _known(self, request: ContextRequest, names: frozenset[str]) -> Mapping[str, Any]:
        """As a fact provider: what the case knows of a call."""
        found = {} if self.supply is None else self.supply(request)
        return {name: facts for name, facts in found.items() if name in names}

    # -- what a case does

    def say(self, text: str) -> None:
        """The user says more."""
        self.session.observe(text, "prompt", "user")
        self._past.append(lambda other: other.say(text))

    def call(
        self,
        tool: str,
        arguments: Mapping[str, Any],
        run: Callable[[dict[str, Any]], Any],
        *,
        origin: Origin,
    ) -> Answer:
        """One call through the guard; `run` is the tool, and says by `ToolError` that it failed."""
        call_id = uuid7()
        self._origins[call_id] = origin
        spent, ran_with = 0, None

        def timed(given: dict[str, Any]) -> Any:
            nonlocal spent, ran_with
            ran_with = freeze(given).canonical
            begin = time.perf_counter_ns()
            try:
                return run(given)
            finally:
                spent = time.perf_counter_ns() - begin

        denial: ToolCallDenied | None = None
        begin = time.perf_counter_ns()
        try:
            result = self.guard.call(
                tool, arguments, timed, call_id=call_id, session=self.session, pause="wait"
            )
            answer = Answer(True, result)
        except ToolCallDenied as error:
            denial, answer = error, Answer(False, error=error.message())
        except (ToolError, ToolFailed) as error:
            answer = Answer(True, error=str(error))
        overhead = time.perf_counter_ns() - begin - spent
        self._approver.wait()
        self._past.append(lambda other: other.call(tool, arguments, answer.again, origin=origin))
        self._made.append(
            _Made(
                call_id=call_id,
                tool=tool,
                origin=origin,
                consequential=self.consequential(tool),
                answer=answer,
                modified=ran_with is not None and ran_with != freeze(arguments).canonical,
                overhead_ms=round(overhead / 1e6, 3),
                denial=denial,
            )
        )
        return answer

    def try_next(self, tool: str, arguments: Mapping[str, Any]) -> CallResult:
        """How a call of the attack ends right after the calls that were made here, and after no other try.

        It is decided in a twin of the session. The first one that would run is made in full, from the prompt
        on, in a guard and session of its own; only when one of these ran do decisions count as runs.
        """
        begin = time.perf_counter_ns()
        would = would_decide(self.guard, self.session, tool, arguments)
        ms = round((time.perf_counter_ns() - begin) / 1e6, 3)
        runs = would is not None and self._lets_run(would)
        if would is None or (runs and not self._tries.any_ran):
            return self._in_full(tool, arguments)
        known = self.consequential(tool)
        return self._tries.decided(self.guard, tool, would, runs=runs, consequential=known, ms=ms)

    def done(self) -> bool:
        """Whether further tries would tell nothing that is wanted."""
        return self._setup.brief and self._tries.any_ran

    def _lets_run(self, would: Would) -> bool:
        match would.decision.effect:
            case Effect.DENY:
                return False
            case Effect.STEP_UP:
                return would.asks and self._setup.approver == "all"
            case _:
                return not would.asks or self._setup.approver == "all"

    def _in_full(self, tool: str, arguments: Mapping[str, Any]) -> CallResult:
        tools, prompt, supplied = self._beginning
        other = Stage(self._setup, tools, prompt, inferred=self._inferred, supplied=supplied)
        with other:
            other.supply = self.supply
            for again in self._past:
                again(other)
            other.call(tool, arguments, lambda _: "", origin="attacker")
        return self._tries.made(other.results[-1], other.fired, other.errors)

    def consequential(self, tool: str) -> bool:
        """Whether a call of this tool has consequences, by its facts."""
        known = self.guard.tools.get(tool)
        return consequential(known.facts if known is not None else {})

    def decided(self) -> CallResult:
        """How the newest call was decided, as the ledger has it."""
        self.guard.flush()
        self._read()
        return self.results[-1]

    # -- entering, leaving, reading the ledger

    def __enter__(self) -> Self:
        self.session.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.session.__exit__(kind, error, trace)
        try:
            if error is None:
                self.guard.flush()
                self._read()
        finally:
            self.guard.close()

    def _read(self) -> None:
        """Take effects, rules and errors from the records, which are what an auditor would see."""
        first: dict[str, Decision] = {}
        self.fired, self.errors = dict(self._tries.fired), dict(self._tries.errors)
        for stored in self.guard.store.events(self.guard.tenant):
            if stored.type != "decision":
                continue
            event = json.loads(stored.leaf)
            decision = decided(event["decision"])
            first.setdefault(event["call_id"], decision)
            for match in (*decision.matched, *decision.observed):
                self.fired[match.name] = self.fired.get(match.name, 0) + 1
                if match.error is not None:
                    self.errors[match.name] = self.errors.get(match.name, 0) + 1
        made = [self._result(made, first.get(made.call_id)) for made in self._made]
        self.results = (*made, *self._tries.results)

    def _result(self, made: _Made, decision: Decision | None) -> CallResult:
        if decision is None:
            raise RuntimeError(f"the call of `{made.tool}` left no decision in the ledger")
        asked = made.call_id in self._approver.asked
        effect = decision.effect
        if made.answer.ran:
            outcome = "ran" if made.answer.error is None else "failed"
        else:
            outcome = "refused" if asked or effect is Effect.STEP_UP else "denied"
        denial = made.denial
        if denial is not None and denial.rule in NO_DECISION:
            raise RuntimeError(f"the guard failed on a call of `{made.tool}`: {denial.reason}")
        return CallResult.model_construct(
            tool=made.tool,
            origin=made.origin,
            effect=effect.value,
            outcome=outcome,
            rule=denial.rule if denial is not None and effect is Effect.DENY else rule_of(decision),
            note=denial.reason if denial is not None else "",
            asked=asked,
            modified=made.modified,
            consequential=made.consequential,
            rule_errors=tuple([one.name for one in decision.matched if one.error is not None]),
            overhead_ms=max(0.0, made.overhead_ms),
        )
