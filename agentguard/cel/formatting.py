"""``text.format(list)`` of cel-go's string extension: ``%s %d %f %e %b %o %x %X %%``."""

from __future__ import annotations

import re
from math import isfinite
from typing import Final

from .adapt import adapt, elements, is_list, is_map
from .context import Context
from .conversions import double_text, to_string
from .errors import CelError
from .maps import map_items
from .values import CelType, Optional, UInt

_CLAUSE: Final = re.compile(r"%(?:%|(?:\.([0-9]{1,3}))?([a-zA-Z]?))")
_DEPTH: Final = 64
_PRECISION: Final = 100


def format_text(context: Context, template: str, values: list[object]) -> str:
    """``template`` with its clauses replaced by the values in turn."""
    arguments = elements(values)
    pieces: list[str] = []
    at = size = 0
    for clause in _CLAUSE.finditer(template):
        pieces.append(template[at : clause.start()])
        at = clause.end()
        if clause.group(0) == "%%":
            piece = "%"
        else:
            try:
                value = adapt(next(arguments), context)
            except StopIteration:
                raise CelError("`format` has more clauses than values") from None
            piece = _clause(context, clause.group(2), clause.group(1), value)
        pieces.append(piece)
        size += len(piece)
        context.charge(1)
        context.bound_size(size)
    pieces.append(template[at:])
    context.check_size(size + len(template))
    return "".join(pieces)


def _clause(context: Context, kind: str, precision: str | None, value: object) -> str:
    if kind in ("f", "e"):
        return _fixed(kind, 6 if precision is None else int(precision), value)
    if precision is not None:
        raise CelError(f"`format` takes a precision for `%f` and `%e`, not for `%{kind}`")
    match kind:
        case "s":
            return text_of(context, value)
        case "d":
            return _decimal(value)
        case "b" if isinstance(value, bool):
            return "1" if value else "0"
        case "b" | "o" if type(value) in (int, UInt):
            return format(int(value), kind)  # type: ignore[call-overload]  # an integer, tested above
        case "x" | "X":
            return _hexadecimal(context, kind, value)
        case "b" | "o":
            raise _refused(kind, value)
        case _:
            raise CelError(f"`format` has no clause `%{kind}`: use s, d, f, e, b, o, x or X")


def _refused(kind: str, value: object) -> CelError:
    return CelError(f"`%{kind}` cannot format a {type(value).__name__}")


def _decimal(value: object) -> str:
    if type(value) in (int, UInt):
        return str(value)
    if isinstance(value, float):
        return f"{value:f}" if isfinite(value) else double_text(value)
    raise _refused("d", value)


def _fixed(kind: str, precision: int, value: object) -> str:
    if type(value) not in (int, UInt, float):
        raise _refused(kind, value)
    number = float(value)  # type: ignore[arg-type]  # a number, tested above
    if precision > _PRECISION:
        raise CelError(f"`format` has a precision of at most {_PRECISION}")
    return f"{number:.{precision}{kind}}" if isfinite(number) else double_text(number)


def _hexadecimal(context: Context, kind: str, value: object) -> str:
    if type(value) in (int, UInt):
        return format(int(value), kind)  # type: ignore[call-overload]  # an integer, tested above
    if isinstance(value, str | bytes):
        context.check_size(2 * len(value))
        text = (value.encode() if isinstance(value, str) else value).hex()
        return text.upper() if kind == "X" else text
    raise _refused(kind, value)


def text_of(context: Context, value: object, depth: int = 0) -> str:
    """The text of any value, as ``%s`` shows it; maps in the order of their keys' texts."""
    context.charge(1)
    if depth > _DEPTH:
        raise CelError(f"value too deep: `format` shows {_DEPTH} levels")
    if value is None:
        return "null"
    if isinstance(value, CelType):
        return value.name
    if isinstance(value, Optional):
        inner = text_of(context, value.content, depth + 1) if value.present else ""
        return f"optional.of({inner})" if value.present else "optional.none()"
    if is_list(value):
        parts: list[str] = []
        for item in elements(value):
            parts.append(text_of(context, adapt(item, context), depth + 1))
        return _bounded(context, parts, "[", "]")
    if is_map(value):
        entries = [
            (text_of(context, key, depth + 1), text_of(context, item, depth + 1))
            for key, item in map_items(value, context)
        ]
        return _bounded(context, [f"{key}: {item}" for key, item in sorted(entries)], "{", "}")
    return to_string(context, value)


def _bounded(context: Context, parts: list[str], opening: str, closing: str) -> str:
    context.check_size(sum(map(len, parts)) + 2 * len(parts))
    return opening + ", ".join(parts) + closing
