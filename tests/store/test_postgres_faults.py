"""A cut or an interrupt at every statement in turn: all of a method happened in PostgreSQL, or nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any, Literal

import psycopg
import pytest

from agentguard.errors import StoreError
from agentguard.ledger.verify import verify
from agentguard.stepup.model import Approval
from agentguard.store import Payload, Reservation, Store, open_store
from tests.postgres.proxy import CutProxy
from tests.postgres.server import dsn
from tests.store.postgres_support import Sql
from tests.store.record_conformance import agent, save
from tests.store.support import answer, ask, contents, decided, settled, take

Step = Callable[[Store, Approval], object]
Kind = Literal["request lost", "answer lost", "interrupt before", "interrupt after"]
KINDS: tuple[Kind, ...] = ("request lost", "answer lost", "interrupt before", "interrupt after")


def behind_what_waits(store: Store, _: Approval) -> None:
    store.append("default", [decided()], durable=False)
    store.append("default", [decided()])


def fast(store: Store, _: Approval) -> None:
    store.append("default", [decided()], durable=False)
    store.flush()


ACTS: dict[str, tuple[Step, ...]] = {
    "append": (lambda store, _: store.append("default", [decided()]),),
    "append fast": (fast,),
    "append behind what waits": (behind_what_waits,),
    "append with a register": (lambda store, _: store.append("default", [decided()], register=0),),
    "append many": (
        lambda store, _: store.append(
            "default",
            [decided(), decided()],
            payloads={decided()["id"]: Payload("eve", b"x"), decided()["id"]: Payload("eve", b"y")},
        ),
    ),
    "append to a new tenant": (lambda store, _: store.append(f"t{decided()['id']}", [], durable=True),),
    "open": (lambda store, _: ask(store, call_id=decided()["id"]),),
    "vote": (lambda store, approval: answer(store, approval, "bob", "deny"),),
    "claim": (take,),
    "settle": (take, settled),
    "reserve": (
        lambda store, _: store.reserve("default", [Reservation(decided()["id"], 1, 5, 60)], [decided()]),
    ),
    "change records": (lambda store, _: save(store, agent(kind="thing", id=decided()["id"])),),
    "erase": (lambda store, _: store.erase("default", "eve"),),
}


@pytest.fixture
def proxy() -> Iterator[CutProxy]:
    with CutProxy(dsn()) as found:
        yield found


class Interrupts:
    """Makes the n-th statement of this thread end in Ctrl-C."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.left, self.after, self.fired = 0, False, False
        thread, real = threading.current_thread(), psycopg.Connection.execute

        def execute(connection: Any, *args: Any, **kwargs: Any) -> Any:
            hit = False
            if threading.current_thread() is thread:
                self.left -= 1
                hit = self.left == 0
            if hit and not self.after:
                self.fired = True
                raise KeyboardInterrupt
            result = real(connection, *args, **kwargs)
            if hit:
                self.fired = True
                raise KeyboardInterrupt
            return result

        monkeypatch.setattr(psycopg.Connection, "execute", execute)

    def arm(self, nth: int, *, after: bool) -> None:
        self.left, self.after, self.fired = nth, after, False

    def disarm(self) -> None:
        self.left = 0


def changes(before: dict[str, list[Any]], now: dict[str, list[Any]]) -> tuple[int, ...]:
    """How many rows of each table came, and how many went."""
    counts: list[int] = []
    for table, rows in now.items():
        old, new = set(map(repr, before[table])), set(map(repr, rows))
        counts += [len(new - old), len(old - new)]
    return tuple(counts)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("act", ACTS)
def test_a_fault_at_every_statement_leaves_all_or_nothing_T16(
    act: str, kind: Kind, url: str, sql: Sql, proxy: CutProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After it the store goes on, what waited is written once, and the ledger is whole."""
    monkeypatch.setattr("agentguard.store.soon.SECONDS", 600)  # nobody else writes meanwhile
    monkeypatch.setattr("agentguard.store.postgres_ledger.Sequencer.touch", lambda *_: None)
    store = open_store(url.replace(dsn(), proxy.dsn))
    direct = open_store(url)
    faults: Any = Interrupts(monkeypatch) if kind.startswith("interrupt") else proxy
    after = kind in ("answer lost", "interrupt after")

    def begin(number: object) -> tuple[Approval, dict[str, list[Any]]]:
        found = answer(direct, ask(direct, call_id=f"call-{number}"))
        direct.append("default", [], payloads={"k": Payload("eve", b"x"), "l": Payload("eve", b"y")})
        if act == "vote":
            found = ask(direct, call_id=f"open-{number}")
        return found, sql.rows()

    whole: list[tuple[int, ...]] = []  # what each step changes when nothing goes wrong
    approval, before = begin("clean")
    for step in ACTS[act]:
        step(store, approval)
        whole.append(changes(before, sql.rows()))
    failed = kept = misses = nth = 0
    while misses < 4 and not (misses and (kept or kind != "answer lost")):
        nth += 1
        approval, before = begin(f"{nth}-{misses}")
        store.append("default", [])  # a connection that is ready
        faults.arm(nth, after=after)
        try:
            for step in ACTS[act]:
                step(store, approval)
        except (StoreError, KeyboardInterrupt):
            failed += 1
        fired = faults.fired
        faults.disarm()
        now = changes(before, sql.rows())
        assert now in (*whole, (0,) * len(now)), (nth, now, whole)
        kept += fired and now == whole[-1]
        store.flush()
        if act in ("append fast", "append behind what waits"):
            written = len(sql.rows()["event"]) - len(before["event"])
            assert written in (1, 2), "an outcome that was waited with is written, and once"
        assert verify(direct).ok, (nth, verify(direct).tenants)
        if not fired:
            misses += 1
            nth -= 3  # now and then there is a statement more, and the commit was somewhere else
        assert nth < 40, "it never ends"
    assert failed >= 1
    if kind == "answer lost":
        assert kept >= 1, "one of the lost answers was that of the commit"
    store.append("default", [decided()])
    assert verify(direct).ok
    assert len(contents(store)) == store.head("default")[0]
    store.close()
    direct.close()
