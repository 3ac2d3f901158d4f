"""What somebody found who tried to get around the guard from inside a tool, a session or an answer."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from pathlib import Path
from typing import Any

import pytest

from agentguard import (
    Answer,
    ApprovalPending,
    ConfigurationError,
    Guard,
    ToolCallDenied,
    ToolFailed,
    VoteRefused,
)
from agentguard.stepup.directory import StaticDirectory
from tests.guard.support import (
    AGENT,
    ANY,
    LARGE,
    PEOPLE,
    WAYS,
    Way,
    bank,
    events,
    make_guard,
    resume,
    rules,
    says,
)

REDACTED = {"id": "hide", "effect": "allow", "redact_result": ["$.iban"]}


def local_yes(guard: Guard) -> str:
    """Approve the one open question; its id."""
    (approval,) = guard.store.approvals("default")
    guard.vote(approval.id, Answer(subject="local", verdict="approve", digest=approval.digest))
    return approval.id


@pytest.mark.parametrize("way", WAYS)
def test_a_tool_that_calls_itself_is_decided_each_time_T01_T33(way: Way) -> None:
    """Recursion and retries with equal arguments are calls of their own: only a framework's tool lends."""
    with make_guard(ANY) as guard:
        depth: list[int] = []

        if way == "sync":

            @guard.tool("t")
            def act(x: int) -> None:
                depth.append(x)
                if len(depth) < 5:
                    act(x)

            call: Any = act
        else:

            @guard.tool("t")
            async def aact(x: int) -> None:
                depth.append(x)
                if len(depth) < 5:
                    await aact(x)

            call = lambda x: asyncio.run(aact(x))  # noqa: E731
        with guard.session(agent=AGENT):
            call(1)
        assert len(depth) == 5
        assert len([event for event in events(guard, "decision") if event["runs"]]) == 5


@pytest.mark.parametrize("way", WAYS)
def test_one_approval_is_one_effect_of_a_tool_that_calls_itself_T01(way: Way) -> None:
    """The second body needs an approval of its own, also when the first was resumed."""
    with make_guard(LARGE, pause="raise") as guard:
        effects: list[int] = []

        def again(amount: int) -> Any:
            effects.append(amount)
            return amount

        if way == "sync":

            @guard.tool("pay")
            def pay(amount: int) -> Any:
                again(amount)
                return pay(amount)

            call: Any = pay
        else:

            @guard.tool("pay")
            async def apay(amount: int) -> Any:
                again(amount)
                return await apay(amount)

            call = lambda amount: asyncio.run(apay(amount))  # noqa: E731
        with guard.session(agent=AGENT), pytest.raises(ApprovalPending):
            call(500)
        first = local_yes(guard)
        with pytest.raises(ApprovalPending) as pending:
            resume(guard, way, first)
        assert effects == [500]
        assert pending.value.approval_id != first


class Quits(BaseException):
    """Something that is no `Exception`."""


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("case", ["exit", "base", "own", "cancelled"])
def test_nothing_that_a_tool_raises_shows_what_is_redacted_T37(way: Way, case: str) -> None:
    """Not its text, not what it came from, not the frames it was raised in."""
    secret = "DE89 3704 0044"
    raises: dict[str, BaseException] = {
        "exit": SystemExit(secret),
        "base": Quits(secret),
        "own": ConfigurationError("own"),
        "cancelled": asyncio.CancelledError(secret),
    }
    wanted = {
        "exit": SystemExit,
        "base": ToolFailed,
        "own": ConfigurationError,
        "cancelled": asyncio.CancelledError,
    }

    def act() -> None:
        try:
            raise ValueError(secret)
        except ValueError as error:
            raise raises[case] from error

    with make_guard(REDACTED) as guard:
        if way == "sync":
            call: Any = guard.tool("t")(act)
        else:

            @guard.tool("t")
            async def aact() -> None:
                act()

            call = lambda: asyncio.run(aact())  # noqa: E731
        with guard.session(agent=AGENT), pytest.raises(wanted[case]) as caught:
            call()
        error: BaseException | None = caught.value
        assert secret not in repr(error)
        if way == "async" and case in ("exit", "cancelled"):
            return  # the event loop raises its own from them
        assert error is not None
        assert error.__cause__ is None
        frame = error.__traceback__
        while frame is not None:
            if frame.tb_frame.f_code.co_filename.endswith(("drivers.py", "asyncdriver.py")):
                assert secret not in repr(frame.tb_frame.f_locals)
            frame = frame.tb_next


@pytest.mark.parametrize(("code", "left"), [(3, 3), (0, 0), (None, None), ("DE89", 1), (True, 1)])
def test_an_exit_keeps_its_code_and_not_its_words_T37(code: Any, left: Any) -> None:
    """A failed program does not end well because its words are withheld."""
    with make_guard(REDACTED) as guard:

        @guard.tool("t")
        def act() -> None:
            raise SystemExit(code)

        with guard.session(agent=AGENT), pytest.raises(SystemExit) as caught:
            act()
        assert caught.value.code == left
        assert type(caught.value.code) is type(left)


def test_two_sets_that_are_swapped_at_once_leave_the_newer_in_force_T40() -> None:
    """The check of the version and the change are one step."""
    from agentguard.policy.snapshot import Signed

    def version(number: int) -> Any:
        return rules(ANY).with_signature(Signed(number, f"sha256:{number}", "k"))

    with make_guard(snapshot=version(1)) as guard:
        checked, go = threading.Event(), threading.Event()
        real = guard.in_force.check_version

        def slow(snapshot: Any) -> None:
            real(snapshot)
            if snapshot.signed.version == 2:
                checked.set()
                go.wait(60)

        guard.in_force.check_version = slow  # type: ignore[method-assign]
        older = threading.Thread(target=guard.swap, args=(version(2),))
        older.start()
        assert checked.wait(60)
        newer = threading.Thread(target=guard.swap, args=(version(3),))
        newer.start()
        newer.join(0.2)
        go.set()
        older.join(60)
        newer.join(60)
        assert guard.snapshot.signed is not None
        assert guard.snapshot.signed.version == 3


def test_what_is_written_is_never_written_on_the_event_loop(tmp_path: Path) -> None:
    """Outcomes wait in memory; everything that reaches the file does so from the store's own thread."""
    with make_guard(
        LARGE,
        store=f"sqlite:///{tmp_path}/guard.db",
        replayable=True,
        channels=[says("approve")],
    ) as guard:
        transfer, ran = bank(guard, "async")
        threads: dict[str, set[str]] = {"waits": set(), "writes": set()}
        real = guard.store.append

        def append(*args: Any, payloads: Any = None, durable: bool = True, **more: Any) -> None:
            kind = "writes" if durable or payloads else "waits"
            threads[kind].add(threading.current_thread().name)
            real(*args, payloads=payloads, durable=durable, **more)

        guard.store.append = append  # type: ignore[method-assign]
        guard.memory._known.clear()  # type: ignore[union-attr]
        clock = iter(range(0, 10_000, 100))
        guard.memory._clock = lambda: float(next(clock))  # type: ignore[union-attr]
        with guard.session(agent=AGENT):
            transfer("A", 500)
        assert len(ran) == 1
        assert threads["writes"]
        assert all(name.startswith("agentguard-store") for name in threads["writes"])


def test_a_store_that_anybody_may_change_is_refused_T47(tmp_path: Path) -> None:
    """It holds the votes."""
    url = f"sqlite:///{tmp_path}/guard.db"
    make_guard(ANY, store=url).close()
    (tmp_path / "guard.db").chmod(0o666)
    with pytest.raises(Exception, match="chmod o-w"):
        make_guard(ANY, store=url)


def test_an_approval_in_a_log_shows_no_arguments_T59() -> None:
    """Its representation names it and nothing it holds."""
    with make_guard(LARGE, pause="raise") as guard:
        transfer, _ = bank(guard)
        with guard.session(agent=AGENT), pytest.raises(ApprovalPending) as pending:
            transfer("Canary-Payee", 500)
        found = repr(guard.approval(pending.value.approval_id))
        assert pending.value.approval_id in found
        assert "Canary-Payee" not in found


@pytest.mark.parametrize("way", WAYS)
def test_a_guard_without_the_directory_does_not_throw_away_the_answer(tmp_path: Path, way: Way) -> None:
    """It says what is missing, and the guard that has it runs the call."""
    url = f"sqlite:///{tmp_path}/guard.db"
    snapshot = rules(LARGE)
    with make_guard(store=url, snapshot=snapshot, pause="raise") as guard:
        transfer, _ = bank(guard, way)
        with guard.session(agent=AGENT), pytest.raises(ApprovalPending) as pending:
            transfer("A", 500)
        name = pending.value.approval_id
        digest = guard.approval(name).digest
        guard.vote(name, Answer(subject="ana", verdict="approve", digest=digest, assurance="login"))
    with make_guard(store=url, snapshot=snapshot, directory=StaticDirectory()) as guard:
        _, ran = bank(guard, way)
        with pytest.raises(ToolCallDenied, match="pass `directory=`"):
            resume(guard, way, name)
        assert not ran
    with make_guard(store=url, snapshot=snapshot, directory=PEOPLE) as guard:
        _, ran = bank(guard, way)
        assert resume(guard, way, name).ran
        assert len(ran) == 1


@pytest.mark.parametrize("way", WAYS)
def test_what_a_resumed_tool_asks_for_does_not_wait_where_the_guard_does_not(way: Way) -> None:
    """The guard says `pause="raise"`, and so does the session in which a call is resumed."""
    with make_guard(LARGE, pause="raise") as guard:
        inner, ran = bank(guard, way, "bank.inner")

        if way == "sync":

            @guard.tool("bank.outer")
            def outer(amount: int) -> Any:
                return inner("A", amount)

            call: Any = outer
        else:

            @guard.tool("bank.outer")
            async def aouter(amount: int) -> Any:
                return await asyncio.to_thread(inner, "A", amount)

            call = lambda amount: asyncio.run(aouter(amount))  # noqa: E731
        with guard.session(agent=AGENT), pytest.raises(ApprovalPending):
            call(500)
        name = local_yes(guard)
        with pytest.raises(ApprovalPending) as pending:
            resume(guard, way, name)
        assert pending.value.tool == "bank.inner"
        assert not ran


def test_votes_that_are_gone_do_not_count_T13(tmp_path: Path) -> None:
    """An approval that says approved, without anybody's vote, is superseded."""
    import sqlite3

    url = f"sqlite:///{tmp_path}/guard.db"
    with make_guard(LARGE, store=url, pause="raise") as guard:
        transfer, ran = bank(guard)
        with guard.session(agent=AGENT), pytest.raises(ApprovalPending):
            transfer("A", 500)
        name = local_yes(guard)
        other = sqlite3.connect(tmp_path / "guard.db")
        other.execute("UPDATE approval SET votes = CAST('[]' AS BLOB)")
        other.commit()
        other.close()
        with pytest.raises(ToolCallDenied, match="asks for more today"):
            guard.resume_sync(name)
        assert not ran
        with pytest.raises(ToolCallDenied, match="superseded") as denied:
            guard.resume_sync(name)
        assert denied.value.remedy == "with_approval"


def test_a_call_that_waits_does_not_outlive_its_session_T34() -> None:
    """Approved after the session ended, it does not run."""
    asked = threading.Event()
    questions: list[Any] = []

    def later(question: Any) -> None:
        questions.append(question)
        asked.set()

    with make_guard(LARGE, channels=[later]) as guard:
        _, ran = bank(guard)
        session = guard.session(agent=AGENT)
        denied: list[Any] = []

        def act() -> None:
            with contextlib.suppress(Exception), session:
                entered.set()
                try:
                    guard.call(guard.tools["bank.transfer"], ARGUMENTS, transferred, session=session)
                except ToolCallDenied as error:
                    denied.append(error)

        ARGUMENTS = {"payee": "A", "amount": 500, "note": ""}
        transferred: Any = lambda arguments: ran.append(arguments)  # noqa: E731
        entered = threading.Event()
        thread = threading.Thread(target=act)
        thread.start()
        assert asked.wait(60)
        session.closed = True
        questions[0].answer("approve", subject="ana", assurance="login")
        thread.join(60)
        assert not ran
        assert "session ended" in str(denied[0])
        (approval,) = guard.store.approvals("default")
        assert approval.state.value == "withdrawn"


async def test_a_plain_function_behind_the_asynchronous_call_is_recorded_as_it_ends() -> None:
    """Its effect has happened, and its result is the result."""
    with make_guard(ANY) as guard:
        guard.register("t", lambda x: None)
        with guard.session(agent=AGENT):
            found: Any = await guard.acall("t", {"x": 1}, lambda arguments: arguments["x"] + 1)  # type: ignore[arg-type, return-value]
        assert found == 2
        assert [event["status"] for event in events(guard, "outcome")] == ["succeeded"]


def test_tool_facts_are_written_as_in_their_file_or_apart() -> None:
    """Both ways mean the same; a misspelt fact is an error."""
    for entry in (
        {"writes": True, "sensitive": ["x"], "secrets": ["s"]},
        {"facts": {"writes": True, "sensitive": ["x"]}, "secrets": ["s"]},
    ):
        with make_guard(ANY, tool_facts={"t": entry}) as guard:
            tool = guard.register("t", lambda x: None)
            assert tool.facts["writes"] is True
            assert tool.facts["sensitive"] == ("x",)
            assert tool.secrets == ("s",)
    with pytest.raises(ConfigurationError, match="untrusted_ouput"):
        make_guard(ANY, tool_facts={"t": {"untrusted_ouput": True}})


@pytest.mark.parametrize("tool", [5, None, ["k"], b"t"])
def test_what_names_no_tool_at_all_is_a_recorded_denial(tool: Any) -> None:
    """Not an error of the host's."""
    with make_guard(ANY) as guard, guard.session(agent=AGENT):
        with pytest.raises(ToolCallDenied, match="no tool of this name"):
            guard.call(tool, {}, lambda arguments: pytest.fail("it ran"))
        assert len(events(guard, "decision")) == 1


def test_other_settings_of_a_call_are_checked() -> None:
    """A misspelt `pause` does not mean to wait for ever."""
    with make_guard(ANY) as guard, guard.session(agent=AGENT):
        guard.register("t", lambda: None)
        for wrong in ({"pause": "rise"}, {"session": "s"}):
            with pytest.raises(ConfigurationError, match=next(iter(wrong))):
                guard.call("t", {}, lambda arguments: pytest.fail("it ran"), **wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", [{"subject": None}, {"digest": 5}, {"reason": None}, {"reason": "\ud800"}])
def test_an_answer_that_is_no_text_is_refused_T23(wrong: dict[str, Any]) -> None:
    """It does not count, and it is no error of the host's."""
    with make_guard(LARGE, pause="raise") as guard:
        transfer, _ = bank(guard)
        with guard.session(agent=AGENT), pytest.raises(ApprovalPending) as pending:
            transfer("A", 500)
        name = pending.value.approval_id
        digest = guard.approval(name).digest
        answer: dict[str, Any] = {"subject": "local", "verdict": "approve", "digest": digest, **wrong}
        with pytest.raises(VoteRefused, match=next(iter(wrong))):
            guard.vote(name, Answer(**answer))
        assert guard.approval(name).state.value == "requested"


def test_a_channel_answers_as_before() -> None:
    """The usual way still works."""
    with make_guard(LARGE, channels=[says("approve")]) as guard, guard.session(agent=AGENT):
        transfer, ran = bank(guard)
        transfer("A", 500)
        assert len(ran) == 1
