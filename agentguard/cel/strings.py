"""String functions: the standard ones and cel-go's string extension.

Positions count code points. Results are bounded by ``Limits.size``, work is charged by length.
"""

from __future__ import annotations

from typing import Final

from .adapt import adapt, elements, list_size
from .context import Context
from .errors import CelError
from .formatting import format_text
from .functions import Function, member, typed
from .kinds import overload

_SPACE: Final = (
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
_LOWER: Final = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz")
_UPPER: Final = {after: before for before, after in _LOWER.items()}
_QUOTED: Final = str.maketrans(
    {
        "\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v",
        "\\": "\\\\", '"': '\\"',
    }
)  # fmt: skip


def _work(context: Context, text: str) -> None:
    if len(text) > 256:
        context.charge(len(text) >> 6)


def _starts_with(context: Context, text: str, prefix: str) -> bool:
    _work(context, prefix)
    return text.startswith(prefix)


def _ends_with(context: Context, text: str, suffix: str) -> bool:
    _work(context, suffix)
    return text.endswith(suffix)


def _contains(context: Context, text: str, part: str) -> bool:
    _work(context, text)
    return part in text


def _position(text: str, at: int) -> int:
    if not 0 <= at <= len(text):
        raise CelError(f"index out of range: {at} in a text of {len(text)}")
    return at


def _char_at(context: Context, text: str, at: int) -> str:
    return text[_position(text, at) : at + 1]


def _index_of(context: Context, text: str, part: str, start: int = 0) -> int:
    _work(context, text)
    return text.find(part, _position(text, start))


def _last_index_of(context: Context, text: str, part: str, last: int | None = None) -> int:
    _work(context, text)
    if last is None:
        return text.rfind(part)
    return text.rfind(part, 0, _position(text, last) + len(part))


def _join(context: Context, items: list[object], separator: str = "") -> str:
    size = 0
    texts: list[str] = []
    for item in elements(items):
        text = adapt(item, context)
        if not isinstance(text, str):
            raise overload("join", text)
        context.charge(1)
        size += len(text) + len(separator)
        context.bound_size(size - len(separator))
        texts.append(text)
    context.check_size(max(size - len(separator), 0))
    return separator.join(texts)


def _split(context: Context, text: str, separator: str, limit: int = -1) -> list[str]:
    _work(context, text)
    if limit == 0:
        return []
    parts = text.count(separator) if separator else len(text)
    context.check_size(parts if limit < 0 else min(parts, limit))
    if separator:
        return text.split(separator, limit - 1 if limit > 0 else -1)
    if limit < 0 or limit >= len(text):
        return list(text)
    return [*text[: limit - 1], text[limit - 1 :]]


def _replace(context: Context, text: str, old: str, new: str, limit: int = -1) -> str:
    _work(context, text)
    found = text.count(old)
    count = found if limit < 0 else min(found, limit)
    context.check_size(max(len(text), len(text) + count * (len(new) - len(old))))
    return text.replace(old, new, count)


def _substring(context: Context, text: str, start: int, end: int | None = None) -> str:
    stop = len(text) if end is None else _position(text, end)
    if _position(text, start) > stop:
        raise CelError(f"index out of range: the start {start} lies behind the end {stop}")
    context.check_size(stop - start)
    return text[start:stop]


def _lower(context: Context, text: str) -> str:
    context.check_size(len(text))
    return text.translate(_LOWER)


def _upper(context: Context, text: str) -> str:
    context.check_size(len(text))
    return text.translate(_UPPER)


def _trim(context: Context, text: str) -> str:
    _work(context, text)
    return text.strip(_SPACE)


def _reverse(context: Context, value: str | list[object]) -> object:
    if isinstance(value, str):
        context.check_size(len(value))
        return value[::-1]
    context.check_size(list_size(value))
    return list(elements(value))[::-1]


def _quote(context: Context, text: str) -> str:
    context.check_size(2 * len(text))
    return f'"{text.translate(_QUOTED)}"'


GLOBALS: Final[dict[str, Function]] = {"strings.quote": typed("strings.quote", _quote, str)}
MEMBERS: Final[dict[str, Function]] = {
    "startsWith": member("startsWith", _starts_with, str, str),
    "endsWith": member("endsWith", _ends_with, str, str),
    "contains": member("contains", _contains, str, str),
    "charAt": member("charAt", _char_at, str, int),
    "indexOf": member("indexOf", _index_of, str, str, int, optional=1),
    "lastIndexOf": member("lastIndexOf", _last_index_of, str, str, int, optional=1),
    "join": member("join", _join, list, str, optional=1),
    "split": member("split", _split, str, str, int, optional=1),
    "replace": member("replace", _replace, str, str, str, int, optional=1),
    "substring": member("substring", _substring, str, int, int, optional=1),
    "lowerAscii": member("lowerAscii", _lower, str),
    "upperAscii": member("upperAscii", _upper, str),
    "trim": member("trim", _trim, str),
    "reverse": member("reverse", _reverse, (str, list, tuple)),
    "format": member("format", format_text, str, list),
}
