"""Three evaluators beside each other on random expressions: compiled code, the interpreter, and Google's."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings

from agentguard import cel
from tests.cel import agreement, fuzz, hostile, oracle
from tests.cel.expressions import BINDINGS, EXPRESSIONS

needs_google = pytest.mark.skipif(
    oracle.google is None, reason="cel-expr-python, the evaluator to compare with, is absent"
)
# A longer run: python -m tests.cel.fuzz --seconds 300
EXAMPLES = int(os.environ.get("CEL_EXAMPLES", "1500"))
LONG = settings(
    max_examples=EXAMPLES,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@needs_google
@LONG
@given(EXPRESSIONS, BINDINGS)
@example("9007199254740993 == 9007199254740992.0", {})
@example("[1, 'a'].exists(v, v > 0 || 1 / 0 == 1)", {})
@example("{1: 'a', 2u: 'b'}[2.0] + 'c'", {})
@example("m.filter(v, m.a == 1)", {"m": {"a": 1, "b": 2}})
def test_we_agree_with_google(source: str, bindings: dict[str, object]) -> None:
    """The same value of the same type, or an error on both sides."""
    assert oracle.agree(source, bindings)


@settings(LONG, max_examples=EXAMPLES // 3)
@given(hostile.cases())
def test_compiled_code_agrees_with_the_interpreter(case: tuple[str, cel.Environment, dict[str, Any]]) -> None:
    """The same value, or the same error with its text and place, whatever the bindings hold."""
    agreement.check(*case)


@pytest.mark.parametrize("environment", hostile.ENVIRONMENTS)
@pytest.mark.parametrize("atom", hostile.ATOMS)
def test_each_form_agrees_on_each_value(atom: str, environment: cel.Environment) -> None:
    """Every form of condition on every hostile value, alone and within a map."""
    for path, bound in (("v", lambda value: {"v": value}), ("m.a", lambda value: {"m": {"a": value}})):
        for text, number in (("'a'", "5"), ("''", "0"), ("'é'", "5.0")):
            source = atom.replace("{path}", path).replace("{text}", text).replace("{number}", number)
            source = source.replace("{{", "{").replace("}}", "}")
            for value in hostile.VALUES:
                agreement.check(source, environment, bound(value))


@needs_google
def test_the_comparison_sees_errors_as_errors() -> None:
    """An error of the other evaluator is recognised by its type, not taken for a value."""
    assert oracle.googles("1 / 0", {}) == oracle.ERROR == oracle.ours("1 / 0", {})
    assert oracle.googles("absent", {}) == oracle.ERROR
    assert oracle.googles("'a'", {}) == ("string", "a") == oracle.ours("'a'", {})
    assert oracle.googles("2u", {}) != oracle.googles("2", {})


@needs_google
def test_only_an_open_order_excuses_a_difference() -> None:
    """Lists from lists, and from maps of one entry, are compared as they are."""
    assert oracle.order_is_open("m.map(v, v)[0]", {"m": {"a": 1, "b": 2}})
    assert not oracle.order_is_open("m.map(v, v)[0]", {"m": {"a": 1}})
    assert not oracle.order_is_open("[1, 2].map(v, v)[0]", {})


def test_the_long_run_reports_what_it_compared(capsys: pytest.CaptureFixture[str]) -> None:
    """As data, with exit code 0 where all agree."""
    assert fuzz.main(["--seconds", "0.5", "--seed", "3", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["compared"] > 0
    assert found["differences"] == 0


def test_the_long_run_reports_differences(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the case that shows each, and exit code 1."""
    monkeypatch.setattr(agreement, "exact", lambda program, bindings: ("value", "another", None))
    assert fuzz.main(["--seconds", "0.2"]) == 1
    assert "compiled code and interpreter on" in capsys.readouterr().out
