"""What the guard knows about a tool: its name, facts, scopes, definition digest and how arguments bind."""

from __future__ import annotations

import dataclasses
import enum
import inspect
import re
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agentguard.canonical import class_name, digest, encode
from agentguard.decision import plain
from agentguard.errors import ArgumentsError, ConfigurationError
from agentguard.implementation import code_of, implementation

__all__ = ["ArgumentCheck", "Binder", "Tool", "ToolFacts", "definition_digest", "signature_text", "tool_name"]

_NAME_LIMIT: Final = 200
_ADDRESS: Final = re.compile(r" at 0x[0-9a-fA-F]+")


class ToolFacts(BaseModel):
    """What a tool does, as conditions see it under `facts`; an absent fact is unknown, not false.

    `sensitive` names arguments whose values are masked on screens and in messages. `untrusted_output` says
    that the tool returns other people's words (mail, web pages, documents): the session is labelled
    `untrusted` once it ran. `read_only` and `idempotent` are promises of the operator.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    reads: bool | None = None
    writes: bool | None = None
    destructive: bool | None = None
    external: bool | None = None
    read_only: bool | None = None
    idempotent: bool | None = None
    untrusted_output: bool | None = None
    sensitive: tuple[str, ...] = ()
    labels: tuple[str, ...] = Field(
        default=(), description="free words for conditions: `'pii' in facts.labels`"
    )

    def to_facts(self) -> Mapping[str, Any]:
        found = {key: value for key, value in self if value is not None}
        if self.read_only and (self.writes or self.destructive):
            raise ConfigurationError("a tool cannot be read_only and write or destroy; correct its facts")
        return types.MappingProxyType(found)

    @classmethod
    def parse(cls, value: ToolFacts | Mapping[str, Any] | None, where: str) -> ToolFacts:
        if value is None:
            return cls()
        if isinstance(value, ToolFacts):
            return value
        try:
            return cls.model_validate(dict(value))
        except ValidationError as error:
            first = error.errors()[0]
            name = ".".join(str(part) for part in first["loc"])
            known = ", ".join(cls.model_fields)
            raise ConfigurationError(
                f"{where}: `{name}`: {first['msg'].lower()}; facts are: {known}"
            ) from None


class ArgumentCheck(Protocol):
    """Says whether arguments fit the tool's schema: before people are asked, after a policy rewrote them."""

    def __call__(self, arguments: Mapping[str, Any]) -> str | None:
        """None when they fit, else what is wrong: names and types, never values, for it is recorded."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A registered tool. `digest` is over its definition; `classes` are those its annotations name.

    `code` is what `run` consisted of when it was registered, so that a swap is seen.
    """

    name: str
    digest: str
    facts: Mapping[str, Any]
    secrets: tuple[str, ...] = ()
    arguments: tuple[str, ...] | None = None
    run: Callable[..., Any] | None = None
    binder: Binder | None = None
    check: ArgumentCheck | None = None
    classes: Mapping[str, type[Any]] = field(default_factory=dict)
    resource: Callable[[Mapping[str, Any]], Mapping[str, Any] | None] | None = None
    where: str = ""
    code: object = None

    @property
    def read_only(self) -> bool:
        return self.facts.get("read_only") is True

    @property
    def current(self) -> str:
        """The digest of the definition as it is now: another one once the code was swapped."""
        if self.code is not None and code_of(self.run) is not self.code:
            return "changed"
        return self.digest


def tool_name(name: object) -> str:
    """A name that policies can match: printable ASCII without blanks, so that no look-alike passes for it."""
    if (
        not isinstance(name, str)
        or not name
        or len(name) > _NAME_LIMIT
        or not name.isascii()
        or not all(char.isalnum() or char in "._-/:" for char in name)
    ):
        raise ConfigurationError(
            f"{name!r:.120} cannot name a tool: use letters, digits and . _ - / : of ASCII, at most "
            f"{_NAME_LIMIT} characters"
        )
    return name


_EMPTY = inspect.Parameter.empty


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


def definition_digest(name: str, definition: Mapping[str, Any], code: object = None) -> str:
    """What the tool is, as a digest: its name, its definition (signature or schema, text), its code.

    A tool whose definition or implementation changed between question and answer has another digest, and
    the approval does not fit it any more.
    """
    head = encode({"v": 1, "name": name, "definition": plain(definition)})
    return digest(head + implementation(code))


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


def annotated_classes(function: Callable[..., Any]) -> dict[str, type[Any]]:
    """Dataclasses, pydantic models and enums named in a function's annotations, also inside generics.

    Only these may be built from stored arguments, so a store cannot name classes of its own.
    """
    try:
        hints = typing.get_type_hints(function, include_extras=False)
    except Exception:
        # What cannot be resolved names no class; resuming such a call says which one is missing.
        return {}
    found: dict[str, type[Any]] = {}
    seen: set[int] = set()
    pending: list[Any] = [hint for name, hint in hints.items() if name != "return"]
    while pending:
        hint = pending.pop()
        if id(hint) in seen:
            continue
        seen.add(id(hint))
        pending.extend(typing.get_args(hint))
        if not isinstance(hint, type):
            continue
        if issubclass(hint, enum.Enum):
            found[class_name(hint)] = hint
        elif issubclass(hint, BaseModel):
            found[class_name(hint)] = hint
            pending.extend(field.annotation for field in hint.model_fields.values())
        elif dataclasses.is_dataclass(hint):
            found[class_name(hint)] = hint
            try:
                pending.extend(typing.get_type_hints(hint).values())
            except Exception:
                continue
    return found
