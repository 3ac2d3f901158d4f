"""A PostgreSQL server whose clock is really moved, while it runs, with libfaketime.

Skipped where that library is not installed (Debian's package `libfaketime`).
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agentguard.errors import ClaimRefused
from agentguard.ledger.verify import verify
from agentguard.stepup.model import State
from agentguard.store import Store, open_store
from tests.postgres.server import Server, fresh_url
from tests.store.support import answer, ask, settled, take

Move = Callable[[str], None]


def library() -> str | None:
    """Where libfaketime is, if it is."""
    for pattern in ("*/faketime/libfaketime.so.1", "faketime/libfaketime.so.1"):
        for found in Path("/usr/lib").glob(pattern):
            return str(found)
    return None


@pytest.fixture
def moved() -> Iterator[tuple[Store, Move, str]]:
    """A store on a server of its own, and what moves that server's clock by so much, as `+3600`."""
    preload = library()
    if preload is None:
        pytest.skip("libfaketime is not installed, so no server's clock can be moved")
    place = Path(tempfile.mkdtemp(prefix="agentguard-clock-"))
    place.chmod(0o755)  # the server may run as somebody else
    offset = place / "offset"

    def move(text: str) -> None:
        beside = place / "next"
        beside.write_text(f"{text}\n")
        beside.replace(offset)  # never read half-written

    move("+0")
    server = Server(
        environment={
            "LD_PRELOAD": preload,
            "FAKETIME_TIMESTAMP_FILE": str(offset),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
    )
    url = fresh_url(server.dsn)
    store = open_store(url)
    try:
        yield store, move, url
    finally:
        store.close()
        server.remove()
        shutil.rmtree(place)


def test_what_expires_while_the_servers_clock_is_put_forward_is_not_claimed_T14(
    moved: tuple[Store, Move, str],
) -> None:
    """An approval of ten minutes is over an hour later, though no minute went by here."""
    store, move, _ = moved
    approval = answer(store, ask(store, expires_in_s=600))
    before = store.now()
    move("+3600")
    answer(store, ask(store, call_id="heard"))  # what the server says is carried on from now on
    with pytest.raises(ClaimRefused) as caught:
        take(store, approval)
    assert caught.value.state == "expired"
    assert store.approval("default", approval.id).state is State.EXPIRED
    assert (store.now() - before).total_seconds() > 3500
    assert verify(store).ok


def test_a_servers_clock_that_is_set_back_arms_nothing_again_T14(moved: tuple[Store, Move, str]) -> None:
    """Neither an expired approval, nor, for who comes new, one that was decided later than it is now.

    Who was there before does not follow the clock back.
    """
    store, move, url = moved
    move("+7200")
    answer(store, ask(store, call_id="heard"))  # what the server says is carried on from now on
    late = answer(store, ask(store, expires_in_s=600, call_id="late"))
    over = answer(store, ask(store, expires_in_s=60, call_id="over"))
    move("+7300")
    with pytest.raises(ClaimRefused):
        take(store, over)
    move("+0")
    newcomer = open_store(url)
    with pytest.raises(ClaimRefused, match="set back"):
        take(newcomer, late)
    newcomer.close()
    with pytest.raises(ClaimRefused):
        take(store, over)
    assert take(store, late).state is State.CLAIMED
    fresh = answer(store, ask(store, expires_in_s=600, call_id="fresh"))
    assert settled(store, take(store, fresh)).state is State.SUCCEEDED
    assert verify(store).ok
