"""A fault at every method of the store in turn: nothing runs unrecorded, nothing runs twice."""

from __future__ import annotations

import asyncio
import collections
import os
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agentguard import AgentGuardError, ApprovalPending, ConfigurationError, Guard, StoreError, ToolCallDenied
from agentguard.errors import StoreUnavailable
from agentguard.store import open_store
from tests.guard.faulty import METHODS, FaultyStore
from tests.guard.support import (
    AGENT,
    ANY,
    RULES,
    WAYS,
    Way,
    answer,
    bank,
    events,
    is_whole,
    make_guard,
    resume,
    rules,
)
from tests.store.postgres_support import until

COUNT = {
    "id": "count",
    "effect": "allow",
    "when": "args.amount <= 100",
    "reserve": {"key": "n", "limit": 10**6},
}
ERRORS: list[BaseException] = [StoreUnavailable("injected"), RuntimeError("injected"), MemoryError()]
CALLS: dict[str, tuple[Any, ...]] = {
    "allow": ("ACME", 7),
    "flag": ("ACME", 50),
    "constrain": ("ACME", 8, "much too long"),
    "step up": ("ACME", 500),
    "deny": ("EVIL", 9),
}


def faults(store: FaultyStore, errors: list[BaseException] = ERRORS) -> Iterator[tuple[str, bool]]:
    """Arm one fault after the other; for each method until its n-th use is never reached."""
    for method in METHODS:
        for error in errors:
            for after in (False, True):
                for nth in range(1, 20):
                    store.arm(method, nth, after, error)
                    yield method, after
                    if not store.fired:
                        break
    store.disarm()


def recorded(store: Any, ran: list[Any]) -> None:
    """Each run has its own durable record that let it run."""
    probe = make_guard(ANY, store=store)
    runs = [event for event in events(probe, "decision") if event["runs"]]
    assert len(runs) >= len(ran)
    assert is_whole(probe)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("case", CALLS)
def test_a_fault_at_every_store_method_T16_T41(way: Way, case: str) -> None:
    """The call is denied, or ran once with its record; afterwards the same guard goes on."""
    store = FaultyStore(open_store("memory:"))
    fired = 0
    with make_guard(*RULES[1:], COUNT, store=store, pause="raise") as guard:
        transfer, ran = bank(guard, way)
        for method, after in faults(store):
            before = len(ran)
            with guard.session(agent=AGENT):
                try:
                    transfer(*CALLS[case])
                except ToolCallDenied:
                    assert len(ran) == before, (method, after)
                except ApprovalPending:
                    assert case == "step up"
                    assert len(ran) == before
                else:
                    assert len(ran) == before + 1
            fired += store.fired
            store.disarm()
            assert len(ran) <= before + 1
        if case in ("deny", "step up"):
            assert not ran
        recorded(store.real, ran)
        assert fired > 6
        with guard.session(agent=AGENT):
            assert transfer("ACME", 1) == "sent 1 to ACME"


@pytest.mark.parametrize("way", WAYS)
def test_a_fault_at_every_store_method_of_a_resume_T16_T17(way: Way) -> None:
    """However often it is resumed afterwards, an approved call runs at most once."""
    store = FaultyStore(open_store("memory:"))
    fired = total = 0
    with make_guard(store=store, pause="raise") as guard:
        transfer, ran = bank(guard, way)
        for method, after in faults(store):
            armed = (store.method, store.left, store.after, store.error)
            store.disarm()
            with guard.session(agent=AGENT), pytest.raises(ApprovalPending) as caught:
                transfer("ACME", 500)
            answer(guard, caught.value.approval_id)
            before = len(ran)
            store.arm(*armed)
            for _ in range(3):
                try:
                    resume(guard, way, caught.value.approval_id)
                except (AgentGuardError, RuntimeError, MemoryError):
                    pass
                fired += store.fired
                first = store.fired
                store.disarm()
                store.fired = first
            assert len(ran) <= before + 1, (method, after)
            total += 1
        claimed = events(guard, "claimed")
        assert len(claimed) >= len(ran)
        assert fired > 10
        assert len(ran) > total // 2
        assert is_whole(guard)


@pytest.mark.parametrize("way", WAYS)
def test_a_fault_while_it_waits_for_a_vote_T41(way: Way) -> None:
    """The listener's own reads fail: the call is denied."""
    for method in ("changes_since", "approval"):
        store = FaultyStore(open_store("memory:"))
        with make_guard(store=store) as guard:
            transfer, ran = bank(guard, way)
            store.arm(method, 1, False, RuntimeError("injected"))
            with guard.session(agent=AGENT), pytest.raises(ToolCallDenied):
                transfer("ACME", 500)
            assert not ran


@pytest.mark.parametrize("way", WAYS)
def test_batched_records_while_the_store_fails_T41(way: Way) -> None:
    """When the window cannot be opened or written, the next call is denied; what ran is written later."""
    store = FaultyStore(open_store("memory:"))
    with make_guard(ANY, store=store, record="batched") as guard:
        transfer, ran = bank(guard, way, facts={"read_only": True})
        with guard.session(agent=AGENT):
            store.arm("append", 1, False, StoreUnavailable("injected"))
            with pytest.raises(ToolCallDenied, match="agentguard/store"):
                transfer("A", 1)
            assert not ran
            transfer("A", 2)
            for error in (StoreUnavailable("injected"), RuntimeError("injected")):
                guard.recorder._window_ms = 10**6
                store.arm("append", 1, False, error)
                transfer("A", 3)
                with pytest.raises(type(error)):
                    guard.flush()
                store.arm("append", 1, False, error)
                before = len(ran)
                with pytest.raises(ToolCallDenied, match="agentguard/store"):
                    transfer("A", 4)
                assert len(ran) == before
                store.disarm()
                transfer("A", 5)
        decided = [event for event in events(guard, "decision") if event["runs"]]
        assert len(decided) == len(ran)
        assert len(events(guard, "outcome")) == len(ran)
        assert is_whole(guard)


@pytest.mark.parametrize("method", METHODS)
def test_an_interrupt_in_the_store_ends_the_call_T38(method: str) -> None:
    """Ctrl-C during a write: no effect, or an effect with its record."""
    store = FaultyStore(open_store("memory:"))
    with make_guard(*RULES[1:], COUNT, store=store, pause="raise") as guard:
        transfer, ran = bank(guard)
        for name, after in faults(store, [KeyboardInterrupt()]):
            if name != method:
                continue
            before = len(ran)
            with guard.session(agent=AGENT):
                try:
                    transfer("ACME", 50)
                except KeyboardInterrupt:
                    assert store.fired
            assert len(ran) <= before + 1, after
            store.disarm()
        recorded(store.real, ran)


# A real file


def locked(path: Path) -> sqlite3.Connection:
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    return other


@pytest.fixture
def file_guard(tmp_path: Path) -> Iterator[tuple[Guard, Path]]:
    path = tmp_path / "store.db"
    store: Any = open_store(f"sqlite:///{path}", timeout_s=0.05)
    store._database.timeout_s = 60  # it is soon tired of other processes, not of its own threads
    with make_guard(store=store) as guard:
        yield guard, path
    guard.store.close()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("args", [("ACME", 1), ("ACME", 500), ("EVIL", 1)])
def test_a_locked_file_lets_nothing_run_T41(file_guard: tuple[Guard, Path], way: Way, args: Any) -> None:
    """In bounded time, and it runs again when the lock is gone."""
    guard, path = file_guard
    transfer, ran = bank(guard, way)
    other = locked(path)
    try:
        with guard.session(agent=AGENT), pytest.raises(ToolCallDenied) as caught:
            transfer(*args)
        assert caught.value.decision_id is None
        assert not ran
    finally:
        other.execute("ROLLBACK")
        other.close()
    with guard.session(agent=AGENT):
        transfer("ACME", 1)
    assert len(ran) == 1
    assert is_whole(guard)


@pytest.mark.parametrize("way", WAYS)
def test_a_full_file_lets_nothing_run_T16(file_guard: tuple[Guard, Path], way: Way) -> None:
    """From the first record that does not fit."""
    guard, _ = file_guard
    transfer, ran = bank(guard, way)
    database: Any = guard.store
    connection = database._database.current()
    connection.execute("PRAGMA max_page_count = 1")
    with guard.session(agent=AGENT):
        with pytest.raises(ToolCallDenied, match="could not be recorded"):
            collections.deque((transfer("ACME", 1) for _ in range(200)), maxlen=0)
        count = len(ran)
        with pytest.raises(ToolCallDenied):
            transfer("ACME", 1, "x" * 5)
        assert len(ran) == count
    connection.execute("PRAGMA max_page_count = 100000")
    assert len([event for event in events(guard, "decision") if event["runs"]]) >= count
    assert is_whole(guard)


@pytest.mark.parametrize("way", WAYS)
def test_a_file_that_cannot_be_written_or_is_gone_lets_nothing_run_T41(
    file_guard: tuple[Guard, Path], way: Way
) -> None:
    """Read-only, and removed while it is open."""
    guard, path = file_guard
    transfer, ran = bank(guard, way)
    store: Any = guard.store
    store._database.current().execute("PRAGMA query_only = ON")
    with guard.session(agent=AGENT):
        with pytest.raises(ToolCallDenied):
            transfer("ACME", 1)
        store._database.current().execute("PRAGMA query_only = OFF")
        for name in os.listdir(path.parent):
            (path.parent / name).unlink()
        with pytest.raises(ToolCallDenied):
            transfer("ACME", 1)
    assert not ran


def test_a_store_that_cannot_be_opened_makes_no_guard_T41(tmp_path: Path) -> None:
    """A missing folder, a folder, a damaged file, a key that others may read; nothing is left open."""
    threads = set(threading.enumerate())
    (tmp_path / "damaged.db").write_bytes(b"no database" * 100)
    (tmp_path / "open.db.key").write_text("A" * 64)
    (tmp_path / "open.db.key").chmod(0o644)
    for name in ("missing/store.db", "", "damaged.db", "open.db"):
        with pytest.raises((StoreError, ConfigurationError)):
            make_guard(store=f"sqlite:///{tmp_path}/{name}")
    with pytest.raises(StoreError):
        make_guard(store=f"sqlite:///{tmp_path}/good.db", tenant="")
    os.rename(tmp_path / "good.db", tmp_path / "moved.db")
    until(lambda: set(threading.enumerate()) <= threads)


# Closing


@pytest.mark.parametrize("way", WAYS)
def test_after_closing_calls_are_denied(way: Way) -> None:
    """With a store of its own and with one that lives on; closing twice is closing once."""
    store = open_store("memory:")
    for given in (store, "memory:"):
        guard = make_guard(ANY, store=given)
        transfer, ran = bank(guard, way)
        with guard.session(agent=AGENT):
            guard.close()
            guard.close()
            with pytest.raises(ToolCallDenied, match="closed"):
                transfer("A", 1)
        assert not ran
        with pytest.raises(ConfigurationError, match="closed"):
            guard.session(agent=AGENT)


@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize("way", WAYS)
def test_closing_while_a_call_waits_denies_it(way: Way, own: bool) -> None:
    """No deadlock, and an approval that comes later runs nothing."""
    store = open_store("memory:")
    guard = make_guard(store="memory:" if own else store)
    transfer, ran = bank(guard, way)
    found: list[str] = []

    def call() -> None:
        with guard.session(agent=AGENT):
            try:
                transfer("ACME", 500)
            except ToolCallDenied as denied:
                found.append(denied.rule)

    thread = threading.Thread(target=call)
    thread.start()
    until(lambda: guard.waiter.waiting)
    guard.close()
    if not own:
        (approval,) = store.approvals("default")
        with make_guard(store=store) as other:
            answer(other, approval.id)
    thread.join(timeout=120)
    assert not thread.is_alive()
    assert len(found) == 1
    assert not ran


@pytest.mark.parametrize("way", WAYS)
def test_closing_while_a_tool_runs_still_records_its_end_where_it_can(way: Way) -> None:
    """In a store that lives on; the tool is not interrupted."""
    store = open_store("memory:")
    guard = make_guard(ANY, store=store)

    @guard.tool("t")
    def tool() -> str:
        guard.close()
        return "done"

    @guard.tool("a")
    async def atool() -> str:
        guard.close()
        return "done"

    with guard.session(agent=AGENT):
        assert (tool() if way == "sync" else asyncio.run(atool())) == "done"
    with make_guard(snapshot=rules(ANY), store=store) as other:
        assert [event["status"] for event in events(other, "outcome")] == ["succeeded"]
