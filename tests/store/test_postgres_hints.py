"""Waiting on PostgreSQL: a hint wakes, and nothing relies on it."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from agentguard.stepup.model import State
from agentguard.stepup.waiting import ApprovalWaiter
from agentguard.store import Store, open_store
from tests.postgres.proxy import CutProxy
from tests.postgres.server import dsn
from tests.store.postgres_support import Sql, named, until
from tests.store.support import answer, ask

VOTE = (
    "import sys\nfrom agentguard.store import open_store\nfrom tests.store.support import answer\n"
    "store = open_store(sys.argv[1], timeout_s=60)\n"
    "answer(store, store.approval('default', sys.argv[2]))\nstore.close()\n"
)


def vote_elsewhere(url: str, approval_id: str) -> None:
    subprocess.run([sys.executable, "-c", VOTE, url, approval_id], check=True, timeout=300)


class Ears:
    """Counts what it hears."""

    def __init__(self, store: Store) -> None:
        self.heard = 0
        self.event = threading.Event()
        assert store.listen(self)
        self.stop: Callable[[], None] = lambda: store.unlisten(self)

    def __call__(self) -> None:
        self.heard += 1
        self.event.set()


def listening(sql: Sql) -> list[Any]:
    return sql("SELECT pid FROM pg_stat_activity WHERE query LIKE 'LISTEN%%' AND application_name = 'ears'")


def test_a_change_in_another_process_is_heard(url: str, sql: Sql) -> None:
    """Without any looking."""
    store = open_store(named(url, "ears"))
    approval = ask(store)
    ears = Ears(store)
    until(lambda: listening(sql))
    until(lambda: ears.heard)
    ears.event.clear()
    vote_elsewhere(url, approval.id)
    assert ears.event.wait(60)
    ears.stop()
    until(lambda: not listening(sql))
    store.close()


def test_a_cut_ear_hears_again_T16(url: str, sql: Sql) -> None:
    """It connects anew, and says once that something may have been missed."""
    store = open_store(named(url, "ears"))
    approval = ask(store)
    ears = Ears(store)
    until(lambda: listening(sql))
    until(lambda: ears.heard)
    (first,) = listening(sql)[0]
    ears.event.clear()
    sql("SELECT pg_terminate_backend(%s)", first)
    assert ears.event.wait(60)
    until(lambda: listening(sql) and listening(sql)[0] != (first,))
    before = ears.heard
    answer(store, approval)
    until(lambda: ears.heard > before)
    ears.stop()
    store.close()


def test_waiting_ends_although_no_hint_ever_comes_T16(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sweep is the truth."""
    store = open_store(url)
    approval = ask(store)
    monkeypatch.setattr(store._hints, "_wake", lambda: None)  # type: ignore[attr-defined]
    waiter = ApprovalWaiter(store)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(waiter.wait_blocking, approval.id)
        until(lambda: waiter.waiting == 1)
        vote_elsewhere(url, approval.id)
        assert waiting.result(60).state is State.APPROVED
    store.close()


def test_waiting_ends_although_the_listening_connection_cannot_be_made_T16(url: str) -> None:
    """One connection for all else is enough."""
    with CutProxy(dsn()) as proxy:
        store = open_store(url.replace(dsn(), proxy.dsn))
        approval = ask(store)
        proxy.refusing = True
        waiter = ApprovalWaiter(store)
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(waiter.wait_blocking, approval.id)
            until(lambda: waiter.waiting == 1)
            vote_elsewhere(url, approval.id)
            assert waiting.result(60).state is State.APPROVED
        store.close()


def test_an_expiry_on_the_servers_clock_ends_the_waiting_T14_T16(url: str) -> None:
    """It is recorded, and no tick is needed for it."""
    store = open_store(url)
    approval = ask(store, expires_in_s=1)
    assert ApprovalWaiter(store, tick=60).wait_blocking(approval.id).state is State.EXPIRED
    assert store.approval("default", approval.id).state is State.EXPIRED
    store.close()


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_waiter_of_a_store_that_is_closed_fails_T41(url: str) -> None:
    """The call does not run."""
    store = open_store(url)
    approval = ask(store)
    waiter = ApprovalWaiter(store, tick=0.05)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(waiter.wait_blocking, approval.id)
        until(lambda: waiter.waiting == 1)
        store.close()
        error = waiting.exception(60)
    assert "closed" in str(error)
