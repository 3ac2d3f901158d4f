"""Governance records and the register against a naive model, on every store."""

from __future__ import annotations

import datetime as dt
import tempfile
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from agentguard.errors import NotFound, RegisterChanged, StoreError
from agentguard.ledger.verify import verify
from agentguard.store import Store, open_store
from agentguard.store.protocol import Known, Record, RecordKey, RecordsChange
from tests.postgres.server import drop, fresh_url
from tests.store.support import START, FakeClock, decided

TENANTS = ("default", "two")
KEYS = st.tuples(st.sampled_from(["thing", "other"]), st.sampled_from(["a1", "a2", "b", "Ä"]))
STATES = st.sampled_from(["active", "suspended"])
DUE = st.sampled_from([None, 0, 10])


def row(key: RecordKey, state: str, registered: bool, due: int | None, revision: int) -> Record:
    return Record(
        kind=key[0],
        id=key[1],
        state=state,
        body={"state": state, "due": due},
        due=None if due is None else START + dt.timedelta(seconds=due),
        registered=registered,
        revision=revision,
    )


class RecordLife(RuleBasedStateMachine):
    """One store, two tenants, everything anybody may do to their records."""

    url = "memory:"

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.place = fresh_url() if self.url == "postgresql:" else self.url.format(folder=self.folder.name)
        self.store: Store = open_store(self.place, clock=FakeClock())
        self.model: dict[str, dict[RecordKey, Record]] = {tenant: {} for tenant in TENANTS}
        self.version = dict.fromkeys(TENANTS, 0)
        self.events = dict.fromkeys(TENANTS, 0)

    def teardown(self) -> None:
        assert verify(self.store).ok
        self.store.close()
        self.folder.cleanup()
        if self.url == "postgresql:":
            drop(self.place)

    @rule(
        tenant=st.sampled_from(TENANTS),
        wanted=st.dictionaries(KEYS, st.tuples(STATES, st.booleans(), DUE), min_size=1, max_size=3),
        events=st.integers(0, 2),
        fails=st.sampled_from([None, None, "raises", "another", "nothing"]),
    )
    def change(self, tenant: str, wanted: dict[RecordKey, Any], events: int, fails: str | None) -> None:
        model = self.model[tenant]
        new = {
            key: row(key, *terms, revision=model[key].revision + 1 if key in model else 1)
            for key, terms in wanted.items()
        }

        def update(known: Known, now: dt.datetime) -> RecordsChange | None:
            assert dict(known) == {key: model[key] for key in wanted if key in model}
            if fails == "raises":
                raise LookupError
            if fails == "nothing":
                return None
            more = [row(("thing", "nobody-asked"), "active", True, None, 1)] if fails == "another" else []
            return RecordsChange([*new.values(), *more], [decided(tenant) for _ in range(events)])

        try:
            found = self.store.change_records(tenant, list(wanted), update)
        except (LookupError, StoreError):
            assert fails in ("raises", "another")
            return
        if fails == "nothing":
            assert found == ()
            return
        assert fails is None
        assert {record.key: record for record in found} == new
        registers = [*new.values(), *(model[key] for key in new if key in model)]
        self.version[tenant] += any(record.registered for record in registers)
        self.events[tenant] += events
        model.update(new)

    @rule(tenant=st.sampled_from(TENANTS), off=st.sampled_from([0, 0, -1, 1]), durable=st.booleans())
    def decide(self, tenant: str, off: int, durable: bool) -> None:
        """A decision that was made with this version of the register, behind an outcome that waits."""
        if not durable:
            self.store.append(tenant, [decided(tenant)], durable=False)
            self.events[tenant] += 1
        try:
            self.store.append(tenant, [decided(tenant)], register=self.version[tenant] + off)
        except RegisterChanged:
            assert off
        else:
            assert not off
            self.events[tenant] += 1

    @rule()
    def restart(self) -> None:
        if self.url != "memory:":
            self.store.close()
            self.store = open_store(self.place, clock=FakeClock())

    @invariant()
    def the_store_says_what_the_model_says(self) -> None:
        for tenant, model in self.model.items():
            version, found = self.store.register(tenant)
            assert version == self.version[tenant] == self.store.register_version(tenant)
            assert list(found) == [model[key] for key in sorted(model) if model[key].registered]
            for kind in ("thing", "other"):
                every = [model[key] for key in sorted(model) if key[0] == kind]
                assert list(self.store.records(tenant, kind)) == every
                due = [record for record in every if record.due is not None and record.due <= START]
                assert list(self.store.records(tenant, kind, due_by=START)) == due
            assert self.store.head(tenant)[0] == self.events[tenant]

    @rule(tenant=st.sampled_from(TENANTS), key=KEYS)
    def read(self, tenant: str, key: RecordKey) -> None:
        try:
            assert self.store.record(tenant, *key) == self.model[tenant][key]
        except NotFound:
            assert key not in self.model[tenant]


class SQLiteRecordLife(RecordLife):
    url = "sqlite:///{folder}/store.db"


class PostgresRecordLife(RecordLife):
    url = "postgresql:"


@pytest.mark.parametrize(
    ("life", "examples"), [(RecordLife, 100), (SQLiteRecordLife, 60), (PostgresRecordLife, 12)]
)
def test_records_and_register_are_as_the_model_says_T05_T62(life: type[RecordLife], examples: int) -> None:
    """Whatever is done in whatever order: revisions, versions, events; what is refused changes nothing."""
    case = life.TestCase
    case.settings = settings(
        max_examples=examples,
        stateful_step_count=20,
        suppress_health_check=list(HealthCheck),
    )
    case("runTest").debug()
