"""Rules that can never matter, where that is certain: never true, always answered by another, contradicting.

Exceptions are not looked at: one that waives the other rule may let a rule matter again.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from agentguard import cel
from agentguard.cel import ast
from agentguard.decision import Effect
from agentguard.policy.atoms import All, Any_, Atom, Form, atoms_of, form_of
from agentguard.policy.contradictions import clash, follows, impossible, ways
from agentguard.policy.functions import FUNCTIONS
from agentguard.policy.rules import Assignment, Rule
from agentguard.policy.scalars import pattern_covers

__all__ = ["Redundant", "redundant"]

_MOST: Final = 50
"""Rules that one rule is compared with at most."""
_TRIES: Final = 256
_NOT_PLAIN: Final = (ast.Comprehension, ast.Bind, ast.Block)


@dataclass(frozen=True, slots=True)
class Redundant:
    """A rule that never matters; `path` and `offset` are where in it that is seen."""

    rule: str
    code: str
    message: str
    path: tuple[str, ...] = ("id",)
    offset: int | None = None
    hint: str = ""


def redundant(rules: Iterable[Rule]) -> Iterator[Redundant]:
    """Everything of the kind in a set of rules, rule by rule."""
    listed = [_Known(rule) for rule in rules]
    dead: set[str] = set()
    for known in listed:
        for found in _never(known):
            dead.add(known.rule.name)
            yield found
    enforced = [one for one in listed if one.rule.observe_until is None and one.rule.name not in dead]
    plain = [one for one in enforced if one.rule.converts_on is None]
    same = list(_same(plain))
    yield from same
    dead |= {found.rule for found in same}
    # A flag that becomes a deny is answered for by a deny before and after; an allow that does, is not.
    yield from _shadowed(
        [one for one in plain if one.rule.name not in dead],
        [one for one in enforced if one.rule.converts_on is not None and not one.rule.grants],
    )
    yield from _conflicting([known for known in plain if known.rule.sets])


class _Known:
    """A rule with its condition taken apart."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule

    @cached_property
    def true(self) -> Form:
        return form_of(self.rule.condition, True)

    @cached_property
    def false(self) -> Form:
        return form_of(self.rule.condition, False)

    @cached_property
    def bare(self) -> bool:
        rule = self.rule
        return not (rule.sets or rule.approve or rule.reserve or rule.redact or rule.flag)

    @cached_property
    def plain(self) -> bool:
        """Whether its condition costs little: a spent budget is an error that no `false` absorbs."""
        condition = self.rule.condition
        return condition is None or not any(isinstance(node, _NOT_PLAIN) for node in ast.walk(condition.ast))


# Never true


def _never(known: _Known) -> Iterator[Redundant]:
    rule, condition = known.rule, known.rule.condition
    if condition is None:
        return
    constant = _constant(rule, condition)
    if constant is not None:
        yield Redundant(rule.name, "AG225", constant, ("when",), 0)
        return
    if not impossible(known.true):
        return
    what = f"the condition of rule `{rule.id}` can never be true"
    pair = clash(known.true)
    hint = "" if rule.grants else "it fires only where it cannot be evaluated"
    if pair is None:
        yield Redundant(rule.name, "AG225", what, ("when",), 0, hint)
        return
    one, other = pair
    if other is None:
        yield Redundant(
            rule.name, "AG225", f"{what}: nothing is `{one.shown[:60]}`", ("when",), one.node.start
        )
        return
    message = f"{what}: `{one.shown[:60]}` and `{other.shown[:60]}` exclude each other"
    yield Redundant(rule.name, "AG225", message, ("when",), other.node.start, hint)


def _constant(rule: Rule, condition: cel.Program) -> str | None:
    """What is wrong with a condition that reads nothing of the call."""
    if condition.names or any(function in FUNCTIONS for function, _ in condition.calls):
        return None
    try:
        value = condition.interpret({})
    except cel.CelException as error:
        then = "never permits" if rule.grants else "fires on every call"
        return f"the condition of rule `{rule.id}` is an error, so that it {then}: {error}"
    if value is False:
        return f"the condition of rule `{rule.id}` is always false"
    return None


# Said twice


def _same(rules: Sequence[_Known]) -> Iterator[Redundant]:
    seen: dict[Hashable, Rule] = {}
    for known in rules:
        rule = known.rule
        key = (rule.tools, " ".join(rule.text.split()), rule.effect, rule.grants)
        first = seen.setdefault(key, rule)
        if first is not rule and known.bare:
            yield Redundant(rule.name, "AG222", f"rule `{rule.id}` says the same as `{first.name}`")


# Answered by another


def _shadowed(rules: Sequence[_Known], converting: Sequence[_Known]) -> Iterator[Redundant]:
    denials = _Shelf(known for known in rules if known.rule.effect is Effect.DENY and known.bare)
    allows = _Shelf(known for known in rules if known.rule.grants and known.bare)
    dead: set[str] = set()
    for known in (*rules, *converting):
        rule = known.rule
        other = None
        says = ""
        if rule.reserve is None and not rule.non_waivable:
            other = next((one for one in denials.near(known, dead) if _denied(known, one)), None)
            says = "denies"
        if other is None and rule.grants and not (rule.reserve or rule.redact or rule.flag):
            other = next((one for one in allows.near(known, dead) if follows(known.true, one.true)), None)
            says = "permits"
        if other is not None:
            dead.add(rule.name)
            whole = "its tools" if other.rule.condition is None else "that it is about"
            message = f"rule `{rule.id}` never decides: `{other.rule.name}` {says} every call {whole}"
            yield Redundant(rule.name, "AG221", message.replace("call its", "call to its"))


def _denied(known: _Known, denial: _Known) -> bool:
    """Whether a deny fires wherever a rule does: also where either is in error."""
    if denial.rule.condition is None:
        return known.rule.effect is not Effect.DENY or known.rule.condition is not None
    if known.rule.condition is None:
        return False
    if known.rule.grants:  # an error lets no allow rule permit, and fires the deny
        return impossible(All((known.true, denial.false)))
    return known.plain and follows(denial.false, known.false)


class _Shelf:
    """Rules by their tools and by one thing that their condition is about, so that few are compared."""

    def __init__(self, rules: Iterable[_Known]) -> None:
        self.by: dict[Hashable, list[_Known]] = defaultdict(list)
        for known in rules:
            for pattern, anchor in itertools.product(known.rule.tools, _anchors(known.true)):
                self.by[pattern, anchor].append(known)

    def near(self, known: _Known, dead: Iterable[str]) -> Iterator[_Known]:
        """Rules that may answer for this one: about all of its tools, and about what it is about."""
        gone = frozenset(dead)
        found: dict[str, _Known] = {}
        subjects = {None, *(anchor for atom in atoms_of(known.true) for anchor in _subjects(atom))}
        for pattern in _wider(known.rule.tools[0]):
            for subject in subjects:
                for one in self.by.get((pattern, subject), ()):
                    found.setdefault(one.rule.name, one)
        others = (one for one in found.values() if one is not known and one.rule.name not in gone)
        return itertools.islice((one for one in others if _covers(one.rule, known.rule)), _MOST)


def _wider(pattern: str) -> Iterator[str]:
    """The patterns that cover one: itself, and the prefixes of it."""
    yield "*"
    if pattern == "*":
        return
    yield pattern
    steps = pattern.removesuffix(".*").split(".")
    for length in range(1, len(steps) + (0 if pattern.endswith(".*") else 1)):
        yield ".".join(steps[:length]) + ".*"


def _anchors(form: Form) -> set[Hashable]:
    """Subjects of which a condition that this one answers for has at least one; None is every condition's."""
    match form:
        case Atom():
            return set(_subjects(form, narrow=True))
        case All(parts=()) | Any_(parts=()):
            return {None}
        case All(parts=parts):
            found = [_anchors(part) for part in parts]
            return min(found, key=lambda one: (None in one, not all(_exact(anchor) for anchor in one)))
        case Any_(parts=parts):
            return set().union(*[_anchors(part) for part in parts])


def _exact(anchor: Hashable) -> bool:
    return isinstance(anchor, tuple) and len(anchor) == 2 and anchor[0] == "is"


def _subjects(atom: Atom, *, narrow: bool = False) -> Iterator[Hashable]:
    """What an atom is about: a value of a path, a path, or itself."""
    says = atom.says
    if says is None:
        yield atom.key
        return
    exact = says.relation in ("is", "in") and atom.wanted
    if exact:
        yield from (("is", (says.path, type(one) is str, one)) for one in says.constants)
    if not (exact and narrow):
        yield says.path


def _covers(wide: Rule, narrow: Rule) -> bool:
    return all(any(pattern_covers(w, n) for w in wide.tools) for n in narrow.tools)


# Contradicting


def _conflicting(rules: Sequence[_Known]) -> Iterator[Redundant]:
    """Constraints that want different constants for one path in one call, which is then denied."""
    by_path: dict[str, list[tuple[_Known, Assignment, Any]]] = defaultdict(list)
    for known in rules:
        for one in known.rule.sets:
            constant, value = _value(one)
            if not constant:
                continue
            for other, theirs, wanted in by_path[one.path][:_MOST]:
                if _differ(value, wanted) and _overlap(known, other):
                    message = (
                        f"rule `{known.rule.id}` sets `{one.path}` to {_shown(value)} and "
                        f"`{other.rule.name}` to {_shown(wanted)}: a call that both are about is denied"
                    )
                    yield Redundant(known.rule.name, "AG226", message, ("set", theirs.path))
                    break
            by_path[one.path].append((known, one, value))


def _value(one: Assignment) -> tuple[bool, Any]:
    if one.program is None:
        return True, one.constant
    node = one.program.ast
    return (True, node.value) if isinstance(node, ast.Literal) else (False, None)


def _differ(one: object, other: object) -> bool:
    return type(one) is not type(other) or one != other


def _shown(value: object) -> str:
    return f'"{value[:40]}"' if isinstance(value, str) else str(value).lower()


def _overlap(one: _Known, other: _Known) -> bool:
    """Whether some call is about both: proved by a call, on the real evaluator, or by what follows."""
    tools = itertools.product(one.rule.tools, other.rule.tools)
    if not any(pattern_covers(mine, theirs) or pattern_covers(theirs, mine) for mine, theirs in tools):
        return False
    if follows(one.true, other.true) or follows(other.true, one.true):
        return not impossible(All((one.true, other.true)))
    return _example(All((one.true, other.true)), [one, other])


def _example(form: Form, rules: Sequence[_Known]) -> bool:
    conditions = [known.rule.condition for known in rules if known.rule.condition is not None]
    for way in ways(form) or ():
        choices = {atom.says.path: _guesses(way, atom.says.path) for atom in way if atom.says is not None}
        gone = {atom.says.path for atom in way if atom.says and not atom.says.strict and not atom.wanted}
        paths = [path for path in choices if path not in gone]
        for values in itertools.islice(itertools.product(*[choices[path] for path in paths]), _TRIES):
            bindings = _bindings(dict(zip(paths, values, strict=True)))
            if bindings is not None and all(_holds(condition, bindings) for condition in conditions):
                return True
    return False


def _guesses(way: Sequence[Atom], path: tuple[str, ...]) -> list[Any]:
    """Values that may do what is wanted of a path."""
    found: list[Any] = []
    for atom in way:
        if atom.says is None or atom.says.path != path:
            continue
        for constant in (*atom.says.constants, *_literals(atom.node)):
            found.append(constant)
            if type(constant) in (int, float):
                found += [constant + 1, constant - 1]
            elif isinstance(constant, str):
                found.append(constant + "x")
    texts = [one for one in found if isinstance(one, str)]
    joined = [one + other for one, other in itertools.product(texts, texts)]
    return list(dict.fromkeys((*found, "x", True, False, *joined)))


def _literals(node: ast.Node) -> Iterator[Any]:
    for inner in ast.walk(node):
        if isinstance(inner, ast.Literal) and isinstance(inner.value, (str, int, float)):
            yield inner.value


def _bindings(values: Mapping[tuple[str, ...], Any]) -> dict[str, Any] | None:
    """A request with these values at these paths; None where one lies in another."""
    found: dict[str, Any] = {}
    for path, value in values.items():
        inner = found
        for step in path[:-1]:
            inner = inner.setdefault(step, {})
            if not isinstance(inner, dict):
                return None
        if path[-1] in inner:
            return None
        inner[path[-1]] = value
    return found


def _holds(condition: cel.Program, bindings: Mapping[str, Any]) -> bool:
    try:
        return condition.interpret(bindings) is True
    except cel.CelException:
        return False
