"""What compiled code must not do: know better than the interpreter."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import MappingProxyType
from typing import Any

import pytest

from agentguard import cel
from agentguard.cel.compiler import compiled
from agentguard.cel.template import Template
from agentguard.cel.values import UNDECIDED
from tests.cel import agreement
from tests.cel.suite import quick

NAMES = ["args", "agent", "environment"]


def bounded(steps: int) -> cel.Environment:
    return cel.Environment(NAMES, unknown_functions="error", limits=cel.Limits(steps=steps))


def program(source: str, steps: int = 1_000_000) -> cel.Program:
    return cel.compile(source, environment=bounded(steps))


@pytest.mark.parametrize(
    ("source", "bindings"),
    [
        ('agent.id == "billing" && args.amount <= 10', {"agent": {"id": "billing"}, "args": {"amount": 5}}),
        ('environment in ["prod", "test"]', {"environment": "prod"}),
        ('"a" in agent.tags || has(args.x)', {"agent": {"tags": ("b", "a")}, "args": {}}),
        ('args.payee.startsWith("P") && size(args.note) < 3', {"args": {"payee": "P1", "note": ""}}),
        ("args.lines.all(l, l.price <= args.limit)", {"args": {"lines": [{"price": 1}], "limit": 2}}),
    ],
)
def test_what_policies_ask_is_answered_by_compiled_code(source: str, bindings: dict[str, Any]) -> None:
    """The ordinary condition on the ordinary request needs no interpreter."""
    assert quick(program(source), bindings) is True


def test_conditions_of_one_shape_share_one_code() -> None:
    """Only constants differ: ten thousand rules of a pattern are one code object."""
    environment = bounded(1_000_000)
    one, two = (cel.compile(f'agent.id == "{name}"', environment=environment) for name in ("a", "b"))
    for condition in (one, one, two):
        condition.evaluate({"agent": {"id": "b"}})
    assert one.compiled is not None
    assert one.compiled is two.compiled
    assert one.evaluate({"agent": {"id": "b"}}) is False
    assert two.evaluate({"agent": {"id": "b"}}) is True


def test_very_long_conditions_are_left_to_the_interpreter() -> None:
    """Compiling them in the middle of a decision would take too long; their constants do not count."""
    environment = bounded(1_000_000)
    chain = " || ".join(f"args.a == {number}" for number in range(200))
    assert compiled(Template(cel.compile(chain, environment=environment).ast), environment) is None
    agreement.check(chain, environment, {"args": {"a": 199}})
    names = ", ".join(f'"n{number}"' for number in range(1_000))
    assert quick(cel.compile(f"args.a in [{names}]", environment=environment), {"args": {"a": "n9"}}) is True


def test_shapes_are_kept_in_a_bounded_number() -> None:
    """Sources from outside do not fill the memory."""
    environment = cel.Environment(unknown_functions="error")
    for number in range(600):
        compiled(Template(cel.compile(f"x{number} > 1", environment=environment).ast), environment)
    assert len(environment.shapes) <= 512


@pytest.mark.parametrize(
    "sources",
    [
        ("x == 'a'", "x == 1"),
        ("x == 1", "x == 1.0"),
        ("x == 1", "x == true"),
        ("x == 1", "x == 1u"),
        ("x == 1", "x == 9007199254740993"),
        ("x in ['a']", "x in ['a', 1]"),
        ("x.a", "x.b"),
        ("x.a", "x.?a"),
        ("x.all(y, y)", "x.exists(y, y)"),
        ("x + y", "y + x"),
    ],
)
def test_what_shapes_the_code_is_in_the_shape(sources: tuple[str, str]) -> None:
    """Code made for a text is not used for a number, nor that of one field for another."""
    one, two = (Template(cel.compile(source).ast).key for source in sources)
    assert one != two


def test_a_round_is_charged_for_the_constants_of_its_own_condition() -> None:
    """Two conditions that differ in the length of a constant list cost different sums."""
    environment = bounded(6_000)
    few = cel.compile("args.l.all(e, !(e in ['a']))", environment=environment)
    long = ", ".join(f"'x{number}'" for number in range(200))
    many = cel.compile(f"args.l.all(e, !(e in [{long}]))", environment=environment)
    bindings = {"args": {"l": ["z"] * 40}}
    assert quick(few, bindings) is True
    assert quick(many, bindings) is UNDECIDED
    with pytest.raises(cel.CelError, match="too costly"):
        many.evaluate(bindings)


def test_what_leaves_is_charged_again() -> None:
    """A long text costs when it is read and when it is the result, in both evaluators."""
    for steps in (100, 156, 400):
        for source in ("args", "args.x"):
            agreement.check(source, bounded(steps), {"args": "é" * 5_000})
            agreement.check(source, bounded(steps), {"args": {"x": "é" * 5_000}})


@pytest.mark.parametrize(
    ("source", "large"),
    [
        ("args.x == 'a'", "é" * 100_000),
        ("args.x.contains('a')", "b" * 1_000_000),
        ("args.x < args.y", "a" * 1_000_000),
        ("args.x == args.y", "a" * 1_000_000),
        ("'a' in args.x", ["b"] * 10_000),
        ("args.x.all(e, e != 'a')", ["b"] * 10_000),
        ("args.x.exists(e, args.x.exists(f, f == 'a'))", ["b"] * 1_000),
        ("args.x + args.x == 'a'", "b" * 400_000),
        ("args.x.matches('^(b+)+c$')", "b" * 100_000),
        ("size(args.x) > 3", "é" * 100_000),
    ],
)
def test_budgets_hold_in_compiled_code(source: str, large: object) -> None:
    """Work that the interpreter refuses as too costly is refused whichever way it is evaluated."""
    spent = program(source, steps=500)
    bindings = {"args": {"x": large, "y": large}}
    with pytest.raises(cel.CelError, match=r"too (costly|large)"):
        spent.interpret(bindings)
    for _ in range(3):
        with pytest.raises(cel.CelError, match=r"too (costly|large)"):
            spent.evaluate(bindings)


class Lying(dict[str, Any]):
    """A map that finds what it says it does not have."""

    def __contains__(self, key: object) -> bool:
        return False

    def __missing__(self, key: str) -> str:
        return "made up"


def test_presence_is_what_reading_finds() -> None:
    """What a foreign map says about itself does not make the evaluators differ."""
    for held in (Lying(), Lying(a=1), MappingProxyType(Lying()), MappingProxyType(Lying(a=1))):
        for source in ("has(args.a)", "has(args.a) && args.a == 1", 'args.a == "made up"'):
            agreement.check(source, bounded(1_000), {"args": held})


def deep(levels: int, call: Callable[[], object]) -> object:
    return call() if levels == 0 else deep(levels - 1, call)


def test_a_caller_deep_in_its_stack_gets_an_answer_or_an_error_of_cel() -> None:
    """Neither compiling nor evaluating raises anything else, however little stack is left."""
    limit = sys.getrecursionlimit()
    nested = "(" * 20 + "args.x" + " + 1)" * 20 + " > 1 && [[args.x]].all(e, e.all(f, f > 0))"
    for left in range(20, 400, 7):
        fresh = program(nested)

        def evaluate(fresh: cel.Program = fresh) -> object:
            try:
                return fresh.evaluate({"args": {"x": 5}})
            except cel.CelError:
                return None

        used = len(_frames())
        assert deep(limit - used - left, evaluate) in (True, None)
        # And what was tried there does no harm to later evaluations.
        assert fresh.evaluate({"args": {"x": 5}}) is True


def _frames() -> list[object]:
    found: list[object] = []
    frame = sys._getframe()
    while frame is not None:
        found.append(frame)
        frame = frame.f_back  # type: ignore[assignment]  # None ends the loop
    return found


def test_functions_of_the_host_are_those_of_the_environment() -> None:
    """Shapes are of one environment: another one's function of the same name is not called."""
    answers = []
    for answer in (1, 2):
        function = cel.Function(lambda context, answer=answer: answer)
        environment = cel.Environment(functions={"f": function})
        fresh = cel.compile("f() == 1", environment=environment)
        answers.append([fresh.evaluate({}) for _ in range(3)])
    assert answers == [[True] * 3, [False] * 3]
