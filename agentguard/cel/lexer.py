"""Tokens of a source (CEL specification, "Syntax")."""

from __future__ import annotations

import re
from sys import intern
from typing import Final, Literal, NamedTuple, TypeAlias

from .errors import CelSyntaxError

Kind: TypeAlias = Literal["name", "quoted", "number", "text", "symbol", "end"]

_SPACE: Final = re.compile(r"(?:[\t\n\f\r ]+|//[^\n]*)+")
_TOKEN: Final = re.compile(
    r"""(?P<open>[bB]?[rR]?(?:\"{3}|'{3}|["']))"""
    r"|(?P<name>[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<number>0[xX][0-9a-fA-F]+[uU]?|[0-9]*\.[0-9]+(?:[eE][+-]?[0-9]+)?|[0-9]+[eE][+-]?[0-9]+|[0-9]+[uU]?)"
    r"|(?P<symbol>&&|\|\||==|!=|<=|>=|[-+*/%<>!?:.,()\[\]{}])"
    r"|`(?P<quoted>[A-Za-z0-9_.\-/ ]+)`"
)
_PLAIN: Final = {'"': re.compile(r'[^"\\\r\n]+'), "'": re.compile(r"[^'\\\r\n]+")}
_AFTER_NUMBER: Final = re.compile(r"[A-Za-z0-9_]")

SINGLE: Final = {
    "=": "write `==` to compare", "&": "write `&&`", "|": "write `||`",
    ";": "a condition is one expression without `;`",
}  # fmt: skip


class Token(NamedTuple):
    """One token; ``text`` is the symbol, the name or the raw text of a literal."""

    kind: Kind
    text: str
    start: int
    end: int


def tokenize(source: str) -> list[Token]:
    """All tokens of the source, ending with one of kind ``end``."""
    tokens: list[Token] = []
    at = 0
    length = len(source)
    while True:
        space = _SPACE.match(source, at)
        if space is not None:
            at = space.end()
        if at >= length:
            tokens.append(Token("end", "", length, length))
            return tokens
        token = _token(source, at)
        tokens.append(token)
        at = token.end


def _token(source: str, at: int) -> Token:
    found = _TOKEN.match(source, at)
    if found is None:
        hint = SINGLE.get(source[at], "remove it, or put it into a string")
        raise CelSyntaxError(f"unexpected character `{ascii(source[at])[1:-1]}`: {hint}", source, at)
    kind = found.lastgroup
    end = found.end()
    if kind == "open":
        prefix = found.group().rstrip("\"'")
        end = _text_end(source, end, found.group()[len(prefix) :], raw=bool(prefix.strip("bB")), start=at)
        return Token("text", source[at:end], at, end)
    if kind == "number" and _AFTER_NUMBER.match(source, end):
        raise CelSyntaxError("malformed number: separate it from what follows", source, at)
    if kind == "quoted":
        return Token("quoted", source[at + 1 : end - 1], at, end)
    if kind == "name":
        # Fields and variables are looked up in dictionaries for the rest of their lives.
        return Token("name", intern(source[at:end]), at, end)
    return Token(kind, source[at:end], at, end)  # type: ignore[arg-type]  # the groups are named like the kinds


def _text_end(source: str, at: int, quote: str, *, raw: bool, start: int) -> int:
    """Where the literal whose opening quote ends at ``at`` ends."""
    plain = _PLAIN[quote[0]]
    while at < len(source):
        run = plain.match(source, at)
        if run is not None:
            at = run.end()
        if source.startswith(quote, at):
            return at + len(quote)
        char = source[at : at + 1]
        if char in "\r\n" and len(quote) == 1:
            break
        at += 2 if char == "\\" and not raw else 1
    raise CelSyntaxError(f"unterminated string: close it with {quote}", source, start)
