"""From plain data to the models of a test file: every problem of shape becomes a finding with its place."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from agentguard.policy.findings import Finding, closest, suggestion
from agentguard.policy.source import Path, Source

__all__ = ["nulls", "validated"]

M = TypeVar("M", bound=BaseModel)

_TYPES: Final = {
    "string_type": "must be text",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "bool_type": "must be `true` or `false`",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "dict_type": "must be a mapping",
    "model_type": "must be a mapping",
    "model_attributes_type": "must be a mapping",
    "too_short": "must not be empty",
}


def validated(
    model: type[M], source: Source, raw: object, at: Path, label: str
) -> tuple[M | None, list[Finding]]:
    """The data as a model, or every problem with it; `at` is where the data stands."""
    try:
        return model.model_validate(raw), []
    except ValidationError as error:
        errors = error.errors(include_url=False)
    # A key that is there, misspelt, has its own finding and is not missing.
    meant = {
        (*one["loc"][:-1], closest(str(one["loc"][-1]), _keys(model, one["loc"][:-1])))
        for one in errors
        if one["type"] == "extra_forbidden"
    }
    errors = [one for one in errors if one["type"] != "missing" or one["loc"] not in meant]
    listed = [_finding(model, source, one, raw, tuple(at), label) for one in errors]
    return None, [finding for finding in listed if finding is not None]


def nulls(source: Source, raw: object, at: Path, label: str, free: Collection[str]) -> Iterator[Finding]:
    """An explicit nothing is refused, but below the keys in `free`, where it is a value."""
    if isinstance(raw, Mapping):
        for key, value in raw.items():
            if value is None and key != "value":
                message = f"`{key}` has no value in {label}"
                hint = "give it one, or remove the key"
                yield source.finding("AG103", message, (*at, key), key=True, hint=hint)
            elif key not in free:
                yield from nulls(source, value, (*at, key), label, free)
    elif isinstance(raw, (list, tuple)):
        for index, value in enumerate(raw):
            if value is None:
                message = f"an item of the list has no value in {label}"
                yield source.finding("AG103", message, (*at, index), hint="remove it")
            else:
                yield from nulls(source, value, (*at, index), label, free)


def _finding(
    model: type[BaseModel], source: Source, error: Any, raw: object, at: tuple[str | int, ...], label: str
) -> Finding | None:
    loc, kind = error["loc"], error["type"]
    if error.get("input", "") is None and kind != "missing":
        return None  # `nulls` has said so.
    context = error.get("ctx", {})
    last = str(loc[-1])[:80] if loc else "value"
    path = (*at, *_path(raw, loc))
    inner = [str(part) for part in _path(raw, loc[:-1]) if isinstance(part, str)]
    where = f"`{'.'.join(inner)[:80]}` of {label}" if inner else label
    hint, key = "", False
    if kind == "extra_forbidden":
        code, message, key = "AG102", f"unknown key `{last}` in {where}", True
        hint = suggestion(last, _keys(model, loc[:-1]), listed=20)
    elif kind == "missing":
        code, message = "AG101", f"`{last}` is missing in {where}"
    elif kind == "literal_error":
        allowed = [word.strip("'") for word in context["expected"].replace(" or ", ", ").split(", ")]
        code, message = "AG104", f"unknown word for `{last}` in {where}: `{str(error['input'])[:60]}`"
        hint = suggestion(str(error["input"])[:60], allowed)
    elif kind in ("union_tag_invalid", "union_tag_not_found"):
        allowed = [word.strip("'") for word in str(context.get("expected_tags", "")).split(", ")]
        tag = str(context.get("tag", ""))[:60]
        code, message = "AG104", f"unknown `kind` `{tag}` in {where}"
        hint = suggestion(tag, allowed)
        if kind == "union_tag_not_found":
            code, message, hint = "AG101", f"an obligation has no `kind` in {where}", ""
    elif kind.startswith("AG"):
        code, message, key = kind, f"{error['msg']} (in {where})", last == "[key]"
    else:
        code, message = "AG103", f"`{_named(loc)}` {_type_message(kind, error)} in {where}"
    return source.finding(code, message, path, key=key, hint=hint)


def _path(raw: Any, loc: tuple[str | int, ...]) -> Iterator[str | int]:
    """The part of an error's place that is in the data: without tags, and keys that were short forms."""
    for part in loc:
        listed = isinstance(raw, (list, tuple)) and isinstance(part, int) and part < len(raw)
        if listed or (isinstance(raw, Mapping) and part in raw):
            raw = _item(raw, part)
            yield part


def _item(data: Any, key: Any) -> Any:
    return data[key]


def _keys(model: type[BaseModel], loc: tuple[str | int, ...]) -> set[str]:
    """The keys of the model that a place leads to."""
    models: list[type[BaseModel]] = [model]
    for part in loc:
        if isinstance(part, int):
            continue
        inside = [one.model_fields[part].annotation for one in models if part in one.model_fields]
        found = [inner for annotation in inside for inner in _models(annotation)]
        tagged = [one for one in models if part in get_args(_annotation(one, "kind"))]
        models = found or tagged or models
    return {name for one in models for name in one.model_fields}


def _annotation(model: type[BaseModel], field: str) -> Any:
    return model.model_fields[field].annotation if field in model.model_fields else None


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models(inner)


def _named(loc: tuple[str | int, ...]) -> str:
    names = [part for part in loc if isinstance(part, str)]
    return names[-1][:80] if names else "value"


def _type_message(kind: str, error: Any) -> str:
    context = error.get("ctx", {})
    if kind == "greater_than_equal":
        return f"must be at least {context['ge']}"
    if kind == "less_than_equal":
        return f"must be at most {context['le']}"
    return _TYPES.get(kind) or str(error["msg"]).lower()
