"""Telling a channel of questions and flags, on a thread of its own, so that no call waits for it."""

from __future__ import annotations

import logging
import os
import queue
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from agentguard.errors import AgentGuardError
from agentguard.stepup.channels import Question

if TYPE_CHECKING:
    from agentguard.governance.flag_sweeping import FlagNotice

__all__ = ["ChannelThread"]

_QUEUE: Final = 1_000
log = logging.getLogger("agentguard")


class ChannelThread:
    """Calls one channel, one thing after the other, in a thread that lives while there is any."""

    def __init__(self, channel: Any) -> None:
        self._notify: Callable[[Question], None] = getattr(channel, "notify", channel)
        hears: Callable[[FlagNotice], None] | None = getattr(channel, "notify_flag", None)
        self._notify_flag = hears
        self._forked()

    def _forked(self) -> None:
        self._acts: queue.Queue[Callable[[], None] | None] = queue.Queue(_QUEUE)
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._pid = os.getpid()

    def put(self, question: Question) -> None:
        """Tell of a question."""
        self._add(lambda: self._notify(question), f"approval {question.approval.id}")

    def put_flag(self, notice: FlagNotice) -> None:
        """Tell of a flag, where the channel has a method `notify_flag`."""
        notify = self._notify_flag
        if notify is not None:
            self._add(lambda: notify(notice), f"flag {notice.flag}")

    def _add(self, act: Callable[[], None], what: str) -> None:
        if os.getpid() != self._pid:
            self._forked()
        try:
            self._acts.put_nowait(act)
        except queue.Full:
            log.error("a channel is full; nobody was told of %s", what)
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="agentguard-channel", daemon=True)
                self._thread.start()

    def _work(self) -> None:
        while (act := self._acts.get()) is not None:
            try:
                act()
            except AgentGuardError as error:
                log.warning("a channel's answer does not count: %s", error)
            except Exception as error:
                log.error("a channel failed: %s", type(error).__name__)

    def stop(self) -> None:
        if self._thread is not None:
            try:
                self._acts.put_nowait(None)
            except queue.Full:
                pass
