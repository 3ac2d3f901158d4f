"""An explanation as text: verdict and deciding rule first, then every rule, then what would change it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Final

from agentguard.policy.explain import Considered, Explanation, Part

__all__ = ["render", "under"]

_NARROWEST: Final = 40
_SHOWN: Final = 12


def render(explanation: Explanation, *, width: int = 100, decision_id: str | None = None) -> str:
    """The text, in lines of at most `width` characters."""
    width = max(width, _NARROWEST)
    decision = explanation.decision
    known = [f"agent {explanation.agent}"]
    if decision_id:
        known.append(f"decision {decision_id}")
    known.append(f"snapshot {decision.snapshot.removeprefix('sha256:')[:8]}")
    lines = _wrapped(f"{decision.effect.value.upper()}  {explanation.call}", width, "", 6)
    lines += _wrapped("   ".join(known), width, "  ", 2)
    deciding = decision.deciding
    if deciding is not None:
        at = f"  {deciding.at}" if deciding.at else ""
        reason = f'  "{deciding.reason}"' if deciding.reason else ""
        lines += _wrapped(f"by  {deciding.name}{at}{reason}", width, "  ", 4)
        if deciding.error:
            lines += _wrapped(f"error: {deciding.error}", width, "      ", 2)
    lines += _rules(explanation, width)
    for obligation in decision.obligations:
        rule = getattr(obligation, "rule", "") or ", ".join(getattr(obligation, "rules", ()))
        lines += _wrapped(f"needs {obligation.kind}  ({rule})", width, "  ", 4)
    if explanation.constrained:
        note = "values are those before the constraint; the constrained call was decided once more"
        lines += _wrapped(note, width, "  ", 2)
    for change in explanation.changes:
        lines += _wrapped(change, width, "  ", 4)
    return "\n".join(lines) + "\n"


def _rules(explanation: Explanation, width: int) -> Iterator[str]:
    """A line for each rule, and under it the condition with what it came to."""
    rows = explanation.rules
    name_width = min(max([9, *(len(row.name) for row in rows)]), width // 3)
    at_width = min(max([0, *(len(row.at or "") for row in rows)]), width // 3)

    def line(name: str, at: str, result: str) -> str:
        place = f"{_short(at, at_width):<{at_width}}  " if at_width else ""
        return _cut(f"  {_short(name, name_width):<{name_width}}  {place}{result}", width)

    yield line("rule", "at", "result").rstrip()
    for found in rows:
        became = f" -> {found.became}" if found.became else ""
        yield line(found.name, found.at or "", f"{found.outcome}{became}")
        yield from _wrapped(found.condition, width, "      ", 2)
        if found.error:
            yield from _wrapped(f"error: {found.error}", width, "        ", 2)
        for text in under(found):
            yield _cut(f"        {_clean(text)}", width)
    yield line("(default)", "", explanation.default)


def under(found: Considered) -> list[str]:
    """The operands of `&&` and `||` with their outcomes, and the values that were looked at."""
    part = found.part
    if part is None:
        return []
    seen = {part.text}
    if not part.joins:
        return _values(part, seen)[:_SHOWN]
    lines = []
    for operand in part.parts:
        seen.add(operand.text)
        values = ", ".join(_values(operand, seen))
        lines.append(
            f"{operand.outcome:<11}  {_one_line(operand.text)}" + (f"   ({values})" if values else "")
        )
    return lines[:_SHOWN]


def _values(part: Part, seen: set[str]) -> list[str]:
    """The outermost values below a part that are no truth values, each once."""
    found: list[str] = []
    inner = part.parts or ((part,) if part.text not in seen else ())
    for one in inner:
        if one.text in seen:
            continue
        if one.outcome == "value":
            seen.add(one.text)
            found.append(f"{_one_line(one.text)} = {one.value}")
        elif one.parts:
            found += _values(one, seen)
    return found


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _clean(text: str) -> str:
    return "".join(char if char.isprintable() else "�" for char in text)


def _short(text: str, width: int) -> str:
    return text if len(text) <= width else "..." + text[len(text) - width + 3 :]


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 3] + "..."


def _wrapped(text: str, width: int, indent: str, hanging: int) -> list[str]:
    lines = textwrap.wrap(
        _clean(_spaced(text)),
        width,
        initial_indent=indent,
        subsequent_indent=indent + " " * hanging,
        drop_whitespace=True,
        break_on_hyphens=False,
    )
    return lines or [indent.rstrip()]


def _spaced(text: str) -> str:
    """Line breaks as spaces; other control characters stay, to be shown as such."""
    return text.replace("\r\n", " ").replace("\n", " ")
