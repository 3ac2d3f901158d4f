"""The contestants of the policy benchmark; each answers a request, those that can with the same decision."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from agentguard import Snapshot
from agentguard.call import ContextRequest
from agentguard.decision import Approve, Decision, Effect, Flag, Matched, Obligation, RedactResult, Stage
from tests.benchmarks.policy_rules import Spec, documents

Decide = Callable[[ContextRequest], object]
_DENIED = Matched(
    rule_id="default", policy="agentguard", effect=Effect.DENY, reason="no rule permits this call"
)


class Absent(Exception):
    """The contestant is not installed."""


def ours(rules: list[Spec]) -> Decide:
    return Snapshot.from_documents(documents(rules)).decide


@dataclass(slots=True)
class Prepared:
    """A rule as a careful engineer would prepare it by hand: a closure, and everything it may contribute."""

    test: Callable[[ContextRequest], bool]
    match: Matched
    order: tuple[int, str]
    permits: bool
    name: str
    flag: Flag | None = None
    approve: Approve | None = None
    redact: RedactResult | None = None


def prepared(spec: Spec, test: Callable[[Any], bool]) -> Prepared:
    policy = f"p{spec.number // 100 * 100}"
    name, effect, reason = f"{policy}/r{spec.number}", Effect(spec.effect), f"about {spec.kind} sums"
    match = Matched(rule_id=f"r{spec.number}", policy=policy, effect=effect, reason=reason)
    found = Prepared(test, match, (-effect.rank, name), spec.effect == "allow", name)
    if spec.effect == "flag":
        found.flag = Flag(rule=name, owner="finance", reason=reason, review_in_s=259_200)
    if spec.effect == "step_up":
        stages = (Stage(("group:finance",)),)
        found.approve = Approve(stages=stages, expires_in_s=1_800, rules=(name,), reason=reason)
    if spec.kind == "payee":
        found.redact = RedactResult(paths=("$.iban",), rule=name)
    return found


def closure(spec: Spec) -> Callable[[ContextRequest], bool]:
    """The condition by hand."""
    limit, half, third, prefix = spec.limit, spec.limit // 2, spec.limit // 3, f"P{spec.limit % 10}"
    match spec.kind:
        case "small":
            return lambda r: r.agent["role"] == "billing" and r.args["amount"] <= limit
        case "large":
            return lambda r: r.args["amount"] > half and r.environment == "prod"
        case "much":
            return lambda r: r.args["amount"] > third
        case "currency":
            return lambda r: r.args["currency"] not in ("EUR", "USD")
        case _:
            return lambda r: r.args["payee"].startswith(prefix)


def by_hand(rules: list[Spec]) -> Decide:
    """Closures behind a dictionary by tool or by agent."""
    snapshot = Snapshot.from_documents(documents(rules)).digest
    found = [prepared(spec, closure(spec)) for spec in rules]
    return _indexed(found, rules, snapshot, lambda request: request)


def google(rules: list[Spec]) -> Decide:
    """Google's CEL evaluator behind the same dictionary, its values made anew for each request."""
    try:
        from cel_expr_python import cel as google_cel
    except ImportError as error:
        raise Absent("cel-expr-python") from error
    names = ("agent", "args", "environment")
    environment: Any = google_cel.NewEnv(variables=dict.fromkeys(names, google_cel.Type.DYN))

    def test(spec: Spec) -> Callable[[Any], bool]:
        program = environment.compile(spec.condition(), disable_check=True)
        return lambda data: program.eval(data=data).value() is True

    def data(request: ContextRequest) -> dict[str, Any]:
        agent = {key: value for key, value in request.agent.items() if key != "tags"}
        return {"agent": agent, "args": dict(request.args), "environment": request.environment}

    snapshot = Snapshot.from_documents(documents(rules)).digest
    return _indexed([prepared(spec, test(spec)) for spec in rules], rules, snapshot, data)


def _indexed(
    found: list[Prepared], rules: list[Spec], snapshot: str, data: Callable[[ContextRequest], Any]
) -> Decide:
    """By hand: an error fires unless the rule permits, the strongest wins, nothing permits: deny."""
    index: dict[str, list[Prepared]] = {}
    for rule, spec in zip(found, rules, strict=True):
        index.setdefault(spec.agent or spec.tool, []).append(rule)
    by_agent = rules[0].shape == "agents"

    def decide(request: ContextRequest) -> Decision:
        matched: list[tuple[tuple[int, str], Matched]] = []
        permits: list[str] = []
        flags: list[tuple[str, Flag]] = []
        approves: list[tuple[str, Approve]] = []
        redacts: list[tuple[str, RedactResult]] = []
        values = data(request)
        asks = False
        for rule in index.get(request.agent["id"] if by_agent else request.tool, ()):
            match = rule.match
            try:
                if not rule.test(values):
                    continue
            except Exception as error:
                if rule.permits:
                    continue
                match = Matched(
                    rule_id=match.rule_id, policy=match.policy, effect=match.effect, error=str(error)
                )
            matched.append((rule.order, match))
            if rule.permits:
                permits.append(rule.name)
            if rule.flag is not None:
                flags.append((rule.name, rule.flag))
            if rule.approve is not None:
                asks = True
                approves.append((rule.name, rule.approve))
            if rule.redact is not None:
                redacts.append((rule.name, rule.redact))
        if not permits and not asks:
            matched.append(((-4, "~"), _DENIED))
        matched.sort(key=lambda one: one[0])
        effect = matched[0][1].effect
        obligations: list[Obligation] = []
        if effect is not Effect.DENY:
            obligations = [flag for _, flag in sorted(flags, key=lambda one: one[0])]
            obligations += [approve for _, approve in approves[:1]]
            obligations += [redact for _, redact in sorted(redacts, key=lambda one: one[0])]
        return Decision(
            effect=effect,
            matched=tuple([match for _, match in matched]),
            granted_by=tuple(sorted(permits)),
            obligations=tuple(obligations),
            snapshot=snapshot,
            register=0,
        )

    return decide


def cedar(rules: list[Spec]) -> Decide:
    """Cedar with its policies and entities parsed in advance; it answers yes or no."""
    try:
        import cedarpy
    except ImportError as error:
        raise Absent("cedarpy") from error
    policies = cedarpy.PolicySet.from_str("\n".join(rule.cedar() for rule in rules))
    entities = cedarpy.Entities.from_json_str("[]")

    def decide(request: ContextRequest) -> object:
        agent = request.agent
        asked = {
            "principal": {"type": "Agent", "id": agent["id"]},
            "action": {"type": "Action", "id": request.tool},
            "resource": {"type": "Resource", "id": "any"},
            "context": {
                "agent": {"role": agent["role"]},
                "args": dict(request.args),
                "environment": request.environment,
            },
        }
        return cedarpy.is_authorized(asked, policies, entities)

    return decide


def agt(rules: list[Spec]) -> Decide:
    """Microsoft's agent-governance-toolkit, the strongest of its strategies."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            from agentmesh.governance.policy import (  # type: ignore[import-not-found,unused-ignore]
                Policy,
                PolicyEngine,
            )
        except ImportError as error:
            raise Absent("agent-governance-toolkit[core]") from error
        engine = PolicyEngine(conflict_strategy="deny_overrides")
        engine.load_policy(Policy(name="all", agents=["*"], rules=[rule.agt() for rule in rules]))

    def decide(request: ContextRequest) -> object:
        agent = {key: value for key, value in request.agent.items() if key != "tags"}
        values = {
            "tool": request.tool,
            "agent": agent,
            "args": dict(request.args),
            "environment": request.environment,
        }
        return engine.evaluate(agent["id"], values)

    return decide


CONTESTANTS: dict[str, Callable[[list[Spec]], Decide]] = {
    "agentguard": ours,
    "closures by hand": by_hand,
    "Google CEL, same index": google,
    "Cedar (cedarpy), pre-parsed": cedar,
    "AGT PolicyEngine": agt,
}
