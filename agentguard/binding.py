"""How a call's arguments bind to a signature, and what a signature says as text."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from agentguard.errors import ArgumentsError, ConfigurationError

__all__ = ["Binder", "signature_text"]

_ADDRESS: Final = re.compile(r" at 0x[0-9a-fA-F]+")
_EMPTY: Final = inspect.Parameter.empty


class Binder:
    """Binds a call to a signature as Python does, and splits off what is injected.

    In the request, each parameter stands under its name with defaults filled in, `*rest` as a tuple under
    its own name, and the entries of `**extra` beside the named parameters.
    """

    __slots__ = (
        "_defaults",
        "_fast",
        "_named",
        "_order",
        "_plain",
        "_positional_only",
        "_required",
        "_var_keyword",
        "_var_positional",
        "injected",
        "names",
        "optional",
        "signature",
    )

    def __init__(self, signature: inspect.Signature, injected: Iterable[str] = ()) -> None:
        self.signature = signature
        self.injected = frozenset(injected)
        kinds = inspect.Parameter
        parameters = list(signature.parameters.values())
        unknown = self.injected - {parameter.name for parameter in parameters}
        if unknown:
            raise ConfigurationError(
                f"`{sorted(unknown)[0]}` is declared as injected, but the tool has no such parameter"
            )
        self._order = tuple(
            p.name for p in parameters if p.kind in (kinds.POSITIONAL_ONLY, kinds.POSITIONAL_OR_KEYWORD)
        )
        self._positional_only = frozenset(p.name for p in parameters if p.kind is kinds.POSITIONAL_ONLY)
        self._var_positional = next((p.name for p in parameters if p.kind is kinds.VAR_POSITIONAL), None)
        self._var_keyword = next((p.name for p in parameters if p.kind is kinds.VAR_KEYWORD), None)
        self._named = frozenset(
            p.name for p in parameters if p.kind in (kinds.POSITIONAL_OR_KEYWORD, kinds.KEYWORD_ONLY)
        )
        named = [p for p in parameters if p.kind not in (kinds.VAR_POSITIONAL, kinds.VAR_KEYWORD)]
        self._defaults = {p.name: p.default for p in named if p.default is not _EMPTY}
        self.optional = frozenset(self._defaults)
        self._required = frozenset(p.name for p in named if p.default is _EMPTY)
        self._fast = not (self._positional_only or self._var_positional or self._var_keyword)
        self._plain = self._fast and not self.injected
        self.names = tuple(p.name for p in parameters if p.name not in self.injected)

    def bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """The arguments to decide on, and the injected ones.

        Raises:
            TypeError: as a call of the function itself would.
            ArgumentsError: an entry of `**extra` has the name of another parameter.
        """
        if self._fast and len(args) <= len(self._order):
            bound = dict(zip(self._order, args, strict=False))
            if not (bound.keys() & kwargs.keys()) and self._named >= kwargs.keys():
                bound.update(kwargs)
                if self._required <= bound.keys():
                    for name, default in self._defaults.items():
                        if name not in bound:
                            bound[name] = default
                    return (bound, {}) if self._plain else self._split(bound)
        found = self.signature.bind(*args, **kwargs)
        found.apply_defaults()
        bound = dict(found.arguments)
        if self._var_keyword is not None:
            extra = bound.pop(self._var_keyword)
            clash = sorted(set(extra) & (set(bound) | self.injected))
            if clash:
                raise ArgumentsError("this keyword has the name of another parameter", f"args.{clash[0]}")
            bound.update(extra)
        return self._split(bound)

    def _split(self, bound: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        injected = {name: bound.pop(name) for name in self.injected if name in bound}
        return bound, injected

    def spread(self, arguments: Mapping[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The positional and keyword arguments of the call that `bind` took apart."""
        if self._fast:
            return (), dict(arguments)
        rest = dict(arguments)
        for name in self._order:
            if name not in rest and name in self._defaults:
                rest[name] = self._defaults[name]  # an injected parameter that nobody gave
        if self._var_positional is not None:
            positional = [rest.pop(name) for name in self._order]
            return (*positional, *rest.pop(self._var_positional)), rest
        positional = [rest.pop(name) for name in self._order if name in self._positional_only]
        return tuple(positional), rest

    def unknown(self, names: Iterable[str]) -> str | None:
        """The first name that no argument of the tool may have, if any."""
        if self._var_keyword is not None:
            return next((name for name in names if name in self.injected), None)
        known = set(self.names)
        return next((name for name in names if name not in known), None)

    @property
    def collected(self) -> frozenset[str]:
        """The parameters that collect: `*rest` and `**extra`, whose annotation is that of one element."""
        return frozenset(name for name in (self._var_positional, self._var_keyword) if name is not None)


def signature_text(signature: inspect.Signature) -> str:
    """A signature as text that is the same in every process: no addresses, sets in order."""
    parts = [
        f"{p.kind.name} {p.name}: {_stable(p.annotation)} = {_stable(p.default)}"
        for p in signature.parameters.values()
    ]
    return f"({', '.join(parts)}) -> {_stable(signature.return_annotation)}"


def _stable(value: object) -> str:
    if isinstance(value, (set, frozenset)):
        return f"{type(value).__name__}({sorted(map(_stable, value))})"
    if isinstance(value, (tuple, list)):
        return f"{type(value).__name__}({[_stable(item) for item in value]})"
    if isinstance(value, dict):
        return f"{type(value).__name__}({[(_stable(key), _stable(item)) for key, item in value.items()]})"
    return _ADDRESS.sub("", repr(value))
