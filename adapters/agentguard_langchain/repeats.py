"""At most once: LangGraph runs a whole task again when it resumes, with the calls in it that have run.

A process remembers the outputs of the newest calls. What another process ran is in the ledger.
"""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, Final

from agentguard import Guard

__all__ = ["Done", "Outputs", "outputs_of"]

_KEPT: Final = 1_024


@dataclass(slots=True)
class Done:
    """A call that was started; `output` is there when it is `over`."""

    arguments: str
    over: bool = False
    output: Any = None


class Outputs:
    """The outputs of the newest calls made inside of graph tasks."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, ...], Done] = OrderedDict()
        self._lock = threading.Lock()

    def find(self, key: tuple[str, ...], arguments: str) -> Done | None:
        """The earlier run of this call, if it had these arguments."""
        with self._lock:
            found = self._kept.get(key)
        return found if found is not None and found.arguments == arguments else None

    def start(self, key: tuple[str, ...], arguments: str) -> None:
        """The tool begins to run now."""
        self._put(key, Done(arguments))

    def end(self, key: tuple[str, ...], arguments: str, output: Any) -> None:
        """The call has its answer: a result, or a denial."""
        self._put(key, Done(arguments, True, output))

    def forget(self, key: tuple[str, ...]) -> None:
        """The call failed, or paused inside: it may run again."""
        with self._lock:
            self._kept.pop(key, None)

    def _put(self, key: tuple[str, ...], done: Done) -> None:
        with self._lock:
            self._kept[key] = done
            self._kept.move_to_end(key)
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)


_of: weakref.WeakKeyDictionary[Guard, Outputs] = weakref.WeakKeyDictionary()
_lock = threading.Lock()


def outputs_of(guard: Guard) -> Outputs:
    """What the calls through this guard answered in this process."""
    with _lock:
        return _of.setdefault(guard, Outputs())
