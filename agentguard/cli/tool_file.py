"""The tool-facts file that `agentguard tools classify` writes: new tools are added, what is there is kept."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from agentguard.cli.atomic_file import replace_file
from agentguard.cli.safe_text import visible
from agentguard.errors import ConfigurationError
from agentguard.tools import tool_name

if TYPE_CHECKING:
    from agentguard.config import ToolEntry
    from agentguard.provenance.definitions import Definition
    from agentguard.provenance.facts import Inference

__all__ = ["compared", "entry_text", "write_facts"]

_HEAD: Final = """\
# What tools do, as inferred from their definitions: a first reading, to be corrected. What you change stays
# as you left it: `agentguard tools classify --out` only adds tools. `definition` pins what was looked at, and
# `agentguard tools check` tells when a tool is defined otherwise. Add `read_only: true` to tools of which
# you know that they change nothing, and `untrusted_output: false` where nobody else writes what they return.
"""
_FLAGS: Final = (
    "reads", "writes", "destructive", "external", "executes", "touches_secrets", "untrusted_output",
    "uncertain", "idempotent",
)  # fmt: skip

_YAML: Final = frozenset({"true", "false", "null", "yes", "no", "on", "off"})

Found = Sequence[tuple["Definition", "Inference"]]


def write_facts(path: Path, found: Found, *, repin: bool) -> Iterator[str]:
    """Write the file, or add to it; says what was done and what is different.

    Raises:
        ConfigurationError: what is there is refused, or changed meanwhile.
    """
    if not path.exists():
        named = [one for one in found if _named(one[0].name)]
        text = _HEAD + "".join(f"\n{entry_text(*one)}" for one in named)
        path.write_text(text, encoding="utf-8", newline="\n")
        yield f"wrote {len(named)} tools to {path}; correct them, then name the file as `tools`"
        return
    before = path.read_bytes()
    known = _entries(path)
    text = before.decode("utf-8")
    for one, inferred in found:
        if one.name in known:
            yield from _different(one, inferred, known[one.name])
            if repin:
                text = _pinned(text, one, known[one.name])
        elif _named(one.name):
            text = f"{text.rstrip()}\n\n{entry_text(one, inferred)}"
            yield f"added `{one.name}`"
    if text.encode("utf-8") == before:
        yield f"nothing to add to {path}"
        return
    replace_file(path, before, text.encode("utf-8"))


def entry_text(one: Definition, inferred: Inference) -> str:
    """A tool's entry, with the word that told what it does."""
    facts, why = inferred.facts, inferred.why
    lines = [f"{_text(one.name)}:", f"  action: {facts['action']}  # {visible(why['action'])}"]
    lines += [f"  {key}: {_word(facts[key])}{_because(why.get(key))}" for key in _FLAGS if key in facts]
    if facts["roles"]:
        lines.append("  roles:")
        lines += [
            f"    {_text(name)}: {role}{_because(why.get(f'roles.{name}'))}"
            for name, role in facts["roles"].items()
        ]
    lines += [
        f"  {key}: {json.dumps(list(facts[key]), ensure_ascii=True)}"
        for key in ("topics", "sensitive")
        if facts[key]
    ]
    return "\n".join([*lines, f"  definition: {one.digest}", ""])


def compared(path: Path, found: Sequence[Definition]) -> list[dict[str, str]]:
    """What is different between definitions and their pins.

    Raises:
        ConfigurationError: the file is refused, or is not there.
    """
    known = _entries(path)
    findings: list[dict[str, str]] = []
    for one in found:
        entry = known.get(one.name)
        if entry is None:
            findings.append({"kind": "new", "text": f"`{one.name}` is not in {path}"})
        elif entry.definition is None:
            findings.append({"kind": "unpinned", "text": f"`{one.name}` has no `definition` in {path}"})
        elif entry.definition != one.digest:
            text = f"`{one.name}` is defined otherwise than when it was pinned ({entry.where})"
            findings.append({"kind": "changed", "text": text})
    here = {one.name for one in found}
    findings += [
        {"kind": "gone", "text": f"`{name}` is in {path} and not among these tools"}
        for name in known
        if name not in here
    ]
    return findings


def _entries(path: Path) -> Mapping[str, ToolEntry]:
    from agentguard.config import load_tool_facts

    return load_tool_facts(path)


def _different(one: Definition, inferred: Inference, entry: ToolEntry) -> Iterator[str]:
    if entry.definition is not None and entry.definition != one.digest:
        yield f"`{one.name}` is defined otherwise than when it was pinned: look at it, then use `--repin`"
    for key, value in entry.facts.model_dump(exclude_defaults=True).items():
        told = inferred.facts.get(key)
        if key in _FLAGS or key == "action":
            if told is not None and told != value:
                yield f"`{one.name}`: the file says {key}: {_word(value)}, inferred is {_word(told)}; kept"
        elif key == "roles":
            for name, role in value.items():
                if inferred.facts["roles"].get(name, role) != role:
                    yield f"`{one.name}`: the file says that `{name}` is {role}; kept"


def _pinned(text: str, one: Definition, entry: ToolEntry) -> str:
    """The text with the tool's pin made anew, where it has one in a line of its own."""
    if entry.definition is None or entry.definition == one.digest:
        return text
    lines = text.split("\n")
    start = int(entry.where.rpartition(":")[2]) - 1
    for number in range(start + 1, len(lines)):
        if lines[number][:1] not in ("", " ", "#"):
            break
        if entry.definition in lines[number]:
            lines[number] = lines[number].replace(entry.definition, one.digest, 1)
            return "\n".join(lines)
    raise ConfigurationError(
        f"the pin of `{one.name}` is not in a line of its own; write it yourself: {one.digest}"
    )


def _named(name: str) -> bool:
    try:
        tool_name(name)
    except ConfigurationError:
        return False
    return True


def _word(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _text(name: str) -> str:
    bare = name.replace("_", "a").replace("-", "a").replace(".", "a")
    plain = name.isascii() and bare.isalnum() and name[:1].isalpha() and name.lower() not in _YAML
    return name if plain else json.dumps(name)


def _because(why: str | None) -> str:
    return f"  # {visible(why)}" if why else ""
