"""What a trace tells about an evaluation."""

from __future__ import annotations

from agentguard import cel


def test_conditions_are_true_false_in_error_or_skipped() -> None:
    """Each sub-condition carries its outcome; what was not evaluated says so."""
    program = cel.compile("a.x == 1 && (b || missing) && !(a.y > 2) || never == 1")
    bindings = {"a": {"x": 1, "y": 3}, "b": True}
    outcomes = [(part.text, part.state, part.value) for part in program.trace(bindings).conditions()]
    assert outcomes == [
        ("a.x == 1", "value", True),
        ("b", "value", True),
        ("missing", "skipped", None),
        ("a.y > 2", "value", True),
        ("never == 1", "error", None),
    ]


def test_errors_are_kept_where_they_arose() -> None:
    """An absorbed error stays visible, with its message."""
    traced = cel.compile("args.amount > 5 || true").trace({"args": {}})
    assert traced.value is True
    first = traced.children[0]
    assert first.state == "error"
    assert first.error is not None
    assert first.error.message == "no such key: `amount`"


def test_reads_show_the_values_that_decided() -> None:
    """The variables and paths below an outcome carry the values they had."""
    traced = cel.compile("args.amount > limit && args['a'] == 'b'").trace(
        {"args": {"amount": 5, "a": "b"}, "limit": 9}
    )
    assert {text: part.value for text, part in traced.reads().items()} == {
        "args.amount": 5,
        "limit": 9,
        "args['a']": None,
    }
    assert traced.reads()["args['a']"].state == "skipped"


def test_macros_have_a_child_for_each_round() -> None:
    """A macro shows the rounds it ran, each with the value of its variable."""
    traced = cel.compile("items.exists(i, i > 1)").trace({"items": [1, 2, 3]})
    rounds = [(part.text, part.value) for part in traced.children]
    assert rounds == [("items", [1, 2, 3]), ("i > 1", False), ("i > 1", True)]
    assert [part.value for part in traced.walk() if part.text == "i"] == [1, 2]


def test_bound_values_are_shown_under_their_binding() -> None:
    """A delayed value is reported where the source has it, not where it was first read."""
    traced = cel.compile("cel.bind(x, a + 1, x > 2 && x > 3)").trace({"a": 5})
    assert [(part.text, part.value) for part in traced.children] == [("a + 1", 6), ("x > 2 && x > 3", True)]


def test_long_traces_are_cut() -> None:
    """A macro over a long list does not make a trace of its length."""
    traced = cel.compile("items.all(i, i >= 0)").trace({"items": list(range(50_000))})
    assert traced.value is True
    assert sum(1 for _ in traced.walk()) < 3_000
    assert sum(part.dropped for part in traced.walk()) > 40_000


def test_large_values_are_not_shown() -> None:
    """A value too large to copy is replaced by the reason, and the outcome stays."""
    traced = cel.compile("size(x) > 5").trace({"x": [0] * 100_000})
    assert traced.value is True
    assert isinstance(traced.reads()["x"].value, cel.Unshown)


def test_spans_cut_the_source() -> None:
    """Each outcome's offsets cut its text out of the source."""
    source = "a == 1 || b.c[0] in [1, 2]"
    for part in cel.compile(source).trace({"a": 2, "b": {"c": [2]}}).walk():
        assert source[part.start : part.end] == part.text
