"""The tools that sets of rules tell apart: those they name, and for each pattern those that nobody names."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from agentguard.cel import ast
from agentguard.policy.findings import suggestion
from agentguard.policy.proving.solver import Term, both, negated, text_term, z3
from agentguard.policy.rules import Rule
from agentguard.policy.scalars import pattern_covers, tool_matches, well_formed_tool

__all__ = ["Class", "classes_of", "reads_tool", "unknown_tool"]


@dataclass(frozen=True, slots=True)
class Class:
    """Tools to which the same rules apply: one by name, or all under a prefix but those listed.

    `name` is a tool of the class that no rule names.
    """

    name: str
    prefix: str | None = None
    without: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """As people read it."""
        if self.prefix is None:
            return self.name
        return "any other tool" if not self.prefix else f"any other tool of `{self.prefix}*`"

    def rules(self, rules: Iterable[Rule]) -> tuple[Rule, ...]:
        """The rules that apply."""
        return tuple(
            rule for rule in rules if any(tool_matches(pattern, self.name) for pattern in rule.tools)
        )

    def holds(self, tool: str) -> bool:
        """Whether a tool is one of them."""
        if self.prefix is None:
            return tool == self.name
        return tool.startswith(self.prefix) and not any(tool_matches(one, tool) for one in self.without)

    def term(self) -> tuple[Term, list[Any]]:
        """The tool's name as a term, and what holds of it."""
        if self.prefix is None:
            return self.name, []
        name = z3.String("tool")
        kept = [z3.PrefixOf(text_term(self.prefix), name)] if self.prefix else []
        kept += [z3.InRe(name, _well_formed()), z3.Length(name) <= 200]
        for other in self.without:
            if other.endswith("*"):
                kept.append(negated(z3.PrefixOf(text_term(other[:-1]), name)))
            else:
                kept.append(negated(name == text_term(other)))
        return name, [both(*kept)]


def _well_formed() -> Any:
    """The language of names that a pattern could name (`scalars.well_formed_tool`)."""
    marks = [z3.Re(text_term(char)) for char in "_:/@+-"]
    letters = [z3.Range(text_term(low), text_term(high)) for low, high in ("AZ", "az", "09")]
    word = z3.Plus(z3.Union(*letters, *marks))
    segment = z3.Concat(word, z3.Star(z3.Concat(z3.Re(text_term(" ")), word)))
    return z3.Concat(segment, z3.Star(z3.Concat(z3.Re(text_term(".")), segment)))


def classes_of(rules: Iterable[Rule], wanted: str = "*", others: Iterable[str] = ()) -> tuple[Class, ...]:
    """The classes of tools that a pattern names, by name; `others` are patterns that tell tools apart too."""
    patterns = {pattern for rule in rules for pattern in rule.tools} | {wanted, "*", *others}
    exact = {pattern for pattern in patterns if not pattern.endswith("*")}
    found = [Class(name) for name in exact if tool_matches(wanted, name)]
    for pattern in patterns - exact:
        if not pattern_covers(wanted, pattern):
            continue
        inner = tuple(sorted(one for one in patterns if one != pattern and pattern_covers(pattern, one)))
        found.append(Class(_unnamed(pattern[:-1], inner), pattern[:-1], inner))
    return tuple(
        sorted(found, key=lambda one: (-len(one.prefix) if one.prefix is not None else -1000, one.name))
    )


def _unnamed(prefix: str, inner: tuple[str, ...]) -> str:
    """A name under a prefix that none of the inner patterns covers."""
    number = 0
    while True:
        name = f"{prefix}other{number or ''}"
        if well_formed_tool(name) and not any(tool_matches(one, name) for one in inner):
            return name
        number += 1


def unknown_tool(tool: str, known: Iterable[str] | None) -> tuple[str, str] | None:
    """What to say of a tool or pattern that no tool-facts file knows, with a hint; None where it may be."""
    names = list(known or ())
    if known is None or tool == "*" or any(tool_matches(tool, one) for one in names):
        return None
    pattern = tool.endswith("*")
    message = f"no tool matches `{tool[:100]}`" if pattern else f"there is no tool `{tool[:100]}`"
    return f"{message} in the tool facts (`tools:` of the configuration)", suggestion(tool, names, listed=5)


def reads_tool(trees: Iterable[ast.Node]) -> bool:
    """Whether any condition reads the tool's name."""
    return any(
        isinstance(node, ast.Ident) and node.name == "tool" for tree in trees for node in ast.walk(tree)
    )
