"""The decorator and the session, offline: allow, constrain, step up, deny.

python examples/decorator.py
"""

from __future__ import annotations

import asyncio

from agentguard import AgentIdentity, Answer, Approval, CallbackChannel, Guard, Snapshot, ToolCallDenied

POLICY = {
    "policy": "payments",
    "owner": "finance-security",
    "tools": ["payments.*"],
    "rules": [
        {"id": "small", "effect": "allow", "when": "args.amount <= 1000"},
        {
            "id": "large",
            "effect": "step_up",
            "when": "args.amount > 1000",
            "reason": "above 1000 the user has to confirm",
            "approval": {"reviewers": ["principal"], "expires_in": "10m"},
        },
        {
            "id": "far-too-large",
            "effect": "deny",
            "when": "args.amount > 100000",
            "reason": "never above 100000",
        },
        {
            "id": "short-note",
            "effect": "constrain",
            "when": "size(args.note) > 20",
            "set": {"args.note": "args.note.substring(0, 20)"},
        },
    ],
}


def ask(approval: Approval) -> Answer:
    """Stands for a person; what runs later is exactly what this approval shows."""
    print(f"  asked:  may `{approval.tool}` run for {approval.principal}? yes")
    return Answer(subject="ben", verdict="approve", digest=approval.digest, assurance="resolver")


guard = Guard(snapshot=Snapshot.from_documents([POLICY]), store="memory:", channels=[CallbackChannel(ask)])


@guard.tool("payments.transfer", secrets=["payments:write"])
async def transfer(payee: str, amount: int, note: str = "") -> str:
    """Send money."""
    return f"sent {amount} to {payee}" + (f" ({note})" if note else "")


async def main() -> None:
    """One call for each effect."""
    async with guard.session(agent=AgentIdentity("billing", owner="ana"), principal="ben"):
        for amount, note in ((500, ""), (700, "rent for November and December"), (5_000, ""), (200_000, "")):
            print(f"transfer of {amount}")
            try:
                print("  ran:   ", await transfer("ACME", amount, note))
            except ToolCallDenied as denied:
                print(f"  denied: {denied.reason} (`{denied.rule}`)")


if __name__ == "__main__":
    with guard:
        asyncio.run(main())
