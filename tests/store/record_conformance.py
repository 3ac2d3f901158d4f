"""What every store has to do with governance records and with the register of those that decisions read."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from agentguard.errors import ClaimRefused, NotFound, RegisterChanged, StoreError
from agentguard.ids import uuid7
from agentguard.ledger import approvals as written
from agentguard.ledger.verify import verify
from agentguard.stepup.model import State
from agentguard.store.protocol import Known, Payload, Record, RecordsChange, RecordsUpdate, Store
from tests.store.support import FakeClock, answer, ask, decided, make_approval, types

KEY = ("agent", "billing")


def agent(state: str = "active", **changes: Any) -> Record:
    values: dict[str, Any] = {"kind": "agent", "id": "billing", "state": state, "body": {"owner": "ana"}}
    return Record(**{**values, **changes})


def put(*records: Record) -> RecordsUpdate:
    """An update that writes these records, with one event."""
    return lambda _, now: RecordsChange(records, [decided(at=now)])


def save(store: Store, *records: Record, tenant: str = "default") -> tuple[Record, ...]:
    def update(_: Known, now: dt.datetime) -> RecordsChange:
        return RecordsChange(records, [decided(tenant, at=now)])

    return store.change_records(tenant, [record.key for record in records], update)


class RecordConformance:
    """The behaviour of `record`, `records`, `change_records` and the register."""

    def open(self, clock: FakeClock) -> Store:
        raise NotImplementedError

    @pytest.fixture
    def clock(self) -> FakeClock:
        return FakeClock()

    @pytest.fixture
    def store(self, clock: FakeClock) -> Iterator[Store]:
        store = self.open(clock)
        yield store
        store.close()

    def test_a_record_comes_back_as_it_was_written(self, store: Store, clock: FakeClock) -> None:
        """Every field; the revision counts its changes."""
        body = {"owner": "ana", "tags": ["a", "b"], "n": 2**53, "x": 0.5, "none": None, "deep": {"é": [[]]}}
        (made,) = save(store, agent(body=body, due=clock.at, registered=True))
        assert made.revision == 1
        assert store.record("default", *KEY) == made
        (changed,) = save(store, replace(made, state="suspended", due=None, registered=False, revision=77))
        assert changed == store.record("default", *KEY)
        assert (changed.revision, changed.state, changed.due, changed.registered) == (
            2,
            "suspended",
            None,
            False,
        )

    def test_a_record_that_is_not_there_is_not_found(self, store: Store) -> None:
        """Nor is one of another kind or tenant (T62)."""
        save(store, agent())
        for tenant, kind, id_ in (("default", "agent", "x"), ("default", "flag", "billing"), ("two", *KEY)):
            with pytest.raises(NotFound, match="no"):
                store.record(tenant, kind, id_)

    def test_records_are_selected_by_kind_state_due_and_id(self, store: Store, clock: FakeClock) -> None:
        """By id, from after one, as many as asked for."""
        later = clock.at + dt.timedelta(days=1)
        save(
            store,
            agent(id="a1"),
            agent(id="a2", state="suspended", due=clock.at),
            agent(id="b1", due=later),
            Record(kind="flag", id="a1", state="open", body={}),
        )
        save(store, agent(id="z"), tenant="two")

        def ids(**wanted: Any) -> list[str]:
            return [record.id for record in store.records("default", "agent", **wanted)]

        assert ids() == ["a1", "a2", "b1"]
        assert ids(states=["suspended"]) == ["a2"]
        assert ids(states=["active", "suspended"], prefix="a") == ["a1", "a2"]
        assert ids(due_by=clock.at) == ["a2"]
        assert ids(due_by=later) == ["a2", "b1"]
        assert ids(after="a1", limit=1) == ["a2"]
        assert ids(limit=0) == []
        assert ids(prefix="%") == ids(prefix="_") == []
        assert store.records("nobody-here", "agent") == []

    def test_an_update_sees_what_is_there_and_writes_with_its_events(self, store: Store) -> None:
        """Records and events are one transaction; None writes nothing."""
        save(store, agent())
        seen: list[Known] = []

        def look(known: Known, _: dt.datetime) -> None:
            seen.append(known)

        assert store.change_records("default", [KEY, ("agent", "other")], look) == ()
        assert seen == [{KEY: store.record("default", *KEY)}]
        assert types(store) == ["decision"]

    def test_an_update_that_raises_writes_nothing(self, store: Store) -> None:
        """Neither record nor event, and the error comes out as it is."""

        def fail(known: Known, _: dt.datetime) -> RecordsChange:
            raise LookupError("no")

        with pytest.raises(LookupError):
            store.change_records("default", [KEY], fail)
        assert store.records("default", "agent") == []

    @pytest.mark.parametrize(
        "bad",
        [
            agent(id="other"),
            agent(state=""),
            agent(body={"x": float("nan")}),
            agent(body={"x": object()}),
            agent(body={"x": "\ud800"}),
            agent(body={"x": "y" * 1_100_000}),
        ],
        ids=["another", "no state", "nan", "object", "surrogate", "large"],
    )
    def test_what_cannot_be_kept_is_refused_whole(self, store: Store, bad: Record) -> None:
        """Nothing of the change is written, the good part and the events included."""
        good = agent(id="good")
        with pytest.raises(StoreError):
            store.change_records("default", [KEY, good.key], put(good, bad))
        with pytest.raises(StoreError, match="twice"):
            store.change_records("default", [KEY], put(agent(), agent()))
        assert store.records("default", "agent") == []
        assert types(store) == []

    @pytest.mark.parametrize(
        "key", [("", "x"), ("Agent", "x"), ("agent", ""), ("agent", "a\nb"), ("agent", "x" * 300)]
    )
    def test_a_key_that_is_none_is_refused(self, store: Store, key: tuple[str, str]) -> None:
        """Kinds are lower case; ids are printable."""
        with pytest.raises(StoreError):
            store.change_records("default", [key], lambda known, now: None)

    def test_racing_updates_are_one_after_the_other_T50(self, store: Store) -> None:
        """Each sees what the one before it wrote."""

        def count(known: Known, _: dt.datetime) -> RecordsChange:
            before = known[KEY].body["n"] if KEY in known else 0
            return RecordsChange([agent(body={"n": before + 1})])

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda _: store.change_records("default", [KEY], count), range(40)))
        found = store.record("default", *KEY)
        assert (found.body["n"], found.revision) == (40, 40)

    # The register

    def test_the_register_holds_the_registered_records(self, store: Store) -> None:
        """Its version rises when one of them changes, comes or goes, and only then."""
        assert store.register("default") == (0, [])
        save(store, agent())
        assert store.register_version("default") == 0
        save(store, agent(registered=True), Record(kind="exception", id="EX-1", state="active", body={}))
        version, found = store.register("default")
        assert (version, [record.id for record in found]) == (1, ["billing"])
        save(store, agent(registered=False))
        assert store.register("default") == (2, [])
        assert store.register_version("default") == 2
        assert store.register("two") == (0, [])

    @pytest.mark.parametrize("beside", [{}, {"k": Payload("ben", b"1")}], ids=["alone", "payload"])
    @pytest.mark.parametrize("count", [1, 3])
    def test_a_decision_of_another_register_is_not_recorded_T05(
        self, store: Store, beside: dict[str, Payload], count: int
    ) -> None:
        """Whoever decided before a suspension has to decide again."""
        store.append("default", [decided()], register=0)  # the tree is known from here on
        for round_ in range(3):
            store.append("default", [decided() for _ in range(count)], payloads=beside, register=round_)
            before = store.head("default")
            save(store, agent(kind="thing", registered=True))
            after = store.head("default")
            with pytest.raises(RegisterChanged, match="decide again"):
                store.append(
                    "default", [decided()] * count, payloads={"new": Payload("b", b"")}, register=round_
                )
            assert store.head("default") == after != before
            assert store.payload("default", "new") is None
        assert verify(store).ok

    def test_outcomes_that_wait_survive_a_refused_decision(self, store: Store) -> None:
        """What was to be written with it is written with the next."""
        store.append("default", [decided()], register=0)
        save(store, agent(kind="thing", registered=True))
        store.append("default", [decided()], durable=False)
        with pytest.raises(RegisterChanged):
            store.append("default", [decided()], register=0)
        store.append("default", [decided()], register=1)
        assert store.head("default")[0] == 4
        assert verify(store).ok

    def test_a_question_of_another_register_is_not_opened_T05(self, store: Store) -> None:
        """Nor is an approval claimed; one that is open already is still found."""
        opened = ask(store)
        save(store, agent(registered=True))
        with pytest.raises(RegisterChanged):
            store.open_approval(make_approval(store.now(), call_id="call-2"), [], register=0)
        assert ask(store).id == opened.id
        approved = answer(store, opened)
        event = written.claimed(approved, id=uuid7(), at=store.now())
        with pytest.raises(RegisterChanged):
            store.claim("default", approved.id, approved.digest, [event], register=0)
        assert store.approval("default", approved.id).state is State.APPROVED
        store.claim("default", approved.id, approved.digest, [event], register=1)
        with pytest.raises(ClaimRefused):
            store.claim("default", approved.id, approved.digest, [event], register=1)

    def test_after_a_change_no_decision_of_before_is_recorded_T05(self, store: Store) -> None:
        """Many writers at once: behind the change in the ledger stands none of the old register."""
        stop = False

        def work(_: int) -> int:
            recorded = 0
            while not stop:
                version = store.register_version("default")
                try:
                    store.append("default", [{**decided(), "with": version}], register=version)
                    recorded += 1
                except RegisterChanged:
                    pass
            return recorded

        with ThreadPoolExecutor(5) as pool:
            writers = [pool.submit(work, number) for number in range(4)]
            for _ in range(10):
                save_ = store.change_records("default", [KEY], _suspended)
                assert save_
            stop = True
            assert sum(writer.result() for writer in writers) > 0
        version = 0
        for event in store.events("default"):
            data = event.leaf
            if b'"with":' not in data:
                version += 1
            else:
                assert f'"with":{version}'.encode() in data
        assert version == 10


_suspended: Callable[[Known, dt.datetime], RecordsChange] = lambda known, now: RecordsChange(  # noqa: E731
    [agent(registered=True)], [decided(at=now)]
)
