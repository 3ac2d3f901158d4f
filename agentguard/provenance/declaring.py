"""Declared facts over inferred ones: what a person said wins, key by key, and the rest is marked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

__all__ = ["declared_over"]

_QUIET: Final = {"writes": False, "destructive": False, "executes": False}


def declared_over(declared: Mapping[str, Any], inferred: Mapping[str, Any]) -> dict[str, Any]:
    """Facts with the declared ones in place of the inferred; roles argument by argument.

    `inferred` in the result names the facts that nobody declared. Who declares a tool `read_only` says that
    it neither writes nor destroys; who declares its `action` says that it is known.
    """
    found = {**inferred, **declared}
    given = set(declared)
    if declared.get("read_only") is True:
        found.update({key: value for key, value in _QUIET.items() if key not in declared})
        found["reads"] = True
        if "action" not in declared and found.get("action") not in ("read", "fetch"):
            found["action"] = "read"
        given |= {*_QUIET, "reads", "action"}
    if "action" in given:
        found.pop("uncertain", None)
    if "roles" in declared and "roles" in inferred:
        found["roles"] = {**inferred["roles"], **declared["roles"]}
    found["inferred"] = tuple(sorted(key for key in inferred if key in found and key not in given))
    return found
