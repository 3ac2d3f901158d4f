"""Where a process kills itself: before or after the n-th statement that it sends to its store."""

from __future__ import annotations

import os
import signal
import sqlite3
from collections.abc import Callable
from typing import Any, NoReturn

import psycopg

__all__ = ["arm", "disarm", "kill"]

_state: dict[str, Any] = {"left": 0, "after": False}


def kill() -> NoReturn:
    """As a machine that loses power would: nothing of ours runs any more."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("still alive")


def arm(store: Any, nth: int, *, after: bool) -> None:
    """Die at the n-th statement from now on."""
    _state.update(left=nth, after=after)
    if hasattr(store, "_database"):
        database = store._database
        real = database.current()
        if not isinstance(real, _Counting):
            database._connection = _Counting(real)
    elif psycopg.Connection.execute is _execute:
        psycopg.Connection.execute = _counted_execute  # type: ignore[method-assign]
        psycopg.Transaction.__exit__ = _counted_exit  # type: ignore[method-assign]


def disarm() -> bool:
    """Live on; whether the statement was never reached."""
    reached: int = _state["left"]
    _state.update(left=0)
    return reached > 0


def _at(act: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    _state["left"] -= 1
    hit = _state["left"] == 0
    if hit and not _state["after"]:
        kill()
    done = act(*args, **kwargs)
    if hit:
        kill()
    return done


_execute = psycopg.Connection.execute
_exit = psycopg.Transaction.__exit__


def _counted_execute(self: Any, *args: Any, **kwargs: Any) -> Any:
    return _at(_execute, self, *args, **kwargs)


def _counted_exit(self: Any, *args: Any) -> Any:
    return _at(_exit, self, *args)  # the commit


class _Counting:
    """An SQLite connection."""

    def __init__(self, real: sqlite3.Connection) -> None:
        self.real = real

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    def execute(self, *args: Any) -> Any:
        return _at(self.real.execute, *args)

    def executemany(self, *args: Any) -> Any:
        return _at(self.real.executemany, *args)
