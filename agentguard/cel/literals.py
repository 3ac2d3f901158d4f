"""What string, bytes and number tokens mean (CEL specification, "String and Bytes Values")."""

from __future__ import annotations

from typing import Final

from .errors import CelSyntaxError
from .values import INT_MAX, INT_MIN, UINT_MAX, UInt

_SIMPLE: Final = {
    "a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v",
    "\\": "\\", "?": "?", '"': '"', "'": "'", "`": "`",
}  # fmt: skip
_HEX: Final = {"x": 2, "X": 2, "u": 4, "U": 8}
_HEX_DIGITS: Final = frozenset("0123456789abcdefABCDEF")


def text_value(source: str, start: int, end: int) -> str | bytes:
    """The value of the string or bytes token at ``source[start:end]``."""
    at = start
    is_bytes = source[at] in "bB"
    at += is_bytes
    is_raw = source[at] in "rR"
    at += is_raw
    width = 3 if source.startswith(source[at] * 3, at) and end - at >= 6 else 1
    body = source[at + width : end - width]
    if is_raw or "\\" not in body:
        return body.encode() if is_bytes else body
    pieces: list[bytes] | None = [] if is_bytes else None
    chars: list[str] = []
    index = 0
    offset = at + width
    while index < len(body):
        char = body[index]
        if char != "\\":
            if pieces is None:
                chars.append(char)
            else:
                pieces.append(char.encode())
            index += 1
            continue
        code, length = _escape(source, body, index, offset)
        if pieces is None:
            if code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
                raise CelSyntaxError("invalid escape: not a Unicode character", source, offset + index)
            chars.append(chr(code))
        elif body[index + 1] in "uU":
            raise CelSyntaxError("invalid escape: write bytes as `\\xHH`", source, offset + index)
        else:
            pieces.append(bytes((code,)))
        index += length
    return "".join(chars) if pieces is None else b"".join(pieces)


def _escape(source: str, body: str, index: int, offset: int) -> tuple[int, int]:
    """The code of the escape at ``index`` and its length in the source."""
    kind = body[index + 1]
    if kind in _SIMPLE:
        return ord(_SIMPLE[kind]), 2
    if kind in _HEX:
        digits = body[index + 2 : index + 2 + _HEX[kind]]
        if len(digits) == _HEX[kind] and _HEX_DIGITS.issuperset(digits):
            return int(digits, 16), 2 + _HEX[kind]
        needs = f"`\\{kind}` needs {_HEX[kind]} hex digits"
        raise CelSyntaxError(f"invalid escape: {needs}", source, offset + index)
    if kind in "0123":
        digits = body[index + 1 : index + 4]
        if len(digits) == 3 and all(digit in "01234567" for digit in digits):
            return int(digits, 8), 4
        raise CelSyntaxError("invalid escape: an octal escape needs 3 digits", source, offset + index)
    raise CelSyntaxError(f"invalid escape `\\{kind}`: write a backslash as `\\\\`", source, offset + index)


def number_value(text: str, source: str, position: int, *, negative: bool = False) -> int | UInt | float:
    """The value of a number token, with the minus sign before it where there is one."""
    lowered = text.lower()
    if lowered.startswith("0x") or not any(mark in lowered for mark in ".e"):
        unsigned = lowered.endswith("u")
        digits = lowered.removesuffix("u")
        if len(digits) > 64:
            raise CelSyntaxError("number out of range: 64 bits are possible", source, position)
        value = int(digits, 16 if digits.startswith("0x") else 10)
        if unsigned:
            if value > UINT_MAX:
                raise CelSyntaxError("number out of range: an unsigned integer has 64 bits", source, position)
            return UInt(value)
        value = -value if negative else value
        if not INT_MIN <= value <= INT_MAX:
            raise CelSyntaxError("number out of range: an integer has 64 bits", source, position)
        return value
    number = float(text)
    if number == float("inf"):
        raise CelSyntaxError("number out of range: too large for a double", source, position)
    return -number if negative else number
