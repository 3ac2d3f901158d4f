"""YAML under strict rules, with the place of every key and value.

YAML 1.2 core types on libyaml's event stream: no anchors, aliases, tags, merge keys or directives, text keys
only, no key twice, one document, bounded size and depth. `NO` is text and dates are text.
"""

from __future__ import annotations

import re
from typing import Any, Final

import yaml

from agentguard.policy.findings import Finding
from agentguard.policy.nodes import Container, Scalar, width
from agentguard.policy.source import Source

# libyaml's parser; PyYAML may have been built without it.
_Parser: Final[Any] = getattr(yaml, "CBaseLoader", yaml.BaseLoader)

__all__ = ["MAX_BYTES", "MAX_DEPTH", "read"]

MAX_BYTES: Final = 16 * 1024 * 1024
"""Bytes of one policy file."""
MAX_DEPTH: Final = 32
"""Levels of nesting in one policy file."""

# What the eye cannot see or what only some programs take for a line break.
_HIDDEN: Final = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]"
    "|[\U000e0000-\U000e007f]|\r(?!\n)"
)
_INT: Final = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})")
_FLOAT: Final = re.compile(r"[-+]?(?:0|[1-9][0-9]*)(?:\.[0-9]+(?:[eE][-+]?[0-9]{1,3})?|[eE][-+]?[0-9]{1,3})")
_NUMBERLIKE: Final = re.compile(
    r"[-+]?(?:[0-9][0-9_]*(?:\.[0-9_]*)?(?:[eE][-+]?[0-9]*)?|\.[0-9_]+(?:[eE][-+]?[0-9]*)?"
    r"|0[oxb][0-9a-fA-F_]+|\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))"
)
_WORDS: Final[dict[str, bool | None]] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip


class _Refused(Exception):
    """Something in the file is refused; `index` is its offset."""

    def __init__(self, code: str, message: str, index: int, length: int = 1, hint: str = "") -> None:
        super().__init__(message)
        self.code, self.message, self.index, self.length, self.hint = code, message, index, length, hint

    def finding(self, source: Source) -> Finding:
        place = source.at(self.index, self.length)
        return source.finding_at(
            self.code, self.message, line=place.line, col=place.col, length=place.length, hint=self.hint
        )


def read(content: bytes | str, file: str) -> tuple[Source | None, list[Finding]]:
    """One policy file as data with places; None and what is wrong where it cannot be read."""
    if len(content) > MAX_BYTES:
        return None, [Finding(code="AG008", file=file, message=f"the file has more than {MAX_BYTES} bytes")]
    if isinstance(content, bytes):
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = content.count(b"\n", 0, error.start) + 1
            return None, [Finding(code="AG003", file=file, line=line, col=1, message="the file is not UTF-8")]
    else:
        text = content
    source = Source(data=None, file=file, text=text)
    builder = _Builder(text)
    try:
        _no_hidden(text)
        root = builder.build()
    except _Refused as error:
        return None, [error.finding(source)]
    if builder.problems:
        return None, [problem.finding(source) for problem in builder.problems]
    return Source(data=root.value, file=file, text=text, root=root), []


def _no_hidden(text: str) -> None:
    found = _HIDDEN.search(text)
    if found is not None:
        code = ord(found[0][0])
        message = f"the file holds the invisible or control character U+{code:04X}"
        raise _Refused("AG003", message, found.start())


class _Builder:
    """Builds the tree from parser events with an explicit stack."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.problems: list[_Refused] = []

    def build(self) -> Scalar | Container:
        parser: Any = _Parser(self.text)
        try:
            return self._build(parser.get_event)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            problem = " ".join(str(part) for part in (error.context, error.problem) if part)
            raise _Refused("AG004", f"not valid YAML: {problem}", mark.index if mark else 0) from None
        except yaml.YAMLError as error:
            raise _Refused("AG004", f"not valid YAML: {str(error)[:200]}", 0) from None
        finally:
            parser.dispose()

    def _build(self, get_event: Any) -> Scalar | Container:
        root: Scalar | Container | None = None
        stack: list[Container] = []
        top: Container | None = None
        key: Scalar | None = None  # The pending key of `top`.
        documents = 0
        while True:
            event = get_event()
            kind = type(event)
            if kind is yaml.ScalarEvent:
                if event.anchor is not None or event.tag is not None:
                    raise _indirection(event)
                style = event.style or ""
                scalar = Scalar(event.value, event.start_mark.index, style)
                if not style:
                    self._resolve(scalar, scalar.value)
                if top is None:
                    root = scalar
                elif key is None and type(top.items) is dict:
                    key = scalar
                else:
                    self._attach(top, key, scalar)
                    key = None
            elif kind is yaml.MappingStartEvent or kind is yaml.SequenceStartEvent:
                if event.anchor is not None or event.tag is not None:
                    raise _indirection(event)
                index = event.start_mark.index
                if kind is yaml.MappingStartEvent:
                    node = Container({}, index, {})
                else:
                    node = Container([], index, [])
                if len(stack) >= MAX_DEPTH:
                    raise _Refused("AG008", f"nested deeper than {MAX_DEPTH} levels", index)
                if top is None:
                    root = node
                elif key is None and type(top.items) is dict:
                    raise _Refused("AG010", "the key is a list or a mapping", index)
                else:
                    self._attach(top, key, node)
                stack.append(node)
                top, key = node, None
            elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
                stack.pop()
                top = stack[-1] if stack else None
                key = None
            elif kind is yaml.AliasEvent:
                hint = "write the value out"
                raise _Refused(
                    "AG006", "an alias is not possible in a policy file", event.start_mark.index, 1, hint
                )
            elif kind is yaml.DocumentStartEvent:
                documents += 1
                if documents > 1:
                    hint = "one policy is one file"
                    raise _Refused("AG009", "a second document begins here", event.start_mark.index, 3, hint)
                if event.version not in (None, (1, 2)) or event.tags:
                    raise _Refused("AG006", "a directive is not possible in a policy file", 0)
            elif kind is yaml.StreamEndEvent:
                return root if root is not None else Scalar(None, 0, "")

    def _attach(self, top: Container, key: Scalar | None, node: Scalar | Container) -> None:
        items = top.items
        if type(items) is list:
            items.append(node)
            top.value.append(node.value)
            return
        assert key is not None  # INVARIANT: a mapping's value follows its key
        name = key.value
        if type(name) is not str:
            shown = "" if name is None else self._raw(key)
            self._problem("AG010", f"the key `{shown}` is not text", key, "put quotes around it")
            return
        if name == "<<" and not key.style:
            self._problem("AG006", "a merge key is not possible in a policy file", key, "write the keys out")
            return
        assert type(items) is dict
        if name in items:
            first = self.text.count("\n", 0, items[name][0].index) + 1
            self._problem("AG005", f"the key `{name[:80]}` is there twice, first on line {first}", key)
            return
        items[name] = (key, node)
        top.value[name] = node.value

    def _resolve(self, node: Scalar, text: str) -> None:
        if text in _WORDS:
            node.value = _WORDS[text]
            return
        first = text[0]
        if not (first.isdigit() or first in "+-."):
            return
        if _INT.fullmatch(text):
            node.value = int(text)
        elif _FLOAT.fullmatch(text) and abs(float(text)) != float("inf"):
            node.value = float(text)
        elif _NUMBERLIKE.fullmatch(text):
            hint = "put quotes around text, or write the number in decimal"
            self._problem(
                "AG007", f"`{text[:40]}` is ambiguous or not a number a policy can hold", node, hint
            )

    def _raw(self, node: Scalar) -> str:
        return self.text[node.index : node.index + 40].split("\n", 1)[0].split(":", 1)[0].strip()

    def _problem(self, code: str, message: str, node: Scalar, hint: str = "") -> None:
        self.problems.append(_Refused(code, message, node.index, width(self.text, node), hint))


def _indirection(event: Any) -> _Refused:
    what = "an anchor" if event.anchor is not None else "a tag"
    hint = "write the value out" if event.anchor is not None else "a text that begins with `!` needs quotes"
    return _Refused("AG006", f"{what} is not possible in a policy file", event.start_mark.index, 1, hint)
