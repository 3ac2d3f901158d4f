"""Telling a channel of questions, on a thread of its own, so that no call waits for it."""

from __future__ import annotations

import logging
import os
import queue
import threading
from collections.abc import Callable
from typing import Any, Final

from agentguard.errors import AgentGuardError
from agentguard.stepup.channels import Question

__all__ = ["ChannelThread"]

_QUEUE: Final = 1_000
log = logging.getLogger("agentguard")


class ChannelThread:
    """Calls one channel, one question after the other, in a thread that lives while there are questions."""

    def __init__(self, channel: Any) -> None:
        self._notify: Callable[[Question], None] = getattr(channel, "notify", channel)
        self._forked()

    def _forked(self) -> None:
        self._questions: queue.Queue[Question | None] = queue.Queue(_QUEUE)
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._pid = os.getpid()

    def put(self, question: Question) -> None:
        if os.getpid() != self._pid:
            self._forked()
        try:
            self._questions.put_nowait(question)
        except queue.Full:
            log.error("a channel is full; nobody was told of approval %s", question.approval.id)
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="agentguard-channel", daemon=True)
                self._thread.start()

    def _work(self) -> None:
        while (question := self._questions.get()) is not None:
            try:
                self._notify(question)
            except AgentGuardError as error:
                log.warning("a channel's answer does not count: %s", error)
            except Exception as error:
                log.error("a channel failed: %s", type(error).__name__)

    def stop(self) -> None:
        if self._thread is not None:
            try:
                self._questions.put_nowait(None)
            except queue.Full:
                pass
