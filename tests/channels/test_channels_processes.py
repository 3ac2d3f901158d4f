"""Real processes, killed and racing, over one outbox in SQLite and in PostgreSQL."""

from __future__ import annotations

import datetime as dt
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agentguard.channels.outbox import LEASE_S
from tests.channels.hearing import Heard, Listener, listening
from tests.channels.support import Scene, webhook
from tests.postgres.server import drop, fresh_url
from tests.store.support import FakeClock

ROOT = Path(__file__).parents[2]


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A store that several processes can share."""
    url = f"sqlite:///{tmp_path / 'records.db'}" if request.param == "sqlite" else fresh_url()
    yield url
    if request.param == "postgres":
        drop(url)


@contextmanager
def delivering(place: str, hook: Listener) -> Iterator[subprocess.Popen[str]]:
    """A process that begins to deliver when it reads a line, and is gone at the end."""
    found = subprocess.Popen(
        [sys.executable, "-m", "tests.channels.deliverer", place, f"{hook.url}/hook"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert found.stdin is not None
    assert found.stdout is not None
    try:
        assert found.stdout.readline() == "ready\n"
        yield found
    finally:
        found.kill()
        found.wait(120)
        found.stdin.close()
        found.stdout.close()


def go(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()


def told(process: subprocess.Popen[str]) -> int:
    assert process.stdout is not None
    found = int(process.stdout.readline())
    assert process.wait(300) == 0
    return found


def at_work(place: str) -> Scene:
    """The store now, with the channel begun."""
    scene = Scene(place, FakeClock(dt.datetime.now(dt.UTC)))
    scene.delivering(webhook("http://127.0.0.1:9/"))
    return scene


def test_what_a_process_held_when_it_was_killed_is_told_by_another(place: str) -> None:
    """`kill -9` in the middle of a delivery: told again, under the same id, when the lease is over."""
    release = threading.Event()

    def slowly(heard: Heard) -> tuple[int, bytes, dict[str, str]]:
        assert release.wait(300)
        return 204, b"", {}

    scene = at_work(place)
    approval = scene.ask()
    with listening(slowly) as hook:
        with delivering(place, hook) as process:
            go(process)
            hook.wait(1)
            process.send_signal(signal.SIGKILL)
            assert process.wait(120) == -signal.SIGKILL
        release.set()
        scene.clock.advance(60)
        other = scene.delivering(webhook(hook))
        assert other.turn() == 0  # it is still the dead process's
        scene.clock.advance(LEASE_S)
        assert other.turn() == 1
        first, second = hook.heard
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.json["subject"] == second.json["subject"] == approval.id
    assert [item.record.state for item in scene.items()] == ["told"]
    scene.store.close()


def test_two_processes_share_an_outbox(place: str) -> None:
    """Everything is told once, and no subject by both at a time."""
    count = 60
    lock = threading.Lock()
    now: Counter[str] = Counter()
    overlaps: list[str] = []

    def watching(heard: Heard) -> tuple[int, bytes, dict[str, str]]:
        subject = heard.json["subject"]
        with lock:
            now[subject] += 1
            if now[subject] > 1:
                overlaps.append(subject)
        threading.Event().wait(0.002)  # long enough for another to come in between
        with lock:
            now[subject] -= 1
        return 204, b"", {}

    scene = at_work(place)
    questions = [scene.ask(agent=f"agent-{number % 6}") for number in range(count)]
    for question in questions:
        scene.vote(question)
    with listening(watching) as hook, delivering(place, hook) as one, delivering(place, hook) as two:
        go(one)
        go(two)
        assert told(one) + told(two) == 2 * count
        assert overlaps == []
        ids = Counter(heard.headers["webhook-id"] for heard in hook.heard)
        assert (len(ids), set(ids.values())) == (2 * count, {1})
        types: dict[str, list[str]] = {}
        for heard in hook.heard:
            types.setdefault(heard.json["subject"], []).append(heard.json["type"].rpartition(".")[2])
        assert set(map(tuple, types.values())) == {("opened", "approved")}
    scene.store.close()
