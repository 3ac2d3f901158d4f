"""What cannot be covered is listed, or refused: half a wrapper, provider tools, agents behind tools."""

from __future__ import annotations

import functools
import logging
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage
from langchain_core.tools import BaseTool, StructuredTool, tool
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.pregel.remote import RemoteGraph

from agentguard import ConfigurationError, Guard
from agentguard_langchain import GuardMiddleware, guard_tools, uncovered
from tests.langchain.drive import AGENT, asking, call, model, python, results, snapshot, turn

ran: list[str] = []
PROVIDER = {"type": "web_search_20250305", "name": "web_search"}


@pytest.fixture(autouse=True)
def _nothing_ran() -> None:
    ran.clear()


@pytest.fixture
def guard() -> Iterator[Guard]:
    with Guard(snapshot=snapshot(), store="memory:") as made:
        yield made


@tool
def transfer(payee: str) -> str:
    """Pay somebody."""
    ran.append(payee)
    return "paid"


@tool
def web(url: str) -> str:
    """Read a page."""
    return "page"


def node(**wrappers: Any) -> Any:
    builder: Any = StateGraph(MessagesState)
    builder.add_node("tools", ToolNode([transfer], **wrappers))
    builder.add_edge(START, "tools")
    builder.add_edge("tools", END)
    return builder.compile()


EVIL = {"messages": [AIMessage("", tool_calls=[call("transfer", {"payee": "EVIL"})])]}


# -- trap 1


async def test_trap_1_only_one_of_both_wrappers(guard: Guard) -> None:
    """A ToolNode with the asynchronous wrapper alone skips the guard in `invoke`: that is listed."""
    middleware = GuardMiddleware(guard, agent=AGENT)
    half = node(awrap_tool_call=middleware.awrap_tool_call)
    assert uncovered(half) == [
        "`transfer` is guarded only when it is called asynchronously; give the ToolNode both "
        "`wrap_tool_call` and `awrap_tool_call`"
    ]
    assert results(half.invoke(EVIL))[0].status == "success"
    assert ran == ["EVIL"]

    for covered in (
        node(wrap_tool_call=middleware.wrap_tool_call, awrap_tool_call=middleware.awrap_tool_call),
        node(wrap_tool_call=middleware.wrap_tool_call),
    ):
        assert uncovered(covered) == []
        for state in (covered.invoke(EVIL), await covered.ainvoke(EVIL)):
            assert results(state)[0].status == "error"
    assert len(ran) == 1


def test_trap_1_the_other_wrapper_is_somebody_elses(guard: Guard) -> None:
    """Where the asynchronous wrapper is not ours, asynchronous calls are not guarded."""

    async def other(request: Any, handler: Any) -> Any:
        return await handler(request)

    middleware = GuardMiddleware(guard, agent=AGENT)
    (line,) = uncovered(node(wrap_tool_call=middleware.wrap_tool_call, awrap_tool_call=other))
    assert "only when it is called synchronously" in line


# -- traps 10 and 11


def test_tools_are_listed(guard: Guard) -> None:
    """Unguarded, provider, decorated and guarded tools, and plain functions."""

    @guard.tool
    def safe(x: int) -> int:
        """Be safe."""
        return x

    def loose(x: int) -> int:
        """Be loose."""
        return x

    guarded = guard_tools(guard, [transfer])
    assert uncovered(guarded) == []
    assert uncovered([tool(safe), safe]) == []
    assert uncovered([transfer, loose, PROVIDER]) == [
        "`transfer` is not guarded",
        "`loose` is not guarded",
        "`web_search` runs at the model's provider, where nothing stands before it",
    ]


def test_trap_10_agents_behind_tools_are_walked(guard: Guard) -> None:
    """A sub-agent has tools of its own, which the middleware of its caller does not see."""
    bare: Any = create_agent(model(), [web], name="helper")
    covered: Any = create_agent(
        model(), [web], name="helper", middleware=[GuardMiddleware(guard, agent=AGENT)]
    )

    def asks(helper: Any) -> BaseTool:
        @tool
        def research(question: str) -> str:
            """Ask the helper."""
            return str(helper.invoke(asking()))

        return research

    def partly(helper: Any, question: str) -> str:
        """Ask the helper."""
        return str(helper.invoke(asking()))

    class Asks(BaseTool):
        name: str = "research_more"
        description: str = "Ask the helper."
        helper: Any

        def _run(self, question: str) -> str:
            return str(self.helper.invoke(asking()))

    for found in (asks(bare), Asks(helper=bare)):
        line = f"`{found.name}` calls the agent `helper`: `web` is not guarded"
        assert uncovered(guard_tools(guard, [found])) == [line]
        with pytest.raises(ConfigurationError, match="helper"):
            guard_tools(guard, [found], strict=True)
    assert any("`web` is not guarded" in line for line in uncovered(functools.partial(partly, bare)))
    for found in (asks(covered), Asks(helper=covered)):
        assert uncovered(guard_tools(guard, [found], strict=True)) == []


def test_an_agent_is_walked(guard: Guard) -> None:
    """With the middleware its tools are covered, provider tools and tools of sub-agents are not."""
    helper: Any = create_agent(model(), [web], name="helper")

    @tool
    def research(question: str) -> str:
        """Ask the helper."""
        return str(helper.invoke(asking()))

    bare: Any = create_agent(model(), [transfer, PROVIDER])
    assert uncovered(bare) == [
        "`web_search` runs at the model's provider, where nothing stands before it",
        "`transfer` is not guarded",
    ]
    guarded: Any = create_agent(
        model(), [transfer, research, PROVIDER], middleware=[GuardMiddleware(guard, agent=AGENT)]
    )
    assert uncovered(guarded) == [
        "`web_search` runs at the model's provider, where nothing stands before it",
        "`research` calls the agent `helper`: `web` is not guarded",
    ]
    clean: Any = create_agent(model(), [transfer], middleware=[GuardMiddleware(guard, agent=AGENT)])
    assert uncovered(clean) == []
    assert uncovered(create_agent(model(), guard_tools(guard, [transfer]))) == []


def test_trap_11_strict_middleware_refuses_to_start(guard: Guard, caplog: pytest.LogCaptureFixture) -> None:
    """Before the model is asked; without `strict` each gap is warned of once."""
    strictly: Any = create_agent(
        model(turn(call("transfer", {"payee": "A"}))),
        [transfer, PROVIDER],
        middleware=[GuardMiddleware(guard, agent=AGENT, strict=True, pause="wait")],
    )
    with pytest.raises(ConfigurationError, match="web_search"):
        strictly.invoke(asking())
    assert not ran
    loosely: Any = create_agent(
        model(turn(call("transfer", {"payee": "A"}))),
        [transfer, PROVIDER],
        middleware=[GuardMiddleware(guard, agent=AGENT)],
    )
    with caplog.at_level(logging.WARNING, "agentguard"):
        loosely.invoke(asking())
    assert ran == ["A"]
    assert len([record for record in caplog.records if "web_search" in record.getMessage()]) == 1


def test_trap_11_strict_tools_refuse_provider_tools(guard: Guard, caplog: pytest.LogCaptureFixture) -> None:
    """Without `strict` they are passed through as they are, with a warning."""
    with pytest.raises(ConfigurationError, match="web_search"):
        guard_tools(guard, [transfer, PROVIDER], strict=True)
    assert guard_tools(guard, [transfer, PROVIDER])[1] is PROVIDER
    assert "not covered by the guard: `web_search`" in caplog.text


def test_trap_16_a_kept_original_is_listed(guard: Guard) -> None:
    """T32: the tool from before guarding still runs unguarded; where it is used, it is listed."""
    guard_tools(guard, [transfer])
    assert uncovered(node()) == ["`transfer` is not guarded"]


def _ways(bare: Any) -> dict[str, Any]:
    """Functions that lead to an agent, each in another way."""
    listed, by_name, bound = [bare], {"helper": bare}, bare.with_retry()

    def closes(question: str) -> str:
        return str(bare.invoke(asking()))

    def default(question: str, helper: Any = bare) -> str:
        return str(helper.invoke(asking()))

    def in_list(question: str) -> str:
        return str(listed[0].invoke(asking()))

    def in_dict(question: str) -> str:
        return str(by_name["helper"].invoke(asking()))

    def bound_with_retry(question: str) -> str:
        return str(bound.invoke(asking()))

    def by_global(question: str) -> str:
        return str(_GLOBAL[0].invoke(asking()))

    @functools.wraps(closes)
    def wrapped(question: str) -> str:
        return "hidden"

    _GLOBAL[:] = [bare]
    return {
        "closure": closes,
        "default": default,
        "list": in_list,
        "dict": in_dict,
        "binding": bound_with_retry,
        "global": by_global,
        "wrapped": wrapped,
        "partial": functools.partial(default, helper=bare),
        "partial-positional": functools.partial(lambda helper, question: str(helper), bare),
        "partial-of": functools.partial(closes),
    }


_GLOBAL: list[Any] = []
WAYS = [
    "closure", "default", "list", "dict", "binding", "global", "wrapped", "partial", "partial-positional",
    "partial-of",
]  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_trap_10_ways_in_which_a_function_leads_to_an_agent(guard: Guard, way: str) -> None:
    """What a function closes over, names, has as a default or wraps is looked at."""
    bare: Any = create_agent(model(), [web], name="helper")
    lines = uncovered(_ways(bare)[way])
    assert any(line.endswith("calls the agent `helper`: `web` is not guarded") for line in lines)
    assert sorted(_ways(bare)) == sorted(WAYS)


def test_trap_10_methods_nodes_and_remote_agents(guard: Guard) -> None:
    """A method of an object with an agent, a node that calls one, and one that runs elsewhere."""
    bare: Any = create_agent(model(), [web], name="helper")
    assert "calls the agent `helper`" in uncovered(functools.partial(str, bare.invoke))[-1]

    builder: Any = StateGraph(MessagesState)
    builder.add_node("delegate", lambda state: bare.invoke(state))
    builder.add_edge(START, "delegate")
    builder.add_edge("delegate", END)
    assert uncovered(builder.compile()) == ["node `delegate`: `web` is not guarded"]

    builder = StateGraph(MessagesState)
    builder.add_node("helper", bare)
    builder.add_edge(START, "helper")
    assert uncovered(builder.compile()) == ["`web` is not guarded"]

    remote = RemoteGraph("far", url="http://127.0.0.1:9")

    @tool
    def ask(question: str) -> str:
        """Ask far away."""
        return str(remote.invoke(asking()))

    elsewhere = "`far` runs elsewhere, where nothing stands before its tools"
    assert uncovered(remote) == [elsewhere]
    assert uncovered(guard_tools(guard, [ask])) == [f"`ask` calls the agent `far`: {elsewhere}"]
    with pytest.raises(ConfigurationError, match="runs elsewhere"):
        guard_tools(guard, [ask], strict=True)


def test_a_tool_is_decorated_only_if_both_of_its_functions_are(guard: Guard) -> None:
    """One guarded function beside an unguarded one is a way around."""

    @guard.tool
    def safe(x: int) -> int:
        """Be safe."""
        return x

    async def loose(x: int) -> int:
        return x

    assert uncovered(StructuredTool.from_function(safe, loose)) == ["`safe` is not guarded"]


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_trap_11_provider_tools_that_come_with_the_model(guard: Guard, asynchronous: bool) -> None:
    """Bound to the model beforehand: `strict` refuses them; functions are no such tools."""
    functions: list[Any] = [
        {"type": "function", "function": {"name": "transfer"}},
        {"name": "transfer", "input_schema": {}},
    ]

    def made(tools: list[Any]) -> Any:
        chat: Any = model(turn(call("transfer", {"payee": "A"}))).bind(tools=tools)
        middleware = GuardMiddleware(guard, agent=AGENT, strict=True, pause="wait")
        return create_agent(chat, [transfer], middleware=[middleware])

    for extra in ({"google_search": {}}, PROVIDER):
        with pytest.raises(ConfigurationError, match="search"):
            graph = made([*functions, extra])
            await graph.ainvoke(asking()) if asynchronous else graph.invoke(asking())
    assert not ran
    graph = made(functions)
    await graph.ainvoke(asking()) if asynchronous else graph.invoke(asking())
    assert ran == ["A"]


# -- importing


def test_a_missing_langchain_is_said_kindly() -> None:
    """The error names what to install."""
    blocked = "import sys; sys.modules['langchain'] = None\ntry:\n    import agentguard_langchain\n"
    printed = python("-c", blocked + "except ImportError as error:\n    print(error)")
    assert "pip install 'agentguard[langchain]'" in printed


def test_importing_the_guard_loads_no_framework() -> None:
    """Only the adapter does."""
    code = "import agentguard, sys; print([name for name in sys.modules if name.startswith('lang')])"
    assert python("-c", code).strip() == "[]"
    assert "agentguard_langchain" in sys.modules
