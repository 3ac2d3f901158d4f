"""An agent and a bare ToolNode over a store and a checkpointer on disk; each command is a process of its own.

python processes.py FOLDER (agent|node) (ask|resume|resume-as-eve) [thread]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from langchain.agents import create_agent
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.types import Command

from agentguard import Guard
from agentguard_langchain import GuardMiddleware, guard_tools
from tests.langchain.drive import AGENT, asking, call, config, model, snapshot, turn

folder, kind, command = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
thread = sys.argv[4] if len(sys.argv) > 4 else "t-1"


def wrote(line: str) -> None:
    with (folder / "effects.txt").open("a") as file:
        file.write(line + "\n")


@tool
def transfer(payee: str, amount: int) -> str:
    """Pay somebody."""
    wrote(f"transfer {payee} {amount}")
    return f"paid {amount}"


@tool
def log(text: str) -> str:
    """Note something."""
    wrote(f"log {text}")
    return "noted"


calls = turn(
    call("log", {"text": "hi"}, "call_1"), call("transfer", {"payee": "A", "amount": 5000}, "call_2")
)
with (
    SqliteSaver.from_conn_string(str(folder / "graph.db")) as saver,
    Guard(snapshot=snapshot(), store=f"sqlite:///{folder}/guard.db") as guard,
):
    graph: Any
    if kind == "agent":
        graph = create_agent(
            model(calls) if command == "ask" else model(),
            [transfer, log],
            context_schema=dict,
            checkpointer=saver,
            middleware=[
                GuardMiddleware(guard, agent=AGENT, principal=lambda runtime: runtime.context["user"])
            ],
        )
        given: Any = asking()
    else:
        builder: Any = StateGraph(MessagesState)
        builder.add_node("tools", ToolNode(guard_tools(guard, [transfer, log], agent=AGENT, principal="ben")))
        builder.add_edge(START, "tools")
        builder.add_edge("tools", END)
        graph = builder.compile(checkpointer=saver)
        given = {"messages": [calls]}
    if command != "ask":
        given = Command(resume={"decisions": [{"type": "approve"}]})
    user = "eve" if command == "resume-as-eve" else "ben"
    more: dict[str, Any] = {"context": {"user": user}} if kind == "agent" else {}
    state = graph.invoke(given, config(thread), **more)
    print(
        json.dumps(
            {
                "interrupts": [one.value for one in state.get("__interrupt__", ())],
                "results": [
                    [m.tool_call_id, m.status, str(m.content)]
                    for m in state["messages"]
                    if isinstance(m, ToolMessage)
                ],
                "last": str(state["messages"][-1].content)
                if isinstance(state["messages"][-1], AIMessage)
                else "",
            }
        )
    )
