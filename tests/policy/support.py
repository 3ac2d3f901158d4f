"""What the tests of policies share: requests and documents with little to write."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agentguard.call import ContextRequest
from agentguard.decision import Decision
from agentguard.policy import Default, Register, Snapshot, read

NOW = "2026-11-20T10:00:00Z"

PAYMENTS: dict[str, Any] = {
    "policy": "payments",
    "owner": "finance-security",
    "controls": ["NHI5:2025", "ASI02", "PR.AA-05"],
    "tools": ["payments.*"],
    "rules": [
        {
            "id": "small-transfers",
            "effect": "allow",
            "when": 'agent.role == "billing" && args.amount <= 10000',
        },
        {
            "id": "large-transfer",
            "effect": "step_up",
            "when": 'args.amount > 1000 && environment == "prod"',
            "reason": "transfers above 1000 need two people from finance",
            "approval": {"reviewers": ["group:finance"], "quorum": 2, "expires_in": "30m"},
        },
        {
            "id": "payee-not-from-user",
            "effect": "step_up",
            "when": "!provenance(args.payee).from_user",
            "approval": {"reviewers": ["principal"], "expires_in": "10m"},
        },
        {
            "id": "cap-note",
            "effect": "constrain",
            "when": "size(args.note) > 140",
            "set": {"args.note": "args.note.substring(0, 140)"},
        },
        {
            "id": "night",
            "effect": "flag",
            "when": '!within("Mon-Fri 07:00-20:00 Europe/Berlin")',
            "flag": {
                "owner": "finance-ops",
                "review_in": "3d",
                "escalate_to": "ciso",
                "converts": {"on": "2027-03-01", "to": "deny"},
            },
        },
        {
            "id": "stale-token",
            "effect": "deny",
            "when": 'secret("payments:write").age > duration("1h")',
            "non_waivable": True,
        },
    ],
}
"""The example of the design, as a document."""

APPROVAL = {"reviewers": ["group:finance"], "expires_in": "30m"}


def request(**changes: Any) -> ContextRequest:
    """A transfer of 500 by the billing agent on a working day, with every fact supplied."""
    data: dict[str, Any] = {
        "tool": "payments.transfer",
        "args": {"payee": "ACME", "amount": 500, "note": "invoice 7"},
        "agent": {"id": "billing", "owner": "ana", "role": "billing"},
        "principal": {"id": "ben", "groups": ["finance"]},
        "environment": "prod",
        "secrets": ["payments:write"],
        "session": {"id": "s-1", "labels": [], "calls": 7},
        "facts": {"writes": True, "sensitive": ["payee"]},
        "now": NOW,
        "supplied": {
            "provenance": {"args.payee": {"from_user": True}, "args.note": {"from_user": True}},
            "secret": {"payments:write": {"age_s": 120, "rotated_days": 12}},
        },
    }
    for key, value in changes.items():
        if value is None:
            data.pop(key, None)
        else:
            data[key] = value
    return ContextRequest.from_mapping(data)


def transfer(**args: Any) -> ContextRequest:
    """The same transfer with other arguments; None removes one."""
    merged = {"payee": "ACME", "amount": 500, "note": "invoice 7", **args}
    return request(args={key: value for key, value in merged.items() if value is not None})


def policy(*rules: Mapping[str, Any], **keys: Any) -> dict[str, Any]:
    """A policy `p` over every tool."""
    return {"policy": "p", "tools": ["*"], "rules": list(rules), **keys}


def rule(id: str, effect: str, when: str | None = None, **keys: Any) -> dict[str, Any]:
    """A rule, with the blocks that its effect needs unless they are given."""
    found: dict[str, Any] = {"id": id, "effect": effect, **keys}
    if when is not None:
        found["when"] = when
    if effect == "step_up":
        found.setdefault("approval", dict(APPROVAL))
    if effect == "flag":
        found.setdefault("flag", {"owner": "ops"})
    return found


def snapshot(
    *rules: Mapping[str, Any], default: Default | None = None, register: Register | None = None
) -> Snapshot:
    return Snapshot.from_documents([policy(*rules)], default=default or Default(), register=register)


def decide(*rules: Mapping[str, Any], **changes: Any) -> Decision:
    """Decide the request against a policy `p` of these rules."""
    return snapshot(*rules).decide(request(**changes))


def names(decision: Decision) -> list[str]:
    """The matched rules as `policy/rule`, in the decision's order."""
    return [match.name for match in decision.matched]


def kinds(decision: Decision) -> list[str]:
    return [obligation.kind for obligation in decision.obligations]


def exception(**keys: Any) -> dict[str, Any]:
    """An exception record for the billing agent that waives `p/no`, in force on the tests' day."""
    return {
        "kind": "exception",
        "id": "EX-1",
        "agent": "billing",
        "rules": ["p/no"],
        "tools": ["payments.*"],
        "owner": "ana",
        "approver": "cara",
        "reason": "migration",
        "approved_at": "2026-11-01",
        "expires": "2026-12-01",
        "control": {"redact_result": ["$.iban"]},
        **keys,
    }


def grant(**keys: Any) -> dict[str, Any]:
    """A grant record for the billing agent that satisfies `p/ask`."""
    return {
        "kind": "grant",
        "id": "G-1",
        "agent": "billing",
        "rules": ["p/ask"],
        "tools": ["payments.transfer"],
        "stages": [{"reviewers": ["group:finance"], "quorum": 1}],
        "reason": "quarter end",
        "approved_at": "2026-11-20T09:00:00Z",
        "expires": "2026-11-20T12:00:00Z",
        **keys,
    }


def read_policy(text: str) -> Snapshot:
    """A snapshot of one file's text."""
    source, findings = read(text, "policy.yaml")
    assert findings == []
    assert source is not None
    return Snapshot.from_sources([source])
