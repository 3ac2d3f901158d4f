"""The canonical form of a tool call's arguments: one byte string for one meaning, and back.

The form is JSON text in UTF-8, keys sorted by code point, no white space, no NaN or infinity, in which every
Python type that may be an argument has a spelling of its own:

* `None`, `bool`, `int`, `float`, `str`, `list` and `dict` with string keys are themselves; `1` and `1.0`,
  `True` and `1`, `0.0` and `-0.0` differ as they are written (floats by Python's shortest `repr`).
* everything else is an object with the single key `$` + type: `{"$tuple": [...]}`, `{"$bytes": "base64"}`,
  `{"$datetime": "..."}`, `{"$model": {"type": "module:Class", "fields": {...}}}` and so on.
* a real key that begins with `$` gets another `$`, so that data cannot pass for a tag.

INVARIANT: what a tool runs with is decoded from exactly the bytes that were digested (`Frozen.thaw`), so
nobody who kept a reference to an argument can change it after the decision.

Unicode is never normalised: two spellings of one name are two values.
"""

from __future__ import annotations

import base64
import dataclasses
import datetime as dt
import decimal
import enum
import hashlib
import json
import math
import pathlib
import re
import types
import uuid
import zoneinfo
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import Any, Final

from pydantic import BaseModel

from agentguard.errors import ArgumentsError

__all__ = ["MAX_BYTES", "MAX_DEPTH", "MAX_NODES", "Frozen", "digest", "encode", "freeze", "loads"]

MAX_DEPTH: Final = 64
"""Levels of nesting in one call's arguments."""
MAX_NODES: Final = 10_000
"""Values in one call's arguments, keys included."""
MAX_BYTES: Final = 256 * 1024
"""Bytes of one call's canonical arguments."""
MAX_INT_BITS: Final = 4096

_encoder = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"), check_circular=False
)


def _fast_encode() -> Callable[[object], str]:
    """The standard library's own C encoder, made once instead of once a call; the same text."""
    make = json.encoder.c_make_encoder  # type: ignore[attr-defined] # not in the stubs
    if make is None:  # pragma: no cover - an interpreter without the accelerator
        return _encoder.encode
    once = make(None, _encoder.default, json.encoder.encode_basestring, None, ":", ",", True, False, False)
    join = "".join

    def encode_(value: object) -> str:
        return join(once(value, 0))

    return encode_


_encode: Final = _fast_encode()
_decode: Final = json.JSONDecoder().scan_once  # type: ignore[attr-defined] # not in the stubs


def encode(value: object) -> bytes:
    """Canonical bytes of plain JSON data that the guard itself made (ledger leaves, digest inputs)."""
    return _encode(value).encode("utf-8")


def digest(data: bytes) -> str:
    """`sha256:` and the hexadecimal SHA-256 of `data`."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def loads(text: str | bytes, *, what: str = "arguments", limit: int = 4 * MAX_BYTES) -> Any:
    """Strict JSON: no duplicate keys, no NaN or infinity, bounded depth, at most `limit` characters.

    Raises:
        ArgumentsError: the text is not such JSON; nothing of it should be used.
    """
    if len(text) > limit:
        raise ArgumentsError(f"{len(text)} characters of JSON, more than {limit}; send less", what)
    try:
        return _strict_decoder.decode(text if isinstance(text, str) else text.decode("utf-8"))
    except _NotStrict as error:
        raise ArgumentsError(str(error), what) from None
    except RecursionError:
        raise ArgumentsError(f"JSON nested deeper than {MAX_DEPTH} levels", what) from None
    except ValueError as error:
        raise ArgumentsError(f"not valid JSON: {error}", what) from None


class _NotStrict(ValueError):
    """JSON for some, and not for us."""


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise _NotStrict(f"the key {key[:80]!r} is there twice")
        found[key] = value
    return found


def _no_constant(name: str) -> Any:
    raise _NotStrict(f"{name} is not a JSON number")


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise _NotStrict(f"the number {text[:40]} is too large")
    return value


_strict_decoder = json.JSONDecoder(
    object_pairs_hook=_no_duplicates, parse_constant=_no_constant, parse_float=_finite
)


class Frozen:
    """A call's arguments, as they were when they were frozen.

    `canonical` is the byte string, `digest` its SHA-256, `view` an immutable tree for conditions (mappings
    are read-only, sequences are tuples), `thaw()` a fresh mutable copy for the tool.
    """

    __slots__ = ("_classes", "_digest", "_tagged", "canonical", "view")

    def __init__(
        self, canonical: bytes, view: Mapping[str, Any], tagged: bool, classes: Mapping[str, type[Any]]
    ) -> None:
        self.canonical = canonical
        self.view = view
        self._tagged = tagged
        self._classes = classes
        self._digest: str | None = None

    @property
    def digest(self) -> str:
        if self._digest is None:
            self._digest = digest(self.canonical)
        return self._digest

    @property
    def text(self) -> str:
        """The canonical form as text: what a reviewer reads and a store keeps."""
        return self.canonical.decode("utf-8")

    def thaw(self) -> dict[str, Any]:
        """A fresh copy with the original types, decoded from the canonical bytes.

        INVARIANT: what comes back has the same canonical bytes. A class whose constructor makes something
        else of its own fields is refused, for that value was not decided on.

        Raises:
            ArgumentsError: a class named in the bytes is not one the tool declares, or does not come back.
        """
        tree: dict[str, Any] = _decode(self.canonical.decode(), 0)[0]
        if not self._tagged:
            return tree
        found = {key[1:] if key.startswith("$") else key: self._untag(item) for key, item in tree.items()}
        if self._classes and freeze(found).canonical != self.canonical:
            raise ArgumentsError("a class of the tool changes its own fields when it is built from them")
        return found

    def _untag(self, value: Any) -> Any:
        if type(value) is list:
            return [self._untag(item) for item in value]
        if type(value) is not dict:
            return value
        if len(value) == 1:
            ((key, inner),) = value.items()
            if key.startswith("$") and not key.startswith("$$"):
                return self._untag_one(key, inner)
        return {key[1:] if key.startswith("$") else key: self._untag(item) for key, item in value.items()}

    def _untag_one(self, tag: str, inner: Any) -> Any:
        decode = _DECODERS.get(tag)
        if decode is not None:
            return decode([self._untag(item) for item in inner] if type(inner) is list else inner)
        if tag in ("$model", "$dataclass", "$enum"):
            found = self._classes.get(inner["type"])
            if found is None:
                raise ArgumentsError(f"the class `{inner['type']}` is not declared by the tool")
            if tag == "$enum":
                if not isinstance(found, enum.EnumMeta):
                    raise ArgumentsError(f"the class `{inner['type']}` is not an enumeration")
                return found(inner["value"]) if "value" in inner else found[inner["name"]]
            fields = {name: self._untag(item) for name, item in inner["fields"]}
            return _model(found, fields, inner.get("set")) if tag == "$model" else _dataclass(found, fields)
        raise ArgumentsError(f"unknown tag {tag[:40]!r} in stored arguments")

    @classmethod
    def from_canonical(cls, canonical: bytes, classes: Mapping[str, type[Any]]) -> Frozen:
        """Arguments read back from a store; `classes` are those that the tool's annotations name."""
        problem = "stored arguments do not read back as they were written: the store or a class was changed"
        try:
            tree = _decode(canonical.decode(), 0)[0]
            tagged = b'"$' in canonical
            again = freeze(cls(canonical, {}, tagged, classes).thaw()) if type(tree) is dict else None
        except ArgumentsError:
            raise
        except (Exception, StopIteration) as error:
            raise ArgumentsError(f"{problem} ({type(error).__name__})") from None
        if again is None or again.canonical != canonical:
            raise ArgumentsError(problem)
        return cls(canonical, again.view, tagged, again._classes)


class _Freezer:
    """One walk over the arguments; makes the plain tree that is written and the view that is read."""

    __slots__ = ("classes", "nodes", "size", "tagged")

    def __init__(self) -> None:
        self.nodes = 0
        self.size = 0
        self.tagged = False
        self.classes: dict[str, type[Any]] = {}

    def walk(self, value: Any, path: str, depth: int) -> tuple[Any, Any]:
        """The plain and the read-only form of one value."""
        self.nodes += 1
        if self.nodes > MAX_NODES:
            raise ArgumentsError(f"more than {MAX_NODES} values; pass a reference instead", "args")
        kind = type(value)
        if kind is str:
            self._grow(len(value), path)
            return value, value
        if kind is bool or value is None:
            return value, value
        if kind is int:
            self._integer(value, path)
            return value, value
        if kind is float:
            if not math.isfinite(value):
                raise ArgumentsError(f"{value} is not a number that can be decided on", path)
            return value, value
        if depth >= MAX_DEPTH:
            raise ArgumentsError(f"nested deeper than {MAX_DEPTH} levels, or a cycle", path)
        if kind is dict:
            return self._mapping(value, path, depth)
        if kind is list:
            pairs = [self.walk(item, f"{path}[{i}]", depth + 1) for i, item in enumerate(list(value))]
            return [pair[0] for pair in pairs], tuple([pair[1] for pair in pairs])
        self.tagged = True
        return self._other(value, kind, path, depth)

    def _grow(self, amount: int, path: str) -> None:
        self.size += amount
        if self.size > MAX_BYTES:
            raise ArgumentsError(f"more than {MAX_BYTES} bytes of arguments; pass a reference instead", path)

    def _integer(self, value: int, path: str) -> None:
        if value.bit_length() > MAX_INT_BITS:
            raise ArgumentsError(f"an integer of more than {MAX_INT_BITS} bits", path)

    def _mapping(self, value: dict[Any, Any], path: str, depth: int) -> tuple[Any, Any]:
        tree: dict[str, Any] = {}
        view: dict[str, Any] = {}
        for key, item in list(dict.items(value)):
            if type(key) is not str:
                raise ArgumentsError("a mapping has a key that is not a string; use strings as keys", path)
            self._grow(len(key), path)
            # INVARIANT: only a doubled `$` can begin a real key, so data cannot imitate a tag.
            name = key
            if key.startswith("$"):
                name = "$" + key
                self.tagged = True
            tree[name], view[key] = self.walk(item, f"{path}.{key}" if len(key) < 80 else path, depth + 1)
        return tree, types.MappingProxyType(view)

    def _other(self, value: Any, kind: type[Any], path: str, depth: int) -> tuple[Any, Any]:
        if isinstance(value, enum.Enum):
            named: dict[str, Any] = {"type": self._named(kind)}
            if isinstance(value, enum.Flag):
                # A combination of flags has no name of its own.
                named["value"] = int(value.value)
            else:
                named["name"] = value.name
            return self._tag("$enum", named), self._scalar(value.value, path)
        if kind is tuple:
            pairs = [self.walk(item, f"{path}[{i}]", depth + 1) for i, item in enumerate(value)]
            return self._tag("$tuple", [pair[0] for pair in pairs]), tuple([pair[1] for pair in pairs])
        if kind is set or kind is frozenset:
            return self._set(value, kind, path, depth)
        if kind is bytes or kind is bytearray:
            self._grow(len(value), path)
            tag = "$bytes" if kind is bytes else "$bytearray"
            return self._tag(tag, base64.b64encode(value).decode("ascii")), bytes(value)
        found = _ENCODERS.get(kind)
        if found is not None:
            tag, text, view = found
            spelled = text(value)
            self._grow(len(spelled), path)
            return self._tag(tag, spelled), view(value, spelled)
        if kind in _PATHS:
            spelled = str(value)
            self._grow(len(spelled), path)
            return self._tag(_PATHS[kind], spelled), spelled
        if isinstance(value, BaseModel):
            tree, seen = self._fields("$model", kind, _model_fields(value), path, depth)
            if value.model_fields_set != set(kind.model_fields):
                tree["$model"]["set"] = sorted(value.model_fields_set)
            return tree, seen
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            names = [field.name for field in dataclasses.fields(value)]
            return self._fields(
                "$dataclass", kind, [(name, getattr(value, name)) for name in names], path, depth
            )
        if isinstance(value, (str, int, float, dict, list)):
            # A subclass may lie in its methods: read it through the base type's own.
            return self._base(value, path, depth)
        if isinstance(value, Mapping):
            return self.walk({key: value[key] for key in islice(value, MAX_NODES + 1)}, path, depth + 1)
        raise ArgumentsError(
            f"a `{kind.__module__}.{kind.__qualname__}` cannot be frozen; pass plain data, or declare the "
            "parameter as injected",
            path,
        )

    def _base(self, value: Any, path: str, depth: int) -> tuple[Any, Any]:
        if isinstance(value, str):
            return self.walk(str.__str__(value), path, depth + 1)
        if isinstance(value, int):
            return self.walk(int.__int__(value), path, depth + 1)
        if isinstance(value, float):
            return self.walk(float.__float__(value), path, depth + 1)
        if isinstance(value, dict):
            return self.walk(dict(dict.items(value)), path, depth + 1)
        return self.walk(list.copy(value), path, depth + 1)

    def _scalar(self, value: Any, path: str) -> Any:
        return self.walk(value, path, MAX_DEPTH - 1)[1]

    def _set(self, value: Iterable[Any], kind: type[Any], path: str, depth: int) -> tuple[Any, Any]:
        pairs = [self.walk(item, f"{path}[*]", depth + 1) for item in list(value)]
        pairs.sort(key=lambda pair: _encode(pair[0]))
        tag = "$set" if kind is set else "$frozenset"
        return self._tag(tag, [pair[0] for pair in pairs]), tuple(pair[1] for pair in pairs)

    def _fields(
        self, tag: str, kind: type[Any], fields: list[tuple[str, Any]], path: str, depth: int
    ) -> tuple[Any, Any]:
        tree: list[list[Any]] = []
        view: dict[str, Any] = {}
        for name, item in fields:
            written, view[name] = self.walk(item, f"{path}.{name}", depth + 1)
            tree.append([name, written])
        return self._tag(tag, {"type": self._named(kind), "fields": tree}), types.MappingProxyType(view)

    def _named(self, kind: type[Any]) -> str:
        name = class_name(kind)
        self.classes[name] = kind
        return name

    @staticmethod
    def _tag(tag: str, inner: Any) -> dict[str, Any]:
        return {tag: inner}


def class_name(kind: type[Any]) -> str:
    """How a class is named in canonical arguments: `module:QualifiedName`."""
    return f"{kind.__module__}:{kind.__qualname__}"


def _model_fields(value: BaseModel) -> list[tuple[str, Any]]:
    fields = [(name, getattr(value, name)) for name in type(value).model_fields]
    return fields + sorted((value.model_extra or {}).items())


def _model(kind: type[Any], fields: dict[str, Any], given: list[str] | None) -> Any:
    """A model with exactly these fields: nothing is validated again, for a validator may change a value."""
    if not issubclass(kind, BaseModel):
        raise ArgumentsError(f"the class `{class_name(kind)}` is not a model")
    made = kind.model_construct(**fields)
    made.__pydantic_fields_set__.clear()
    made.__pydantic_fields_set__.update(kind.model_fields if given is None else given)
    return made


def _dataclass(kind: type[Any], fields: dict[str, Any]) -> Any:
    """A dataclass built from its fields; those that its constructor does not take are put back after it."""
    if not dataclasses.is_dataclass(kind):
        raise ArgumentsError(f"the class `{class_name(kind)}` is not a dataclass")
    derived = {field.name for field in dataclasses.fields(kind) if not field.init}
    made = kind(**{name: item for name, item in fields.items() if name not in derived})
    for name in derived & fields.keys():
        object.__setattr__(made, name, fields[name])
    return made


def _number(value: decimal.Decimal) -> int | float:
    if not value.is_finite():
        raise ArgumentsError(f"{value} is not a number that can be decided on")
    if value.adjusted() < 18 and value == value.to_integral_value():
        return int(value)
    number = float(value)
    if math.isinf(number):
        raise ArgumentsError("a decimal too large to decide on")
    return number


def _seen_instant(value: dt.datetime, spelled: str) -> dt.datetime | str:
    # From the text, and not the value itself: its `tzinfo` may be an object that changes its mind.
    return dt.datetime.fromisoformat(_ZONE.sub("", spelled)) if value.tzinfo else spelled


def _spelled_instant(value: dt.datetime) -> str:
    zone = value.tzinfo
    named = type(zone) is zoneinfo.ZoneInfo and zone.key
    return value.isoformat() + (f"[{value.fold}{zone.key}]" if named else "")  # type: ignore[union-attr]


def _instant(text: str) -> dt.datetime:
    named = _ZONE.search(text)
    if named is None:
        return dt.datetime.fromisoformat(text)
    plain = dt.datetime.fromisoformat(text[: named.start()])
    return plain.replace(tzinfo=zoneinfo.ZoneInfo(named[2]), fold=int(named[1]))


_ZONE: Final = re.compile(r"\[([01])([A-Za-z0-9._+/-]+)\]$")

_ENCODERS: Final[dict[type[Any], tuple[str, Callable[[Any], str], Callable[[Any, str], Any]]]] = {
    dt.datetime: ("$datetime", _spelled_instant, _seen_instant),
    dt.date: ("$date", dt.date.isoformat, lambda v, text: text),
    dt.time: ("$time", dt.time.isoformat, lambda v, text: text),
    dt.timedelta: (
        "$timedelta",
        lambda v: f"{v.days * 86_400_000_000 + v.seconds * 1_000_000 + v.microseconds}us",
        lambda v, text: v,
    ),
    decimal.Decimal: ("$decimal", str, lambda v, text: _number(v)),
    uuid.UUID: ("$uuid", str, lambda v, text: text),
}

_PATHS: Final[dict[type[Any], str]] = {
    type(pathlib.Path()): "$path",
    pathlib.PurePosixPath: "$posixpath",
    pathlib.PureWindowsPath: "$windowspath",
}

_DECODERS: Final[dict[str, Callable[[Any], Any]]] = {
    "$tuple": tuple,
    "$set": set,
    "$frozenset": frozenset,
    "$bytes": base64.b64decode,
    "$bytearray": lambda text: bytearray(base64.b64decode(text)),
    "$datetime": _instant,
    "$date": dt.date.fromisoformat,
    "$time": dt.time.fromisoformat,
    "$timedelta": lambda text: dt.timedelta(microseconds=int(text[:-2])),
    "$decimal": decimal.Decimal,
    "$uuid": uuid.UUID,
    "$path": pathlib.Path,
    "$posixpath": pathlib.PurePosixPath,
    "$windowspath": pathlib.PureWindowsPath,
}


def freeze(arguments: Mapping[str, Any]) -> Frozen:
    """Freeze one call's arguments.

    Raises:
        ArgumentsError: NaN or infinity, a cycle or too deep a nesting, a key that is not a string, a lone
            surrogate, too many values or bytes, or a type that has no canonical spelling.
    """
    if not isinstance(arguments, Mapping):
        raise ArgumentsError(
            f"arguments are a mapping from names to values, not a {type(arguments).__name__}"
        )
    freezer = _Freezer()
    try:
        tree, view = freezer.walk(arguments, "args", 0)
        canonical = _encode(tree).encode("utf-8")
    except UnicodeEncodeError:
        raise ArgumentsError("text with a lone surrogate is not valid Unicode") from None
    except ArgumentsError:
        raise
    except RecursionError:
        raise ArgumentsError("nested too deeply to be walked") from None
    except Exception as error:
        # An argument's own methods (a property, __iter__) may raise anything: it is not a call we can decide.
        raise ArgumentsError(f"reading it raised {type(error).__name__}") from None
    if len(canonical) > MAX_BYTES:
        raise ArgumentsError(f"{len(canonical)} bytes, more than {MAX_BYTES}; pass a reference instead")
    return Frozen(canonical, view, freezer.tagged, freezer.classes)
