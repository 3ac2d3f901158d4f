"""A scene on every store, and a listener on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.channels.hearing import Listener, listening, playing_slack
from tests.channels.support import Scene
from tests.postgres.server import drop, fresh_url


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def scene(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Scene]:
    """A store of each kind, with a clock that is moved by hand."""
    url = "memory:"
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'records.db'}"
    elif request.param == "postgres":
        url = fresh_url()
    found = Scene(url)
    yield found
    found.store.close()
    if request.param == "postgres":
        drop(url)


@pytest.fixture
def here() -> Iterator[Scene]:
    """A store in memory, where the kind of store does not matter."""
    found = Scene()
    yield found
    found.store.close()


@pytest.fixture
def hook() -> Iterator[Listener]:
    with listening() as found:
        yield found


@pytest.fixture
def team() -> Iterator[Listener]:
    """Slack, as far as we ask it anything."""
    with listening(playing_slack()) as found:
        yield found
