"""Masking parts of a tool's result before anybody but the tool sees it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

__all__ = ["MASK", "redact"]

MASK: Final = "[redacted by policy]"
_STEP: Final = re.compile(r"\.(\w+|\*)|\[(\d+|\*)\]")


def redact(result: Any, paths: Sequence[str]) -> Any:
    """A copy of `result` in which the values at `paths` are masked.

    `$` is the whole result, `$.iban` a key, `$.rows[*].iban` a key of every element, `$[0]` an element. Where
    a path meets something that is neither a mapping nor a list, that thing is masked as a whole: text may
    hold what the path names.
    """
    try:
        for path in paths:
            result = _mask(result, _parse(path))
    except Exception:
        return MASK  # a result that cannot be walked is not handed out
    return result


def _parse(path: str) -> list[str]:
    found = _STEP.findall(path[1:])
    if not path.startswith("$") or "".join(_STEP.sub("", path[1:])):
        return []  # not a path we understand: mask everything
    return [name or index for name, index in found]


def _mask(value: Any, way: list[str]) -> Any:
    if value is None:
        return None
    if not way:
        return MASK
    step, rest = way[0], way[1:]
    if isinstance(value, Mapping):
        if step == "*":
            return {key: _mask(item, rest) for key, item in value.items()}
        return {key: _mask(item, rest) if str(key) == step else item for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        if step == "*":
            return [_mask(item, rest) for item in value]
        if step.isdigit():
            return [_mask(item, rest) if i == int(step) else item for i, item in enumerate(value)]
        return [_mask(item, way) for item in value]
    return MASK
