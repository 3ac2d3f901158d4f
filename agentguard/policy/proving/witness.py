"""From a model of the solver to a request: values for every path, and guesses where the model had none."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any, Final

from agentguard import cel
from agentguard.call import ContextRequest
from agentguard.cel import ast
from agentguard.errors import AgentGuardError
from agentguard.policy.functions import ENVIRONMENT, bindings_for
from agentguard.policy.locators import parse_network
from agentguard.policy.proving.inputs import ELEMENTS, FACTS, Inputs, Node, moment
from agentguard.policy.proving.solver import free, value_in, z3
from agentguard.policy.windows import parse_windows

__all__ = ["candidates", "mistaken", "shapes", "unknowns"]

_HUGE: Final = 2**70
_PADDED: Final = 2_000
_STEP: Final = dt.timedelta(minutes=30)
_STEPS: Final = 8 * 48
_SUPPLIED: Final = ("history", "rates", "baseline")
_VARIABLES: Final = ("args", "agent", "session", "facts", "context", "principal", "resource", "workload")
_MARKS: Final = ("?", "!", "(")


def candidates(model: Any, inputs: Inputs) -> Iterator[ContextRequest]:
    """Requests that the model may mean: as it is, with texts that functions may want, at other times."""
    data = _request(model, inputs)
    wanted = _windows(model, inputs)
    for mapping in (data, _repaired(data, model, inputs)):
        if mapping is None:
            continue
        request = _made(mapping)
        if request is None:
            continue
        yield request
        if wanted and inputs.at is None:
            found = _at_times(wanted, request.now)
            if found is not None:
                again = _made({**mapping, "now": found.isoformat()})
                if again is not None:
                    yield again


def _made(mapping: Mapping[str, Any]) -> ContextRequest | None:
    try:
        return ContextRequest.from_mapping(mapping)
    except AgentGuardError:
        # A value that no request can hold, such as a text of megabytes.
        return None


def unknowns(model: Any) -> list[Any]:
    """That the unknowns of a model are others: what to ask for when they were not as it has them."""
    found: list[Any] = []
    for declared in model.decls():
        name = declared.name()
        if declared.arity() == 0 and (name.startswith(_MARKS) or ".rest" in name):
            found.append(declared() != model[declared])
    return found


def mistaken(model: Any, inputs: Inputs, request: ContextRequest) -> frozenset[str]:
    """Constructs outside the model that yield something else than the solver took them to yield."""
    said = {declared.name() for declared in model.decls()}
    bindings = bindings_for(request)
    found: set[str] = set()
    for name, construct in inputs.possible.constructs.items():
        number = inputs.possible.numbers[name]
        names = said & {f"?{number}=true", f"?{number}=false", f"!{number}=value", f"!{number}=error"}
        if not names:
            continue
        match name:
            case (str(text), (), None):
                real = _real(text, bindings)
                if all(_agrees(model, number, one, real) for one in names):
                    continue
            case ("engine", *_):
                # No request that is tried has another decision point's opinion.
                if not value_in(model, free(f"?{number}=true")):
                    continue
            case _:
                pass
        found.add(construct)
    return frozenset(found)


def _real(text: str, bindings: Mapping[str, Any]) -> object:
    """What an expression really yields; None for an error."""
    try:
        return cel.compile(text, environment=ENVIRONMENT).interpret(bindings)
    except cel.CelException:
        return None


def _agrees(model: Any, number: int, name: str, real: object) -> bool:
    match name.removeprefix(f"?{number}=").removeprefix(f"!{number}="):
        case "true":
            return bool(value_in(model, free(name))) is (real is True)
        case "false":
            return bool(value_in(model, free(name))) is (real is False)
        case "error":
            return bool(value_in(model, free(name))) is (real is None)
        case _:
            declared = next(one for one in model.decls() if one.name() == name)
            return real is None or bool(value_in(model, declared()) == real)


def shapes(model: Any, inputs: Inputs) -> list[Any]:
    """That some path holds a value of another kind."""
    found: list[Any] = []
    for node in list(inputs.nodes.values()):
        for shape in node.shapes if len(node.shapes) > 1 else ():
            flag = node.flag(shape)
            if value_in(model, flag):
                found.append(z3.Not(flag))
    return found


def _request(model: Any, inputs: Inputs) -> dict[str, Any]:
    data: dict[str, Any] = {
        "tool": value_in(model, inputs.tool),
        "args": {},
        "agent": {},
        "now": moment(value_in(model, inputs.now)).isoformat(),
    }
    supplied: dict[str, Any] = {}
    for path, node in list(inputs.nodes.items()):
        if len(path) != 1 or _shape(model, node) == "absent":
            continue
        value = _value(model, node)
        if path[0] in FACTS:
            supplied[FACTS[path[0]]] = value
        elif path[0] in _SUPPLIED:
            supplied[path[0]] = value
        else:
            data[path[0]] = value
    data["agent"].setdefault("id", "agent")
    if supplied:
        data["supplied"] = supplied
    return data


def _shape(model: Any, node: Node) -> str:
    return next((shape for shape in node.shapes if value_in(model, node.flag(shape))), node.shapes[-1])


def _value(model: Any, node: Node) -> Any:
    match _shape(model, node):
        case "bool":
            return value_in(model, free(f"{node.name}.bool"))
        case "int":
            return value_in(model, node.integer)
        case "big":
            return _HUGE
        case "double":
            return float(Fraction(value_in(model, node.real)))
        case "string":
            return value_in(model, node.text)
        case "list":
            return _list(model, node)
        case "map":
            children = node.children.items()
            held = {
                name: _value(model, child) for name, child in children if _shape(model, child) != "absent"
            }
            more = value_in(model, node.size) - len(held) if "size" in node.__dict__ else 0
            return held | {f"more{number}": "" for number in range(min(more, _PADDED))}
        case "timestamp":
            return moment(value_in(model, node.instant))
        case "duration":
            return dt.timedelta(microseconds=value_in(model, node.span))
        case "other":
            return b"\x00"
        case _:
            return None


def _list(model: Any, node: Node) -> list[Any]:
    size = value_in(model, node.size)
    found = [_value(model, element) for element in node.elements[:size]] if size else []
    if size <= ELEMENTS:
        return found
    for rest in node.rests.values():
        if value_in(model, rest.decisive) and rest.example is not None:
            found.append(rest.example)
    found += [""] * (min(size, _PADDED) - len(found))
    if any(value_in(model, rest.error) for rest in node.rests.values()):
        found.append(_HUGE)
    return found


# Guesses: the replay says whether they are right


def _windows(model: Any, inputs: Inputs) -> dict[str, bool]:
    """What the model takes each `within` to be."""
    said = {declared.name() for declared in model.decls()}
    found: dict[str, bool] = {}
    for number, node in inputs.possible.origins.items():
        name = f"!{number}=value"
        match node:
            case ast.Call(function="within", args=(ast.Literal(value=str(text)),)) if name in said:
                found[text] = value_in(model, free(name))
            case _:
                pass
    return found


def _at_times(wanted: Mapping[str, bool], begin: dt.datetime) -> dt.datetime | None:
    """A time within some days at which windows are as the model has them."""
    base = begin.replace(minute=0, second=0, microsecond=0) + dt.timedelta(hours=1)
    for step in range(_STEPS):
        at = base + step * _STEP
        if all(any(one.holds(at) for one in parse_windows(text)) is is_in for text, is_in in wanted.items()):
            return at
    return None


def _repaired(data: Mapping[str, Any], model: Any, inputs: Inputs) -> dict[str, Any] | None:
    """The request with texts for which functions yield what the model takes them to yield."""
    said = {declared.name() for declared in model.decls()}
    changed: dict[str, Any] = dict(data)
    before = changed
    for number, node in inputs.possible.origins.items():
        name = f"!{number}=value"
        if not isinstance(node, ast.Call) or name not in said:
            continue
        operand = node.args[0] if node.target is None else node.target
        path = _path(operand)
        wanted = value_in(model, next(one() for one in model.decls() if one.name() == name))
        text = _text_for(node, wanted)
        if path is not None and text is not None:
            changed = _put(changed, path, text)
    return None if changed is before else changed


def _text_for(node: ast.Call, wanted: Any) -> str | None:
    """A text for which a function yields what is wanted."""
    last = node.args[-1] if node.args else None
    constant = last.value if isinstance(last, ast.Literal) and isinstance(last.value, str) else ""
    match node.function:
        case "host":
            return f"https://{wanted}/" if wanted else None
        case "lowerAscii" | "upperAscii" | "trim":
            return str(wanted)
        case "path_within":
            return constant if wanted else "/nowhere"
        case "in_network" if constant:
            return str(parse_network(constant).network_address) if wanted else "192.0.2.1"
        case "has_hidden":
            return "\u200b" if wanted else "a"
        case _:
            return None


def _path(node: ast.Node) -> tuple[str, ...] | None:
    fields: list[str] = []
    while isinstance(node, ast.Select):
        fields.append(node.field)
        node = node.operand
    if isinstance(node, ast.Ident) and node.name in _VARIABLES and fields:
        return (node.name, *reversed(fields))
    return None


def _put(data: Mapping[str, Any], path: tuple[str, ...], value: Any) -> dict[str, Any]:
    """A copy with another value at a path."""
    first, *rest = path
    inner = data.get(first)
    if not rest:
        return {**data, first: value}
    return {**data, first: _put(inner if isinstance(inner, Mapping) else {}, tuple(rest), value)}
