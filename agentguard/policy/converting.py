"""A flagged or observed rule rewritten so that it is enforced, in the text of its file.

The edit is made on the places of the keys, so comments and layout stay. INVARIANT: what comes out is read
again, and reads as exactly the document that was meant; a layout in which it would not is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import yaml

from agentguard.errors import ConfigurationError
from agentguard.policy.reader import read
from agentguard.policy.source import Source

__all__ = ["Converted", "To", "convert", "enforce"]

To = Literal["step_up", "deny"]

_Loader: Final[Any] = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
_FLAGGED: Final = ("allow", "flag")
_NOT_ON: Final[Mapping[str, tuple[str, ...]]] = {
    "deny": ("flag", "approval", "redact_result", "reserve"),
    "step_up": ("flag",),
}
"""Keys that a rule with this effect cannot have; on a call that is denied they do nothing."""


@dataclass(frozen=True, slots=True)
class Converted:
    """A changed file: its source as it reads now, the rule's line, and what it was and is."""

    source: Source
    line: int
    before: str
    after: str


def convert(source: Source, rule_id: str, to: To | None = None) -> Converted:
    """The file with a flagged rule enforced as `to`; default: as its flag says, else denied.

    Raises:
        ConfigurationError: there is no such rule, it is not flagged, or the file cannot be rewritten.
    """
    index, raw = _rule(source, rule_id)
    effect, flag = raw.get("effect"), raw.get("flag")
    if effect not in _FLAGGED or not isinstance(flag, Mapping):
        raise ConfigurationError(f"{_at(source, index)}: rule `{rule_id}` is no flag: it is `{effect}`")
    named = flag.get("converts")
    after = to or (named.get("to") if isinstance(named, Mapping) else None) or "deny"
    if after == "step_up" and "approval" not in raw:
        raise ConfigurationError(
            f"{_at(source, index)}: rule `{rule_id}` has no `approval`, so nobody could be asked; "
            "add `approval: {reviewers: [...]}`, or convert it with `--to deny`"
        )
    text = _Text(source, index)
    text.replace("effect", after)
    meant = {**raw, "effect": after}
    for key in _NOT_ON[after]:
        if meant.pop(key, None) is not None:
            text.remove(key)
    return _made(source, index, text, meant, str(effect), after)


def enforce(source: Source, rule_id: str) -> Converted:
    """The file with an observed rule enforced with the effect that it has.

    Raises:
        ConfigurationError: there is no such rule, it is not observed, or the file cannot be rewritten.
    """
    index, raw = _rule(source, rule_id)
    outer = "observe" in source.data and raw.get("mode") != "enforce"
    if "observe" not in raw and not outer:
        raise ConfigurationError(f"{_at(source, index)}: rule `{rule_id}` is not observed; it is enforced")
    text, meant = _Text(source, index), dict(raw)
    for key in ("observe", *(() if outer else ("mode",))):
        if meant.pop(key, None) is not None:
            text.remove(key)
    if outer and "mode" in raw:
        text.replace("mode", "enforce")
    elif outer:
        text.add_after("effect", "mode: enforce")
    if outer:
        meant["mode"] = "enforce"
    return _made(source, index, text, meant, "observed", str(raw.get("effect")))


def _rule(source: Source, rule_id: str) -> tuple[int, Mapping[str, Any]]:
    rules = source.data.get("rules") if isinstance(source.data, Mapping) else None
    for index, raw in enumerate(rules if isinstance(rules, list) else ()):
        if isinstance(raw, Mapping) and raw.get("id") == rule_id:
            return index, raw
    raise ConfigurationError(f"`{source.file}` has no rule `{rule_id}`")


def _made(
    source: Source, index: int, text: _Text, meant: Mapping[str, Any], before: str, after: str
) -> Converted:
    made, findings = read(text.made(), source.file)
    rules = [meant if i == index else one for i, one in enumerate(source.data["rules"])]
    if made is None or findings or made.data != {**source.data, "rules": rules}:
        raise ConfigurationError(
            f"{_at(source, index)}: the layout of this rule cannot be rewritten safely; change it by hand: "
            f"make it `{after}`, and take out what belongs to the flag"
        )
    return Converted(made, source.place(("rules", index, "id")).line, before, after)


def _at(source: Source, index: int) -> str:
    return f"{source.file}:{source.place(('rules', index, 'id')).line}"


class _Text:
    """Edits of one rule of a file, by the offsets of its keys and values; made all at once."""

    def __init__(self, source: Source, index: int) -> None:
        self._text = source.text
        self._cuts: list[tuple[int, int, str]] = []
        root: Any = yaml.compose(source.text, Loader=_Loader)
        (rules,) = [value for key, value in root.value if key.value == "rules"]
        self._rule: Any = rules.value[index]
        self._pairs: list[tuple[Any, Any]] = self._rule.value
        self._removed: set[int] = set()
        self._newline = "\r\n" if "\r\n" in source.text else "\n"

    def replace(self, key: str, value: str) -> None:
        """Another word for the value of a key."""
        node = self._pairs[self._index(key)][1]
        self._cuts.append((node.start_mark.index, node.end_mark.index, value))

    def add_after(self, key: str, entry: str) -> None:
        """Another entry behind that of a key."""
        at = self._pairs[self._index(key)][1].end_mark.index
        if self._rule.flow_style:
            self._cuts.append((at, at, f", {entry}"))
            return
        end = self._line_end(at)
        self._cuts.append((end, end, f"{self._newline}{' ' * self._rule.start_mark.column}{entry}"))

    def remove(self, key: str) -> None:
        """A key with its value and the comments inside it."""
        self._removed.add(self._index(key))

    def made(self) -> str:
        """The text with every edit."""
        for index in sorted(self._removed):
            self._cuts.append((*(self._flow(index) if self._rule.flow_style else self._block(index)), ""))
        text, upto = [], 0
        for begin, end, new in sorted(self._cuts):
            text += [self._text[upto : max(upto, begin)], new]
            upto = max(upto, end)
        return "".join([*text, self._text[upto:]])

    def _flow(self, index: int) -> tuple[int, int]:
        """An entry of `{...}` with the comma that goes with it."""
        begin, end = self._pairs[index][0].start_mark.index, _end(self._text, self._pairs[index][1])
        if any(other not in self._removed for other in range(index + 1, len(self._pairs))):
            return begin, self._pairs[index + 1][0].start_mark.index
        return _end(self._text, self._pairs[index - 1][1]), end

    def _block(self, index: int) -> tuple[int, int]:
        """The lines of an entry; what stands behind the dash of its rule makes room for the next one."""
        name, value = self._pairs[index]
        begin = name.start_mark.index
        line = self._text.rfind("\n", 0, begin) + 1
        if self._text[line:begin].strip():
            return begin, self._pairs[index + 1][0].start_mark.index
        return line, self._after(_end(self._text, value), begin - line)

    def _index(self, key: str) -> int:
        return next(i for i, (name, _) in enumerate(self._pairs) if name.value == key)

    def _line_end(self, at: int) -> int:
        found = self._text.find("\n", at)
        end = len(self._text) if found < 0 else found
        return end - 1 if self._text[:end].endswith("\r") else end

    def _after(self, at: int, column: int) -> int:
        """Where the line behind this place begins, and the comments after it that stand deeper end."""
        found = self._text.find("\n", at)
        if found < 0:
            return len(self._text)
        upto = end = found + 1
        for line in self._text[end:].splitlines(keepends=True):
            bare = line.lstrip(" ")
            upto += len(line)
            if not bare.startswith("#") or len(line) - len(bare) <= column:
                break
            end = upto
        return end


def _end(text: str, node: Any) -> int:
    """Behind the last character of a value; a block's own mark may stand behind white space and comments."""
    while node.id != "scalar" and not node.flow_style and node.value:
        last = node.value[-1]
        node = last[1] if node.id == "mapping" else last
    begin, end = node.start_mark.index, node.end_mark.index
    return int(begin + len(text[begin:end].rstrip()))
