"""Sources that differ only in constants are checked once; whatever the first one was, each is itself."""

from __future__ import annotations

import re
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentguard import cel
from agentguard.cel import forms
from agentguard.policy.discriminators import discriminators
from agentguard.policy.functions import ENVIRONMENT
from tests.cel import hostile
from tests.cel.agreement import evaluated, exact
from tests.cel.expressions import EXPRESSIONS
from tests.cel.fuzz import Chance

LAW = settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
# What tempts a program that looks at constants only: quotes, prefixes, escapes, bounds, signs, other kinds.
CONSTANTS = [
    "0", "7", "42", "007", "999999999999999", "9007199254740993", "99999999999999999999", "1.5", ".5", "1e3",
    "0x1F", "5u", "-3", "true", "null", "'a'", '"a"', '""', "''", '"b c"', "'it\"s'", '"it\'s"', r'"\n"',
    r'"\ud800"', "'é'", 'b"a"', 'r"a"', '"""a"""', "'''a'''", '"//"', '"a" // "b"', '"' + "a" * 600 + '"',
    '"("', '"2026-01-01"', "a1",
]  # fmt: skip
TEMPLATES = [
    "args.x == {}", "{} == args.x", "args.x in [{}, {}]", "{} in args.x", "args.x + {} > {}",
    "args.x - {} > 0", "-{} < args.x", "!(args.x == {}) && args.y <= {}", "args.x.startsWith({})",
    "args.x.contains({}) || args.n == {}", "args[{}] == {}", "args.x.matches({})", "timestamp({}) < now",
    "glob(args.x, {}) && args.n > {}", "args.l.all(e, e != {})", "args.l.exists(e, e in [{}, {}])",
    "{{{}: {}}}.size() > 0", "[{}, {}] == args.l", "args.x == {} ? {} : {}", "args.x == {}{}",
    "agent.id == {} && agent.id == {}", "agent.id == {} || agent.id in [{}, {}]",
    "agent.id == {} && args.x > {}", "cel.block([{}, {}], cel.index(0))", "cel.bind(y, {}, y == {})",
    "secret({}).age > {}", "provenance(args[{}]).from_user == {}", "args.x == {} // {}",
    "[[{}], {}] == args.l", "args.`{}` == {}", "args.x{} == {}", "args.x == {}.5", "args.x == b{}",
    "args.x ==\n{}\n&& args.y\t== {}", "args.l == [?{}, {}]",
]  # fmt: skip


@st.composite
def families(draw: st.DrawFn) -> list[str]:
    """Sources of one template with other constants."""
    template = draw(st.sampled_from(TEMPLATES))
    count = template.replace("{{", "").count("{}")
    pick = st.lists(st.sampled_from(CONSTANTS), min_size=count, max_size=count)
    return [template.format(*draw(pick)) for _ in range(draw(st.integers(2, 6)))]


def environment_like(known: cel.Environment) -> cel.Environment:
    """The same declarations, and nothing learnt."""
    return cel.Environment(
        known.variables, closed=known.closed, functions=known.functions, members=known.members,
        path_functions=known.path_functions, unknown_functions=known.unknown_functions, limits=known.limits,
    )  # fmt: skip


def outcome(source: str, environment: cel.Environment) -> Any:
    """Everything that compiling says about a source."""
    try:
        program = cel.compile(source, environment=environment)
    except cel.CelException as error:
        return type(error), str(error), getattr(error, "position", None)
    return (
        program.ast, program.names, program.paths, program.functions, program.calls, program.cost,
        program.template()[0].key, program.template()[1], discriminators(program),
    )  # fmt: skip


def alone(source: str, known: cel.Environment) -> Any:
    return outcome(source, environment_like(known))


@LAW
@given(families(), st.sampled_from([ENVIRONMENT, *hostile.ENVIRONMENTS]))
def test_what_was_compiled_before_makes_no_difference(sources: list[str], known: cel.Environment) -> None:
    """Tree, facts, shape and constants, discriminators and errors are the source's own."""
    environment = environment_like(known)
    for source in [*sources, *sources]:
        assert outcome(source, environment) == alone(source, known)


@LAW
@given(EXPRESSIONS, st.integers(0, 1 << 30))
def test_any_expression_may_teach_a_form(source: str, seed: int) -> None:
    """Random expressions, their constants replaced by others."""
    random, known = Random(seed), hostile.ENVIRONMENTS[0]
    environment = environment_like(known)
    for _ in range(4):
        other = re.sub(r"'[^'\\]*'|\b[0-9]+\b", lambda _: random.choice(CONSTANTS), source)
        for variant in (source, other):
            assert outcome(variant, environment) == alone(variant, known)


@pytest.mark.parametrize("number", range(300))
def test_filled_forms_evaluate_as_programs_of_their_own(number: int) -> None:
    """Compiled code and interpreter on hostile bindings, under an environment that has learnt the form."""
    source, known, bindings = hostile.case(Chance(f"forms/{number}"))
    environment = environment_like(known)
    for text, count in (("'q'", "3"), ("'r'", "4"), ("'a'", "5")):
        taught = re.sub(r"'a'", text, re.sub(r"\b5\b", count, source))
        try:
            program = cel.compile(taught, environment=environment)
        except cel.CelException:
            return
        wanted = exact(cel.compile(taught, environment=environment_like(known)), bindings)
        for _ in range(3):
            assert evaluated(program, bindings) == wanted


def learnt(*sources: str) -> cel.Environment:
    environment = environment_like(ENVIRONMENT)
    for source in sources:
        cel.compile(source, environment=environment)
    return environment


def test_ten_thousand_rules_of_a_pattern_are_one_form() -> None:
    """Known from the third on; in it constants of the same kind are blanks."""
    environment = learnt('agent.id == "a" && args.n > 1', 'agent.id == "b" && args.n > 2')
    one, two = (
        cel.compile(source, environment=environment)
        for source in ('agent.id == "c" && args.n > 3', "agent.id == 'd' && args.n > 4")
    )
    assert one.form is two.form is not None
    assert (one.values, two.values) == (("c", 3), ("d", 4))
    assert len(environment.forms) == 1


def test_constants_that_mean_more_than_a_value_belong_to_the_form() -> None:
    """The pattern of a function, the key of an index and the text of a time are checked in each source."""
    environment = learnt(*[f'args.x.matches("a{number}") && args.n > {number}' for number in range(3)])
    with pytest.raises(cel.CelSyntaxError, match="invalid pattern"):
        cel.compile('args.x.matches("(") && args.n > 3', environment=environment)
    environment = learnt(*[f'args["k"] == {number}' for number in range(3)])
    program = cel.compile('args["other"] == 9', environment=environment)
    assert program.paths == {"args.other"}
    assert cel.compile('args["k"] == 9', environment=environment).form is not None


@pytest.mark.parametrize(
    ("taught", "source", "message"),
    [
        (["args.n > 1", "args.n > 2"], "args.n > 99999999999999999999", "out of range"),
        (['args.x == "a"', 'args.x == "b"'], r'args.x == "\q"', "invalid escape"),
        (['args.x == "a"', 'args.x == "b"'], 'args.x == "c" "d"', "unexpected"),
        (["args.n > 1", "args.n > 2"], "args.n > 1x", "malformed number"),
        (["args.n > 1", "args.n > 2"], "agrs.n > 3", "unknown name"),
    ],
)
def test_a_known_form_lets_no_error_pass(taught: list[str], source: str, message: str) -> None:
    """What is wrong with a source is found although two like it were right."""
    with pytest.raises(cel.CelSyntaxError, match=message):
        cel.compile(source, environment=learnt(*taught))


def test_the_length_of_a_source_is_checked_in_each() -> None:
    """Also where its form is known."""
    limits = cel.Limits(source=20)
    environment = cel.Environment(["x"], closed=True, limits=limits)
    for text in ("a", "b", "c"):
        cel.compile(f'x == "{text}"', environment=environment)
    with pytest.raises(cel.CelSyntaxError, match="too long"):
        cel.compile('x == "aaaaaaaaaaaaaaaa"', environment=environment)


def test_forms_are_kept_in_a_bounded_number() -> None:
    """Sources from outside do not fill the memory, whether they are seen once or often."""
    environment = cel.Environment(unknown_functions="error")
    for number in range(forms.LAYOUTS + 50):
        cel.compile(f"x{'y' * (number % 37)}.z{'w' * (number // 37)} == 1", environment=environment)
    assert len(environment.layouts) <= forms.LAYOUTS
    environment = cel.Environment(unknown_functions="error")
    for number in range(forms.FORMS + 50):
        for constant in (1, 2, 3):
            name = "y" * (number % 37) + "." + "w" * (number // 37 + 1)
            cel.compile(f"x{name} == {constant}", environment=environment)
    assert 0 < len(environment.forms) <= forms.FORMS
