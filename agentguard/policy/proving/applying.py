"""Calls of functions: those that the model knows, and for the others what is known of their types."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, Final

from agentguard.cel import ast
from agentguard.policy.proving import calls
from agentguard.policy.proving.operators import Unknown
from agentguard.policy.proving.patterns import Outside
from agentguard.policy.proving.solver import Truth, both, either, negated
from agentguard.policy.proving.values import Alternative, Value, failing, merged
from agentguard.policy.proving.worlds import Scope

if TYPE_CHECKING:
    from agentguard.policy.proving.translating import Translator

__all__ = ["called"]

_TYPES: Final = {
    "null": "null_type", "timestamp": "google.protobuf.Timestamp", "duration": "google.protobuf.Duration",
    "optional": "optional_type", "other": "bytes",
}  # fmt: skip


def called(translator: Translator, node: ast.Call, scope: Scope) -> Value:
    """The result of a function or member function."""
    name = node.function
    operands = node.args if node.target is None else (node.target, *node.args)
    if name == "secret" and isinstance(node.args[0], ast.Literal):
        scope_name = node.args[0].value
        return translator.secret(scope_name) if isinstance(scope_name, str) else failing()
    values = [translator.value(operand, scope) for operand in operands]

    def unknown() -> Hashable:
        return translator.outside(node, scope, translator.cause(values, f"`{name}(...)`"))

    match name:
        case "size" if len(values) == 1 and values[0].of("map") and translator.rewritten(node, bool(scope)):
            # What is written may be a key more.
            return translator.unknown(
                node, scope, "`size` of a map that a constraint writes to", strict=operands
            )
        case "size" if len(values) == 1:
            return calls.size(values[0], unknown)
        case "dyn" if len(values) == 1:
            return values[0]
        case "type" if len(values) == 1:
            return _type(values[0], unknown)
        case "or":
            # The second one is evaluated only where it is needed.
            return translator.unknown(node, scope, "`or(...)`", strict=operands[:1])
        case "orValue" | "hasValue" | "value":
            return _optional(name, values, unknown)
    try:
        if name in calls.MODELLED:
            return calls.modelled(name, values, unknown)
    except Outside:
        pass
    for signature in calls.SIGNATURES.get(name, ()):
        if len(signature.arguments) == len(values):
            certain = name == "within" and isinstance(node.args[0], ast.Literal)
            number = translator.inputs.possible.number(unknown(), f"`{name}(...)`")
            translator.inputs.possible.origins[number] = node
            used = calls.Signature(signature.arguments, signature.result, signature.fails and not certain)
            return calls.typed(used, values, f"!{number}")
    return translator.unknown(node, scope, f"`{name}(...)`", strict=operands)


def _optional(name: str, values: list[Value], unknown: Unknown) -> Value:
    """`x.orValue(y)`, `x.hasValue()`, `x.value()`; what is no optional is an error."""
    value = values[0]
    cases: list[tuple[Truth, Value]] = []
    errors: list[Truth] = [value.error]
    for one in value.alternatives:
        if one.kind == "any":
            found = Value(False, (Alternative(True, "any", unknown()),))
            cases.append((one.guard, found))
        elif one.kind != "optional":
            errors.append(one.guard)
        else:
            present, content = one.payload
            if name == "hasValue":
                cases.append((one.guard, Value(False, (Alternative(True, "bool", present),))))
                continue
            other = values[1] if name == "orValue" and len(values) == 2 else failing()
            cases += [(both(one.guard, present), content), (both(one.guard, negated(present)), other)]
    return merged(cases, either(*errors))


def _type(value: Value, unknown: Unknown) -> Value:
    found: list[Alternative] = []
    for one in value.alternatives:
        if one.kind == "any":
            found.append(Alternative(one.guard, "any", unknown()))
        else:
            found.append(Alternative(one.guard, "type", _TYPES.get(one.kind, one.kind)))
    return Value(value.error, tuple(found))
