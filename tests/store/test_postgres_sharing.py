"""One PostgreSQL store in several processes, threads and event loops."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from agentguard.ledger.keys import VARIABLE
from agentguard.ledger.verify import verify
from agentguard.store import Store
from tests.guard.support import AGENT, ANY, events, is_whole, make_guard
from tests.store.postgres_support import Sql
from tests.store.support import answer, ask, decided, take, types


def in_child(work: Callable[[], object], meanwhile: Callable[[], object] = lambda: None) -> int:
    def run() -> None:
        try:
            work()
        except BaseException:
            import traceback

            traceback.print_exc()
            os._exit(1)
        os._exit(7)

    child = multiprocessing.get_context("fork").Process(target=run)
    child.start()
    meanwhile()
    child.join(300)
    assert child.exitcode is not None
    return child.exitcode


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_process_gets_connections_of_its_own_T43(pg: Store, sql: Sql) -> None:
    """Parent and child write at the same time, and there is one chain."""
    approval = answer(pg, ask(pg))

    def child() -> None:
        for _ in range(20):
            pg.append("default", [decided()])
            pg.append("default", [decided()], durable=False)
        take(pg, approval)
        pg.flush()

    for _ in range(3):
        pg.append("default", [decided()])

    def parent() -> None:
        for _ in range(40):
            pg.append("default", [decided()])

    assert in_child(child, parent) == 7
    pg.append("default", [decided()])
    assert types(pg).count("claimed") == 1
    assert len(types(pg)) == 4 + 3 + 40 + 1 + 40 + 1
    assert verify(pg).ok


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_fork_while_another_thread_writes_does_not_hang_T43(pg: Store) -> None:
    """The child inherits neither a lock nor what waits to be written."""
    approval, other = ask(pg), ask(pg, call_id="other")
    inside, done = threading.Event(), threading.Event()

    def slow(*_: object) -> None:
        inside.set()
        done.wait(120)

    thread = threading.Thread(target=pg.update_approval, args=("default", approval.id, slow))
    thread.start()
    assert inside.wait(60)
    pg.append("default", [decided()], durable=False)
    assert in_child(lambda: answer(pg, other)) == 7
    done.set()
    thread.join(60)
    assert types(pg).count("decision") == 3
    assert verify(pg).ok


def test_two_event_loops_use_one_store_T43(pg: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each in its thread, with guards of their own and with one guard."""
    monkeypatch.setenv(VARIABLE, "ab" * 32)
    with make_guard(ANY, store=pg) as guard:
        ran: list[int] = []

        @guard.tool("t")
        async def tool(number: int) -> None:
            ran.append(number)

        async def calls(first: int) -> None:
            async with guard.session(agent=AGENT):
                await asyncio.gather(*[tool(first + number) for number in range(10)])

        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda first: asyncio.run(calls(first)), (0, 100)))
        assert len(set(ran)) == 20
        assert len([event for event in events(guard, "decision") if event["runs"]]) == 20
        assert is_whole(guard)


def test_a_read_sees_what_another_thread_is_just_writing(pg: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was appended without waiting is seen by the same store, also while it is under way."""
    monkeypatch.setattr("agentguard.store.soon.SECONDS", 600)
    pg.append("default", [decided()])
    writer = pg._writer  # type: ignore[attr-defined]
    real, inside, go = writer._write, threading.Event(), threading.Event()

    def slow(*args: Any, **kwargs: Any) -> Any:
        inside.set()
        go.wait(60)
        return real(*args, **kwargs)

    writer._write = slow
    pg.append("default", [decided()], durable=False)
    with ThreadPoolExecutor(2) as pool:
        writing = pool.submit(pg.flush)
        assert inside.wait(60)
        reading = pool.submit(types, pg)
        go.set()
        assert len(reading.result(60)) == 2
        writing.result(60)
