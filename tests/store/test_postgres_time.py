"""Whose clock counts: the server's, whatever this machine believes, and not when it is set back."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
import threading
from typing import Any

import psycopg
import pytest

from agentguard.errors import ClaimRefused
from agentguard.stepup.model import State
from agentguard.store import Store, open_store
from agentguard.store.clock import from_micros
from agentguard.store.postgres_clock import ServerClock
from agentguard.store.postgres_url import parse
from tests.store.postgres_support import Sql, until
from tests.store.support import answer, ask, take

HOUR_US = 3600 * 1_000_000


class Elapsed:
    """Microseconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        return self.now


SKEWED = """
import datetime as dt, sys, time
hours = [int(sys.argv[2])]
for name, unit in (("time", 1), ("time_ns", 10**9)):
    real = getattr(time, name)
    setattr(time, name, lambda real=real, unit=unit: real() + hours[0] * 3600 * unit)
from agentguard.errors import ClaimRefused
from agentguard.store import open_store
from tests.store.support import answer, ask, settled, take
store = open_store(sys.argv[1], timeout_s=60)
first = store.now()
approval = answer(store, ask(store, expires_in_s=600))
hours[0] = -hours[0]
assert abs(store.now() - first) < dt.timedelta(minutes=1), (store.now(), first)
settled(store, take(store, approval))
print(store.now().timestamp(), store.approval("default", approval.id).claimed_at.timestamp())
"""


@pytest.mark.parametrize("skew", [-1, 1])
def test_a_wall_clock_an_hour_off_does_not_matter_T14(url: str, sql: Sql, skew: int) -> None:
    """In either direction, from the start and by a jump in the middle: the server's time counts."""
    done = subprocess.run(
        [sys.executable, "-c", SKEWED, url, str(skew)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    now = float(sql.one("SELECT extract(epoch FROM clock_timestamp())"))
    assert all(abs(float(found) - now) < 60 for found in done.stdout.split())


def test_an_approval_expires_by_the_servers_time_T14_T15(url: str, sql: Sql) -> None:
    """A process whose clock stands still does not bring it back."""
    store = open_store(url)
    approval = answer(store, ask(store, expires_in_s=600))
    sql("UPDATE approval SET expires_at = (extract(epoch FROM clock_timestamp()) * 1000000)::bigint - 1")
    with pytest.raises(ClaimRefused) as caught:
        take(store, approval)
    assert caught.value.state == "expired"
    assert store.approval("default", approval.id).state is State.EXPIRED
    store.close()


def test_a_claim_that_waits_for_a_lock_until_its_approval_has_expired_is_refused_T14(
    url: str, sql: Sql
) -> None:
    """The time is looked at when the row is there to be claimed, not when the claim began."""
    store = open_store(url)
    approval = answer(store, ask(store, expires_in_s=600))
    place = parse(url)
    failed: list[str] = []

    def claim() -> None:
        try:
            take(store, approval)
        except ClaimRefused as refused:
            failed.append(refused.state)

    with psycopg.connect(place.conninfo, options=f"-c search_path={place.schema}") as other:
        other.execute("SELECT * FROM approval FOR UPDATE")
        thread = threading.Thread(target=claim)
        thread.start()
        until(
            lambda: sql(
                "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE %s",
                "%UPDATE approval SET state = 'claimed'%",
            )
        )
        # A moment later than the claim began, which is before the claim gets the row.
        other.execute(
            "UPDATE approval SET expires_at = (extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
        )
        other.commit()
        thread.join(60)
    assert failed == ["expired"]
    store.close()


def test_an_approval_decided_later_than_now_is_not_claimed_T14(url: str, sql: Sql) -> None:
    """The server's clock was set back since, by another life of it."""
    store = open_store(url)
    approval = answer(store, ask(store))
    sql("UPDATE approval SET decided_at = decided_at + 60000000")
    with pytest.raises(ClaimRefused, match="set back"):
        take(store, approval)
    store.close()


# The clock alone


def test_the_time_goes_on_between_two_answers() -> None:
    """By what has passed here."""
    elapsed = Elapsed()
    clock = ServerClock(elapsed)
    clock.hear(HOUR_US, 0)
    elapsed.now += 7
    assert clock() == from_micros(HOUR_US + 7)


def test_a_server_that_jumps_forward_is_followed_T14() -> None:
    """Approvals expire sooner."""
    elapsed = Elapsed()
    clock = ServerClock(elapsed)
    clock.hear(HOUR_US, 0)
    assert clock.hear(2 * HOUR_US, 0) == from_micros(2 * HOUR_US)
    assert clock() == from_micros(2 * HOUR_US)


@pytest.mark.parametrize(("back", "followed"), [(1_900_000, True), (2_100_000, False), (HOUR_US, False)])
def test_a_server_that_is_set_back_is_not_followed_far_T14(back: int, followed: bool) -> None:
    """It would bring expired approvals back to life."""
    elapsed = Elapsed()
    clock = ServerClock(elapsed)
    clock.hear(2 * HOUR_US, 0)
    elapsed.now = 10
    expected = 2 * HOUR_US - back if followed else 2 * HOUR_US + 10
    assert clock.hear(2 * HOUR_US - back, 10) == from_micros(expected)
    assert clock() == from_micros(expected)


def test_an_answer_that_took_long_does_not_move_what_is_known() -> None:
    """It was true some time ago."""
    elapsed = Elapsed()
    clock = ServerClock(elapsed)
    clock.hear(HOUR_US, 0)
    elapsed.now = 3_000_000
    assert clock.hear(HOUR_US + 10, 0) == from_micros(HOUR_US + 10)
    assert clock() == from_micros(HOUR_US + 3_000_000)


def test_the_stores_own_statements_are_told_by_the_server_T14(pg: Store) -> None:
    """What an update is given is never behind what the store said before."""
    approval = ask(pg)
    seen: list[Any] = []
    before = pg.now()
    pg.update_approval("default", approval.id, lambda _, now: seen.append(now))
    assert seen[0] > before - dt.timedelta(seconds=1)
