"""What of a tool's parameters is decided on, and what LangChain injects."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import pytest
from langchain_core.callbacks import CallbackManagerForToolRun, Callbacks
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import (
    BaseTool,
    InjectedToolArg,
    InjectedToolCallId,
    StructuredTool,
    Tool,
    ToolException,
    tool,
)
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import InjectedState, InjectedStore, ToolNode, ToolRuntime
from langgraph.store.base import BaseStore
from langgraph.store.memory import InMemoryStore
from pydantic import AliasChoices, BaseModel, Field

from agentguard import ApprovalPending, Guard
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


def one(guard: Guard, what: Any, **options: Any) -> Any:
    options.setdefault("agent", AGENT)
    return guard_tools(guard, [what], **options)[0]


def message(answer: Any) -> ToolMessage:
    assert isinstance(answer, ToolMessage)
    return answer


def _node(node: ToolNode, *calls: dict[str, Any]) -> ToolMessage:
    graph: Any = StateGraph(MessagesState)
    graph.add_node("tools", node)
    graph.add_edge(START, "tools")
    graph.add_edge("tools", END)
    state = graph.compile().invoke({"messages": [AIMessage("", tool_calls=list(calls))]})
    return message(state["messages"][-1])


@tool
def everything(
    x: int,
    secret: Annotated[str, InjectedToolArg],
    state: Annotated[dict[str, Any], InjectedState],
    store: Annotated[BaseStore, InjectedStore],
    id: Annotated[str, InjectedToolCallId],
    runtime: ToolRuntime,
    config: RunnableConfig,
    y: int = 2,
) -> str:
    """Take everything that can be injected."""
    ran.append(
        (x, y, secret, "messages" in state, store is not None, id, runtime.tool_call_id, "tags" in config)
    )
    return "ok"


POLICY_HISTORY: dict[str, Any] = {
    "policy": "p",
    "owner": "o",
    "tools": ["*"],
    "rules": [
        {"id": "ok", "effect": "allow"},
        {"id": "ctx", "effect": "deny", "when": 'has(context.stop) && context.stop == "yes"'},
    ],
}


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_trap_15_injected_arguments_are_no_arguments(guard: Guard, asynchronous: bool) -> None:
    """State, store, runtime, config and ids reach the tool and stay out of the request."""
    requests: list[Any] = []

    def spy(request: Any, names: frozenset[str]) -> dict[str, Any]:
        requests.append(dict(request.args))
        return {}

    with Guard(snapshot=snapshot(POLICY_HISTORY), store="memory:", facts=[spy]) as watched:
        secretive = everything.func
        assert secretive is not None
        found = one(watched, everything)
        runtime: Any = ToolRuntime(
            state={"messages": []},
            context=None,
            config={},
            stream_writer=lambda _: None,
            tool_call_id="c-7",
            store=InMemoryStore(),
        )
        given = {
            "x": 1,
            "secret": "s3cret",
            "state": {"messages": []},
            "store": InMemoryStore(),
            "runtime": runtime,
        }
        if asynchronous:
            answer = await found.ainvoke(call("everything", given, "c-7"))
        else:
            answer = found.invoke(call("everything", given, "c-7"))
    assert message(answer).content == "ok"
    assert ran == [(1, 2, "s3cret", True, True, "c-7", "c-7", True)]
    assert requests == [{"x": 1, "y": 2}]


def test_trap_15_a_schema_says_what_is_injected(guard: Guard) -> None:
    """Where only the schema of a class-based tool marks a field as injected."""

    class Input(BaseModel):
        x: int
        password: Annotated[str, InjectedToolArg]

    class Login(BaseTool):
        name: str = "login"
        description: str = "Log in."
        args_schema: type[BaseModel] = Input

        def _run(self, x: int, password: str) -> str:
            ran.append((x, password))
            return "ok"

    found = one(guard, Login(), pause="raise")
    assert message(found.invoke(call("login", {"x": 1, "password": "s3cret"}))).content == "ok"
    assert ran == [(1, "s3cret")]
    payload = guard.store.payload(guard.tenant, events(guard, "decision")[0]["args_hmac"])
    assert payload is not None
    assert payload.content == b'{"x":1}'


def test_trap_15_in_a_graph(guard: Guard) -> None:
    """ToolNode injects into a guarded tool as into any other."""

    @tool
    def peek(x: int, state: Annotated[dict[str, Any], InjectedState], runtime: ToolRuntime) -> str:
        """Look at the state."""
        return f"{x} {len(state['messages'])} {runtime.tool_call_id}"

    answer = _node(ToolNode(guard_tools(guard, [peek], agent=AGENT)), call("peek", {"x": 4}, "c-3"))
    assert answer.content == "4 1 c-3"


def test_a_single_input_tool_takes_text(guard: Guard) -> None:
    """A bare string is the tool's one argument, under its name."""
    blocked = {
        "policy": "p",
        "owner": "o",
        "tools": ["look"],
        "rules": [
            {"id": "ok", "effect": "allow"},
            {"id": "no", "effect": "deny", "when": 'args.query == "bad"', "reason": "bad words"},
        ],
    }

    def look(query: str) -> str:
        return f"found {query}"

    with Guard(snapshot=snapshot(blocked), store="memory:") as strictly:
        found = one(strictly, Tool("look", look, "Look it up."))
        assert found.invoke("good") == "found good"
        with pytest.raises(ToolException, match="bad words"):
            found.invoke("bad")


def test_a_tool_with_a_json_schema_is_guarded(guard: Guard) -> None:
    """As tools from MCP servers are; an argument called as LangChain calls its own stays visible."""
    schema = {
        "type": "object",
        "properties": {"payee": {"type": "string"}, "callbacks": {"type": "string"}},
        "required": ["payee"],
    }

    def pay(**arguments: Any) -> str:
        ran.append(tuple(arguments.items()))
        return "ok"

    made = StructuredTool(name="remote", description="Pay.", args_schema=schema, func=pay)
    assert message(one(guard, made).invoke(call("remote", {"payee": "A"}))).status == "success"
    assert message(one(guard, made).invoke(call("remote", {"payee": "EVIL"}))).status == "error"
    assert ran == [(("payee", "A"),)]


def test_the_decision_sees_validated_arguments_with_defaults(guard: Guard) -> None:
    """What pydantic made of the model's words is decided on, under the names of the fields."""
    found = one(guard, Pay(), pause="raise")
    with pytest.raises(ApprovalPending) as pending:
        found.invoke(call("pay", {"payee": "A", "sum": "5000"}))
    asked = guard.approval(pending.value.approval_id)
    assert asked.arguments == b'{"amount":5000,"payee":"A"}'
    assert not ran


def test_what_a_constraint_writes_fits_the_schema() -> None:
    """A rewrite that breaks the tool's schema is a denial, also where only the schema knows the limit."""
    rewrite = {
        "policy": "p",
        "owner": "o",
        "tools": ["pay"],
        "rules": [
            {"id": "ok", "effect": "allow"},
            {"id": "more", "effect": "constrain", "set": {"args.amount": "999999"}},
        ],
    }
    with Guard(snapshot=snapshot(rewrite), store="memory:") as guard:
        answer = message(one(guard, Pay()).invoke(call("pay", {"payee": "A"})))
    assert said(answer)["rule"] == "agentguard/constraint"
    assert not ran


# -- aliases, types and defaults


def _watched(found: BaseTool, given: dict[str, Any], **rules: Any) -> tuple[Any, list[Any]]:
    """One call of a tool; its answer, and what was decided on."""
    seen: list[Any] = []

    def spy(request: Any, names: frozenset[str]) -> dict[str, Any]:
        seen.append(dict(request.args))
        return {}

    with Guard(snapshot=snapshot(POLICY_HISTORY), store="memory:", facts=[spy]) as guard:
        return one(guard, found).invoke(call(found.name, given)), seen


def test_an_alias_is_known_under_both_names() -> None:
    """A schema may take an argument under an alias; with a choice of aliases nothing is called unknown."""

    class Choice(BaseModel):
        payee: str = Field(validation_alias=AliasChoices("payee", "to"))

    def pay(payee: str) -> str:
        return payee

    made = StructuredTool(name="pay", description="Pay.", args_schema=Choice, func=pay)
    for name in ("payee", "to"):
        answer, seen = _watched(made, {name: "A"})
        assert message(answer).status == "success", name
        assert [sorted(args) for args in seen] == [["payee"]]


def test_trap_15_what_only_its_type_tells() -> None:
    """A runtime under a name that no schema explains, a config under another name, and callbacks."""
    schema = {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]}
    runtime: Any = ToolRuntime(
        state={}, context=None, config={}, stream_writer=lambda _: None, tool_call_id="c", store=None
    )

    def run(x: int, rt: Any) -> str:
        ran.append((x, rt is not None))
        return "ok"

    made = StructuredTool(name="run", description="Run.", args_schema=schema, func=run)
    answer, seen = _watched(made, {"x": 1, "rt": runtime})
    assert (message(answer).content, seen) == ("ok", [{"x": 1}])

    @tool
    def called_back(x: int, callbacks: Callbacks = None) -> str:
        """Take callbacks."""
        ran.append((callbacks is not None,))
        return "ok"

    answer, seen = _watched(called_back, {"x": 2})
    assert (message(answer).content, seen) == ("ok", [{"x": 2}])
    assert ran == [(1, True), (True,)]


def test_a_default_that_only_the_function_knows_is_decided(guard: Guard) -> None:
    """Its own guard would see it, so the tool's does: it is one call, with the default in it."""

    class Short(BaseModel):
        payee: str

    @guard.tool("payments.transfer")
    def pay(payee: str, amount: int = 5000) -> str:
        """Pay."""
        return "paid"

    made = StructuredTool(name="pay", description="Pay.", args_schema=Short, func=pay)
    with pytest.raises(ApprovalPending) as pending:
        one(guard, made, pause="raise").invoke(call("pay", {"payee": "A"}))
    assert guard.approval(pending.value.approval_id).arguments == b'{"amount":5000,"payee":"A"}'
    assert [event["tool"] for event in events(guard, "decision")] == ["payments.transfer"]


def test_a_default_beside_a_config_is_decided() -> None:
    """A config that LangChain fills in later keeps no default from the decision."""

    class Short(BaseModel):
        payee: str

    def pay(payee: str, settings: RunnableConfig, amount: int = 5000) -> str:
        ran.append((payee, amount, "tags" in settings))
        return "paid"

    made = StructuredTool(name="pay", description="Pay.", args_schema=Short, func=pay)
    answer, seen = _watched(made, {"payee": "A"})
    assert (message(answer).content, seen) == ("paid", [{"payee": "A", "amount": 5000}])
    assert ran == [("A", 5000, True)]


def test_a_tools_arguments_are_those_of_its_schema(guard: Guard) -> None:
    """Where the function takes anything, the schema says what a policy may speak of."""

    def pay(**given: Any) -> str:
        return "paid"

    one(guard, StructuredTool(name="pay", description="Pay.", args_schema=PayInput, func=pay))
    assert guard.tools["pay"].arguments == ("amount", "payee")
