"""From tree to text and back: the same tree."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given

from agentguard import cel
from agentguard.cel.parser import parse
from agentguard.policy.testing.unparse import unparse
from tests.cel.expressions import EXPRESSIONS
from tests.cel.suite import CASES, cases


def bare(node: Any) -> Any:
    """A tree without the places in its text; constants of different types stay apart."""
    if isinstance(node, tuple):
        return [bare(one) for one in node]
    if dataclasses.is_dataclass(node) and not isinstance(node, type):
        names = [one.name for one in dataclasses.fields(node) if one.name not in ("start", "end")]
        return [type(node).__name__, *((name, bare(getattr(node, name))) for name in names)]
    return [type(node).__name__, repr(node)]


def returned(text: str) -> Any:
    """The tree that comes back when its text is written from the tree and parsed again."""
    return bare(parse(unparse(parse(text))))


@pytest.mark.parametrize(
    "text",
    [
        "a && (b || c) && d || e",
        "(a ? b : c) ? d : (e ? f : g)",
        "a - (b - c) - d",
        "(a + b) * -c / (d % e)",
        "!(!a) && - -1 < -(1)",
        "(-1).f() + (1).f() + [1, 2][0]",
        "a == b == (c == d)",
        "x.all(i, i.ok) && x.map(i, i > 1, i * 2) == [] && has(a.b.c)",
        "{'a': 1, ?b: c}[?'d'].orValue(a.?e)",
        "a.`x-y`.b + .absolute",
        r'"q\"\\\n\u202e" + b"\x00\xff\"" + r"\d"',
        "1u + 18446744073709551615u + 1.0 + 1e300 + -0.0 + 9223372036854775807",
        "cel.bind(x, a, x + x) in [1, 2u, 0x1F]",
        "x.transformMap(k, v, v > 1, v + 1)",
        "(a in b) in c && (a && b) in c",
    ],
)
def test_a_tree_comes_back_from_its_text(text: str) -> None:
    """Brackets where they are needed, constants with their types, fields in quotes."""
    assert returned(text) == bare(parse(text))


def test_every_expression_of_the_conformance_suite_comes_back() -> None:
    """All that can be parsed."""
    if not CASES.exists():
        pytest.skip("the suite is not part of this checkout")
    count = 0
    for case in cases():
        try:
            tree = parse(case.source)
        except cel.CelException:
            continue
        assert returned(case.source) == bare(tree), case.source
        count += 1
    assert count > 1600


@given(EXPRESSIONS)
def test_random_expressions_come_back(text: str) -> None:
    """Those by which the evaluators are compared."""
    assert returned(text) == bare(parse(text))
