"""Recorded decisions as lines of JSON: written from a store, read by `agentguard replay --jsonl`.

A line is one decision (docs/replay.md shows one) or, with the single key `approval`, what became of a
question. Values that JSON cannot say are written as canonical arguments are: `{"$datetime": "..."}`, and a
real key that begins with `$` has another one.

Nothing in a file says who wrote it: what is read from lines is as good as the file.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import IO, Any, Final

from agentguard.call import ContextRequest
from agentguard.canonical import MAX_BYTES, freeze, loads
from agentguard.decision import Decision
from agentguard.errors import ArgumentsError
from agentguard.ledger.decided import decided
from agentguard.ledger.events import instant
from agentguard.policy.replay import PROBLEMS, Opened, Recorded
from agentguard.views import UnknownValue, view_of_tree

__all__ = ["LineReader", "line_of", "line_of_approval"]

LONGEST: Final = 16 * MAX_BYTES
"""Characters of one line: arguments, context and facts, each character written as an escape."""

_KEYS: Final = frozenset(
    {"v", "id", "at", "phase", "decision", "asked", "problem", "own", "approval", "request", "tool", "agent"}
)
_REQUEST: Final = frozenset(
    {
        "tenant", "call_id", "tool", "tool_digest", "args", "agent", "principal", "chain", "environment",
        "secrets", "session", "resource", "workload", "facts", "context", "now", "supplied",
    }
)  # fmt: skip
_TREES: Final = (
    "args",
    "agent",
    "principal",
    "session",
    "resource",
    "workload",
    "facts",
    "context",
    "supplied",
)


def line_of(recorded: Recorded) -> str:
    """One decision as a line, without the end of line."""
    data: dict[str, Any] = {
        "v": 1,
        "id": recorded.id,
        "at": recorded.at,
        "tool": recorded.tool,
        "agent": recorded.agent,
        "phase": recorded.phase,
    }
    if recorded.decision is not None:
        data["decision"] = _decision(recorded.decision)
    if recorded.approval is not None:
        data["approval"] = recorded.approval
    if recorded.own:
        data["own"] = True
    if recorded.problem is not None:
        data["problem"] = recorded.problem
    request = recorded.request
    if request is not None:
        found = request.to_mapping()
        for name in _TREES:
            if name in found:
                found[name] = json.loads(freeze(found[name]).canonical)
        found["chain"] = json.loads(freeze({"": found["chain"]}).canonical)[""]
        found["now"] = instant(request.now)
        data["request"] = found
        data["asked"] = sorted(recorded.asked)
    return json.dumps(data, ensure_ascii=True, separators=(",", ":"))


def line_of_approval(opened: Opened) -> str:
    """What became of one question."""
    data = {
        "id": opened.id,
        "decision_id": opened.decision_id,
        "tool": opened.tool,
        "state": opened.state,
        "votes": opened.votes,
    }
    return json.dumps({"v": 1, "approval": data}, ensure_ascii=True, separators=(",", ":"))


def _decision(decision: Decision) -> dict[str, Any]:
    data = {key: value for key, value in decision.to_json(values=False).items() if value}
    for item in data.get("obligations", ()):
        item.pop("key", None)
        item.pop("amount", None)
    return data


class LineReader:
    """Reads lines; one that cannot be read is a damaged record that names its number.

    `tenant` leaves out the decisions of others. `begin` and `end` bound the time, `end` excluded. `seen` is
    how many characters were read, `approvals` what became of each approval so far.
    """

    def __init__(
        self,
        file: IO[str],
        *,
        tenant: str | None = None,
        begin: dt.datetime | None = None,
        end: dt.datetime | None = None,
    ) -> None:
        self._file = file
        self._tenant = tenant
        self._begin = "" if begin is None else instant(begin)
        self._end = "~" if end is None else instant(end)
        self.approvals: dict[str, Opened] = {}
        self.seen = 0

    def __iter__(self) -> Iterator[Recorded]:
        number = 0
        while line := self._file.readline(LONGEST + 1):
            number += 1
            self.seen += len(line)
            if len(line) > LONGEST:
                while line and not line.endswith("\n"):
                    line = self._file.readline(LONGEST)
                    self.seen += len(line)
                yield _damaged(number, f"it is longer than {LONGEST:,} characters")
            elif line.strip():
                try:
                    found = self._read(line)
                except UnknownValue:
                    found = Recorded(id=f"line {number}", at="", problem="value")
                except (
                    ArgumentsError,
                    KeyError,
                    TypeError,
                    ValueError,
                    AttributeError,
                    RecursionError,
                ) as error:
                    found = _damaged(number, _told(error))
                if found is not None:
                    yield found

    def _read(self, line: str) -> Recorded | None:
        data = loads(line, what="the line", limit=LONGEST)
        if type(data) is not dict or data.get("v") != 1:
            raise ArgumentsError("no record of version 1")
        unknown = data.keys() - _KEYS
        if unknown:
            raise ArgumentsError(f"unknown key {min(unknown)[:40]!r}")
        if "request" not in data and type(data.get("approval")) is dict:
            self._approval(data["approval"])
            return None
        found = Recorded(id=str(data.get("id", ""))[:200], at="")
        if "decision" in data:
            found.decision = decided(data["decision"])
        if "request" in data:
            self._request(found, data, tagged='"$' in line or r"\u0024" in line)
            assert found.request is not None
            if self._tenant is not None and found.request.tenant != self._tenant:
                return None
        else:
            found.at = instant(dt.datetime.fromisoformat(data["at"]))
            found.tool, found.agent = str(data.get("tool", ""))[:200], str(data.get("agent", ""))[:200]
        if "problem" in data:
            if data["problem"] not in PROBLEMS:
                raise ArgumentsError("an unknown problem")
            found.problem, found.request = data["problem"], None
        found.own = data.get("own") is True
        found.phase = "claim" if data.get("phase") == "claim" else "decide"
        found.approval = data["approval"] if type(data.get("approval")) is str else None
        return found if self._begin <= found.at < self._end else None

    def _approval(self, data: Mapping[str, Any]) -> None:
        one = Opened(**data)
        if not all(type(text) is str for text in (one.id, one.decision_id, one.tool, one.state)):
            raise ArgumentsError("an approval's texts are none")
        if type(one.votes) is not int:
            raise ArgumentsError("an approval's votes are no number")
        self.approvals[one.id] = one

    @staticmethod
    def _request(found: Recorded, data: Mapping[str, Any], *, tagged: bool) -> None:
        given = data["request"]
        unknown = given.keys() - _REQUEST
        if unknown:
            raise ArgumentsError(f"unknown key {min(unknown)[:40]!r} in the request")
        values: dict[str, Any] = {
            "args": _NONE,
            **{key: given[key] for key in given if given[key] is not None},
        }
        for name in _TREES:
            tree = given.get(name)
            if tree is not None:
                values[name] = view_of_tree(_named(name, tree), tagged=tagged)
        links = [_named("agent", link) for link in given.get("chain") or ()]
        values["chain"] = tuple([view_of_tree(link, tagged=tagged) for link in links])
        values["secrets"] = tuple(given.get("secrets") or ())
        now = dt.datetime.fromisoformat(given["now"])
        found.at = instant(now)
        values["now"] = now
        for name in ("tool", "tenant", "call_id", "tool_digest", "environment"):
            if name in values and type(values[name]) is not str:
                raise ArgumentsError(f"`{name}` is not a text")
        if not all(type(scope) is str for scope in values["secrets"]):
            raise ArgumentsError("`secrets` is not a list of texts")
        if now.tzinfo is None or type(values["agent"]["id"]) is not str:
            raise ArgumentsError("`now` has no zone, or `agent` no id")
        found.request = ContextRequest(**values)
        found.tool, found.agent = values["tool"][:200], values["agent"]["id"][:200]
        found.asked = frozenset([str(name) for name in data.get("asked", ())])


_NONE: Final[Mapping[str, Any]] = MappingProxyType({})


def _named(what: str, value: object) -> object:
    """Somebody by id alone, written out."""
    if type(value) is str and what in ("agent", "principal"):
        return {"id": value, "groups": []} if what == "principal" else {"id": value}
    return value


def _damaged(number: int, what: str) -> Recorded:
    return Recorded(id=f"line {number}", at="", problem="damaged", detail=what)


def _told(error: Exception) -> str:
    """What is wrong with a line, without its values."""
    if isinstance(error, ArgumentsError):
        return str(error)
    if isinstance(error, KeyError):
        return f"`{str(error.args[0])[:40]}` is missing"
    return f"it does not read as a record ({type(error).__name__})"
