"""Processes with real guards are killed, their database is restarted, their connections are cut.

First a process dies at each statement that a call sends to the store, before and after it, for a call that is
allowed and for one that is approved and resumed. Then several processes call, vote and resume at random, and
are killed at random, until the time is over; a last one takes up whatever was left.
"""

from __future__ import annotations

import itertools
import multiprocessing
import random
import time
import uuid
from dataclasses import replace
from typing import Any, Final

from tests.chaos.audit import audited
from tests.chaos.bank import LARGE, SMALL, Task, marks, work
from tests.chaos.places import Place

__all__ = ["faults"]

MOST: Final = 200
WORKERS: Final = 3
_PATIENCE_S: Final = 180
_context: Final = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["tests.chaos.bank", "agentguard.store.sqlite", "agentguard.store.postgres"])


def faults(place: Place, *, seconds: float, seed: int = 0) -> dict[str, Any]:
    """The counts of `audited`, and what was done to whom."""
    task = Task(place.through, place.folder, f"chaos-{uuid.uuid4().hex[:8]}", "")
    done = dict.fromkeys(("processes", "kills", "statements", "untried", "restarts", "cuts", "errors"), 0)
    started = time.monotonic()
    for amount, after in itertools.product((SMALL, LARGE), (False, True)):
        _each_statement(task, amount, after, done, started + seconds / 2)
    at_random = random.Random(seed)
    while time.monotonic() < started + seconds:
        _a_while(place, task, at_random, done, started + seconds)
    last = replace(task, name="last", seconds=0.5)
    _end(_start(last, done), done)
    return {**done, **audited(replace(task, url=place.url)), "seconds": round(time.monotonic() - started, 1)}


def _start(task: Task, done: dict[str, int]) -> Any:
    process = _context.Process(target=work, args=(task,), daemon=True)
    process.start()
    done["processes"] += 1
    return process


def _end(process: Any, done: dict[str, int]) -> None:
    """Wait for its end; one that neither ends nor was killed is an error, as is one that failed."""
    process.join(_PATIENCE_S)
    if process.exitcode is None:
        process.kill()
        process.join()
        done["errors"] += 1
    elif process.exitcode == -9:
        done["kills"] += 1
    elif process.exitcode != 0:
        done["errors"] += 1


def _each_statement(task: Task, amount: int, after: bool, done: dict[str, int], until: float) -> None:
    """At the first, the second and so on, until one is not reached any more, or it takes too long."""
    for nth in range(1, MOST):
        if time.monotonic() > until:
            done["untried"] += 1
            return
        name = f"{'after' if after else 'before'}-{amount}-{nth}"
        _end(_start(replace(task, name=name, amount=amount, nth=nth, after=after), done), done)
        if name in marks(task.folder, "unreached"):
            return
        done["statements"] += 1


def _a_while(place: Place, task: Task, dice: random.Random, done: dict[str, int], until: float) -> None:
    """A few processes for a moment; one disturbance; some of them are killed."""
    lasts = min(dice.uniform(0.3, 1.5), max(0.2, until - time.monotonic()))
    found = [
        _start(replace(task, name=uuid.uuid4().hex[:10], seconds=lasts, seed=dice.randrange(2**32)), done)
        for _ in range(WORKERS)
    ]
    time.sleep(dice.uniform(0, lasts))
    _disturb(place, dice, done)
    time.sleep(dice.uniform(0, lasts / 2))
    for process in found:
        if dice.random() < 0.7:
            process.kill()
    for process in found:
        _end(process, done)


def _disturb(place: Place, dice: random.Random, done: dict[str, int]) -> None:
    if place.proxy is None:
        return
    match dice.choice(("cut", "cut answers", "terminate", "restart")):
        case "cut":
            place.proxy.cut()
            done["cuts"] += 1
        case "cut answers":
            place.proxy.arm(dice.randrange(1, 40), after=True)
            done["cuts"] += 1
        case "terminate":
            done["cuts"] += place.terminate()
        case _ if place.server is not None:
            place.restart(dice.choice(("fast", "immediate")))
            done["restarts"] += 1
        case _:
            pass
