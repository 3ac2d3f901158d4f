"""Conditions held against what is known of the tools: names, types, allowed values, what may be absent."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from agentguard import cel
from agentguard.cel import ast
from agentguard.policy.findings import Finding, Severity, suggestion
from agentguard.policy.parse import ParsedPolicy, ParsedRule
from agentguard.policy.presence import Path, Read, path_of, reads
from agentguard.policy.rules import Rule
from agentguard.policy.scalars import tool_matches
from agentguard.policy.shapes import ANY, Kind, Shape, kind_of
from agentguard.policy.truths import never_truths

__all__ = ["Shapes", "argument_findings", "truth_findings"]

Shapes = Mapping[str, Shape]
"""Known tools, and what their arguments look like."""

_ORDERINGS: Final = frozenset({"_<_", "_<=_", "_>_", "_>=_"})
_EQUALITIES: Final = frozenset({"_==_", "_!=_"})
_OF_TEXTS: Final = frozenset({"startsWith", "endsWith", "contains", "matches", "substring", "split", "trim"})
_EMPTY: Final[Mapping[Kind, str]] = {"text": '""', "number": "0", "bool": "false", "list": "[]", "map": "{}"}
_WORDS: Final[Mapping[Kind, str]] = {
    "null": "null",
    "bool": "a truth value",
    "number": "a number",
    "text": "text",
    "list": "a list",
    "map": "a mapping",
}
_LONGEST: Final = 70


def argument_findings(
    policy: ParsedPolicy, parsed: ParsedRule, rule: Rule, tools: Shapes
) -> Iterator[Finding]:
    """Everything about the arguments that a rule reads and writes."""
    mine = {
        name: shape for name, shape in tools.items() if any(tool_matches(one, name) for one in rule.tools)
    }
    if not mine:
        return
    look = _Look(policy, parsed, rule, mine)
    for path, program in _programs(rule):
        at = ("rules", parsed.index, *path)
        yield from look.names(at, program)
        yield from look.values(at, program)
        if path == ("when",):
            yield from look.absent(at, program)
    yield from look.written()


def truth_findings(policy: ParsedPolicy, parsed: ParsedRule, rule: Rule, tools: Shapes) -> Iterator[Finding]:
    """The parts of a condition that have to be true or false and never are."""
    if rule.condition is None or rule.text == "false":
        return
    mine = {
        name: shape for name, shape in tools.items() if any(tool_matches(one, name) for one in rule.tools)
    }
    look = _Look(policy, parsed, rule, mine)
    for node, what in never_truths(rule.condition.ast, look.shapes):
        shown = rule.condition.source[node.start : node.end][:40]
        message = f"`{shown}` is never true or false: it is {what}"
        at = ("rules", parsed.index, "when")
        yield look.finding("AG206", message, at, node.start, _meant(node), "warning")


def _meant(node: ast.Node) -> str:
    """What to write instead, where that is plain."""
    if isinstance(node, ast.Literal) and str(node.value).strip() in ("true", "false"):
        return f"write `{str(node.value).strip()}` without quotes"
    return "compare it with something"


def _programs(rule: Rule) -> Iterator[tuple[tuple[str | int, ...], cel.Program]]:
    """The expressions of a rule with their places."""
    if rule.condition is not None and rule.text != "false":
        yield ("when",), rule.condition
    for one in rule.sets:
        if one.program is not None:
            yield ("set", one.path), one.program
    if rule.reserve is not None:
        for i, program in enumerate(rule.reserve.per):
            yield ("reserve", "per", i), program
        if not isinstance(rule.reserve.amount, int):
            yield ("reserve", "amount"), rule.reserve.amount


@dataclass(frozen=True, slots=True)
class _Look:
    policy: ParsedPolicy
    parsed: ParsedRule
    rule: Rule
    tools: Shapes

    def names(self, at: Path | tuple[str | int, ...], program: cel.Program) -> Iterator[Finding]:
        """Names that no tool of the rule has."""
        seen: set[Path] = set()
        for path, node in _arguments(program.ast):
            bad = self.unknown(path)
            if bad is None or bad in seen:
                continue
            seen.add(bad)
            known = {name for shape in self.shapes(bad[:-1]) for name in shape.properties}
            yield self.finding(
                "AG211", self.no_such(bad), at, _offset(program.source, node, bad), suggestion(bad[-1], known)
            )

    def written(self) -> Iterator[Finding]:
        """Names that a constraint writes, and no tool has."""
        for one in self.rule.sets:
            bad = self.unknown(("args", *one.steps))
            if bad is None:
                continue
            known = {name for shape in self.shapes(bad[:-1]) for name in shape.properties}
            yield self.policy.source.finding(
                "AG211",
                self.no_such(bad),
                ("rules", self.parsed.index, "set", one.path),
                key=True,
                hint=suggestion(bad[-1], known),
                rule=self.rule.name,
            )

    def no_such(self, path: Path) -> str:
        *before, last = path
        inside = f" in `{'.'.join(before)}`" if len(before) > 1 else ""
        return f"no tool of rule `{self.rule.id}` has an argument `{last}`{inside}"

    def unknown(self, path: Path) -> Path | None:
        """The beginning of a path up to the first name that none of the tools can have."""
        for length in range(2, len(path) + 1):
            outer = self.shapes(path[: length - 1])
            if not outer:
                return None  # an earlier name is another tool's
            if all(shape.closed and path[length - 1] not in shape.properties for shape in outer):
                return path[:length]
        return None

    def shapes(self, path: Path) -> list[Shape]:
        """What a path is in each tool that has it."""
        found = [_at(shape, path[1:]) for shape in self.tools.values()]
        return [shape for shape in found if shape is not None]

    def values(self, at: tuple[str | int, ...], program: cel.Program) -> Iterator[Finding]:
        """Comparisons that the schemas make pointless."""
        for node in ast.walk(program.ast):
            match node:
                case ast.Call(function=function, target=None, args=(left, right)) if (
                    function in _ORDERINGS | _EQUALITIES
                ):
                    yield from self.compared(at, program, function, left, right)
                case ast.Call(function=ast.IN, args=(left, ast.List(elements=elements))):
                    for element in elements:
                        yield from self.compared(at, program, "_==_", left, element)
                case ast.Call(function=function, target=target) if target is not None and (
                    function in _OF_TEXTS
                ):
                    yield from self.called(at, function, target)

    def compared(
        self, at: tuple[str | int, ...], program: cel.Program, function: str, left: ast.Node, right: ast.Node
    ) -> Iterator[Finding]:
        if path_of(left) is None:
            left, right = right, left
        path = path_of(left)
        if path is None or path[0] != "args" or len(path) < 2 or not isinstance(right, ast.Literal):
            return
        shapes, value = self.shapes(path), right.value
        kind = kind_of(value)
        if not shapes or kind is None:
            return
        name, shown = ".".join(path), program.source[right.start : right.end]
        always = " on every call" if function in _ORDERINGS else ""
        begin = right.start + (1 if isinstance(value, str) else 0)
        if all(shape.kinds is not None and kind not in shape.kinds for shape in shapes):
            says = "is an error" if always else f"is always {'true' if function == '_!=_' else 'false'}"
            message = f"comparing `{name}` with `{shown[:40]}` {says}{always}: it is {_words(shapes)}"
            yield self.finding("AG214", message, at, begin, _converted(value, shapes), "warning")
        elif function in _ORDERINGS:
            return
        elif kind == "number" and _fraction(value) and all(_whole(shape) for shape in shapes):
            message = f"`{name}` is never `{shown[:40]}`: it is a whole number"
            yield self.finding("AG214", message, at, begin, "", "warning")
        elif all(shape.values is not None and not _holds(shape.values, value) for shape in shapes):
            allowed = [str(one) for shape in shapes for one in shape.values or () if isinstance(one, str)]
            hint = suggestion(str(value), allowed) if isinstance(value, str) else ""
            message = f"`{name}` is never `{shown[:40]}`: its schema does not have it"
            yield self.finding("AG215", message, at, begin, hint, "warning")

    def called(self, at: tuple[str | int, ...], function: str, target: ast.Node) -> Iterator[Finding]:
        path = path_of(target)
        if path is None or path[0] != "args" or len(path) < 2:
            return
        shapes = self.shapes(path)
        if shapes and all(shape.kinds is not None and "text" not in shape.kinds for shape in shapes):
            name = ".".join(path)
            message = f"`{function}` of `{name}` is an error on every call: it is {_words(shapes)}"
            yield self.finding("AG214", message, at, target.start, "", "warning")

    def absent(self, at: tuple[str | int, ...], program: cel.Program) -> Iterator[Finding]:
        """Arguments that a call may leave out, read as if they were always there."""
        tools = _narrowed(program.ast, self.tools)
        seen: set[Path] = set()
        for read in reads(program.ast):
            if read.path[0] != "args" or self.unknown(read.path) is not None:
                continue
            for length in range(2, len(read.path) + 1):
                path = read.path[:length]
                if path in read.known or path in seen:
                    continue
                without = [name for name, shape in tools.items() if self.may_lack(shape, path)]
                if without:
                    seen.add(path)
                    yield self.may_be_absent(at, program, read, path, without)
                    break

    def may_lack(self, shape: Shape, path: Path) -> bool:
        outer = _at(shape, path[1:-1])
        if outer is None:
            return False  # said of an earlier name
        if path[-1] in outer.properties:
            return path[-1] in outer.optional
        # An allow rule that does not concern a tool says nothing about it; any other rule fires there.
        return outer.closed and not self.rule.grants

    def may_be_absent(
        self, at: tuple[str | int, ...], program: cel.Program, read: Read, path: Path, without: list[str]
    ) -> Finding:
        name = ".".join(path)
        then = "this rule does not permit" if self.rule.grants else f"this rule fires (`{self.rule.effect}`)"
        where = f"`{without[0]}`" + (f" and {len(without) - 1} more" if len(without) > 1 else "")
        message = f"`{name}` may be absent in {where}: then {then}"
        hint = _to_write(program.source, read, path, self.shapes(read.path))
        return self.finding("AG216", message, at, _offset(program.source, read.node, path), hint, "warning")

    def finding(
        self,
        code: str,
        message: str,
        at: Any,
        offset: int,
        hint: str,
        severity: Severity = "error",
    ) -> Finding:
        return self.policy.source.finding(
            code, message, at, offset=offset, hint=hint, rule=self.rule.name, severity=severity
        )


def _arguments(tree: ast.Node) -> Iterator[tuple[Path, ast.Node]]:
    """Every path below `args` that is named, read or not."""
    stack = [tree]
    while stack:
        node = stack.pop()
        if isinstance(node, ast.PathCall):
            node = node.operand
        whole = node
        if isinstance(node, ast.Select) and (node.test_only or node.optional):
            node = ast.Select(node.operand, node.field, node.start, node.end)
        path = path_of(node)
        if path is None:
            stack.extend(reversed(ast.children(whole)))
        elif path[0] == "args" and len(path) > 1:
            yield path, whole


def _at(shape: Shape, steps: Path) -> Shape | None:
    """What a path leads to; None where the shape cannot have it."""
    for step in steps:
        found = shape.properties.get(step)
        if found is None:
            if shape.closed or (shape.kinds is not None and "map" not in shape.kinds):
                return None
            return ANY
        shape = found
    return shape


def _narrowed(tree: ast.Node, tools: Shapes) -> Shapes:
    """The tools that a condition leaves; none where it speaks of `tool` in a way that is not understood."""
    kept = dict(tools)
    clauses = tree.args if isinstance(tree, ast.Call) and tree.function == ast.AND else (tree,)
    for clause in clauses:
        match clause:
            case ast.Call(function="_==_", args=(ast.Ident(name="tool"), ast.Literal(value=str(name)))):
                kept = {tool: shape for tool, shape in kept.items() if tool == name}
            case ast.Call(function=ast.IN, args=(ast.Ident(name="tool"), ast.List(elements=elements))):
                named = {one.value for one in elements if isinstance(one, ast.Literal)}
                kept = {tool: shape for tool, shape in kept.items() if tool in named}
            case _ if any(isinstance(node, ast.Ident) and node.name == "tool" for node in ast.walk(clause)):
                return {}
    return kept


def _offset(source: str, node: ast.Node, path: Path) -> int:
    """Where the last name of a path stands in the expression."""
    start = node.start
    for name in path[1:]:
        found = source.find(name, start, node.end)
        start = found if found >= 0 else start
    return start


def _to_write(source: str, read: Read, path: Path, shapes: list[Shape]) -> str:
    """The text by which the condition says what an absent argument means."""
    name = ".".join(path)
    clause = source[read.clause.start : read.clause.end]
    compound = isinstance(read.clause, ast.Call) and read.clause.function in (ast.CONDITIONAL, ast.OR)
    tail = (f"({clause})" if compound else clause) if len(clause) <= _LONGEST else "..."
    written = f"write `has({name}) && {tail}`"
    kinds: set[Kind] = {kind for shape in shapes for kind in shape.kinds or ()}
    empty = _EMPTY.get(next(iter(kinds))) if len(kinds) == 1 else None
    if empty is None:
        return written
    rest = "".join(f".{step}" for step in read.path[len(path) :])
    return f"{written}, or `{'.'.join(path[:-1])}.?{path[-1]}{rest}.orValue({empty})`"


def _words(shapes: Collection[Shape]) -> str:
    found: set[Kind] = {kind for shape in shapes for kind in shape.kinds or ()}
    kinds = sorted(found)
    whole = all(map(_whole, shapes))
    return " or ".join("a whole number" if kind == "number" and whole else _WORDS[kind] for kind in kinds)


def _converted(value: object, shapes: Collection[Shape]) -> str:
    """What was meant, where it only has quotes too many."""
    kinds = {kind for shape in shapes for kind in shape.kinds or ()}
    if isinstance(value, str) and "number" in kinds and value.removeprefix("-").isdigit():
        return "remove the quotes"
    if type(value) in (int, float) and "text" in kinds:
        return "put quotes around it"
    return ""


def _fraction(value: object) -> bool:
    return isinstance(value, float) and not value.is_integer()


def _whole(shape: Shape) -> bool:
    return shape.whole and shape.kinds is not None


def _holds(values: Collection[Any], value: object) -> bool:
    """Whether an enumeration has a value, as CEL compares: 1 is 1.0 and not true."""
    return any(one == value and kind_of(one) == kind_of(value) for one in values)
