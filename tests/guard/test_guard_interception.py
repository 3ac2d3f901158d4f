"""Ways around, beside and through the guard: what cannot be prevented in one process is detected."""

from __future__ import annotations

import asyncio
import functools
import importlib
import multiprocessing
import sys
import textwrap
import threading
import types
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextvars import copy_context
from pathlib import Path
from typing import Any

import pytest

from agentguard import AgentIdentity, ConfigurationError, Guard, Session, ToolCallDenied
from tests.guard.support import (
    AGENT,
    ALLOW,
    ANY,
    EVIL,
    LARGE,
    WAYS,
    Way,
    answer,
    bank,
    events,
    is_whole,
    make_guard,
    rules,
    says,
    until,
)

MODULE = """
from tests.guard.support import ANY, make_guard

def raw(x: int) -> int:
    return x

def swapped(x: int) -> int:
    return -x

guard = make_guard(ANY)

@guard.tool("t.clean")
def clean(x: int) -> int:
    return x
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A module with one clean tool, that a test may spoil."""
    (tmp_path / "spoilt_tools.py").write_text(textwrap.dedent(MODULE))
    monkeypatch.syspath_prepend(tmp_path)
    found = importlib.import_module("spoilt_tools")
    yield found
    found.guard.close()
    del sys.modules["spoilt_tools"]


# T32 and T35: detected


def test_a_clean_module_has_no_bypass_T32(module: Any) -> None:
    """Nor has one whose tool is running."""
    assert module.guard.bypasses() == []
    running: list[Any] = []

    @module.guard.tool("t.inside")
    def inside() -> None:
        running.extend(module.guard.bypasses())

    @module.guard.tool("t.stream")
    def stream() -> Any:
        yield 1

    with module.guard.session(agent=AGENT):
        inside()
        items = stream()
        next(items)
        assert module.guard.bypasses() == running == []
        items.close()


HOLDERS: dict[str, Any] = {
    "a name of a module": lambda module: None,
    "a list": lambda module: [module.raw],
    "a dict": lambda module: {"raw": module.raw},
    "a partial": lambda module: functools.partial(module.raw, 1),
    "an object": lambda module: types.SimpleNamespace(run=module.raw),
    "a method": lambda module: types.MethodType(module.raw, 1),
}


@pytest.mark.parametrize("held", HOLDERS)
def test_who_else_holds_the_function_is_named_T32(module: Any, held: str) -> None:
    """A registry filled before the wrapping, a partial, an attribute: all are listed."""
    holder = HOLDERS[held](module)
    module.guard.tool("t.raw")(module.raw)
    if held != "a name of a module":
        module.raw = module.guard.tool("t.raw")(module.raw)
    (found, *more) = module.guard.bypasses()
    assert "`t.raw`" in found
    assert not more
    assert ("spoilt_tools.raw" in found) is (held == "a name of a module")
    del holder


def test_strict_refuses_to_start_with_a_bypass_T32(module: Any) -> None:
    """And says which."""
    guard = make_guard(ANY, strict=True)
    guard.tool("t.raw")(module.raw)
    with guard, pytest.raises(ConfigurationError, match=r"strict: .*spoilt_tools\.raw"):
        guard.session(agent=AGENT)


def test_a_replaced_module_attribute_is_detected_T35(module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The name no longer leads to the guarded function."""
    monkeypatch.setattr(module, "clean", module.swapped)
    assert module.guard.bypasses() == ["`spoilt_tools.clean` was replaced by something that is not guarded"]


@pytest.mark.parametrize("called_before", [False, True])
def test_replaced_code_is_denied_and_detected_T35(module: Any, called_before: bool) -> None:
    """From the registration on, also when it is swapped before the first call."""
    guard = module.guard
    with guard.session(agent=AGENT):
        if called_before:
            assert module.clean(1) == 1
        guard.tools["t.clean"].run.__code__ = module.swapped.__code__
        with pytest.raises(ToolCallDenied, match="agentguard/definition"):
            module.clean(1)
    assert guard.bypasses() == ["the code of `t.clean` was replaced after it was registered"]


def test_swapped_defaults_are_not_used_T35(module: Any) -> None:
    """What the signature said when it was registered is what is decided and run."""
    guard = make_guard(ANY)

    def tool(x: int = 1) -> int:
        return x

    guarded = guard.tool("t")(tool)
    tool.__defaults__ = (99,)
    with guard, guard.session(agent=AGENT):
        assert guarded() == 1


def test_a_reloaded_module_is_guarded_again_T35(module: Any) -> None:
    """The same definition under the same name is the same tool."""
    guard = module.guard
    source = Path(module.__file__)
    source.write_text(source.read_text().replace("guard = make_guard(ANY)", ""))
    importlib.reload(module)
    assert module.guard is guard
    with guard.session(agent=AGENT):
        assert module.clean(1) == 1
    assert guard.bypasses() == []


def test_a_method_that_a_subclass_overrides_is_not_guarded_and_says_so_T32() -> None:
    """Only what carries the mark is guarded."""
    guard = make_guard(ANY)

    class Base:
        @guard.tool("base.act")
        def act(self) -> None: ...

    class Derived(Base):
        def act(self) -> None: ...

    assert hasattr(Base.act, "__agentguard__")
    assert not hasattr(Derived.act, "__agentguard__")


# T33: every way of being called


def test_a_stream_that_is_closed_early_is_recorded_T33() -> None:
    """As are one that fails and one that is dropped."""
    guard = make_guard(ANY)

    @guard.tool("s")
    def stream(fail: bool) -> Any:
        yield 1
        if fail:
            raise KeyError("x")
        yield 2

    @guard.tool("a")
    async def astream(fail: bool) -> Any:
        yield 1
        if fail:
            raise KeyError("x")
        yield 2

    async def main() -> None:
        items = astream(False)
        assert await anext(items) == 1
        await items.aclose()
        with pytest.raises(KeyError):
            [item async for item in astream(True)]
        assert [item async for item in astream(False)] == [1, 2]

    with guard, guard.session(agent=AGENT):
        items = stream(False)
        assert next(items) == 1
        items.close()
        with pytest.raises(KeyError):
            list(stream(True))
        assert list(stream(False)) == [1, 2]
        dropped = stream(False)
        next(dropped)
        del dropped
        asyncio.run(main())
        assert [(event["status"], event.get("error")) for event in events(guard, "outcome")] == [
            ("succeeded", "Closed"), ("failed", "KeyError"), ("succeeded", None), ("succeeded", "Closed"),
            ("succeeded", "Closed"), ("failed", "KeyError"), ("succeeded", None),
        ]  # fmt: skip


def test_parallel_calls_are_decided_one_by_one_T33_T36() -> None:
    """In one gather: what is allowed runs, what is denied does not, one approval releases one call."""
    guard = make_guard(ALLOW, LARGE, EVIL)
    ran: list[Any] = []

    @guard.tool("bank.transfer")
    async def transfer(payee: str, amount: int, note: str = "") -> str:
        ran.append((payee, amount))
        return payee

    async def main() -> list[Any]:
        async with guard.session(agent=AGENT):
            calls = [
                transfer("A", 1),
                transfer("EVIL", 1),
                transfer("B", 500),
                transfer("C", 600),
                transfer("D", 2),
            ]
            together = asyncio.gather(*calls, return_exceptions=True)
            await until(lambda: guard.waiter.waiting == 2)
            asked = {a.arguments: a for a in guard.store.approvals("default")}
            (first,) = [a for text, a in asked.items() if text is not None and b'"B"' in text]
            (other,) = [a for a in asked.values() if a is not first]
            await asyncio.to_thread(answer, guard, first.id)
            await asyncio.to_thread(answer, guard, other.id, "deny")
            return await together

    with guard:
        found = asyncio.run(main())
    assert [type(item).__name__ for item in found] == [
        "str",
        "ToolCallDenied",
        "str",
        "ToolCallDenied",
        "str",
    ]
    assert sorted(ran) == [("A", 1), ("B", 500), ("D", 2)]


def test_a_retry_is_a_new_call_T33() -> None:
    """Each has its own decision."""
    with make_guard(ANY) as guard, guard.session(agent=AGENT):
        transfer, _ = bank(guard)
        for _ in range(3):
            transfer("A", 1)
        assert len({event["call_id"] for event in events(guard, "decision")}) == 3


def test_thread_pools_need_a_copied_context_T33_T34() -> None:
    """With one they act as the session, without one as nobody."""
    with make_guard(ANY) as guard, guard.session(agent=AGENT), ThreadPoolExecutor(4) as pool:
        transfer, ran = bank(guard)
        copied = [pool.submit(copy_context().run, transfer, "A", number) for number in range(20)]
        assert all(future.result() for future in copied)
        with pytest.raises(ToolCallDenied, match="agentguard/identity"):
            pool.submit(transfer, "A", 1).result()
        assert len(ran) == 20


def forked(url: str) -> list[str]:
    """In a child process that was forked with a guard and a session open."""
    found = []
    for way in WAYS:
        try:
            transfer = CHILD[way]
            found.append(str(transfer("A", 1)))
        except ToolCallDenied as denied:
            found.append(denied.rule)
    return found


CHILD: dict[str, Any] = {}


@pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("record", ["before", "batched"])
def test_a_forked_worker_decides_and_records_for_itself_T33(tmp_path: Path, record: Any) -> None:
    """Both ways of calling work in the child, and one ledger holds it all, whole."""
    with make_guard(ANY, store=f"sqlite:///{tmp_path}/store.db", record=record) as guard:
        for way in WAYS:
            CHILD[way], _ = bank(guard, way, f"t.{way}", facts={"read_only": True})
        with guard.session(agent=AGENT):
            CHILD["async"]("A", 1)
            with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as pool:
                assert pool.submit(forked, guard.store.url).result(timeout=300) == ["sent 1 to A"] * 2
            CHILD["sync"]("A", 2)
        guard.flush()
        assert is_whole(guard)
        assert len([event for event in events(guard, "decision") if event["runs"]]) == 4
        segments = [event["state"] for event in events(guard, "segment")]
        assert segments == ([] if record == "before" else ["open", "open", "closed"])


def test_a_memory_store_is_no_record_in_a_forked_child_T33() -> None:
    """Calls in the child are denied."""
    with make_guard(ANY) as guard, guard.session(agent=AGENT):
        for way in WAYS:
            CHILD[way], _ = bank(guard, way, f"t.{way}")
        CHILD["async"]("A", 1)
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as pool:
            assert pool.submit(forked, "").result(timeout=300) == ["agentguard/store"] * 2


# T34: who acts


@pytest.mark.parametrize("way", WAYS)
def test_nobody_acts_without_a_session_T34(way: Way) -> None:
    """Denied and recorded, before a session, after it, and in a raw thread."""
    with make_guard(ANY) as guard:
        transfer, ran = bank(guard, way)
        denied: list[str] = []

        def attempt() -> None:
            try:
                transfer("A", 1)
            except ToolCallDenied as error:
                denied.append(error.rule)

        attempt()
        with guard.session(agent=AGENT):
            thread = threading.Thread(target=attempt)
            thread.start()
            thread.join()
        attempt()
        assert denied == ["agentguard/identity"] * 3
        assert not ran
        assert [event["runs"] for event in events(guard, "decision")] == [False] * 3


def test_a_task_that_outlives_its_session_is_nobody_T34() -> None:
    """The session it inherited has ended."""

    async def main() -> None:
        gate = asyncio.Event()

        async def late() -> str:
            await gate.wait()
            return str(await transfer(1))

        async with guard.session(agent=AGENT):
            task = asyncio.ensure_future(late())
            await asyncio.sleep(0)
        gate.set()
        with pytest.raises(ToolCallDenied, match="its session has ended"):
            await task

    guard = make_guard(ANY)

    @guard.tool("t")
    async def transfer(amount: int) -> int:
        return amount

    with guard:
        asyncio.run(main())


def test_concurrent_sessions_do_not_bleed_T34() -> None:
    """Two hundred interleaved runs: each call is its own agent's, on tasks and on threads."""
    guard = make_guard(ANY)
    seen: list[tuple[str, str]] = []

    @guard.tool("t")
    async def transfer(who: str) -> None:
        await asyncio.sleep(0)
        session = guard.current
        assert session is not None
        seen.append((who, session.agent.id))

    @guard.tool("s")
    def plain(who: str) -> None:
        session = guard.current
        assert session is not None
        seen.append((who, session.agent.id))

    async def one(number: int) -> None:
        async with guard.session(agent=AgentIdentity(f"a{number}")):
            await transfer(f"a{number}")
            await asyncio.to_thread(plain, f"a{number}")
            async with guard.session(agent=AgentIdentity(f"b{number}")):
                await transfer(f"b{number}")
            await transfer(f"a{number}")

    async def main() -> None:
        await asyncio.gather(*[one(number) for number in range(50)])

    with guard:
        asyncio.run(main())
        assert len(seen) == 200
        assert all(who == agent for who, agent in seen)
        assert {event["agent"] for event in events(guard, "decision")} == {who for who, _ in seen}


def test_a_session_left_in_another_context_ends_everywhere_T34() -> None:
    """As happens with generators and fixtures; nobody acts under it any more, in either context."""
    with make_guard(ANY) as guard:
        transfer, ran = bank(guard)
        session = guard.session(agent=AGENT)

        def other() -> None:
            session.__enter__()
            transfer("A", 1)

        context = copy_context()
        context.run(other)
        session.__exit__(None, None, None)
        for attempt in (transfer, functools.partial(context.run, transfer)):
            with pytest.raises(ToolCallDenied, match="agentguard/identity"):
                attempt("A", 1)
        with pytest.raises(ConfigurationError, match="has ended"):
            session.__enter__()
        assert len(ran) == 1


def test_a_session_of_another_guard_does_not_count_T34() -> None:
    """Each guard knows its own."""
    with make_guard(ANY) as guard, make_guard(ANY) as other, other.session(agent=AGENT):
        transfer, _ = bank(guard)
        with pytest.raises(ToolCallDenied, match="agentguard/identity"):
            transfer("A", 1)


# T36 is above; batches in one approval each


def test_one_approval_releases_one_of_two_equal_calls_T36() -> None:
    """Identical siblings are two questions."""
    answered: list[Any] = []

    def once(question: Any) -> None:
        answered.append(question)
        question.answer("approve" if len(answered) == 1 else "deny", subject="ana", assurance="login")

    with make_guard(channels=[once]) as guard, guard.session(agent=AGENT):
        transfer, ran = bank(guard)
        transfer("A", 500)
        with pytest.raises(ToolCallDenied):
            transfer("A", 500)
        assert len(ran) == 1


# One call, one decision


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("inner", "decisions"),
    [
        ({"payee": "A", "amount": 1}, 1),
        ({"payee": "A", "amount": 2}, 2),
        ({"payee": "A", "amount": 1.0}, 2),
    ],
)  # fmt: skip
def test_a_guarded_function_in_its_own_guarded_call_is_one_call(way: Way, inner: Any, decisions: int) -> None:
    """With the same arguments; with others it is a call of its own."""
    with make_guard(ANY) as guard, guard.session(agent=AGENT):
        ran: list[Any] = []

        @guard.tool("t")
        def sync(payee: str, amount: float) -> None:
            ran.append((payee, amount))

        @guard.tool("a")
        async def coroutine(payee: str, amount: float) -> None:
            ran.append((payee, amount))

        async def run(arguments: Any) -> None:
            await coroutine(**inner)

        outer = {"payee": "A", "amount": 1}
        if way == "sync":
            guard.call("t", outer, lambda arguments: sync(**inner))
        else:
            asyncio.run(guard.acall("a", outer, run))
        assert len(events(guard, "decision")) == decisions
        assert len(ran) == 1


def test_the_inner_mark_is_used_once_and_only_by_the_same_tool_and_agent() -> None:
    """A second call, another name, another agent, a task that was left behind: calls of their own."""
    guard = make_guard(ANY)
    left: list[Any] = []

    @guard.tool("t")
    def tool(x: int) -> None: ...

    @guard.tool("u")
    def another(x: int) -> None: ...

    def decided(run: Any) -> int:
        before = len(events(guard, "decision"))
        guard.call("t", {"x": 1}, run)
        return len(events(guard, "decision")) - before

    def as_other(arguments: Any) -> None:
        with guard.session(agent=AgentIdentity("other")):
            tool(1)

    with guard, guard.session(agent=AGENT):
        assert decided(lambda arguments: tool(1)) == 1
        assert decided(lambda arguments: (tool(1), tool(1))) == 2
        assert decided(lambda arguments: another(1)) == 2
        assert decided(as_other) == 2
        assert decided(lambda arguments: left.append(copy_context())) == 1
        before = len(events(guard, "decision"))
        left[0].run(tool, 1)
        assert len(events(guard, "decision")) == before + 1


def test_code_that_was_replaced_is_no_part_of_a_call_that_runs_T35() -> None:
    """It is decided as a call of its own, and denied: nobody permitted what it does now."""
    guard = make_guard(ANY)
    ran: list[int] = []

    def swapped(x: int) -> None:
        ran.append(-x)

    def tool(x: int) -> None:
        ran.append(x)

    guarded = guard.tool("t")(tool)

    def run(arguments: Any) -> None:
        tool.__code__ = swapped.__code__
        guarded(**arguments)

    with guard, guard.session(agent=AGENT), pytest.raises(ToolCallDenied, match="agentguard/definition"):
        guard.call("t", {"x": 1}, run)
    assert ran == []


def test_of_two_threads_one_gets_the_inner_mark() -> None:
    """The others are decided on their own."""
    guard = make_guard(ANY)

    @guard.tool("t")
    def tool(x: int) -> None: ...

    def run(arguments: Any) -> None:
        with ThreadPoolExecutor(8) as pool:
            for future in [pool.submit(copy_context().run, tool, 1) for _ in range(32)]:
                future.result()

    with guard, guard.session(agent=AGENT):
        guard.call("t", {"x": 1}, run)
        assert len(events(guard, "decision")) == 32


def test_a_constrained_call_is_still_one_call() -> None:
    """The inner function gets the arguments as they were rewritten."""
    cap = {"id": "cap", "effect": "constrain", "when": "args.x > 5", "set": {"args.x": "5"}}
    guard = make_guard(ANY, cap)

    @guard.tool("t")
    def tool(x: int) -> int:
        return x

    with guard, guard.session(agent=AGENT):
        assert guard.call("t", {"x": 9}, lambda arguments: tool(**arguments)) == 5
        assert len(events(guard, "decision")) == 1


def test_tools_called_by_tools_are_decided_for_the_same_session() -> None:
    """A sub-call that is denied does not run, and the outer one failed."""
    guard = make_guard(ANY, EVIL)

    @guard.tool("inner")
    def inner(payee: str) -> None: ...

    @guard.tool("outer")
    def outer(payee: str) -> None:
        inner("EVIL")

    with guard, guard.session(agent=AGENT):
        with pytest.raises(ToolCallDenied, match="`inner`"):
            outer("fine")
        (event,) = events(guard, "outcome")
        assert (event["status"], event["error"]) == ("failed", "ToolCallDenied")


# Names


@pytest.mark.parametrize(
    "name",
    ["", " ", "b\u0430nk", "bank\u200b", "\uff42ank", "a b", "a\n", "a\x00", "x" * 201, "é", "*", "a*", 5],
)
def test_names_that_look_like_others_are_refused_T21_T28(name: Any) -> None:
    """Letters, digits and a few signs of ASCII."""
    with make_guard(ANY) as guard, pytest.raises(ConfigurationError, match="cannot name a tool"):
        guard.register(name, lambda: None)
    with make_guard(ANY) as guard, pytest.raises(ConfigurationError):
        guard.tool(name)(lambda: None)


def test_two_tools_cannot_have_one_name_T28() -> None:
    """Whether they are functions or only described; the same one again is no second."""
    with make_guard(ANY) as guard:
        guard.register("t", lambda: None)
        guard.register("read", definition={"schema": 1})
        guard.register("read", definition={"schema": 1})
        with pytest.raises(ConfigurationError, match="two tools are called"):
            guard.register("t", print)
        with pytest.raises(ConfigurationError, match="two tools are called"):
            guard.register("read", definition={"schema": 2})
        guard.register("READ")
        assert set(guard.tools) == {"t", "read", "READ"}


def test_strict_refuses_policies_that_name_unknown_tools() -> None:
    """A misspelt name would mean no rule."""
    snapshot = rules(ANY | {"tools": ["bank.transfer"]}, ANY | {"id": "b", "tools": ["bank.transfr", "x.*"]})
    with make_guard(snapshot=snapshot, strict=True) as guard:
        bank(guard)
        assert guard.unknown_tools() == ["bank.transfr"]
        with pytest.raises(ConfigurationError, match=r"bank\.transfr"):
            guard.session(agent=AGENT)
        guard.register("bank.transfr")
        assert isinstance(guard.session(agent=AGENT), Session)


@pytest.mark.parametrize("call_id", ["", "\ud800", "x" * 257, "a\nb", 5])
def test_a_call_id_that_cannot_be_recorded_is_a_denial_T58(call_id: Any) -> None:
    """It may come from a model."""
    with make_guard(ANY) as guard, guard.session(agent=AGENT):
        guard.register("t", lambda: None)
        with pytest.raises(ToolCallDenied, match="call_id"):
            guard.call("t", {}, lambda arguments: pytest.fail("it ran"), call_id=call_id)
        assert len(events(guard, "decision")) == 1


def test_misspelt_options_are_errors_T48() -> None:
    """Of a guard, a tool, its facts and a session."""
    options: list[Any] = [
        {"tool_facts": {"t": {"fact": {"writes": True}}}}, {"tool_facts": {"t": {"facts": {"wirtes": True}}}},
        {"record": "befor"}, {"pause": "wit"}, {"snapshot": None}, {"policies": "x"}, {"store": "mysql://x"},
    ]  # fmt: skip
    for changes in options:
        with pytest.raises(ConfigurationError):
            make_guard(ANY, **changes).register("t")
    with make_guard(ANY) as guard:
        for changes in ({"facts": {"wirtes": True}}, {"secrets": "payments:write"}, {"secrets": [1]}):
            with pytest.raises(ConfigurationError):
                guard.register("t", lambda: None, **changes)
        for changes in ({"agent": "billing"}, {"agent": AgentIdentity("x"), "agnt": 1}):
            with pytest.raises((ConfigurationError, TypeError)):
                guard.session(**changes)


def test_a_policy_with_a_misspelt_word_lets_nothing_run_T48(tmp_path: Path) -> None:
    """The guard does not start with it."""
    good = "policy: p\nowner: o\ntools: ['*']\nrules:\n  - id: a\n    effect: allow\n"
    for bad in (
        good.replace("effect", "efect"),
        good.replace("allow", "alow"),
        good + "    when: agrs.x > 1\n",
    ):
        (tmp_path / "p.yaml").write_text(bad)
        with pytest.raises(ConfigurationError):
            Guard(tmp_path / "p.yaml", store="memory:")
    with pytest.raises(ConfigurationError):
        Guard("policy: p", store="memory:")
    assert says("approve")


@pytest.mark.parametrize("way", WAYS)
def test_two_guards_have_a_session_each_T34(way: Way) -> None:
    """A function of one inside the session of the other acts in its own, while that is open."""
    with make_guard(ANY) as one, make_guard(ANY) as two:
        first, ran_first = bank(one, way)
        second, ran_second = bank(two, way)
        with one.session(agent=AGENT), two.session(agent=AGENT):
            first("A", 1)
            second("A", 1)
        assert (len(ran_first), len(ran_second)) == (1, 1)
        with two.session(agent=AGENT), pytest.raises(ToolCallDenied, match="no session"):
            first("A", 1)


async def test_who_leaves_a_shared_session_keeps_the_one_around_it_T34() -> None:
    """Two tasks in one session, each inside another of its own, in whichever order they leave."""
    with make_guard(ANY) as guard:
        outer = {name: guard.session(agent=AgentIdentity(name)) for name in ("x", "y")}
        shared = guard.session(agent=AgentIdentity("shared"))
        entered, seen = asyncio.Barrier(2), {}
        left: dict[str, asyncio.Event] = {name: asyncio.Event() for name in outer}

        async def act(name: str, after: str | None) -> None:
            async with outer[name]:
                async with shared:
                    await entered.wait()
                    if after is not None:
                        await left[after].wait()
                seen[name] = guard.current
                left[name].set()

        await asyncio.gather(act("x", None), act("y", "x"))
        assert seen == outer
        assert shared.closed


def test_an_ended_session_hides_the_one_around_it_T34() -> None:
    """A context that was copied inside of it does not fall back to whoever acted before."""
    with make_guard(ANY) as guard:
        transfer, ran = bank(guard)
        with guard.session(agent=AgentIdentity("outer")):
            with guard.session(agent=AgentIdentity("inner")):
                context = copy_context()
            with pytest.raises(ToolCallDenied, match="has ended"):
                context.run(transfer, "A", 1)
            transfer("A", 1)
        assert len(ran) == 1
