"""Macros as steps of a program: loops over lists and maps (CEL specification, "Macros").

``all`` and ``exists`` absorb errors like ``&&`` and ``||`` do; the others do not. Each round is charged by
the size of what it evaluates.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from .access import Run, items_of, located
from .adapt import adapt, is_list, is_map
from .context import Context
from .errors import CelError, LimitExceeded
from .kinds import overload
from .maps import MISSING, build, lookup, map_items, no_such_key
from .sequences import sorted_by
from .values import Optional


@dataclass(frozen=True, slots=True)
class Loop:
    """The parts of one macro; ``slots`` are where its variables live, ``weight`` the charge of a round."""

    macro: str
    over: Run
    slots: tuple[int, ...]
    middle: Run | None
    body: Run
    weight: int
    position: int

    def rounds(self, context: Context) -> Iterator[object]:
        """Bind the variables for each round; yields the first one's value."""
        value = self.over(context)
        try:
            items = items_of(value, context)
        except CelError as error:
            raise located(error, self.position) from None
        slots = context.slots
        first = self.slots[0]
        for at, item in enumerate(items):
            context.charge(self.weight)
            if len(self.slots) == 1:
                slots[first] = item = adapt(item, context)
            elif is_list(value):
                slots[first] = at
                slots[self.slots[1]] = adapt(item, context)
            elif is_map(value):
                found = lookup(value, item, context)
                if found is MISSING:
                    raise no_such_key(item)
                slots[first] = item
                slots[self.slots[1]] = found
            yield item

    def truth(self, run: Run, context: Context) -> bool:
        """The value of a predicate, which must be a boolean."""
        value = run(context)
        if value is True or value is False:
            return value
        raise located(overload(self.macro, value), self.position)


def _quantifier(loop: Loop, decisive: bool) -> Run:
    def run(context: Context) -> object:
        failure: CelError | None = None
        body = loop.body
        for _ in loop.rounds(context):
            try:
                value = body(context)
            except LimitExceeded:
                raise
            except CelError as error:
                failure = failure or error
                continue
            if value is decisive:
                return decisive
            if value is not (not decisive) and failure is None:
                failure = located(overload(loop.macro, value), loop.position)
        if failure is not None:
            raise failure
        return not decisive

    return run


def _exists_one(loop: Loop) -> Run:
    def run(context: Context) -> object:
        return sum([loop.truth(loop.body, context) for _ in loop.rounds(context)]) == 1

    return run


def _filter(loop: Loop) -> Run:
    def run(context: Context) -> object:
        return [item for item in loop.rounds(context) if loop.truth(loop.body, context)]

    return run


def _map(loop: Loop) -> Run:
    def run(context: Context) -> object:
        middle = loop.middle
        return [
            loop.body(context) for _ in loop.rounds(context) if middle is None or loop.truth(middle, context)
        ]

    return run


def _transform_map(loop: Loop) -> Run:
    def run(context: Context) -> object:
        items: list[tuple[object, object]] = []
        for _ in loop.rounds(context):
            if loop.middle is None or loop.truth(loop.middle, context):
                items.append((context.slots[loop.slots[0]], loop.body(context)))
        return build(items)

    return run


def _transform_entries(loop: Loop) -> Run:
    def run(context: Context) -> object:
        items: list[tuple[object, object]] = []
        for _ in loop.rounds(context):
            if loop.middle is None or loop.truth(loop.middle, context):
                entry = loop.body(context)
                if not is_map(entry):
                    raise overload(loop.macro, entry)
                items.extend(map_items(entry, context))
        return build(items)

    return run


def _sort_by(loop: Loop) -> Run:
    def run(context: Context) -> object:
        pairs = [(item, loop.body(context)) for item in loop.rounds(context)]
        return sorted_by(context, [item for item, _ in pairs], [key for _, key in pairs])

    return run


def _optional(loop: Loop) -> Run:
    def run(context: Context) -> object:
        value = loop.over(context)
        if not isinstance(value, Optional):
            raise located(overload(loop.macro, value), loop.position)
        if not value.present:
            return value
        context.slots[loop.slots[0]] = value.content
        result = loop.body(context)
        if loop.macro == "optMap":
            return Optional(True, result)
        if not isinstance(result, Optional):
            raise located(overload(loop.macro, result), loop.position)
        return result

    return run


_MACROS: Final[dict[str, Callable[[Loop], Run]]] = {
    "all": lambda loop: _quantifier(loop, False),
    "exists": lambda loop: _quantifier(loop, True),
    "exists_one": _exists_one,
    "filter": _filter,
    "map": _map,
    "transformList": _map,
    "transformMap": _transform_map,
    "transformMapEntry": _transform_entries,
    "sortBy": _sort_by,
    "optMap": _optional,
    "optFlatMap": _optional,
}


def comprehension(loop: Loop) -> Run:
    """The step for a macro."""
    run = _MACROS[loop.macro](loop)

    def placed(context: Context) -> object:
        try:
            return run(context)
        except CelError as error:
            raise located(error, loop.position) from None

    return placed
