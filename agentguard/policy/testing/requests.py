"""The requests of a test file: those that others begin with, and what becomes of a case's own."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any, Final

from agentguard.call import ContextRequest
from agentguard.errors import ConfigurationError
from agentguard.policy.findings import suggestion
from agentguard.policy.scalars import instant

__all__ = ["BadRequest", "Requests"]

_MAX_CHAIN: Final = 20


class BadRequest(Exception):
    """A request cannot be made of what is written; `key` is the part that is wrong, where it is one."""

    def __init__(self, message: str, *, key: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.message, self.key, self.hint = message, key, hint


class Requests:
    """Named requests as written, each resolved once."""

    def __init__(
        self, named: Mapping[str, Mapping[str, Any]], defaults: Mapping[str, Any], now: dt.datetime
    ) -> None:
        self._named = named
        self._defaults = {key: value for key, value in defaults.items() if key not in ("extends", "without")}
        self._now = now
        self._resolved: dict[str, Mapping[str, Any]] = {}

    def context(self, written: Mapping[str, Any]) -> ContextRequest:
        """The context request of a case.

        Raises:
            BadRequest: it extends nothing that there is, lacks `tool` or `agent`, or cannot be a request.
        """
        data = dict(self._joined(written, ()))
        for key in ("tool", "agent"):
            if key not in data:
                raise BadRequest(f"the request has no `{key}`", hint="say it here, or in what it extends")
        data.setdefault("now", self._now)
        try:
            return ContextRequest.from_mapping({**data, "now": instant(data["now"])})
        except ConfigurationError as error:
            raise BadRequest(str(error)) from None

    def resolve(self, name: str, behind: tuple[str, ...] = ()) -> Mapping[str, Any]:
        """A named request with all that it extends.

        Raises:
            BadRequest: there is none of this name, or it extends itself.
        """
        if name not in self._named:
            hint = suggestion(name, self._named)
            raise BadRequest(f"there is no request `{name[:80]}`", key="extends", hint=hint)
        if name in behind or len(behind) >= _MAX_CHAIN:
            way = " -> ".join((*behind, name))[:200]
            raise BadRequest(f"the request extends itself or too many others: {way}", key="extends")
        if name not in self._resolved:
            self._resolved[name] = self._joined(self._named[name], (*behind, name))
        return self._resolved[name]

    def _joined(self, written: Mapping[str, Any], behind: tuple[str, ...]) -> Mapping[str, Any]:
        named = written.get("extends")
        base = self.resolve(named, behind) if named is not None else self._defaults
        for path in written.get("without", ()):
            base = _without(base, path.split("."), path)
        own = {key: value for key, value in written.items() if key not in ("extends", "without")}
        return _merged(base, own)


def _merged(base: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Mappings are merged, anything else replaces."""
    joined = dict(base)
    for key, value in own.items():
        other = base.get(key)
        if isinstance(other, str) and key in ("agent", "principal"):
            other = {"id": other}
        if isinstance(value, Mapping) and isinstance(other, Mapping):
            joined[key] = _merged(other, value)
        else:
            joined[key] = value
    return joined


def _without(base: Mapping[str, Any], steps: list[str], path: str) -> dict[str, Any]:
    """The mapping without what a dotted path names; a key may hold dots itself."""
    for size in range(len(steps), 0, -1):
        key = ".".join(steps[:size])
        if key not in base:
            continue
        rest = steps[size:]
        if not rest:
            return {name: value for name, value in base.items() if name != key}
        if isinstance(base[key], Mapping):
            return {**base, key: _without(base[key], rest, path)}
    raise BadRequest(f"there is no `{path[:80]}` to take out", key="without", hint=suggestion(steps[0], base))
