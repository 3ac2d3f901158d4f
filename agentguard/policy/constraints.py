"""What constraints write: computed from the original arguments, in conflict or applied."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import combinations
from types import MappingProxyType
from typing import Any, Final

from agentguard import cel
from agentguard.call import ContextRequest
from agentguard.canonical import freeze
from agentguard.errors import ArgumentsError
from agentguard.policy.evaluation import value_of
from agentguard.policy.rules import Rule

__all__ = ["FROM_POLICY", "Write", "Writes", "constrained", "further", "writes_of"]

FROM_POLICY: Final[Mapping[str, Any]] = MappingProxyType({"from_policy": True})
"""The provenance of a value that a constraint wrote."""
_MISSING: Final = object()


@dataclass(frozen=True, slots=True)
class Write:
    """One value for one path; `canonical` tells values apart that Python takes for equal."""

    path: str
    steps: tuple[str, ...]
    value: Any
    canonical: bytes
    rule: str


@dataclass(slots=True)
class Writes:
    """What the constraints of one pass want, of each path once, and which cannot be followed, and why."""

    by_path: dict[str, Write]
    wanted: list[Write]
    refused: dict[str, str]


def writes_of(rules: Iterable[Rule], args: Mapping[str, Any], bindings: Mapping[str, Any]) -> Writes:
    """Compute every assignment of the constraints that fired."""
    found = Writes({}, [], {})
    for rule in rules:
        for assignment in rule.sets:
            try:
                value = assignment.constant
                if assignment.program is not None:
                    value = value_of(assignment.program, bindings)
                write = _write(assignment.path, assignment.steps, value, rule.name)
                _parent(args, assignment.steps)
            except cel.CelError as error:
                found.refused[rule.name] = f"`set` of `{assignment.path}`: {error.message}"
                continue
            found.wanted.append(write)
            found.by_path.setdefault(write.path, write)
    for one, other in combinations(found.wanted, 2):
        if one.path == other.path and one.canonical != other.canonical:
            found.refused[one.rule] = found.refused[other.rule] = f"two different values for `{one.path}`"
        elif one.path.startswith(other.path + ".") or other.path.startswith(one.path + "."):
            problem = f"`{one.path}` and `{other.path}` are both written"
            found.refused[one.rule] = found.refused[other.rule] = problem
    return found


def further(wanted: Writes, args: Mapping[str, Any]) -> dict[str, str]:
    """The rules of a second pass that want something other than what is there, and what."""
    changed: dict[str, str] = {}
    for write in wanted.wanted:
        now = _at(args, write.steps)
        if now is _MISSING or freeze({"value": now}).canonical != write.canonical:
            changed[write.rule] = f"`{write.path}` would have to change once more"
    return changed


def constrained(request: ContextRequest, writes: Iterable[Write]) -> ContextRequest:
    """The request with the values written, whose provenance is the policy."""
    args: Mapping[str, Any] = request.args
    supplied = request.supplied
    provenance = dict(supplied.get("provenance", {}))
    for write in writes:
        args = _replaced(args, write.steps, write.value)
        for path in [
            p for p in provenance if p == write.path or p.startswith((write.path + ".", write.path + "["))
        ]:
            del provenance[path]
        provenance[write.path] = FROM_POLICY
    return replace(request, args=args, supplied=MappingProxyType({**supplied, "provenance": provenance}))


def _write(path: str, steps: tuple[str, ...], value: Any, rule: str) -> Write:
    try:
        frozen = freeze({"value": _argument(value)})
    except ArgumentsError as error:
        raise cel.CelError(str(error)) from None
    return Write(path, steps, frozen.view["value"], frozen.canonical, rule)


def _argument(value: Any) -> Any:
    """A result of an expression as an argument value; what JSON cannot hold is refused."""
    kind = type(value)
    if value is None or kind in (bool, int, float, str):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, (list, tuple)):
        return [_argument(item) for item in value]
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {key: _argument(item) for key, item in value.items()}
    raise cel.CelError(f"a {kind.__name__.lower()} cannot be written to an argument")


def _parent(args: Mapping[str, Any], steps: tuple[str, ...]) -> None:
    for step in steps[:-1]:
        inner = args.get(step)
        if not isinstance(inner, Mapping):
            raise cel.CelError(f"there is no mapping at `{step}`")
        args = inner


def _at(args: Any, steps: tuple[str, ...]) -> Any:
    for step in steps:
        if not isinstance(args, Mapping) or step not in args:
            return _MISSING
        args = args[step]
    return args


def _replaced(tree: Mapping[str, Any], steps: tuple[str, ...], value: Any) -> Mapping[str, Any]:
    copy = dict(tree)
    copy[steps[0]] = value if len(steps) == 1 else _replaced(copy[steps[0]], steps[1:], value)
    return MappingProxyType(copy)
