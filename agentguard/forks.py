"""What a forked child does before anything else: it lets go of what is its parent's, then begins anew.

The system calls such functions in the order in which their modules were imported, and the module of a store
is imported when the store is opened. A thread that began before its store had let go would go on with its
parent's connection, or wait for a lock that nobody holds.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import Final

__all__ = ["begin_in_child", "let_go_in_child"]

log = logging.getLogger("agentguard")

_let_go: Final[list[Callable[[], None]]] = []
_begin: Final[list[Callable[[], None]]] = []


def let_go_in_child(act: Callable[[], None]) -> None:
    """In every forked child from now on: give up connections, locks and what waits; begin no thread."""
    _let_go.append(act)


def begin_in_child(act: Callable[[], None]) -> None:
    """The same, when all of them have let go: what begins threads."""
    _begin.append(act)


def _in_child() -> None:
    for act in (*_let_go, *_begin):
        try:
            act()
        except Exception as error:  # the others still have to
            log.error("a forked process could not begin as it should: %s", type(error).__name__)


if hasattr(os, "register_at_fork"):  # pragma: no branch
    os.register_at_fork(after_in_child=_in_child)
