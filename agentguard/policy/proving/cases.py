"""A counterexample as a case of a `*_test.yaml`, to be pasted there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from agentguard.policy.proving.answers import Counterexample

__all__ = ["case_of", "plain_request"]

_MOST: Final = 180
_EMPTY: Final[tuple[Any, ...]] = ({}, [], "")


def plain_request(example: Counterexample) -> dict[str, Any]:
    """The call without what is empty: what a reader has to know."""
    data = example.request.to_mapping()
    return {
        key: value
        for key, value in data.items()
        if value not in _EMPTY and not (key == "tenant" and value == "default")
    }


def case_of(example: Counterexample, name: str, want: str) -> str | None:
    """A case whose wanted effect is `want`; None where the call holds what no file can say, such as bytes."""
    data = plain_request(example)
    if not _writable(data):
        return None
    label = " ".join(name.replace("::", ":").split())[:_MOST]
    lines = [f"- name: {_json(label)}"]
    lines.append("  request:")
    lines += [f"    {key}: {_json(value)}" for key, value in data.items()]
    errors = sorted({one.name for one in example.decisions["today"].matched if one.error})
    wanted = {"effect": want, **({"errors": errors} if errors and want == _effect(example) else {})}
    lines.append(f"  want: {_json(wanted) if len(wanted) > 1 else want}")
    return "\n".join(lines) + "\n"


def _effect(example: Counterexample) -> str:
    return str(example.decisions["today"].effect)


def _writable(value: Any) -> bool:
    match value:
        case None | bool() | int() | float() | str():
            return True
        case Mapping():
            return all(isinstance(key, str) and _writable(one) for key, one in value.items())
        case list() | tuple():
            return all(map(_writable, value))
        case _:
            return False


def _json(value: Any) -> str:
    """JSON as YAML reads it: every text quoted, every character that is not ASCII written out."""
    text = json.dumps(value, ensure_ascii=False)
    return "".join(char if " " <= char <= "~" else _escape(ord(char)) for char in text)


def _escape(code: int) -> str:
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
