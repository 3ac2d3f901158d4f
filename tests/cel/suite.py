"""The official conformance cases as Python values, and how they are counted."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentguard import cel
from agentguard.cel.compiler import compiled
from agentguard.cel.values import UNDECIDED

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


def shown(value: object) -> str:
    """A result with the types of everything in it, for comparing."""
    if isinstance(value, list):
        return f"[{', '.join(shown(item) for item in value)}]"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{shown(key)}: {shown(item)}' for key, item in value.items())}}}"
    return f"{type(value).__name__}({value!r})"


@dataclass(frozen=True, slots=True)
class Outcome:
    """Whether the interpreter passed a case, whether compiled code did, and whether it fell back for it."""

    interpreted: bool
    compiled: bool
    fell_back: bool


def outcome(case: Case) -> Outcome:
    """Our answers to one case; a construct left out never passes."""
    try:
        program = cel.compile(case.source)
    except cel.Unsupported:
        return Outcome(False, False, True)
    except cel.CelException:
        wanted = case.expected is None
        return Outcome(wanted, wanted, True)
    interpreted = _passes(case, program.interpret)
    answer = quick(program, case.bindings)
    if answer is UNDECIDED:
        return Outcome(interpreted, _passes(case, program.evaluate), True)
    return Outcome(interpreted, _passes(case, lambda _: answer), False)


def _passes(case: Case, evaluate: Callable[[Mapping[str, object]], object]) -> bool:
    try:
        value = evaluate(case.bindings)
    except cel.Unsupported:
        return False
    except cel.CelException:
        return case.expected is None
    return case.expected is not None and same(value, case.expected)


def quick(program: cel.Program, bindings: Mapping[str, object]) -> object:
    """What compiled code says by itself; ``UNDECIDED`` where it leaves the expression to the interpreter."""
    template, constants = program.template()
    function = compiled(template, program.environment)
    if function is None:
        return UNDECIDED
    try:
        return function(bindings, constants)
    except Exception:
        return UNDECIDED


@dataclass(slots=True)
class Row:
    """The counts of one file or of several; ``errors`` are cases that want an error."""

    cases: int = 0
    interpreted: int = 0
    compiled: int = 0
    fell_back: int = 0
    errors: int = 0

    def add(self, other: Row) -> None:
        """Add the counts of another row."""
        self.cases += other.cases
        self.interpreted += other.interpreted
        self.compiled += other.compiled
        self.fell_back += other.fell_back
        self.errors += other.errors

    def text(self, name: str) -> str:
        """The row of a Markdown table."""
        numbers = (self.cases, self.interpreted, self.compiled, self.fell_back, self.errors)
        return f"| {name} | {' | '.join(map(str, numbers))} |"


@dataclass(frozen=True, slots=True)
class Figures:
    """The counts per file, and the names of the cases that one of the two failed."""

    rows: Mapping[str, Row]
    failed: tuple[str, ...]

    def core(self) -> Row:
        """The core files together."""
        return _sum(row for file, row in self.rows.items() if file in CORE)

    def total(self) -> Row:
        """All files together."""
        return _sum(self.rows.values())

    def table(self) -> str:
        """The figures as a Markdown table, as the documentation shows them."""
        head = ["| file | cases | interpreter | compiled code | fell back | wants an error |"]
        rows = [row.text(file) for file, row in sorted(self.rows.items())]
        last = [self.core().text("**core files**"), self.total().text("**all files**")]
        return "\n".join([*head, "|---|---|---|---|---|---|", *rows, *last])


def _sum(rows: Iterable[Row]) -> Row:
    found = Row()
    for row in rows:
        found.add(row)
    return found


def measure() -> Figures:
    """Run every case once."""
    rows: dict[str, Row] = {}
    failed: list[str] = []
    for case in cases():
        result = outcome(case)
        rows.setdefault(case.file, Row()).add(
            Row(1, result.interpreted, result.compiled, result.fell_back, case.expected is None)
        )
        if not (result.interpreted and result.compiled):
            failed.append(f"{case.file}/{case.name}")
    return Figures(rows, tuple(failed))
