"""Conditions as the solver sees them and as the evaluator decides them: never two different answers."""

from __future__ import annotations

import os
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings

from agentguard import cel
from agentguard.call import ContextRequest
from agentguard.errors import ConfigurationError
from agentguard.policy.evaluation import truth
from agentguard.policy.functions import bindings_for
from agentguard.policy.proving.questions import condition_of
from tests.proving import strategies
from tests.proving.support import admitted, request

MORE = int(os.environ.get("AGENTGUARD_FUZZ", "1"))


def outcome(program: cel.Program, asked: ContextRequest) -> str:
    found = truth(program, bindings_for(asked))
    return "true" if found is True else "false" if found is False else "error"


@settings(
    max_examples=250 * MORE,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
@given(strategies.conditions(), strategies.requests())
def test_the_model_admits_what_the_evaluator_decides(text: str, data: dict[str, Any]) -> None:
    """What a condition yields is among what the model admits for it; without an unknown, it is all of it."""
    try:
        program = condition_of(text)
    except ConfigurationError:
        assume(False)
    asked = ContextRequest.from_mapping(data)
    found, constructs = admitted(program, asked)
    assert outcome(program, asked) in found
    if not constructs and not _long(data):
        assert found == {outcome(program, asked)}


def _long(value: Any) -> bool:
    """Whether a list has more elements than the model tells apart."""
    if isinstance(value, dict):
        return any(map(_long, value.values()))
    return isinstance(value, list) and (len(value) > 3 or any(map(_long, value)))


EXACT = [
    # absence and types
    ("args.x == 1", {}, "error"),
    ("args.x == 1", {"x": None}, "false"),
    ("args.x == 1", {"x": 2**70}, "error"),
    ("has(args.x)", {"x": 2**70}, "error"),
    ("has(args.x)", {"x": None}, "true"),
    ("has(args.x)", {}, "false"),
    ("has(args.x.y)", {"x": 1}, "error"),
    ("args.x.y", {"x": {"y": True}}, "true"),
    ("args.x", {"x": 1}, "error"),
    ("!args.x", {"x": "false"}, "error"),
    ("type(args.x) == int", {"x": 1.0}, "false"),
    ("type(args.x) == map", {"x": {}}, "true"),
    # absorption
    ("args.x == 1 || true", {}, "true"),
    ("args.x == 1 && false", {}, "false"),
    ("args.x == 1 && true", {}, "error"),
    ("args.x ? true : true", {}, "error"),
    # numbers
    ("args.x == 1", {"x": 1.0}, "true"),
    ("args.x == true", {"x": 1}, "false"),
    ("args.x > 1", {"x": 1.5}, "true"),
    ("args.x > 1", {"x": "2"}, "error"),
    ("args.x <= null", {"x": None}, "error"),
    ("args.x < args.x", {"x": [1]}, "error"),
    ("args.x + 1 > 0", {"x": 2**63 - 1}, "error"),
    ("args.x + 1 > 0", {"x": 1.0}, "error"),
    ("args.x - 1 < 0", {"x": -(2**63)}, "error"),
    ("args.x * 2 > 0", {"x": 2**62}, "error"),
    ("-args.x > 0", {"x": -(2**63)}, "error"),
    ("args.x / 0 == 0", {"x": 1}, "error"),
    ("args.x / 2 == -1", {"x": -3}, "true"),
    ("args.x % 2 == -1", {"x": -3}, "true"),
    ("7 % args.x == 1", {"x": -3}, "true"),
    ("args.x / -1 > 0", {"x": -(2**63)}, "error"),
    ("args.x == 9007199254740992.0", {"x": 2**53}, "true"),
    # texts
    ("size(args.x) == 1", {"x": "😀"}, "true"),
    ('args.x == "\\\\u{41}"', {"x": "A"}, "false"),
    ('args.x == "\\\\u{41}"', {"x": "\\u{41}"}, "true"),
    ('args.x < "b"', {"x": "a"}, "true"),
    ('args.x < "é"', {"x": "z"}, "true"),
    ('args.x + "b" == "ab"', {"x": "a"}, "true"),
    ('args.x.startsWith("a")', {"x": 1}, "error"),
    ('args.x.matches("^a.c$")', {"x": "a\nc"}, "false"),
    ('args.x.matches("^a[^b]c$")', {"x": "a\nc"}, "true"),
    ('args.x.matches("c$")', {"x": "abc\n"}, "false"),
    ('args.x.matches("a{2,3}")', {"x": "baa"}, "true"),
    ('args.x.matches("^a|b$")', {"x": "ac"}, "true"),
    ('glob(args.x, "/srv/*/**")', {"x": "/srv/a/b/c"}, "true"),
    ('glob(args.x, "/srv/*/**")', {"x": "/srv/a/../c"}, "error"),
    ('glob(args.x, "/srv/*")', {"x": "/srv/a/b"}, "false"),
    ("ascii_only(args.x)", {"x": "a\tb"}, "false"),
    # lists and maps
    ('"a" in args.x', {"x": ["b", "a"]}, "true"),
    ('"a" in args.x', {"x": "a"}, "error"),
    ('"a" in args.x', {"x": {"a": 1}}, "true"),
    ('"a" in args.x', {"x": [2**70, "a"]}, "error"),
    ('"a" in args.x', {"x": ["a", 2**70]}, "true"),
    ('args.x in ["a", 1]', {"x": 1.0}, "true"),
    ('args.x in ["a", 1]', {}, "error"),
    ("args.x.exists(t, t > 1)", {"x": ["a", 2]}, "true"),
    ("args.x.exists(t, t > 1)", {"x": ["a", 1]}, "error"),
    ("args.x.all(t, t > 1)", {"x": ["a", 1]}, "false"),
    ("args.x.all(t, t > 1)", {"x": []}, "true"),
    ("args.x.all(t, t > 1)", {"x": 1}, "error"),
    ("size(args.x) == 2", {"x": {"a": 1, "b": 2}}, "true"),
    # optionals
    ('args.?x.orValue("") == ""', {}, "true"),
    ('args.?x.orValue("") == ""', {"x": 1}, "false"),
    ("args.?x.y.hasValue()", {"x": {"y": 1}}, "true"),
    ("args.?x.y.hasValue()", {"x": 1}, "error"),
    ("args.?x.value() == 1", {}, "error"),
    ("args[?'x'].orValue(2) == 2", {}, "true"),
    ("cel.bind(v, args.x, true || v)", {}, "true"),
    ('args["x"] == 1', {"x": 1}, "true"),
]


@pytest.mark.parametrize(("text", "args", "wanted"), EXACT)
def test_one_outcome_and_no_other(text: str, args: dict[str, Any], wanted: str) -> None:
    """Errors, absence, types, overflow, rounding and absorption are in the model as in the evaluator."""
    program, asked = condition_of(text), request(args=args)
    assert outcome(program, asked) == wanted
    assert admitted(program, asked)[0] == {wanted}


FACTS = [
    ('secret("s").age > duration("1h")', {"secret": {"s": {"age_s": 3601}}}, "true"),
    ('secret("s").age > duration("1h")', {"secret": {"s": {"age_s": 3600}}}, "false"),
    ('secret("s").age > duration("1h")', {"secret": {"s": {"age_s": "x"}}}, "error"),
    ('secret("s").rotated_days > 3', {"secret": {"s": {"age_s": -1, "rotated_days": 9}}}, "error"),
    ('secret("s").rotated_days > 3', {"secret": {"s": {"rotated_days": 9}}}, "true"),
    ('secret("s").rotated_days > 3', {"secret": {"s": [1]}}, "error"),
    ('secret("s").rotated_days > 3', {}, "error"),
    ("secret(5).x == 1", {"secret": {"5": {"x": 1}}}, "error"),
    ("!provenance(args.x).from_user", {"provenance": {"args.x": {"from_user": False}}}, "true"),
    ("!provenance(args.x).from_user", {"provenance": {"args.y": {"from_user": False}}}, "error"),
    ("history.calls > 2", {"history": {"calls": 3}}, "true"),
    ("history == null", {"history": None}, "error"),
    ('now < timestamp("2026-11-20T00:00:01Z")', {}, "true"),
    ('now - duration("1s") < now', {}, "true"),
]


@pytest.mark.parametrize(("text", "supplied", "wanted"), FACTS)
def test_supplied_facts_and_times(text: str, supplied: dict[str, Any], wanted: str) -> None:
    """Facts that functions read are inputs like others: absent, of the wrong type, or what they are."""
    program, asked = condition_of(text), request(supplied=supplied)
    assert outcome(program, asked) == wanted
    assert admitted(program, asked)[0] == {wanted}


OUTSIDE = [
    ('args.x.lowerAscii() == "a"', {"x": "A"}, {"true", "false"}),
    ('args.x.lowerAscii() == "a"', {"x": 1}, {"error"}),
    ('host(args.x) == "a"', {"x": "https://a/"}, {"true", "false", "error"}),
    ('host(args.x) == "a"', {}, {"error"}),
    ('within("Mon-Fri 07:00-20:00 UTC")', {}, {"true", "false"}),
    ("args.x * 2.0 > 1.0", {"x": 1.0}, {"true", "false", "error"}),
    ("args.x * 2.0 > 1.0", {"x": 1}, {"error"}),
    ("args.x.map(t, t) == []", {"x": []}, {"true", "false", "error"}),
    ("args.x == args.y", {"x": [1], "y": [1]}, {"true", "false", "error"}),
    ("args.x == args.y", {"x": [1], "y": 1}, {"false"}),
    ('args.x.matches("(?i)a")', {"x": "A"}, {"true", "false"}),
    ("engines.opa.effect == 1", {}, {"true", "false", "error"}),
    ("optional.of(args.x).or(optional.of(args.y)).value() == 1", {"x": 1}, {"true", "false", "error"}),
    ("args.x > 9007199254740992.0", {"x": 2**53 + 1}, {"true", "false"}),
    ("now.getHours() > 7", {}, {"true", "false", "error"}),
]


@pytest.mark.parametrize(("text", "args", "wanted"), OUTSIDE)
def test_what_is_outside_the_model_may_be_anything(text: str, args: dict[str, Any], wanted: set[str]) -> None:
    """What the solver does not know is named, and may be anything; its types and absence stay known."""
    found, constructs = admitted(condition_of(text), request(args=args))
    assert constructs
    assert outcome(condition_of(text), request(args=args)) in found
    assert wanted <= found <= {*wanted, "error"}


def test_an_unknown_is_the_same_for_the_same_request() -> None:
    """Two texts of one expression agree, and two of different ones do not."""
    assert admitted(condition_of("host(args.x) == host(args.x)"), request(args={"x": "a"}))[0] == {
        "true",
        "error",
    }
    assert (
        "false"
        in admitted(condition_of("host(args.x) == host(args.y)"), request(args={"x": "a", "y": "a"}))[0]
    )


def test_an_unknown_about_one_element_says_nothing_of_another() -> None:
    """The same question to two lists, or to two variables of macros, has two answers."""
    text = 'args.a.exists(t, host(t) == "h") && !args.b.exists(t, host(t) == "h")'
    assert "true" in admitted(condition_of(text), request(args={"a": ["https://h/"], "b": ["https://g/"]}))[0]
    text = 'cel.bind(v, args.a, host(v) == "h") && !cel.bind(v, args.b, host(v) == "h")'
    assert "true" in admitted(condition_of(text), request(args={"a": "https://h/", "b": "https://g/"}))[0]
