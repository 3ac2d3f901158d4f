"""Where a PostgreSQL store is, and that no secret of its URL is told to anybody."""

from __future__ import annotations

import logging
import traceback

import pytest

from agentguard.errors import AgentGuardError, ConfigurationError
from agentguard.store import Store, open_store
from agentguard.store.postgres_url import parse
from tests.postgres.server import drop, dsn, fresh_url
from tests.store.postgres_support import Sql, named
from tests.store.support import decided, types

SECRET = "canary-5eb1"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://u@h:5/db", "postgresql://h:5/db"),
        ("postgres://u@h/db", "postgresql://h/db"),
        ("postgresql:///db?host=/run/postgresql", "postgresql:///db"),
        (f"postgresql://u:{SECRET}@[::1]:5/db", "postgresql://[::1]:5/db"),
        (f"postgresql://u:{SECRET}@a:1,b:2/db?sslmode=require", "postgresql://a:1,b:2/db"),
        (f"postgresql://u@h/db?password={SECRET}", "postgresql://h/db"),
        (f"postgresql://u:{SECRET}%2F%40%25@h/db", "postgresql://h/db"),
        ("postgresql://h/db?agentguard_schema=mine", "postgresql://h/db?agentguard_schema=mine"),
    ],
)
def test_a_place_is_shown_without_user_and_password_T59(url: str, shown: str) -> None:
    """Also in its `repr`."""
    place = parse(url)
    assert place.shown == shown
    assert SECRET not in repr(place)
    assert "agentguard_schema" not in place.conninfo


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://u:x/{SECRET}@h/db",
        f"postgresql://u:x#{SECRET}@h/db",
        f"postgresql://u:x?{SECRET}@h/db",
        f"postgresql://u:x@{SECRET}@h/db",
        f"postgresql://u:%zz{SECRET}@h/db",
        f"postgresql://u:{SECRET}",
        f"postgresql://u:{SECRET} x@h/db",
        f"postgresql://u@h/db?nosuch={SECRET}",
        f"postgresql://u@h/db?{SECRET}",
        f"postgresql+driver://u:{SECRET}@h/db",
        f"mysql://u@h/db?password={SECRET}",
    ],
)
def test_a_url_that_cannot_be_read_is_refused_without_repeating_it_T59(url: str) -> None:
    """A password with a `/` in it would else be shown as a database's name."""
    with pytest.raises(ConfigurationError) as caught:
        open_store(url)
    assert SECRET not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("schema", ["", "Upper", "a-b", "x" * 64, "a&agentguard_schema=b", '"'])
def test_a_schema_that_is_none_is_refused(schema: str) -> None:
    """Before anything is connected to."""
    with pytest.raises(ConfigurationError):
        open_store(f"postgresql://h/db?agentguard_schema={schema}")


def test_a_password_is_in_no_message_T59(caplog: pytest.LogCaptureFixture) -> None:
    """Wrong, refused, or at a port where nobody listens: errors with their causes, and logs."""
    caplog.set_level(logging.DEBUG)
    given = parse(dsn())
    user = given.conninfo.partition("//")[2].partition("@")[0]
    with_password = f"postgresql://{user}:{SECRET}@{given.shown.partition('//')[2]}"
    url = fresh_url(with_password)
    store = open_store(url)
    told = [repr(store), store.url, repr(vars(store))]
    store.append("default", [decided()])
    store.close()
    with pytest.raises(AgentGuardError) as closed:
        store.append("default", [decided()])
    drop(url)
    for bad in (
        f"postgresql://{user}:{SECRET}@127.0.0.1:1/db",
        f"{with_password}-no-such-database",
        f"postgresql://nobody-{SECRET[:3]}:{SECRET}@{given.shown.partition('//')[2]}",
    ):
        with pytest.raises(AgentGuardError) as caught:
            open_store(bad)
        told += traceback.format_exception(caught.value)
    told += [*traceback.format_exception(closed.value), caplog.text]
    assert SECRET not in "".join(told)


def test_parameters_of_libpq_reach_it(url: str, sql: Sql) -> None:
    """Also those of which we set some ourselves, with spaces in them."""
    store = open_store(f"{named(url, 'my agents')}&options=-c%20work_mem%3D7MB", timeout_s=30)
    store.append("default", [decided()])
    assert len(sql.backends("my agents")) >= 1
    with store._connections.use() as db:  # type: ignore[attr-defined]
        assert db.execute("SHOW work_mem").fetchone() == ("7MB",)
        assert db.execute("SHOW statement_timeout").fetchone() == ("30s",)
    store.close()


def test_two_schemas_of_one_database_are_two_stores_T62(pg: Store) -> None:
    """Nothing is shared but the server."""
    other_url = fresh_url()
    other = open_store(other_url)
    pg.append("default", [decided()])
    assert types(other) == []
    assert other.tenants() == []
    assert other.epoch != pg.epoch
    other.close()
    drop(other_url)
