"""Pause today, resume tomorrow in another process, at most once.

python examples/pause_and_resume.py ask               # the call is frozen in the store; prints its approval
agentguard approvals approve ID --store URL           # as `ask` printed it: from any terminal of this machine
python examples/pause_and_resume.py resume ID         # runs the frozen call; a second resume runs nothing

The store is `pause-and-resume.db` in the working directory.
"""

from __future__ import annotations

import asyncio
import sys

from agentguard import AgentIdentity, ApprovalPending, Guard, Snapshot, ToolCallDenied

STORE = "sqlite:///pause-and-resume.db"
POLICY = {
    "policy": "payments",
    "owner": "finance-security",
    "tools": ["payments.*"],
    "rules": [
        {
            "id": "every-payment",
            "effect": "step_up",
            "reason": "every payment is confirmed by the person it is made for",
            # `local: true` accepts an unverified answer from this machine, counted as one person.
            "approval": {"reviewers": ["principal"], "expires_in": "1d", "local": True},
        },
    ],
}

guard = Guard(snapshot=Snapshot.from_documents([POLICY]), store=STORE, pause="raise")


@guard.tool("payments.transfer", secrets=["payments:write"])
async def transfer(payee: str, amount: int) -> str:
    """Send money."""
    return f"sent {amount} to {payee}"


async def ask() -> None:
    """The agent's process: the call does not run, and the process may end."""
    async with guard.session(agent=AgentIdentity("billing", owner="ana"), principal="ben"):
        try:
            await transfer("Hansa Properties", 4_800)
        except ApprovalPending as pending:
            print(f"waiting: {pending.approval_id} until {pending.expires_at}")
            print(f"answer:  agentguard approvals approve {pending.approval_id} --store {STORE}")


async def resume(approval_id: str) -> int:
    """Any process that has the same tool: decided again with today's policies, claimed, run."""
    try:
        found = await guard.resume(approval_id)
    except ApprovalPending:
        print("nobody has answered yet")
        return 1
    except ToolCallDenied as denied:
        print(denied)
        return 1
    print(f"ran: {found.result}" if found.ran else f"ran before: {found.state.value}; nothing was run")
    return 0


def main(arguments: list[str]) -> int:
    try:
        match arguments:
            case ["ask"]:
                asyncio.run(ask())
                return 0
            case ["resume", approval_id]:
                return asyncio.run(resume(approval_id))
        print(__doc__)
        return 2
    finally:
        guard.close()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
