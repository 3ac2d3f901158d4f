"""A LangChain agent behind the guard, offline: LangChain's own fake model plays the conversation.

python examples/langchain_agent.py
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langchain.agents import create_agent
from langchain_core.language_models.fake_chat_models import FakeMessagesListChatModel
from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from agentguard import AgentIdentity, Answer, Approval, Guard, Snapshot
from agentguard_langchain import GuardMiddleware

POLICY = {
    "policy": "payments",
    "owner": "finance-security",
    "tools": ["transfer"],
    "rules": [
        {"id": "small", "effect": "allow", "when": "args.amount <= 1000"},
        {
            "id": "blocked",
            "effect": "deny",
            "when": 'args.payee == "EVIL"',
            "reason": "this payee is blocked",
        },
        {
            "id": "large",
            "effect": "step_up",
            "when": "args.amount > 1000",
            "reason": "above 1000 the user has to confirm",
            "approval": {"reviewers": ["principal"], "expires_in": "1d"},
        },
    ],
}
BILLING = AgentIdentity("billing", owner="ana")


class RecordedModel(FakeMessagesListChatModel):
    """LangChain's fake model; it takes tools as any other does."""

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Any:
        return self


def wants(number: int, payee: str, amount: int) -> AIMessage:
    """The model asks for one transfer."""
    call = {"name": "transfer", "args": {"payee": payee, "amount": amount}, "id": f"call_{number}"}
    return AIMessage("", tool_calls=[{**call, "type": "tool_call"}])


@tool
def transfer(payee: str, amount: int) -> str:
    """Send money."""
    return f"sent {amount} to {payee}"


def logged_in(answer: Any, approval: Approval) -> Answer | None:
    """Makes a vote of what came back on resume. A real one would check who is logged in."""
    if answer != "yes":
        return None
    return Answer(subject="ben", verdict="approve", digest=approval.digest, assurance="resolver")


def main() -> None:
    """A small transfer runs, a blocked one is denied, a large one pauses the graph until ben confirms."""
    turns: list[BaseMessage] = [
        wants(1, "ACME", 500),
        wants(2, "EVIL", 500),
        wants(3, "ACME", 5_000),
        AIMessage("all done"),
    ]
    with Guard(snapshot=Snapshot.from_documents([POLICY]), store="memory:") as guard:
        agent = create_agent(
            RecordedModel(responses=turns),
            [transfer],
            checkpointer=InMemorySaver(),
            middleware=[GuardMiddleware(guard, agent=BILLING, principal="ben", resolver=logged_in)],
        )
        thread: Any = {"configurable": {"thread_id": "t-1"}}
        state = agent.invoke({"messages": [{"role": "user", "content": "pay the bills"}]}, thread)
        asked = state["__interrupt__"][0].value
        print("paused:", asked["action_requests"][0]["name"], asked["action_requests"][0]["args"])
        state = agent.invoke(Command(resume="yes"), thread)
        for message in state["messages"]:
            if isinstance(message, ToolMessage):
                print(f"{message.status}:", message.content)


if __name__ == "__main__":
    main()
