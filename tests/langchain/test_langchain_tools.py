"""Guarded tools: still proper LangChain tools, with the guard before what they do."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler, CallbackManagerForToolRun
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.tools import (
    BaseTool,
    StructuredTool,
    ToolException,
    tool,
)
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from pydantic import BaseModel, Field

from agentguard import AgentIdentity, ConfigurationError, Guard
from agentguard_langchain import guard_tools
from tests.langchain.drive import AGENT, call, events, said, snapshot

ran: list[tuple[Any, ...]] = []


@pytest.fixture(autouse=True)
def _nothing_ran() -> None:
    ran.clear()


@pytest.fixture
def guard() -> Iterator[Guard]:
    with Guard(snapshot=snapshot(), store="memory:") as made:
        yield made


@tool
def transfer(payee: str, amount: int = 1, note: str = "") -> str:
    """Pay somebody."""
    ran.append((payee, amount, note))
    return f"paid {amount} to {payee}"


@tool
async def atransfer(payee: str, amount: int = 1, note: str = "") -> str:
    """Pay somebody, asynchronously."""
    ran.append((payee, amount, note))
    return f"paid {amount} to {payee}"


@tool(response_format="content_and_artifact")
def report(rows: int) -> tuple[str, dict[str, Any]]:
    """Make a report."""
    return "a report", {"rows": rows, "iban": "DE00"}


class PayInput(BaseModel):
    payee: str
    amount: int = Field(default=1, alias="sum", le=100_000)

    model_config = {"populate_by_name": True}


class Pay(BaseTool):
    name: str = "pay"
    description: str = "Pay somebody."
    args_schema: type[BaseModel] = PayInput
    currency: str = "EUR"

    def _run(self, payee: str, amount: int = 1, run_manager: CallbackManagerForToolRun | None = None) -> str:
        ran.append((payee, amount, self.currency, run_manager is not None))
        return f"paid {amount} {self.currency}"


class APay(Pay):
    name: str = "apay"

    async def _arun(self, payee: str, amount: int = 1, **kwargs: Any) -> str:
        ran.append(("async", payee, amount))
        return f"paid {amount} later"


def one(guard: Guard, what: Any, **options: Any) -> Any:
    options.setdefault("agent", AGENT)
    return guard_tools(guard, [what], **options)[0]


def message(answer: Any) -> ToolMessage:
    assert isinstance(answer, ToolMessage)
    return answer


# -- what a tool is stays


@pytest.mark.parametrize("kind", [transfer, atransfer, report, Pay(), APay()], ids=lambda t: t.name)
def test_a_guarded_tool_looks_like_its_tool(guard: Guard, kind: BaseTool) -> None:
    """Name, description, schema, type and extra fields stay, and the original is untouched."""
    before = dict(vars(kind))
    found = one(guard, kind)
    assert isinstance(found, type(kind))
    assert type(found).__name__ == type(kind).__name__
    assert (found.name, found.description, found.args) == (kind.name, kind.description, kind.args)
    assert found.tool_call_schema.model_json_schema() == kind.tool_call_schema.model_json_schema()
    assert found.response_format == kind.response_format
    assert {name: vars(kind)[name] for name in before} == before
    assert type(kind)._run is not type(found)._run


def test_guarding_twice_changes_nothing(guard: Guard) -> None:
    """A guarded tool is passed through; another guard's is refused."""
    found = one(guard, transfer)
    assert one(guard, found) is found
    with (
        Guard(snapshot=snapshot(), store="memory:") as other,
        pytest.raises(ConfigurationError, match="another guard"),
    ):
        guard_tools(other, [found])


def test_two_tools_of_one_name_are_refused(guard: Guard) -> None:
    """A name that policies speak of means one tool."""

    @tool("transfer")
    def impostor(payee: str) -> str:
        """Another tool."""
        return payee

    guard_tools(guard, [transfer])
    with pytest.raises(ConfigurationError, match="two tools are called `transfer`"):
        guard_tools(guard, [impostor])


# -- decisions


async def _both(found: BaseTool, given: Any) -> list[Any]:
    return [await asyncio.to_thread(found.invoke, given), await found.ainvoke(given)]


@pytest.mark.parametrize("kind", [transfer, Pay(), APay()], ids=lambda t: t.name)
async def test_an_allowed_call_runs_and_is_recorded(guard: Guard, kind: BaseTool) -> None:
    """One decision and one outcome for each call, synchronous or not."""
    answers = await _both(one(guard, kind), call(kind.name, {"payee": "ACME"}))
    assert [message(answer).status for answer in answers] == ["success", "success"]
    assert len(ran) == 2
    assert [event["type"] for event in events(guard)] == ["decision", "outcome"] * 2


async def test_an_asynchronous_tool_stays_asynchronous(guard: Guard) -> None:
    """A coroutine is awaited; there is still no synchronous version of it."""
    found = one(guard, atransfer)
    assert message(await found.ainvoke(call("atransfer", {"payee": "A"}))).content == "paid 1 to A"
    with pytest.raises(NotImplementedError):
        found.invoke(call("atransfer", {"payee": "A"}))


@pytest.mark.parametrize("kind", [transfer, Pay(), APay()], ids=lambda t: t.name)
async def test_a_denial_is_a_tool_message(guard: Guard, kind: BaseTool) -> None:
    """With a tool call the model gets an answer: which rule, why, and what would help."""
    for answer in await _both(one(guard, kind), call(kind.name, {"payee": "EVIL"}, "call_9")):
        answer = message(answer)
        assert (answer.status, answer.tool_call_id) == ("error", "call_9")
        found = said(answer)
        assert found["rule"] == "payments/evil"
        assert found["reason"] == "this payee is blocked"
        assert found["remedy"] == "by_exception"
        assert found["decision"] in {event["id"] for event in events(guard, "decision")}
        assert answer.artifact == {"agentguard": found}
    assert not ran


async def test_a_denial_outside_of_a_tool_call_is_a_tool_exception(guard: Guard) -> None:
    """As LangChain's own errors are."""
    found = one(guard, transfer)
    with pytest.raises(ToolException, match="payments/evil"):
        found.invoke({"payee": "EVIL"})
    with pytest.raises(ToolException, match="payments/evil"):
        await found.ainvoke({"payee": "EVIL"})
    assert not ran


@pytest.mark.parametrize(
    ("handler", "wanted"),
    [
        ("said no", "said no"),
        (lambda error: "H " + type(error).__name__, "H Refused"),
        (True, "payments/evil"),
    ],
)
def test_handle_tool_error_handles_denials_too(guard: Guard, handler: Any, wanted: str) -> None:
    """A denial is an error of the tool to whoever handles these."""
    found = one(guard, transfer.model_copy(update={"handle_tool_error": handler}))
    assert wanted in found.invoke({"payee": "EVIL"})
    answer = message(found.invoke(call("transfer", {"payee": "EVIL"})))
    assert answer.status == "error"
    assert wanted in str(answer.content)


def test_constraints_rewrite_what_runs(guard: Guard) -> None:
    """The tool gets the constrained value."""
    one(guard, transfer).invoke(call("transfer", {"payee": "A", "note": "abcdefgh"}))
    assert ran == [("A", 1, "abcde")]


def test_T03_the_tool_runs_with_a_copy(guard: Guard) -> None:
    """What a caller keeps and changes while the tool runs is not what runs."""
    kept = {"rows": [1]}

    @tool
    def total(data: dict[str, Any]) -> int:
        """Add up."""
        kept["rows"].append(1000)
        return sum(data["rows"])

    assert one(guard, total).invoke({"data": kept}) == 1


# -- who


def test_T34_without_a_session_a_call_is_denied(guard: Guard) -> None:
    """No identity, no call; never the identity of before."""
    found = guard_tools(guard, [transfer])[0]
    with guard.session(agent=AGENT):
        assert message(found.invoke(call("transfer", {"payee": "A"}))).status == "success"
    answer = message(found.invoke(call("transfer", {"payee": "A"})))
    assert said(answer)["rule"] == "agentguard/identity"
    assert len(ran) == 1


def test_the_session_of_the_context_acts(guard: Guard) -> None:
    """A session that was entered says who acts."""
    found = guard_tools(guard, [transfer])[0]
    with guard.session(agent=AgentIdentity("intern")):
        answer = message(found.invoke(call("transfer", {"payee": "A"})))
    assert said(answer)["rule"] == "agentguard/default"


# -- one call


def test_a_decorated_function_in_a_guarded_tool_is_one_call(guard: Guard) -> None:
    """Its policy name, facts and scopes are adopted, defaults included; there is one decision."""

    @guard.tool("payments.transfer", secrets=["payments:write"], facts={"writes": True})
    def pay(payee: str, amount: int = 3, note: str = "") -> str:
        """Pay."""
        ran.append((payee, amount, note))
        return "paid"

    found = one(guard, StructuredTool.from_function(pay))
    assert found.name == "pay"
    assert message(found.invoke(call("pay", {"payee": "A"}))).content == "paid"
    assert ran == [("A", 3, "")]
    assert [event["type"] for event in events(guard)] == ["decision", "outcome"]
    decision = events(guard, "decision")[0]
    assert (decision["tool"], decision["secrets"]) == ("payments.transfer", ["payments:write"])
    assert decision["call_id"] == "call_1"


async def test_a_decorated_coroutine_in_a_guarded_tool_is_one_call(guard: Guard) -> None:
    """The same, asynchronously."""

    @guard.tool("payments.transfer")
    async def pay(payee: str, amount: int = 3) -> str:
        """Pay."""
        return "paid"

    await one(guard, tool(pay)).ainvoke(call("pay", {"payee": "A"}))
    assert [event["tool"] for event in events(guard, "decision")] == ["payments.transfer"]


async def test_arun_of_a_synchronous_tool_is_one_call(guard: Guard) -> None:
    """LangChain runs its `_run` from its `_arun`: that is the same call."""
    assert await one(guard, transfer).arun({"payee": "A"}) == "paid 1 to A"
    assert [event["type"] for event in events(guard)] == ["decision", "outcome"]


# -- trap 2


def _node(node: ToolNode, *calls: dict[str, Any]) -> ToolMessage:
    graph: Any = StateGraph(MessagesState)
    graph.add_node("tools", node)
    graph.add_edge(START, "tools")
    graph.add_edge("tools", END)
    state = graph.compile().invoke({"messages": [AIMessage("", tool_calls=list(calls))]})
    return message(state["messages"][-1])


def test_trap_2_a_tool_node_handles_errors_as_before(guard: Guard) -> None:
    """Guarded tools leave the node's own error handling as it is: which errors, and in which words."""

    @tool
    def breaks(kind: str) -> str:
        """Break."""
        raise ValueError("v") if kind == "value" else TypeError("t")

    def only_values(error: ValueError) -> str:
        return f"handled {error}"

    for tools in ([breaks], guard_tools(guard, [breaks], agent=AGENT)):
        node = ToolNode(tools, handle_tool_errors=only_values)
        assert _node(node, call("breaks", {"kind": "value"})).content == "handled v"
        with pytest.raises(TypeError, match="t"):
            _node(node, call("breaks", {"kind": "type"}))
        invalid = _node(ToolNode(tools), call("breaks", {}))
        assert "Field required" in str(invalid.content)


# -- T33: framework features


async def test_T33_batch_stream_and_threads(guard: Guard) -> None:
    """`batch`, `abatch`, `stream` and thread pools go through the guard, each call once."""
    found = one(guard, transfer)
    good, bad = call("transfer", {"payee": "A"}, "a"), call("transfer", {"payee": "EVIL"}, "b")
    for answers in (found.batch([good, bad]), await found.abatch([good, bad])):
        assert [answer.status for answer in answers] == ["success", "error"]
    assert [chunk.status for chunk in found.stream(bad)] == ["error"]
    assert len(ran) == 2
    assert len(events(guard, "decision")) == 5


def test_T33_each_retry_is_a_call_of_its_own(guard: Guard) -> None:
    """What a framework retries is decided again, and recorded again."""
    tries: list[int] = []

    @tool
    def flaky() -> str:
        """Fail twice."""
        tries.append(1)
        if len(tries) < 3:
            raise ConnectionError
        return "ok"

    found = one(guard, flaky).with_retry(stop_after_attempt=3, wait_exponential_jitter=False)
    assert found.invoke(call("flaky", {})).content == "ok"
    assert [event["status"] for event in events(guard, "outcome")] == ["failed", "failed", "succeeded"]


def test_T33_callbacks_still_work(guard: Guard) -> None:
    """Callbacks see the call and its end once, also that of a denied one."""
    seen: list[str] = []

    class Tracer(BaseCallbackHandler):
        def on_tool_start(self, *args: Any, **kwargs: Any) -> None:
            seen.append("start")

        def on_tool_end(self, *args: Any, **kwargs: Any) -> None:
            seen.append("end")

        def on_tool_error(self, *args: Any, **kwargs: Any) -> None:
            seen.append("error")

    found = one(guard, transfer)
    found.invoke(call("transfer", {"payee": "A"}), {"callbacks": [Tracer()]})
    found.invoke(call("transfer", {"payee": "EVIL"}), {"callbacks": [Tracer()]})
    assert seen == ["start", "end", "start", "error"]
