"""The rules and requests of the policy benchmark, in the words of every contestant.

Two shapes: rules of many tools, of which 1 to 5 concern a call; and rules on `*`, told apart by
`agent.id`, of which 1 to 5 concern an agent.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from random import Random
from typing import Any, Literal

from agentguard.call import ContextRequest
from agentguard.canonical import freeze

Shape = Literal["tools", "agents"]
SHAPES: tuple[Shape, ...] = ("tools", "agents")
KINDS = ("small", "large", "much", "currency", "payee")
NOW = dt.datetime(2026, 11, 20, 10, tzinfo=dt.UTC)


@dataclass(frozen=True, slots=True)
class Spec:
    """One rule: its kind, a limit of its own, and the tool or the agent that it concerns."""

    number: int
    group: int
    kind: str
    limit: int
    shape: Shape

    @property
    def tool(self) -> str:
        return f"t{self.group}.run" if self.shape == "tools" else "*"

    @property
    def agent(self) -> str | None:
        return f"agent-{self.group}" if self.shape == "agents" else None

    @property
    def effect(self) -> str:
        return {"small": "allow", "large": "step_up", "much": "flag", "currency": "deny", "payee": "allow"}[
            self.kind
        ]

    def condition(self) -> str:
        """The condition in CEL."""
        found = {
            "small": f'agent.role == "billing" && args.amount <= {self.limit}',
            "large": f'args.amount > {self.limit // 2} && environment == "prod"',
            "much": f"args.amount > {self.limit // 3}",
            "currency": '!(args.currency in ["EUR", "USD"])',
            "payee": f'args.payee.startsWith("P{self.limit % 10}")',
        }[self.kind]
        return found if self.agent is None else f'agent.id == "{self.agent}" && {found}'

    def document(self) -> dict[str, Any]:
        """The rule in a policy document."""
        rule: dict[str, Any] = {
            "id": f"r{self.number}",
            "effect": self.effect,
            "tools": [self.tool],
            "when": self.condition(),
            "reason": f"about {self.kind} sums",
        }
        if self.effect == "step_up":
            rule["approval"] = {"reviewers": ["group:finance"], "expires_in": "30m"}
        if self.effect == "flag":
            rule["flag"] = {"owner": "finance", "review_in": "3d"}
        if self.kind == "payee":
            rule["redact_result"] = ["$.iban"]
        return rule

    def cedar(self) -> str:
        """The rule in Cedar, which has no more than permit and forbid."""
        test = {
            "small": f'context.agent.role == "billing" && context.args.amount <= {self.limit}',
            "large": f'context.args.amount > {self.limit // 2} && context.environment == "prod"',
            "much": f"context.args.amount > {self.limit // 3}",
            "currency": '!(["EUR", "USD"].contains(context.args.currency))',
            "payee": f'context.args.payee like "P{self.limit % 10}*"',
        }[self.kind]
        effect = "permit" if self.effect == "allow" else "forbid"
        principal = "principal" if self.agent is None else f'principal == Agent::"{self.agent}"'
        action = "action" if self.tool == "*" else f'action == Action::"{self.tool}"'
        return f'@id("r{self.number}")\n{effect} ({principal}, {action}, resource) when {{ {test} }};'

    def agt(self) -> dict[str, Any]:
        """The rule for the agent-governance-toolkit, whose expressions have neither `not` nor prefixes."""
        test = {
            "small": f"agent.role == 'billing' and args.amount <= {self.limit}",
            "large": f"args.amount > {self.limit // 2} and environment == 'prod'",
            "much": f"args.amount > {self.limit // 3}",
            "currency": "args.currency != 'EUR' and args.currency != 'USD'",
            "payee": f"args.payee == 'P{self.limit % 10}'",
        }[self.kind]
        scope = f"agent.id == '{self.agent}'" if self.agent is not None else f"tool == '{self.tool}'"
        actions = {"allow": "allow", "step_up": "require_approval", "flag": "warn", "deny": "deny"}
        action = actions[self.effect]
        return {"name": f"r{self.number}", "condition": f"{scope} and {test}", "action": action}


def _specs(shape: Shape) -> Iterator[Spec]:
    number = group = 0
    while True:
        for kind in KINDS[: 1 + group % 5]:
            yield Spec(number, group, kind, 1_000 + 7 * group, shape)
            number += 1
        group += 1


def specs(count: int, shape: Shape) -> list[Spec]:
    """`count` rules in groups of 1 to 5."""
    return list(islice(_specs(shape), count))


def documents(rules: list[Spec]) -> list[dict[str, Any]]:
    """Policies of a hundred rules each."""
    return [
        {
            "policy": f"p{start}",
            "owner": "benchmark",
            "tools": ["*"],
            "rules": [rule.document() for rule in rules[start : start + 100]],
        }
        for start in range(0, len(rules), 100)
    ]


def yaml(rules: list[Spec]) -> Iterator[str]:
    """The same as the text of files."""
    for document in documents(rules):
        lines = [f"policy: {document['policy']}", "owner: benchmark", 'tools: ["*"]', "rules:"]
        for rule in document["rules"]:
            lines += [f"  - id: {rule['id']}", f"    effect: {rule['effect']}", f"    when: '{rule['when']}'"]
            lines += [f'    tools: ["{rule["tools"][0]}"]', f"    reason: {rule['reason']}"]
            if "approval" in rule:
                lines.append("    approval: {reviewers: [group:finance], expires_in: 30m}")
            if "flag" in rule:
                lines.append("    flag: {owner: finance, review_in: 3d}")
            if "redact_result" in rule:
                lines.append('    redact_result: ["$.iban"]')
        yield "\n".join(lines) + "\n"


def requests(rules: list[Spec], count: int, seed: int) -> list[ContextRequest]:
    """Distinct requests about groups chosen at random; no two rounds ask the same."""
    random = Random(seed)
    groups = rules[-1].group + 1
    return [_request(rules[0].shape, random.randrange(groups), random, at) for at in range(count)]


def every(rules: list[Spec]) -> list[ContextRequest]:
    """One request about each group."""
    random = Random(0)
    return [_request(rules[0].shape, group, random, group) for group in range(rules[-1].group + 1)]


def _request(shape: Shape, group: int, random: Random, at: int) -> ContextRequest:
    args = {
        "amount": random.randrange(2 * (1_000 + 7 * group)),
        "currency": random.choice(["EUR", "USD", "EUR", "CHF"]),
        "payee": f"P{random.randrange(10)}-{at}",
    }
    agent = {
        "id": f"agent-{group}" if shape == "agents" else f"agent-{at}",
        "role": random.choice(["billing", "billing", "support"]),
        "owner": "ana",
        "tags": ["prod-approved"],
    }
    return ContextRequest(
        tool=f"t{group if shape == 'tools' else at % 50}.run",
        args=freeze(args).view,
        agent=freeze(agent).view,
        call_id=f"call-{at}",
        principal=freeze({"id": "ben", "groups": ["finance"]}).view,
        environment=random.choice(["prod", "dev"]),
        session=freeze({"id": f"s-{at}", "labels": [], "calls": at}).view,
        facts=freeze({"writes": True}).view,
        now=NOW,
    )
