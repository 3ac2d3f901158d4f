"""A call as people read it: every argument with its type, from the canonical bytes that would run.

What is shown is made by the guard and not by the agent. A long value is cut in the middle, with its length
and digest, so that its end is always seen; a sensitive one is masked.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from agentguard.canonical import digest, encode
from agentguard.cli.safe_text import quoted, visible, visible_lines
from agentguard.stepup.model import Approval

__all__ = ["Argument", "arguments", "barred", "bars", "call_line", "full_lines", "sensitive"]

LONG: Final = 120
"""Characters of a value that are shown without cutting."""
_HEAD: Final = 72
_TAIL: Final = 32
_EMPTY_LINES: Final = 2
"""Empty lines in a row that a full view shows; more are counted."""


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument: `value` is the canonical tree, `full` all of it on one line.

    Where it is cut or masked, `short` has its two ends and `brief` its size only.
    """

    name: str
    kind: str
    value: Any
    brief: str
    short: str
    full: str
    cut: bool
    masked: bool


def sensitive(approval: Approval) -> frozenset[str]:
    """The arguments that are masked until somebody asks to see them."""
    facts = approval.shown.get("facts")
    names = facts.get("sensitive") if isinstance(facts, Mapping) else None
    return frozenset(str(name) for name in names) if isinstance(names, (list, tuple)) else frozenset()


def arguments(canonical: bytes | None, masked: Iterable[str] = ()) -> list[Argument] | None:
    """Every argument of a call, in the order of their names; None when they were erased.

    Raises:
        ValueError: the bytes are not a call's arguments; nothing of them should be approved.
    """
    if canonical is None:
        return None
    try:
        tree = json.loads(canonical)
    except RecursionError:
        raise ValueError("the arguments are nested too deeply") from None
    if not isinstance(tree, dict):
        raise ValueError("the arguments are not a mapping")
    hidden = frozenset(masked)
    return [_argument(_key(name), value, _key(name) in hidden) for name, value in tree.items()]


def _argument(name: str, value: Any, masked: bool) -> Argument:
    full = _text(value)
    size = _size(value, full)
    if masked:
        hidden = f"*** <{size}, masked>"
        return Argument(visible(name), _kind(value), value, hidden, hidden, full, True, True)
    raw = value if isinstance(value, str) else full
    if len(full) <= LONG and len(raw) <= LONG:
        return Argument(visible(name), _kind(value), value, full, full, full, False, False)
    if isinstance(value, str):
        ends = f"{quoted(value[:_HEAD])} … {quoted(value[-_TAIL:])}"
    else:
        ends = f"{full[:_HEAD]} … {full[-_TAIL:]}"
    mark = digest(encode(value)).removeprefix("sha256:")[:12]
    short = f"{ends} <{size}, sha256 {mark}>"
    return Argument(visible(name), _kind(value), value, f"<{size}>", short, full, True, False)


def call_line(tool: str, shown: list[Argument] | None, *, limit: int = 400) -> str:
    """The call in one line, such as `send(to="ana@example.com", body=<1,204 characters>)`."""
    if shown is None:
        return f"{visible(tool)}(<the arguments were erased>)"
    text = f"{visible(tool)}({', '.join(f'{one.name}={one.brief}' for one in shown)})"
    return text if len(text) <= limit else f"{visible(tool)}({len(shown)} arguments, below)"


def full_lines(one: Argument) -> list[str]:
    """A value in full: text of several lines as such, everything else on one."""
    if not isinstance(one.value, str) or "\n" not in one.value:
        return [one.full]
    lines: list[str] = []
    empty = 0
    for line in [*visible_lines(one.value), "end"]:
        if not line.strip():
            empty += 1
            continue
        lines += [""] * min(empty, _EMPTY_LINES)
        if empty > _EMPTY_LINES:
            lines.append(f"<{empty - _EMPTY_LINES:,} more empty lines>")
        empty = 0
        lines.append(line)
    return lines[:-1]


def barred(one: Argument, width: int) -> list[str]:
    """A value in full, in lines of `width` columns, each behind a bar that nothing in the value can fake."""
    return [row for line in full_lines(one) for row in bars(line, width)]


def bars(line: str, width: int) -> list[str]:
    """A visible line in rows of `width` columns, each behind a bar, another one where it only goes on."""
    from rich.cells import chop_cells

    parts = chop_cells(line, max(20, width - 2)) or [""]
    return [f"{'┆' if number else '│'} {part}" for number, part in enumerate(parts)]


def _size(value: Any, full: str) -> str:
    if isinstance(value, (list, dict)) and not _tag(value):
        return f"{len(value):,} item{'' if len(value) == 1 else 's'}"
    size = len(value if isinstance(value, str) else full)
    return f"{size:,} character{'' if size == 1 else 's'}"


def _key(name: str) -> str:
    return name[1:] if name.startswith("$") else name


def _tag(value: Any) -> str:
    """The tag of a value that JSON has no spelling for, without its `$`."""
    if isinstance(value, dict) and len(value) == 1:
        (key,) = value
        if key.startswith("$") and not key.startswith("$$"):
            return str(key[1:])
    return ""


def _kind(value: Any) -> str:
    tag = _tag(value)
    if tag in ("model", "dataclass", "enum"):
        inner = value[f"${tag}"]
        return visible(str(inner.get("type", tag)).rsplit(":", 1)[-1]) if isinstance(inner, dict) else tag
    if tag:
        return visible(tag)
    return {str: "str", bool: "bool", int: "int", float: "float", list: "list", dict: "dict"}.get(
        type(value), "None"
    )


def _text(value: Any) -> str:
    """A canonical tree on one line, escaped throughout."""
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, list):
        return f"[{', '.join(_text(item) for item in value)}]"
    if not isinstance(value, dict):
        return str(value)
    tag = _tag(value)
    if not tag:
        return f"{{{', '.join(f'{quoted(_key(key))}: {_text(item)}' for key, item in value.items())}}}"
    inner = value[f"${tag}"]
    if tag == "tuple" and isinstance(inner, list):
        return f"({', '.join(_text(item) for item in inner)}{',' if len(inner) == 1 else ''})"
    if tag in ("model", "dataclass") and isinstance(inner, dict) and isinstance(inner.get("fields"), list):
        fields = ", ".join(f"{visible(str(name))}={_text(item)}" for name, item in inner["fields"])
        return f"{_kind(value)}({fields})"
    if tag == "enum" and isinstance(inner, dict):
        return f"{_kind(value)}.{visible(str(inner.get('name')))}"
    return f"{visible(tag)}({_text(inner)})"
