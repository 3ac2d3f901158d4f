"""Stores in a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from agentguard.store import Store, open_store
from agentguard.store.postgres_url import parse
from tests.postgres.server import Server, drop, fresh_url
from tests.store.postgres_support import Sql, patience


@pytest.fixture
def url() -> Iterator[str]:
    """Of a store that nobody used yet, in the server of this test run."""
    found = fresh_url()
    yield found
    drop(found)


@pytest.fixture
def pg(url: str) -> Iterator[Store]:
    """A store that waits for as long as it takes."""
    store = open_store(url)
    yield store
    store.close()


@pytest.fixture
def hasty(pg: Store, url: str) -> Iterator[Store]:
    """The same store for somebody who gives up soon: for what has to fail."""
    store = open_store(url)
    patience(store, 0.5)
    yield store
    store.close()


@pytest.fixture
def sql(url: str) -> Iterator[Sql]:
    """Somebody else's hands in the same tables."""
    place = parse(url)
    with psycopg.connect(place.conninfo, autocommit=True, options=f"-c search_path={place.schema}") as found:
        yield Sql(found)


@pytest.fixture(scope="module")
def own_server() -> Iterator[Server]:
    """A server that a test may stop."""
    server = Server()
    yield server
    server.remove()


@pytest.fixture
def unnumbered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody numbers in the background: only reads do."""
    monkeypatch.setattr("agentguard.store.postgres_ledger.Sequencer.touch", lambda *_: None)
