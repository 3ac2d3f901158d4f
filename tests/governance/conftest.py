"""Every test of governance runs against each of these stores."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from agentguard.store import Store, open_store
from tests.governance.support import Office
from tests.store.support import FakeClock

STORES = ("memory", "sqlite")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, clock: FakeClock, tmp_path: Path) -> Iterator[Store]:
    """A new store of the kind whose turn it is."""
    url = {"memory": "memory:", "sqlite": f"sqlite:///{tmp_path}/store.db"}[request.param]
    found = open_store(url, clock=clock)
    yield found
    found.close()


@pytest.fixture
def office(store: Store) -> Office:
    return Office(store=store)
