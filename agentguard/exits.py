"""What still waits in memory is written when the process ends in an orderly way.

That is the end of the interpreter, and the end of a worker that `multiprocessing` forked, which skips the
interpreter's own. A process that is killed writes nothing more.
"""

from __future__ import annotations

import atexit
import logging
import os
import sys
import weakref
from collections.abc import Callable
from typing import Final

__all__ = ["at_exit"]

log = logging.getLogger("agentguard")

_held: Final[set[weakref.WeakMethod[Callable[[], None]]]] = set()
_registered_in: Final = [os.getpid()]


def at_exit(method: Callable[[], None]) -> None:
    """Call `method`, a bound one, at the end of this process, if its object still lives then."""
    _held.add(weakref.WeakMethod(method, _held.discard))
    pid = os.getpid()
    if pid in _registered_in:
        return
    _registered_in[:] = [pid]
    util = sys.modules.get("multiprocessing.util")
    if util is not None:
        util.Finalize(None, _end, exitpriority=0)


def _end() -> None:
    for held in list(_held):
        method = held()
        if method is None:
            continue
        try:
            method()
        except Exception as error:
            log.error("records were not written at the end of the process: %s", type(error).__name__)


atexit.register(_end)
