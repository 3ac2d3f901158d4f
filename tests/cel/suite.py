"""The official conformance cases as Python values, and how they are counted."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentguard import cel

ROOT = Path(__file__).resolve().parents[2]
CASES = ROOT.parent / "shared" / "conformance" / "cel-spec.jsonl"
CORE = frozenset(
    {
        "basic", "comparisons", "conversions", "fields", "fp_math", "integer_math", "lists", "logic",
        "macros",
        "parse", "plumbing", "string", "timestamps",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Case:
    """One expression with what it must give; ``expected`` is ``None`` where an error is wanted."""

    file: str
    name: str
    source: str
    bindings: Mapping[str, object]
    expected: Mapping[str, Any] | None


def cases() -> Iterator[Case]:
    """All cases of the file."""
    with CASES.open(encoding="utf-8") as lines:
        for line in lines:
            case = json.loads(line)
            bindings = {name: decode(value) for name, value in case["bindings"].items()}
            yield Case(case["file"], case["name"], case["expr"], bindings, case["expect"].get("value"))


def decode(typed: Mapping[str, Any]) -> object:
    """The Python value of a typed one."""
    ((kind, value),) = typed.items()
    match kind:
        case "int":
            return int(value)
        case "uint":
            return cel.UInt(int(value))
        case "double":
            return float(value)
        case "string" | "bool":
            return value
        case "bytes":
            return bytes.fromhex(value)
        case "null":
            return None
        case "list":
            return [decode(item) for item in value]
        case "map":
            return {decode(key): decode(item) for key, item in value}
        case _:
            raise ValueError(f"unknown kind {kind}")


def same(value: object, typed: Mapping[str, Any]) -> bool:
    """Whether a result has the type and the value that a case wants."""
    ((kind, wanted),) = typed.items()
    if kind == "list":
        return (
            isinstance(value, list)
            and len(value) == len(wanted)
            and all(same(item, other) for item, other in zip(value, wanted, strict=True))
        )
    if kind == "map":
        return (
            isinstance(value, Mapping)
            and len(value) == len(wanted)
            and all(
                any(same(key, key_) and same(item, item_) for key, item in value.items())
                for key_, item_ in wanted
            )
        )
    expected = decode(typed)
    return type(value) is type(expected) and repr(value) == repr(expected)


def passes(case: Case) -> bool:
    """Whether our answer is the wanted one; a construct left out never is."""
    try:
        value = cel.compile(case.source).evaluate(case.bindings)
    except cel.Unsupported:
        return False
    except cel.CelException:
        return case.expected is None
    return case.expected is not None and same(value, case.expected)


@dataclass(frozen=True, slots=True)
class Figures:
    """Passed and all cases per file, and the names of those that failed."""

    passed: Mapping[str, int]
    all: Mapping[str, int]
    failed: tuple[str, ...]

    def core(self) -> tuple[int, int]:
        """Passed and all in the core files."""
        return sum(self.passed.get(file, 0) for file in CORE), sum(self.all[file] for file in CORE)

    def total(self) -> tuple[int, int]:
        """Passed and all in all files."""
        return sum(self.passed.values()), sum(self.all.values())

    def table(self) -> str:
        """The figures as a Markdown table, as the documentation shows them."""
        rows = [
            f"| {file} | {self.passed.get(file, 0)} | {count} |" for file, count in sorted(self.all.items())
        ]
        rows.append("| **core files** | {} | {} |".format(*self.core()))
        rows.append("| **all files** | {} | {} |".format(*self.total()))
        return "\n".join(["| file | passed | cases |", "|---|---|---|", *rows])


def measure() -> Figures:
    """Run every case once."""
    passed: Counter[str] = Counter()
    every: Counter[str] = Counter()
    failed: list[str] = []
    for case in cases():
        every[case.file] += 1
        if passes(case):
            passed[case.file] += 1
        else:
            failed.append(f"{case.file}/{case.name}")
    return Figures(passed, every, tuple(failed))
