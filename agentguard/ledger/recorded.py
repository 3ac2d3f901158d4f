"""Recorded decisions with what they were decided on, read out of a store: for `agentguard replay`.

What cannot be read back is yielded all the same, with the problem in place of the request: a record is never
left out silently, and nothing of it is guessed.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Any, Final

import pydantic_core

from agentguard.call import ContextRequest
from agentguard.decision import Decision
from agentguard.errors import ArgumentsError
from agentguard.ledger.decided import decided
from agentguard.ledger.events import instant
from agentguard.ledger.keys import args_hmac
from agentguard.policy.replay import Opened, Problem, Recorded
from agentguard.remembering import CONTEXT, FACTS
from agentguard.store.protocol import EventRow, Store
from agentguard.views import UnknownValue, view_of

__all__ = ["StoreReader"]

_CHUNK: Final = 1024
_BACK: Final = 2048
_CONTEXTS: Final = 4096
_STATES: Final = ("approved", "denied", "expired", "withdrawn", "superseded", "revoked")
_TYPES: Final = (
    "decision", "approval.opened", "vote", "claimed", *[f"approval.{state}" for state in _STATES],
)  # fmt: skip
_NO_FACTS: Final[Mapping[str, Any]] = {"resource": None, "supplied": MappingProxyType({})}
_OF_CORE: Final = frozenset({"default", "tool-name"})
"""What the policy core says in the guard's own name: another set may say something else."""

_new: Final = object.__new__
_COMMON: Final = ("agent", "principal", "chain", "workload", "context", "facts")
_OWN: Final = (
    "tool", "args", "tenant", "call_id", "tool_digest", "environment", "secrets", "session", "resource",
    "now", "supplied",
)  # fmt: skip
_set_common: Final = tuple([getattr(ContextRequest, name).__set__ for name in _COMMON])
(
    _tool, _args, _tenant, _call_id, _tool_digest, _environment, _secrets, _session, _resource, _now,
    _supplied,
) = [getattr(ContextRequest, name).__set__ for name in _OWN]  # fmt: skip
assert {*_COMMON, *_OWN} == {field.name for field in fields(ContextRequest)}


_CUT: Final = frozenset({"decision", "environment"})
"""What a leaf says once, in the piece that is read apart."""


class _Unreadable(Exception):
    """A record that cannot be decided again."""

    def __init__(self, problem: Problem, detail: str = "") -> None:
        super().__init__(detail)
        self.problem: Problem = problem
        self.detail = detail


_Decided = tuple[Decision, str | None]
"""What was decided, and in which environment."""
_Found = tuple[EventRow, dict[str, Any] | str, _Decided | None]


@dataclass(frozen=True, slots=True)
class _Context:
    """What many requests have in common: fields with their setters, session labels, facts asked for."""

    common: tuple[tuple[Any, Any], ...]
    labels: Any
    asked: frozenset[str]


class StoreReader:
    """Reads one tenant's decisions, oldest first, a thousand at a time.

    `key` is the ledger's key: with it each payload is compared with the digest in its event; without it only
    its form is. `begin` and `end` bound the time of the decision, `end` excluded. `seen` is the number of the
    event that was read last, and `approvals` what became of each approval so far.
    """

    def __init__(
        self,
        store: Store,
        tenant: str,
        *,
        key: bytes | None = None,
        begin: dt.datetime | None = None,
        end: dt.datetime | None = None,
    ) -> None:
        self._store = store
        self._tenant = tenant
        self._key = key
        self._begin = "" if begin is None else instant(begin)
        self._end = "~" if end is None else instant(end)
        self._contexts: dict[str, _Context] = {}
        self._decisions: dict[bytes, _Decided] = {}
        self.approvals: dict[str, Opened] = {}
        self.seen = 0

    def __iter__(self) -> Iterator[Recorded]:
        self.seen = 0
        while chunk := self._store.rows(self._tenant, after=self.seen, limit=_CHUNK, types=_TYPES):
            found, kept = self._decisions_of(chunk)
            for row, event, decision in found:
                if decision is not None and isinstance(event, dict):
                    yield self._recorded(event, decision, kept)
                else:
                    yield Recorded(id=_shown(row[1]), at="", problem="damaged", detail=str(event))
            self.seen = chunk[-1][0]

    def _decisions_of(self, rows: Sequence[EventRow]) -> tuple[list[_Found], dict[str, bytes]]:
        """The decisions among these events, or what is wrong with one, and the payloads that they name."""
        found: list[_Found] = []
        beside: dict[str, bytes] = {}
        missing: set[str] = set()
        for row in rows:
            try:
                event, decision = self._event(row)
            except _Unreadable as problem:
                found.append((row, problem.detail, None))
                continue
            key, content = row[4], row[5]
            if key is not None and content is not None:
                beside[key] = content
            if decision is None:
                self._approval(row[2], event)
            elif self._begin <= event["at"] < self._end:
                found.append((row, event, decision))
                for name in (event.get("args_hmac"), event.get("context"), event.get("facts")):
                    if name != key and type(name) is str and name not in self._contexts:
                        missing.add(name)
        missing.difference_update(beside)
        if missing:
            first = rows[0][0] - 1  # most come with their own event, some with one a little before
            after = max(0, first - _BACK)
            for name, payload in self._store.payloads(self._tenant, missing, after=after, upto=first).items():
                beside[name] = payload.content
        return found, beside

    def _event(self, row: EventRow) -> tuple[dict[str, Any], _Decided | None]:
        """An event, and what it decided if it is a decision; those are alike, and each is read once."""
        _, id_, kind, leaf, _, _ = row
        decision = None
        if kind == "decision":
            start = leaf.find(b',"decision":{')
            end = leaf.find(b',"facts":"', start)
            if end < 0:
                end = leaf.find(b',"id":"', start)
            if not 0 < start < end:
                raise _Unreadable("damaged", "its leaf is no decision: its keys are not in order")
            text = leaf[start + 1 : end]
            decision = self._decisions.get(text) or self._decision(text)
            leaf = leaf[:start] + leaf[end:]
        try:
            event = pydantic_core.from_json(leaf, allow_inf_nan=False)
        except ValueError:
            raise _Unreadable("damaged", "its leaf is no JSON") from None
        if type(event) is not dict or event.get("v") != 1 or not _CUT.isdisjoint(event):
            raise _Unreadable("damaged", "its leaf is no event of version 1")
        if event.get("type") != kind or event.get("id") != id_ or type(event.get("at")) is not str:
            raise _Unreadable("damaged", "its leaf is not the event that the store says it is")
        if event.get("tenant") != self._tenant:
            raise _Unreadable("damaged", "its leaf is another tenant's")
        return event, decision

    def _decision(self, text: bytes) -> _Decided:
        """What a piece of a leaf says: `"decision":{...}` and what stands between it and `facts` or `id`."""
        try:
            piece = pydantic_core.from_json(b"{" + text + b"}", allow_inf_nan=False)
            found = decided(piece["decision"]), piece.get("environment")
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise _Unreadable("damaged", f"its leaf is no decision ({type(error).__name__})") from None
        if len(self._decisions) >= _CONTEXTS:
            self._decisions = {}
        # INVARIANT: what is remembered is made of its name alone; no leaf speaks for another.
        self._decisions[text] = found
        return found

    def _approval(self, kind: str, event: Mapping[str, Any]) -> None:
        name = event.get("approval")
        if type(name) is not str:
            return
        if kind == "approval.opened":
            opened = Opened(name, str(event.get("decision_id", "")), str(event.get("tool", "")))
            self.approvals.setdefault(name, opened)
            return
        known = self.approvals.get(name)
        if known is None:
            return
        if kind == "vote":
            known.votes += event.get("counted") is True
        else:
            known.state = kind.removeprefix("approval.")

    def _recorded(self, event: dict[str, Any], decided_: _Decided, kept: Mapping[str, bytes]) -> Recorded:
        get = event.get
        found = Recorded(
            id=event["id"],
            at=event["at"],
            tool=_shown(get("tool")),
            agent=_shown(get("agent")),
            phase="claim" if get("phase") == "claim" else "decide",
            decision=decided_[0],
            approval=get("approval"),
        )
        try:
            if (get("context") is None or _stopped(decided_[0].deciding)) and _own(decided_[0].deciding):
                found.own = True
            elif get("limited") is True:
                raise _Unreadable("limits")
            else:
                found.request, found.asked = self._request(event, decided_[1], kept)
        except _Unreadable as problem:
            found.problem, found.detail = problem.problem, problem.detail
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            found.problem, found.detail = "damaged", f"its leaf is no decision ({type(error).__name__})"
        return found

    def _request(
        self, event: dict[str, Any], environment: str | None, kept: Mapping[str, bytes]
    ) -> tuple[ContextRequest, frozenset[str]]:
        name = event.get("context")
        if name is None:
            raise _Unreadable("context")
        context = self._contexts.get(name)
        if context is None:
            context = self._context(name, kept)
        get = event.get
        request = _new(ContextRequest)  # as `ContextRequest(...)` makes it, in a third of the time
        for setter, value in context.common:
            setter(request, value)
        _args(request, self._view(event["args_hmac"], kept, b"", "arguments"))
        session = {"id": event["session"], "labels": context.labels, "calls": event["calls"]}
        _session(request, MappingProxyType(session))
        facts = self._view(event["facts"], kept, FACTS, "facts") if "facts" in event else _NO_FACTS
        _resource(request, facts["resource"])
        _supplied(request, facts["supplied"])
        tool = event["tool"]
        if type(tool) is not str:
            raise TypeError("the tool's name is none")
        _tool(request, tool)
        _tenant(request, self._tenant)
        _call_id(request, get("call_id", ""))
        _tool_digest(request, get("tool_digest", ""))
        _environment(request, environment)
        _secrets(request, tuple(event["secrets"]) if "secrets" in event else ())
        _now(request, dt.datetime.fromisoformat(event["at"]))
        return request, context.asked

    def _context(self, name: str, kept: Mapping[str, bytes]) -> _Context:
        """The part of requests that stays the same, read once."""
        view = self._view(name, kept, CONTEXT, "context")
        common = tuple([(setter, view[key]) for setter, key in zip(_set_common, _COMMON, strict=True)])
        if len(self._contexts) >= _CONTEXTS:
            self._contexts = {}
        found = self._contexts[name] = _Context(common, view["labels"], frozenset(view["asked"]))
        return found

    def _view(self, name: str, kept: Mapping[str, bytes], before: bytes, what: str) -> Mapping[str, Any]:
        if type(name) is not str:
            raise TypeError("a digest is a text")
        content = kept.get(name)
        if content is None:
            raise _Unreadable("erased", f"its {what} are gone")
        if self._key is not None and args_hmac(self._key, before + content) != name:
            raise _Unreadable("damaged", f"its {what} are not those that its event names")
        try:
            return view_of(content, trusted=self._key is not None)
        except UnknownValue:
            raise _Unreadable("value", f"its {what} name a member of an enumeration") from None
        except ArgumentsError as error:
            raise _Unreadable("damaged", f"its {what} do not read back: {error}") from None


def _own(deciding: Any) -> bool:
    """Whether the guard itself refused the call, before or whatever the policies say."""
    return deciding is not None and deciding.policy == "agentguard" and deciding.rule_id not in _OF_CORE


def _stopped(deciding: Any) -> bool:
    """Whether the agent was suspended, which says nothing about the policies."""
    return deciding is not None and deciding.policy == "agentguard" and deciding.rule_id == "agent"


def _shown(value: object) -> str:
    return value[:200] if type(value) is str else ""
