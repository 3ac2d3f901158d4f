"""What compiling checks and what a program tells about itself."""

from __future__ import annotations

import pytest

from agentguard import cel
from agentguard.cel import ast

SCOPES = cel.Function(lambda context, scope: {"age": 5, "scope": scope}, 1)
PATHS = cel.PathFunction(lambda context, path: {"path": path, "now": context.fact("now")})
GUARD = cel.Environment(
    ["args", "agent", "now"], closed=True, functions={"secret": SCOPES}, path_functions={"provenance": PATHS}
)


@pytest.mark.parametrize(
    ("source", "position", "message"),
    [
        ("", 0, "ends too early"),
        ("1 +", 3, "ends too early"),
        ("a = 1", 2, "write `==`"),
        ("a &", 2, "write `&&`"),
        ("'abc", 0, "unterminated string"),
        ("a\n  .b c", 7, "join two conditions"),
        ("[1, 2", 5, "expected `]`"),
        ("{'a' 1}", 5, "expected `:`"),
        ("a.b(", 4, "ends too early"),
        ("if", 0, "reserved word"),
        ("9223372036854775808", 0, "out of range"),
        (r"'\q'", 1, "write a backslash as"),
        (r"'\ud800'", 1, "not a Unicode character"),
        ("has(a)", 4, "write `has\\(a.b\\)`"),
        ("a.all(1, true)", 6, "simple name"),
        ("a.all(x, x, true)", 9, "bound twice"),
        ("!-a", 1, "a value is missing"),
        ("cel.index(0)", 0, "no earlier slot"),
        ("a.matches('(')", 10, "invalid pattern"),
        ("0x", 0, "malformed number"),
        ("'a'.matches('\\\\C') && `a`", 22, "backticks"),
    ],
)
def test_syntax_errors_say_where_and_what_to_do(source: str, position: int, message: str) -> None:
    """A source that is no expression is refused with its place and a hint."""
    with pytest.raises(cel.CelSyntaxError, match=message) as caught:
        cel.compile(source)
    assert caught.value.position == position


def test_errors_count_lines_and_columns_from_one() -> None:
    """Line and column are those of an editor."""
    with pytest.raises(cel.CelSyntaxError) as caught:
        cel.compile("true &&\n  = 1")
    assert (caught.value.line, caught.value.column) == (2, 3)


@pytest.mark.parametrize(
    ("source", "message", "candidate"),
    [
        ("agrs.amount > 1", "unknown name `agrs`: did you mean `args`", "args"),
        ("sise(args) > 1", "unknown function `sise`: did you mean `size`", "size"),
        ("args.x.startswith('a')", "did you mean `startsWith`", "startsWith"),
        ("secrets('a')", "did you mean `secret`", "secret"),
        ("startsWith(args.x, 'a')", "is a member function", "startsWith"),
        ("args.x.secret()", "is no member function", "secret"),
        ("secret('a', 'b')", "needs 1 argument, not 2", None),
        ("args.x.charAt()", "needs 1 argument, not 0", None),
        ("args.x.map(y)", "wrong arguments for the macro `map`", None),
        ("qqqqqq", "unknown name `qqqqqq`: declare it", None),
        ("args.x < duration('3 hours')", "invalid duration", None),
    ],
)
def test_an_environment_refuses_unknown_names(source: str, message: str, candidate: str | None) -> None:
    """Names that the environment does not have are refused with the closest one that it has."""
    with pytest.raises(cel.CelSyntaxError, match=message) as caught:
        cel.compile(source, environment=GUARD)
    assert caught.value.candidates == candidate


def test_without_an_environment_unknown_names_are_errors_of_the_evaluation() -> None:
    """An undeclared function or variable only matters where it is reached."""
    assert cel.compile("unknown(1) || x || true").evaluate({}) is True
    with pytest.raises(cel.CelError, match="unknown function `unknown`"):
        cel.compile("unknown(1)").evaluate({})


def test_messages_are_left_out() -> None:
    """Protobuf messages raise their own exception, with the way to write it instead."""
    with pytest.raises(cel.Unsupported, match="write a map"):
        cel.compile("google.protobuf.Value{null_value: 0}")


def test_host_functions_see_values_and_bindings() -> None:
    """A host function receives the context and its arguments, a path function the path."""
    assert cel.compile("secret('s').age", environment=GUARD).evaluate({}) == 5
    program = cel.compile("provenance(args['payee'])", environment=GUARD)
    assert program.evaluate({"now": 3}) == {"path": "args.payee", "now": 3}
    with pytest.raises(cel.CelError, match="no such attribute/fact: `now`"):
        program.evaluate({})


@pytest.mark.parametrize(
    "argument", ["1", "args.x[0]", "size(args)", "args[agent.x]", "args['a.b']", "args, args"]
)
def test_path_functions_take_only_paths(argument: str) -> None:
    """Anything but a path of fields is refused when compiling."""
    with pytest.raises(cel.CelSyntaxError, match="needs one path of fields"):
        cel.compile(f"provenance({argument})", environment=GUARD)


def test_a_path_function_is_not_given_a_macros_variable() -> None:
    """A macro's variable has no path from the bindings."""
    with pytest.raises(cel.CelSyntaxError, match="needs one path of fields"):
        cel.compile("args.items.all(i, provenance(i.x))", environment=GUARD)


def test_failing_host_functions_are_errors_of_the_condition() -> None:
    """Whatever a host function raises becomes a CEL error, which logic absorbs."""

    def broken(context: cel.Context) -> object:
        raise LookupError("no")

    environment = cel.Environment(
        functions={"broken": cel.Function(broken), "big": cel.Function(lambda c: 2**70)}
    )
    with pytest.raises(cel.CelError, match="function `broken` failed: LookupError"):
        cel.compile("broken()", environment=environment).evaluate({})
    with pytest.raises(cel.CelError, match="out of range"):
        cel.compile("big()", environment=environment).evaluate({})
    assert cel.compile("broken() || true", environment=environment).evaluate({}) is True


def test_host_members_and_dotted_functions_are_callable() -> None:
    """A host may add members and functions in a namespace, and may not replace standard ones."""
    environment = cel.Environment(
        functions={"time.zone": cel.Function(lambda context: "UTC")},
        members={"shout": cel.Function(lambda context, text: text + "!")},
    )
    assert cel.compile("time.zone().shout()", environment=environment).evaluate({}) == "UTC!"
    with pytest.raises(ValueError, match="standard function"):
        cel.Environment(functions={"size": SCOPES})
    with pytest.raises(ValueError, match="standard member function"):
        cel.Environment(members={"startsWith": SCOPES})


def test_a_program_tells_what_it_reads() -> None:
    """Names, paths and calls are known without evaluating; a constant index is a field."""
    program = cel.compile(
        "args.amount > 1 && args['amount'] < 9 && agent.?role == secret('s').x && [1].all(args, args > 0)"
        " && has(args.note) && args.items[0].price > 2 && secret(agent.id).y && size(now) > 0",
        environment=GUARD,
    )
    assert program.names == {"args", "agent", "now"}
    assert program.paths == {"args.amount", "agent.role", "args.note", "args.items", "agent.id", "now"}
    assert program.calls == {("secret", ("s",)), ("secret", (None,)), ("size", (None,))}
    assert cel.compile("provenance(args.a)", environment=GUARD).calls == {("provenance", ("args.a",))}


def test_the_cost_grows_with_nested_macros() -> None:
    """The estimate multiplies where macros nest and knows the length of a list in the source."""
    once = cel.compile("x.all(a, a > 0)").cost
    twice = cel.compile("x.all(a, x.all(b, a > b))").cost
    assert cel.compile("[1].all(a, a > 0)").cost < once < twice


def test_nodes_keep_their_text() -> None:
    """Every node's offsets cut its text out of the source."""
    source = "a.b == 'x' && [1, 2].exists(i, i > c)"
    texts = {source[node.start : node.end] for node in ast.walk(cel.compile(source).ast)}
    assert {"a.b == 'x'", "a.b", "[1, 2].exists(i, i > c)", "i > c", source} <= texts


def test_dotted_bindings_are_found_longest_first() -> None:
    """A binding named like a path comes before the fields of a shorter one."""
    program = cel.compile("a.b.c")
    assert program.evaluate({"a.b.c": 1, "a.b": {"c": 2}, "a": {"b": {"c": 3}}}) == 1
    assert program.evaluate({"a.b": {"c": 2}, "a": {"b": {"c": 3}}}) == 2
    assert program.evaluate({"a": {"b": {"c": 3}}}) == 3


def test_bound_values_are_computed_when_first_read() -> None:
    """``cel.bind`` and ``cel.block`` compute a value once, and only when it is wanted."""
    assert cel.compile("cel.bind(x, 1 / 0, true)").evaluate({}) is True
    assert cel.compile("[1, 2].map(i, cel.bind(x, i * 10, x + x))").evaluate({}) == [20, 40]
    assert cel.compile("[1, 2].map(i, cel.block([i * 10], cel.index(0) + i))").evaluate({}) == [11, 22]
    doubling = (
        "cel.block([x"
        + "".join(f", cel.index({at}) || cel.index({at})" for at in range(40))
        + "], cel.index(40))"
    )
    with pytest.raises(cel.CelError, match="no such attribute/fact"):
        cel.compile(doubling).evaluate({})
