"""What the guard knows of a sample: a session, filled from the conversation that an approver is shown."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

from inspect_ai.model import ChatMessage, ChatMessageSystem, ChatMessageTool, ChatMessageUser

from agentguard import AgentIdentity, Guard
from agentguard.session import Session, Trust

__all__ = ["Conversation", "Conversations"]

_KEPT: Final = 1_000


class Conversation:
    """One sample's session; `lock` is held while a call of it is decided."""

    def __init__(self, guard: Guard, session: Session) -> None:
        self.session: Final = session
        self.lock: Final = threading.Lock()
        self._guard = guard
        self._seen: set[str] = set()

    def observe(self, history: Sequence[ChatMessage]) -> None:
        """Take what is new: the user's words, the system's, and the results of tools."""
        for position, message in enumerate(history):
            key = message.id or f"{position}/{message.role}"
            if key not in self._seen:
                self._seen.add(key)
                self._take(message)

    def _take(self, message: ChatMessage) -> None:
        match message:
            case ChatMessageSystem():
                self.session.observe(message.text, "system", "system")
            case ChatMessageUser():
                # What a scaffold says in the user's name is nobody's request.
                trust: Trust = "user" if message.source == "input" else "untrusted"
                self.session.observe(message.text, "prompt", trust)
            case ChatMessageTool():
                name = message.function or "tool"
                self.session.observe(message.text, name, self._trust(name), call_id=message.tool_call_id)
            case _:
                pass  # the agent's own words

    def _trust(self, tool: str) -> Trust:
        known = self._guard.tools.get(tool)
        return "untrusted" if known is None or known.facts.get("untrusted_output") is not False else "trusted"


class Conversations:
    """The conversations of one approver, told apart by their first message; the newest thousand are kept."""

    def __init__(self, guard: Guard, agent: AgentIdentity, principal: str) -> None:
        self._guard, self._agent, self._principal = guard, agent, principal
        self._lock = threading.Lock()
        self._known: OrderedDict[str, Conversation] = OrderedDict()

    def of(self, history: Sequence[ChatMessage]) -> Conversation:
        """The conversation that this history belongs to; without an id on its first message, a new one."""
        key = history[0].id if history else None
        with self._lock:
            found = self._known.get(key) if key is not None else None
            if found is None:
                session = self._guard.session(agent=self._agent, principal=self._principal)
                found = Conversation(self._guard, session)
            if key is not None:
                self._known[key] = found
                self._known.move_to_end(key)
                if len(self._known) > _KEPT:
                    self._known.popitem(last=False)
            return found
