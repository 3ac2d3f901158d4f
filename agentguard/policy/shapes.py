"""What a tool's JSON Schema says of its arguments, as far as a condition can be held against it.

Whatever is not understood is taken for anything, so that nothing right is called wrong.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

__all__ = ["ANY", "Kind", "Shape", "arguments_shape", "kind_of", "shape_of"]

Kind = Literal["null", "bool", "number", "text", "list", "map"]

_KINDS: Final[Mapping[str, Kind]] = {
    "null": "null",
    "boolean": "bool",
    "integer": "number",
    "number": "number",
    "string": "text",
    "array": "list",
    "object": "map",
}
_DEEPEST: Final = 16


@dataclass(frozen=True, slots=True)
class Shape:
    """What a value may be. None means anything; `values` are all that it can be.

    `optional` are properties that may be absent; `closed` says that there are no others than `properties`.
    """

    kinds: frozenset[Kind] | None = None
    values: tuple[Any, ...] | None = None
    properties: Mapping[str, Shape] = field(default_factory=dict)
    optional: frozenset[str] = frozenset()
    closed: bool = False
    whole: bool = False


ANY: Final = Shape()


def kind_of(value: object) -> Kind | None:
    """The kind of a constant; None for what no request holds."""
    match value:
        case None:
            return "null"
        case bool():
            return "bool"
        case int() | float():
            return "number"
        case str():
            return "text"
        case Mapping():
            return "map"
        case list() | tuple():
            return "list"
        case _:
            return None


def arguments_shape(names: Collection[str] | None, schema: Mapping[str, Any] | None) -> Shape:
    """The arguments of a tool of which a schema, names alone (all of them there), or nothing is known."""
    if schema is not None:
        return shape_of(schema)
    if names is None:
        return ANY
    return Shape(frozenset({"map"}), properties=dict.fromkeys(names, ANY), closed=True)


def shape_of(schema: object, root: object = None, depth: int = 0) -> Shape:
    """The shape of the values that a schema (JSON Schema 2020-12 and before) lets through."""
    root = schema if root is None else root
    if not isinstance(schema, Mapping) or depth > _DEEPEST:
        return ANY
    if "$ref" in schema:
        return shape_of(_resolved(schema["$ref"], root), root, depth + 1)
    for key in ("anyOf", "oneOf"):
        if isinstance(schema.get(key), Sequence):
            return _either([shape_of(one, root, depth + 1) for one in schema[key]])
    listed = schema.get("allOf")
    if listed is not None:
        alone = isinstance(listed, Sequence) and len(listed) == 1 and "properties" not in schema
        return shape_of(listed[0], root, depth + 1) if alone else ANY
    values = _values(schema)
    kinds = _kinds(schema, values)
    if kinds is not None and "map" not in kinds:
        return Shape(kinds, values, whole=schema.get("type") == "integer")
    return _mapping(schema, kinds, values, root, depth)


def _mapping(
    schema: Mapping[str, Any],
    kinds: frozenset[Kind] | None,
    values: tuple[Any, ...] | None,
    root: object,
    depth: int,
) -> Shape:
    listed = schema.get("properties")
    if not isinstance(listed, Mapping):
        return Shape(kinds, values)
    required = schema.get("required", ())
    needed = set(required) if isinstance(required, (list, tuple)) else set()
    properties = {str(name): shape_of(one, root, depth + 1) for name, one in listed.items()}
    # What has a default is filled in by whoever calls the tool, as far as anybody can see from here.
    filled = {name for name, one in listed.items() if isinstance(one, Mapping) and "default" in one}
    open_ = schema.get("additionalProperties") or "patternProperties" in schema
    return Shape(
        kinds,
        values,
        properties,
        optional=frozenset(properties) - needed - filled,
        closed=not open_,
    )


def _values(schema: Mapping[str, Any]) -> tuple[Any, ...] | None:
    if "const" in schema:
        return (schema["const"],)
    listed = schema.get("enum")
    return tuple(listed) if isinstance(listed, (list, tuple)) and listed else None


def _kinds(schema: Mapping[str, Any], values: Iterable[Any] | None) -> frozenset[Kind] | None:
    named = schema.get("type")
    listed = [named] if isinstance(named, str) else named
    if isinstance(listed, (list, tuple)) and listed and all(one in _KINDS for one in listed):
        named_kinds: frozenset[Kind] = frozenset(_KINDS[one] for one in listed)
        return named_kinds
    if values is None:
        return None
    found: set[Kind] = set()
    for value in values:
        kind = kind_of(value)
        if kind is None:
            return None
        found.add(kind)
    return frozenset(found)


def _either(shapes: Sequence[Shape]) -> Shape:
    """One or another of several: what is certain of all of them."""
    if not shapes or any(shape.kinds is None for shape in shapes):
        return ANY
    kinds: frozenset[Kind] = frozenset(kind for shape in shapes for kind in shape.kinds or ())
    values = None
    if all(shape.values is not None for shape in shapes):
        values = tuple(value for shape in shapes for value in shape.values or ())
    maps = [shape for shape in shapes if "map" in (shape.kinds or ())]
    whole = all(shape.whole for shape in shapes if "number" in (shape.kinds or ()))
    if len(maps) != 1:
        return Shape(kinds, values, whole=whole)
    (one,) = maps
    return Shape(kinds, values, one.properties, one.optional, one.closed, whole)


def _resolved(reference: object, root: object) -> object:
    """What a reference within the schema leads to; nothing else is ever looked at."""
    if not isinstance(reference, str) or not reference.startswith("#"):
        return None
    found = root
    for step in reference[1:].split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        found = found.get(name) if isinstance(found, Mapping) else None
    return found
