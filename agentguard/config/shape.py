"""The shape of a file of settings: keys and kinds of values, with every problem at its place."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeVar

from pydantic import BaseModel, ValidationError

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

    from agentguard.policy import Finding, Source

__all__ = ["Place", "keys_of", "validated"]

Place = tuple[str | int, ...]
"""Where something stands in a file: keys and indices from the outside in."""

_EXPECTED: Final = {
    "string_type": "must be text",
    "bool_type": "must be `true` or `false`",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "dict_type": "must be a mapping",
    "model_type": "must be a mapping",
    "too_short": "must not be empty",
    "string_too_short": "must not be empty",
}
M = TypeVar("M", bound=BaseModel)


def keys_of(model: type[BaseModel]) -> list[str]:
    """The keys of a model, as files write them."""
    return [info.alias or name for name, info in model.model_fields.items()]


def validated(
    model: type[M], source: Source, data: object, at: Place = (), *, keys: Callable[[Place], list[str]]
) -> tuple[M | None, list[Finding]]:
    """The data as a model, or every problem of its shape at its place.

    `at` is where in the file the data stands, and `keys` says which keys there are where one is unknown.
    """
    try:
        return model.model_validate(data), []
    except ValidationError as refused:
        errors = refused.errors(include_url=False)
    found: list[Finding] = []
    for error in errors:
        code, message, hint = _told(error, at, keys)
        found.append(source.finding(code, message, (*at, *error["loc"]), key=code == "AG102", hint=hint))
    return None, found


def _told(error: ErrorDetails, at: Place, keys: Callable[[Place], list[str]]) -> tuple[str, str, str]:
    """Code, message and hint of one of them."""
    from agentguard.policy.findings import suggestion

    loc, kind = error["loc"], error["type"]
    name = str(loc[-1])[:80] if loc else ""
    of = ".".join(str(part)[:80] for part in (*at, *loc[:-1]))
    inside = f" in `{of}`" if of else ""
    match kind:
        case "extra_forbidden":
            return "AG102", f"unknown key `{name}`{inside}", suggestion(name, keys(loc), listed=14)
        case "missing":
            return "AG101", f"`{name}` is missing{inside}", ""
        case "literal_error":
            allowed = error.get("ctx", {})["expected"].replace(" or ", ", ").split(", ")
            word = str(error["input"])[:60]
            hint = suggestion(word, [one.strip("'") for one in allowed])
            return "AG104", f"unknown word for `{name}`: `{word}`", hint
        case _:
            words = _EXPECTED.get(kind, error["msg"].lower())
            return "AG103", f"`{name or '.'.join(str(part) for part in at)}` {words}{inside}", ""
