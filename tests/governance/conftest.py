"""Every test of governance runs against each of these stores."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from agentguard.store import Store, open_store
from tests.governance.support import Office
from tests.postgres.server import drop, fresh_url
from tests.store.support import FakeClock

STORES = ("memory", "sqlite", "postgres")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(params=STORES)
def store(
    request: pytest.FixtureRequest, clock: FakeClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Store]:
    """A new store of the kind whose turn it is."""
    if request.param == "postgres":
        monkeypatch.setenv("AGENTGUARD_LEDGER_KEY", "11" * 32)  # there is no file beside it
    url = {"memory": "memory:", "sqlite": f"sqlite:///{tmp_path}/store.db"}.get(request.param) or fresh_url()
    found = open_store(url, clock=clock)
    yield found
    found.close()
    if request.param == "postgres":
        drop(url)


@pytest.fixture
def office(store: Store) -> Office:
    return Office(store=store)
