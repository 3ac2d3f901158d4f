"""The values inside of arguments, at any depth, so that nothing hides from a rule one level down."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from agentguard import cel

__all__ = ["arguments_of_role", "texts_in"]

_MOST: Final = 10_000
"""Values that are looked at; more is an error, so that a rule that asks for them fires."""


def texts_in(context: cel.Context, value: object) -> list[str]:
    """Every text in a value: items, values and keys, at any depth, in their order."""
    found = [one for one in _leaves(context, value, keys=True) if type(one) is str]
    context.charge(sum(len(text) for text in found) >> 4)
    return found


def arguments_of_role(context: cel.Context, role: object) -> list[Any]:
    """The texts, numbers and truth values of the arguments that have a role in the tool's facts.

    Raises:
        CelError: the tool's facts say nothing of roles, which is unknown and not none.
    """
    if type(role) is not str:
        raise cel.CelError("the argument is not a text")
    facts, args = context.bindings.get("facts"), context.bindings.get("args")
    roles = facts.get("roles") if isinstance(facts, Mapping) else None
    if not isinstance(roles, Mapping):
        raise cel.CelError("nobody said what the arguments of this tool are (`facts.roles`)")
    found: list[Any] = []
    for path, told in roles.items():
        if told == role:
            for value in _at(args, str(path).split(".")):
                found += _leaves(context, value, keys=False)
    if len(found) > _MOST:
        raise cel.CelError(f"more than {_MOST} values")
    return found


def _at(value: object, path: list[str]) -> Iterator[object]:
    """What stands at a path; in lists, in each of their items. A name may hold a dot itself."""
    if not path:
        yield value
    elif isinstance(value, Mapping):
        for size in range(1, len(path) + 1):
            name = ".".join(path[:size])
            if name in value:
                yield from _at(value[name], path[size:])
    elif isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        for one in value:
            yield from _at(one, path)


def _leaves(context: cel.Context, value: object, *, keys: bool) -> list[Any]:
    found: list[Any] = []
    pending: list[object] = [value]
    while pending:
        one = pending.pop()
        if isinstance(one, Mapping):
            pending += list(one.values())[::-1]
            found += [key for key in one if keys]
        elif isinstance(one, Sequence) and not isinstance(one, (str, bytes)):
            pending += list(one)[::-1]
        elif one is not None:
            found.append(one)
        context.charge(1)
        if len(found) + len(pending) > _MOST:
            raise cel.CelError(f"more than {_MOST} values")
    return found
