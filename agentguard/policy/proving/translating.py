"""Conditions as symbolic values: what CEL says of every node, and an unknown for what is outside the model.

An unknown is named by the text of its node: the same expression about the same request is the same unknown
in every rule, and in both of two sets. It may be true, false or an error: what is proved holds in any case.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Final

from agentguard import cel
from agentguard.cel import ast
from agentguard.cel.closures import constant as constant_of
from agentguard.cel.facts import facts
from agentguard.policy.proving.applying import called
from agentguard.policy.proving.inputs import Inputs, Node, Secret
from agentguard.policy.proving.operators import ORDER, arithmetic, equal, minus, ordered
from agentguard.policy.proving.quantifiers import Asked, membership, quantified
from agentguard.policy.proving.solver import Truth, both, either, negated
from agentguard.policy.proving.values import (
    Alternative,
    Value,
    Verdict,
    constant,
    failing,
    merged,
    truth,
)
from agentguard.policy.proving.worlds import NOTHING, Bound, Scope, World
from agentguard.policy.testing.unparse import unparse

__all__ = ["Translator"]


class Translator:
    """Translates the conditions of a tool's rules in one world; `met` collects what is outside the model."""

    def __init__(self, inputs: Inputs, world: World) -> None:
        self.inputs = inputs
        self.world = world
        self.met: dict[str, None] = {}
        self._known: dict[str, tuple[Verdict, tuple[str, ...]]] = {}

    def condition(self, program: cel.Program | None) -> tuple[Verdict, tuple[str, ...]]:
        """A condition, and the constructs in it that are outside the model."""
        if program is None:
            return Verdict(True, False), ()
        found = self._known.get(program.source)
        if found is None:
            self.met = {}
            verdict = truth(self.value(program.ast), self.inputs.possible)
            found = self._known[program.source] = verdict, tuple(self.met)
        return found

    # Values

    def value(self, node: ast.Node, scope: Scope = NOTHING) -> Value:
        """What an expression yields."""
        known = constant_of(node)
        if known is not ... and not isinstance(node, (ast.List, ast.Map)):
            found = constant(known)
            return found if found is not None else self.unknown(node, scope, "constant")
        match node:
            case ast.Ident(name=name, absolute=absolute):
                if name in scope and not absolute:
                    return scope[name].value
                found = self.inputs.root(name)
                return found if found is not None else self.unknown(node, scope, f"`{name}`")
            case ast.Select():
                return self.select(node, scope)
            case ast.Call():
                return self.call(node, scope)
            case ast.PathCall():
                return self.provenance(node, scope)
            case ast.List(elements=elements, optional=optional) if not optional:
                values = tuple(self.value(element, scope) for element in elements)
                error = either(*[value.error for value in values])
                return Value(error, (Alternative(negated(error), "list", values),))
            case ast.Comprehension(macro="all" | "exists", variables=(variable,)):
                return self.quantifier(node, variable, scope)
            case ast.Bind(name=name, value=value, body=body):
                bound = Bound(self.value(value, scope), self.name(value, scope))
                return self.value(body, {**scope, name: bound})
            case ast.Comprehension():
                return self.unknown(node, scope, f"`{node.macro}(...)`", strict=(node.range,))
            case ast.Map():
                return self.unknown(node, scope, "a map in the condition")
            case _:
                return self.unknown(
                    node, scope, "`cel.block`" if isinstance(node, ast.Block) else "this form"
                )

    def unknown(
        self, node: ast.Node, scope: Scope, construct: str, strict: tuple[ast.Node, ...] = ()
    ) -> Value:
        """A value about which nothing is known, but that it is an error where a part of it is one."""
        error = either(*[self.value(part, scope).error for part in strict])
        name = self.outside(node, scope, construct)
        return Value(error, (Alternative(negated(error), "any", name),))

    def outside(self, node: ast.Node, scope: Scope, construct: str) -> Hashable:
        """The name of an unknown, which is noted as outside the model."""
        name = self.name(node, scope)
        self.met.setdefault(construct)
        self.inputs.possible.number(name, construct)
        return name

    def cause(self, values: Sequence[Value], otherwise: str) -> str:
        """The construct to name: that of an operand which is unknown already, if there is one."""
        known = self.inputs.possible.constructs
        unknown = [known[one.payload] for value in values for one in value.of("any") if one.payload in known]
        return unknown[0] if unknown else otherwise

    def name(self, node: ast.Node, scope: Scope) -> Hashable:
        """A name that two unknowns share only if they are the same function of the request."""
        used = {part.name for part in ast.walk(node) if isinstance(part, ast.Ident)} & scope.keys()
        bound = tuple((name, scope[name].name) for name in sorted(used))
        return (unparse(node), bound, self.world.name if self.rewritten(node, bool(bound)) else None)

    def rewritten(self, node: ast.Node, bound: bool) -> bool:
        """Whether a node may read what constraints have written."""
        if self.world.name is None:
            return False
        read = facts(node)
        paths = [*read.paths, *(str(args[0]) for call, args in read.calls if call == "provenance" and args)]
        return bound or self.world.touches(paths)

    def fields_of(self, payload: object, field_: str) -> tuple[Truth, Value] | None:
        """A field of a map: whether it is missing, and what it is; None for a map outside the model."""
        if isinstance(payload, Secret):
            return payload.child(field_)
        return self.world.child(payload, field_) if isinstance(payload, Node) else None

    # Reading

    def select(self, node: ast.Select, scope: Scope) -> Value:
        operand = self.value(node.operand, scope)
        how = "has" if node.test_only else "optional" if node.optional else "plain"
        return self.field(operand, node.field, how, node, scope)

    def field(self, operand: Value, name: str, how: str, node: ast.Node, scope: Scope) -> Value:
        """`operand.name`, `operand.?name` or `has(operand.name)`."""
        cases: list[tuple[Truth, Value]] = []
        errors: list[Truth] = [operand.error]
        for one in operand.alternatives:
            match one.kind:
                case "map":
                    found = self.fields_of(one.payload, name)
                    if found is None:
                        cases.append(
                            (one.guard, self.unknown(node, scope, "a field of a map in the condition"))
                        )
                    else:
                        cases.append((one.guard, _read(*found, how)))
                case "optional":
                    present, content = one.payload
                    inner = "plain" if how == "plain" else how
                    found_in = self.field(content, name, "optional" if inner == "plain" else how, node, scope)
                    cases.append((both(one.guard, present), found_in))
                    cases.append((both(one.guard, negated(present)), _nothing(how)))
                case "any":
                    cases.append((one.guard, self.unknown(node, scope, self.cause((operand,), "a field"))))
                case _:
                    errors.append(one.guard)
        return merged(cases, either(*errors))

    def provenance(self, node: ast.PathCall, scope: Scope) -> Value:
        if node.function != "provenance" or (self.world.name is not None and self.world.touches([node.path])):
            return self.unknown(node, scope, f"`{node.function}(...)` of a constrained argument")
        return self.inputs.node("@provenance").child(node.path).required

    def secret(self, scope_name: str) -> Value:
        """`secret(...)`: the facts as they were supplied, unless their age is no number of seconds."""
        node = self.inputs.node("@secret").child(scope_name)
        secret = Secret(node)
        good = both(node.flag("map"), secret.readable())
        return Value(negated(good), (Alternative(good, "map", secret),))

    # Calls

    def call(self, node: ast.Call, scope: Scope) -> Value:
        function, args = node.function, node.args
        match function:
            case ast.AND | ast.OR:
                return self.logic(function, args, scope)
            case ast.NOT:
                inner = truth(self.value(args[0], scope), self.inputs.possible)
                return _truth_value(Verdict(inner.false, inner.true))
            case ast.CONDITIONAL:
                condition = truth(self.value(args[0], scope), self.inputs.possible)
                cases = [
                    (condition.true, self.value(args[1], scope)),
                    (condition.false, self.value(args[2], scope)),
                ]
                return merged(cases, condition.error)
            case ast.INDEX | ast.OPTIONAL_INDEX:
                return self.index(node, scope)
            case ast.IN:
                return self.contains(node, scope)
            case ast.NEGATE:
                return minus(
                    self.value(args[0], scope), lambda: self.outside(node, scope, "`-` of an unknown value")
                )
        if node.target is None and len(args) == 2 and function in ast.OPERATORS:
            return self.binary(node, scope)
        return called(self, node, scope)

    def logic(self, function: str, args: tuple[ast.Node, ...], scope: Scope) -> Value:
        """`&&` and `||`: an operand that decides the result decides it, whatever the others are."""
        parts = [truth(self.value(arg, scope), self.inputs.possible) for arg in args]
        true, false = [part.true for part in parts], [part.false for part in parts]
        if function == ast.AND:
            return _truth_value(Verdict(both(*true), either(*false)))
        return _truth_value(Verdict(either(*true), both(*false)))

    def binary(self, node: ast.Call, scope: Scope) -> Value:
        left, right = (self.value(arg, scope) for arg in node.args)
        symbol = node.function

        def unknown() -> Hashable:
            other = _OPERATORS.get(symbol, f"`{symbol.strip('_')}` of doubles or lists")
            return self.outside(node, scope, self.cause((left, right), other))

        if symbol in ORDER:
            return ordered(left, right, symbol, unknown)
        if symbol in ("_==_", "_!=_"):
            found = equal(left, right, unknown)
            if symbol == "_==_":
                return found
            verdict = truth(found, self.inputs.possible)
            return _truth_value(Verdict(verdict.false, verdict.true))
        return arithmetic(left, right, symbol, unknown)

    def index(self, node: ast.Call, scope: Scope) -> Value:
        """`a["b"]` as `a.b`; other indices are outside the model."""
        operand, key = node.args
        if isinstance(key, ast.Literal) and isinstance(key.value, str):
            value = self.value(operand, scope)
            how = "plain" if node.function == ast.INDEX else "optional"
            return self.field(value, key.value, how, node, scope)
        return self.unknown(node, scope, "an index that is no constant text", strict=node.args)

    def contains(self, node: ast.Call, scope: Scope) -> Value:
        item, container = (self.value(arg, scope) for arg in node.args)

        def unknown() -> Hashable:
            return self.outside(node, scope, self.cause((item, container), "`in` of lists or maps"))

        example = constant_of(node.args[0])
        question = ("in", self.name(node.args[0], scope))
        asked = Asked(self.name(node, scope), question, None if example is ... else example)
        return membership(item, container, self, asked, unknown)

    def quantifier(self, node: ast.Comprehension, variable: str, scope: Scope) -> Value:
        over = self.value(node.range, scope)

        def body(element: Value, name: Hashable) -> Verdict:
            inner = {**scope, variable: Bound(element, name)}
            return truth(self.value(node.body, inner), self.inputs.possible)

        def unknown() -> Hashable:
            return self.outside(node, scope, self.cause((over,), f"`{node.macro}` over a map"))

        question = (node.macro, self.name(node.body, {**scope, variable: Bound(failing(), "element")}))
        asked = Asked(self.name(node, scope), question, _example(node))
        return quantified(over, node.macro == "exists", body, asked, unknown)


_OPERATORS: Final = {"_==_": "`==` of lists or maps", "_!=_": "`!=` of lists or maps"}


def _truth_value(verdict: Verdict) -> Value:
    return Value(verdict.error, (Alternative(either(verdict.true, verdict.false), "bool", verdict.true),))


def _read(missing: Truth, value: Value, how: str) -> Value:
    """A field that may be missing, read plainly, as an optional, or only asked for."""
    if how == "plain":
        return Value(either(missing, value.error), _unless(missing, value))
    if how == "has":
        return Value(value.error, (Alternative(negated(value.error), "bool", negated(missing)),))
    readable = negated(value.error)
    return Value(value.error, (Alternative(readable, "optional", (negated(missing), value)),))


def _unless(missing: Truth, value: Value) -> tuple[Alternative, ...]:
    return value.alternatives if missing is not True else ()


def _nothing(how: str) -> Value:
    """What is read of an empty optional."""
    if how == "has":
        return Value(False, (Alternative(True, "bool", False),))
    return Value(False, (Alternative(True, "optional", (False, failing())),))


def _example(node: ast.Comprehension) -> object | None:
    """A value that a quantifier asks for by equality, such as the tag in `tags.exists(t, t == "x")`."""
    match node.body:
        case ast.Call(function="_==_", args=(ast.Ident(), ast.Literal(value=value))):
            return value
        case _:
            return None
