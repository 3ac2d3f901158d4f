"""What a tool returns or raises, and what of it is handed out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.tools import (
    ToolException,
    tool,
)
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.types import Command, interrupt

from agentguard import Guard
from agentguard_langchain import guard_tools
from tests.langchain.drive import AGENT, both_ways, call, events, snapshot


@pytest.fixture
def guard() -> Iterator[Guard]:
    with Guard(snapshot=snapshot(), store="memory:") as made:
        yield made


@tool(response_format="content_and_artifact")
def report(rows: int) -> tuple[str, dict[str, Any]]:
    """Make a report."""
    return "a report", {"rows": rows, "iban": "DE00"}


def one(guard: Guard, what: Any, **options: Any) -> Any:
    options.setdefault("agent", AGENT)
    return guard_tools(guard, [what], **options)[0]


def message(answer: Any) -> ToolMessage:
    assert isinstance(answer, ToolMessage)
    return answer


def test_redaction_reaches_content_artifact_and_callbacks() -> None:
    """T37: a masked value is in no part of the result, and not in what callbacks are given."""
    rule = {
        "policy": "p",
        "owner": "o",
        "tools": ["report"],
        "rules": [{"id": "ok", "effect": "allow", "redact_result": ["$.iban"]}],
    }
    seen: list[str] = []

    class Tracer(BaseCallbackHandler):
        def on_tool_end(self, output: Any, **kwargs: Any) -> None:
            seen.append(repr(output))

    with Guard(snapshot=snapshot(rule), store="memory:") as guard:
        answer = message(one(guard, report).invoke(call("report", {"rows": 3}), {"callbacks": [Tracer()]}))
    assert answer.artifact == {"rows": 3, "iban": "[redacted by policy]"}
    assert "DE00" not in repr(answer) + "".join(seen)
    assert len(seen) == 1


REDACTED: dict[str, Any] = {
    "policy": "p",
    "owner": "o",
    "tools": ["*"],
    "rules": [{"id": "ok", "effect": "allow", "redact_result": ["$.iban"]}],
}


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize("handler", [False, True, lambda error: f"handled {error!r} {error.__context__!r}"])
async def test_T37_an_error_of_a_redacted_tool_shows_nothing(asynchronous: bool, handler: Any) -> None:
    """Its text is in no message, no callback and no chain of causes; it is handled as it would be."""
    seen: list[str] = []

    class Tracer(BaseCallbackHandler):
        def on_tool_error(self, error: BaseException, **kwargs: Any) -> None:
            seen.append(repr((error, error.__cause__, error.__context__)))

        def on_tool_end(self, output: Any, **kwargs: Any) -> None:
            seen.append(repr(output))

    @both_ways
    def breaks(kind: str) -> str:
        """Break."""
        raise ToolException("DE00") if kind == "handled" else ValueError("DE00")

    with Guard(snapshot=snapshot(REDACTED), store="memory:") as guard:
        found = one(guard, breaks)
        found.handle_tool_error = handler
        for kind in ("handled", "other"):
            given = call("breaks", {"kind": kind})
            try:
                if asynchronous:
                    answer = await found.ainvoke(given, {"callbacks": [Tracer()]})
                else:
                    answer = found.invoke(given, {"callbacks": [Tracer()]})
            except Exception as error:
                assert kind == "other" or not handler
                answer = repr((error, error.__cause__, error.__context__))
            seen.append(repr(answer))
        assert "DE00" not in repr(events(guard))
    assert len(seen) == 4
    assert "DE00" not in "".join(seen)


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_trap_12_a_pause_inside_of_a_redacted_tool_is_no_error(asynchronous: bool) -> None:
    """What pauses the graph passes, whatever has to be redacted of the result."""

    @both_ways
    def ask(question: str) -> dict[str, str]:
        """Ask the user."""
        return {"iban": "DE00", "said": str(interrupt(question))}

    with Guard(snapshot=snapshot(REDACTED), store="memory:") as guard:
        builder: Any = StateGraph(MessagesState)
        builder.add_node("tools", ToolNode(guard_tools(guard, [ask], agent=AGENT)))
        builder.add_edge(START, "tools")
        builder.add_edge("tools", END)
        graph = builder.compile(checkpointer=InMemorySaver())
        given: Any = {"messages": [AIMessage("", tool_calls=[call("ask", {"question": "why?"})])]}
        config: Any = {"configurable": {"thread_id": "t"}}
        for following in (given, Command(resume="because")):
            state = (
                await graph.ainvoke(following, config) if asynchronous else graph.invoke(following, config)
            )
    assert "because" in state["messages"][-1].content
    assert "DE00" not in state["messages"][-1].content


def test_a_result_that_is_redacted_as_a_whole_has_no_artifact() -> None:
    """T37: nothing of the pair is left; what is left is still a proper answer."""
    rule = {
        "policy": "p",
        "owner": "o",
        "tools": ["report"],
        "rules": [{"id": "ok", "effect": "allow", "redact_result": ["$"]}],
    }
    with Guard(snapshot=snapshot(rule), store="memory:") as guard:
        answer = message(one(guard, report).invoke(call("report", {"rows": 3})))
    assert (answer.content, answer.artifact) == ("[redacted by policy]", None)


def test_content_and_artifact_stay_apart(guard: Guard) -> None:
    """A guarded tool returns both, as before."""
    answer = message(one(guard, report).invoke(call("report", {"rows": 3})))
    assert (answer.content, answer.artifact) == ("a report", {"rows": 3, "iban": "DE00"})
    assert one(guard, report).invoke({"rows": 3}) == "a report"


def test_a_tools_own_error_stays_its_own(guard: Guard) -> None:
    """T37: it is recorded as a failure by its class, and raised or handled as without a guard."""

    @tool
    def breaks() -> str:
        """Break."""
        raise ToolException("secret-123")

    found = one(guard, breaks)
    with pytest.raises(ToolException, match="secret-123"):
        found.invoke({})
    handled = one(guard, breaks.model_copy(update={"handle_tool_error": "sorry"}))
    assert message(handled.invoke(call("breaks", {}))).content == "sorry"
    outcomes = events(guard, "outcome")
    assert [(event["status"], event["error"]) for event in outcomes] == [("failed", "ToolException")] * 2
    assert "secret-123" not in repr(outcomes)
