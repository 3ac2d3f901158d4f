"""What the tests of proofs share: a symbolic request pinned to a concrete one, and small documents."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from agentguard.call import ContextRequest
from agentguard.policy import Snapshot
from agentguard.policy.functions import bindings_for
from agentguard.policy.proving import Bounds
from agentguard.policy.proving.inputs import ELEMENTS, Inputs, Node, instant_us
from agentguard.policy.proving.solver import negated, new_solver, real_of, text_of, z3
from agentguard.policy.proving.translating import Translator
from agentguard.policy.proving.worlds import World

BEGIN = dt.datetime(2026, 11, 20, tzinfo=dt.UTC)
BOUNDS = Bounds(begin=BEGIN, timeout_s=600)
_MISSING = object()


def snapshot(
    *rules: Mapping[str, Any], policy: str = "p", tools: tuple[str, ...] = ("*",), **options: Any
) -> Snapshot:
    """A set of one policy; rules without an id are named by their place."""
    listed = [{"id": f"r{index}", **rule} for index, rule in enumerate(rules)]
    for rule in listed:
        if rule["effect"] == "step_up":
            rule.setdefault("approval", {"reviewers": ["group:finance"]})
        if rule["effect"] == "flag":
            rule.setdefault("flag", {"owner": "ana"})
    document = {"policy": policy, "owner": "sec", "tools": list(tools), "rules": listed}
    return Snapshot.from_documents([document], **options)


def request(**fields: Any) -> ContextRequest:
    return ContextRequest.from_mapping(
        {"tool": "t", "args": {}, "agent": {"id": "a"}, "now": BEGIN.isoformat(), **fields}
    )


def pinned(inputs: Inputs, asked: ContextRequest) -> list[Any]:
    """That the symbolic request is this one, as far as its nodes go."""
    bindings = bindings_for(asked)
    supplied = asked.supplied
    roots = {**bindings, "@provenance": supplied.get("provenance", {}), "@secret": supplied.get("secret", {})}
    found = [inputs.now == instant_us(asked.now)]
    for path in [one for one in inputs.nodes if len(one) == 1]:
        found += _pins(inputs.nodes[path], roots.get(path[0], _MISSING))
    return found


def _pins(node: Node, value: Any) -> list[Any]:
    shape = _shape(value)
    pins: list[Any] = []
    if len(node.shapes) > 1:
        pins.append(node.flag(shape))
    match shape:
        case "bool":
            pins.append(z3.Bool(f"{node.name}.bool") == value)
        case "int":
            pins.append(node.integer == value)
        case "double":
            pins.append(node.real == real_of(Fraction(value)))
        case "string":
            pins.append(node.text == text_of(value))
        case "timestamp":
            pins.append(node.instant == instant_us(value))
        case "duration":
            pins.append(node.span == value // dt.timedelta(microseconds=1))
        case "list":
            if "size" in node.__dict__:
                pins.append(node.size == len(value))
            if "elements" in node.__dict__:
                for element, item in zip(node.elements, value[:ELEMENTS], strict=False):
                    pins += _pins(element, item)
        case "map":
            if "size" in node.__dict__:
                pins.append(node.size == len(value))
            for name, child in node.children.items():
                pins += _pins(child, value.get(name, _MISSING))
        case _:
            pass
    return pins


def _shape(value: Any) -> str:
    if value is _MISSING:
        return "absent"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "int" if -(2**63) <= value < 2**63 else "big"
    if isinstance(value, float):
        return "double"
    if isinstance(value, str):
        return "string"
    if isinstance(value, (list, tuple)):
        return "list"
    if isinstance(value, dt.datetime):
        return "timestamp"
    if isinstance(value, dt.timedelta):
        return "duration" if abs(value.days) < 100_000 else "big"
    return "map" if isinstance(value, Mapping) else "other"


def admitted(program: Any, asked: ContextRequest) -> tuple[set[str], tuple[str, ...]]:
    """The outcomes that the model admits for a request, and the constructs outside the model."""
    inputs = Inputs("t", BEGIN)
    verdict, constructs = Translator(inputs, World()).condition(program)
    pins = pinned(inputs, asked)
    outcomes = {"true": verdict.true, "false": verdict.false, "error": verdict.error}
    found: set[str] = set()
    for name, outcome in outcomes.items():
        if outcome is False:
            continue
        solver = new_solver()
        solver.set("timeout", 600_000)
        solver.add(*inputs.stated, *pins, outcome)
        answer = solver.check()
        assert answer != z3.unknown, solver.reason_unknown()
        if answer == z3.sat:
            found.add(name)
    return found, constructs


__all__ = ["BEGIN", "BOUNDS", "admitted", "negated", "pinned", "request", "snapshot"]
