"""The conformance suite on the stores that come with agentguard."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from agentguard.errors import ConfigurationError
from agentguard.store import Store, open_store
from tests.postgres.server import drop, fresh_url
from tests.store.conformance import StoreConformance
from tests.store.support import FakeClock


class TestMemoryStore(StoreConformance):
    def open(self, clock: FakeClock) -> Store:
        return open_store("memory:", clock=clock)


class TestSQLiteStore(StoreConformance):
    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.folder = tmp_path

    def open(self, clock: FakeClock) -> Store:
        return open_store(f"sqlite:///{self.folder}/store.db", clock=clock)


class TestPostgresStore(StoreConformance):
    @pytest.fixture(autouse=True)
    def _schema(self) -> Iterator[None]:
        self.place = fresh_url()
        yield
        drop(self.place)

    def open(self, clock: FakeClock) -> Store:
        return open_store(self.place, clock=clock)


@pytest.mark.parametrize("url", ["", "sqlite://", "sqlite:/x.db", "mysql://x", "store.db", ":memory:"])
def test_a_url_that_names_no_store_is_refused(url: str) -> None:
    """The message says which ones there are."""
    with pytest.raises(ConfigurationError, match="memory:"):
        open_store(url)
