"""What a tool's implementation is, as bytes: its code, and what the code is made with.

Two functions with one text may do different things: a closure over another account, a partial with another
function, an object with another address, a decorator around another body. All of that is covered as far as it
does not change by itself: immutable values, functions and classes. Of anything else (a list, a connection)
only the type is.
"""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import functools
import hashlib
import pathlib
import re
import types
import uuid
from typing import Any, Final

__all__ = ["code_of", "implementation"]

_DEPTH: Final = 8
_NODES: Final = 2_000
_VALUES: Final = (
    str,
    bytes,
    bool,
    int,
    float,
    complex,
    decimal.Decimal,
    uuid.UUID,
    dt.date,
    dt.time,
    dt.timedelta,
    pathlib.PurePath,
    enum.Enum,
    re.Pattern,
    type(None),
    type(...),
)


def code_of(run: object) -> types.CodeType | None:
    """The code that runs first when a tool is called: of a function, method, partial or callable object."""
    for _ in range(_DEPTH):
        code = getattr(run, "__code__", None)
        if isinstance(code, types.CodeType):
            return code
        if isinstance(run, functools.partial):
            run = run.func
        elif isinstance(run, types.MethodType):
            run = run.__func__
        else:
            run = getattr(type(run), "__call__", None)  # noqa: B004 - the code of it is wanted
    return None


def implementation(run: object) -> bytes:
    """A digest of what a callable does, the same in every process that makes it alike; empty for None."""
    if run is None:
        return b""
    state = hashlib.sha256()
    _Walk(state).add(run, 0)
    return state.digest()


class _Walk:
    def __init__(self, state: Any) -> None:
        self.state = state
        self.seen: set[int] = set()
        self.left = _NODES

    def text(self, *parts: object) -> None:
        for part in parts:
            data = str(part).encode("utf-8", "backslashreplace")
            self.state.update(len(data).to_bytes(4, "big") + data)

    def add(self, found: Any, depth: int) -> None:
        self.left -= 1
        kind = type(found)
        if isinstance(found, _VALUES):
            self.text("value", kind.__qualname__, repr(found))
            return
        if depth > _DEPTH or self.left < 0 or id(found) in self.seen:
            self.text("seen", kind.__qualname__)
            return
        self.seen.add(id(found))
        if isinstance(found, types.CodeType):
            self.code(found)
        elif isinstance(found, types.FunctionType):
            self.function(found, depth)
        elif isinstance(found, types.MethodType):
            self.text("method")
            self.add(found.__func__, depth + 1)
            self.add(found.__self__, depth + 1)
        elif isinstance(found, functools.partial):
            self.text("partial")
            self.add(found.func, depth + 1)
            self.items(found.args, depth)
            self.named(found.keywords, depth)
        elif isinstance(found, type):
            self.text("class", found.__module__, found.__qualname__)
        elif isinstance(found, (tuple, frozenset)):
            self.text(kind.__qualname__, len(found))
            self.items(sorted(found, key=repr) if isinstance(found, frozenset) else found, depth)
        else:
            self.instance(found, depth)

    def items(self, found: Any, depth: int) -> None:
        for item in found:
            self.add(item, depth + 1)

    def named(self, found: Any, depth: int) -> None:
        for name in sorted(found, key=str):
            self.text(name)
            self.add(found[name], depth + 1)

    def code(self, code: types.CodeType) -> None:
        self.state.update(code.co_code)
        self.text(*code.co_names, *code.co_varnames, *code.co_freevars)
        for constant in code.co_consts:
            self.constant(constant)

    def constant(self, constant: object) -> None:
        if isinstance(constant, types.CodeType):
            self.code(constant)
        elif isinstance(constant, frozenset):  # its order differs from process to process
            self.text("frozenset", *sorted(map(repr, constant)))
        elif isinstance(constant, tuple):
            self.text("tuple", len(constant))
            for item in constant:
                self.constant(item)
        else:
            self.text(type(constant).__qualname__, repr(constant))

    def function(self, function: types.FunctionType, depth: int) -> None:
        self.text("function", function.__module__, function.__qualname__)
        self.code(function.__code__)
        self.items(function.__defaults__ or (), depth)
        self.named(function.__kwdefaults__ or {}, depth)
        for cell in function.__closure__ or ():
            try:
                content = cell.cell_contents
            except ValueError:
                self.text("empty")
            else:
                self.add(content, depth + 1)

    def instance(self, found: Any, depth: int) -> None:
        """An object: its class, how it is called, and its attributes that do not change by themselves."""
        kind = type(found)
        self.text("object", kind.__module__, kind.__qualname__)
        call = getattr(kind, "__call__", None)  # noqa: B004 - the code of it is wanted
        if isinstance(call, types.FunctionType):
            self.add(call, depth + 1)
        try:
            attributes = dict(vars(found))
        except TypeError:
            return
        lasting = (*_VALUES, types.FunctionType, types.MethodType, functools.partial, type, tuple)
        self.named({k: v for k, v in attributes.items() if isinstance(v, lasting)}, depth)
