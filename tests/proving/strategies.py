"""Random conditions over what the model knows, and random requests that make trouble for them."""

from __future__ import annotations

import datetime as dt
from typing import Any

from hypothesis import strategies as st

NOW = dt.datetime(2026, 11, 20, tzinfo=dt.UTC)
TEXTS = ["", "a", "prod", "billing", "prod-approved", "Ab", "x/y", "é", "\\u{41}", "aa\n", '"q"', "😀"]
NUMBERS = [0, 1, -1, 2, 3, 140, 2**31, 2**53, 2**53 + 1, 2**63 - 1, -(2**63)]
DOUBLES = [0.0, 1.0, 1.5, -2.5, 9007199254740992.0, 1e300]
PATHS = [
    "args.amount", "args.note", "args.items", "args.opts", "args.opts.deep", 'args["x y"]', "agent.role",
    "agent.tags", "agent.id", "environment", "session.labels", "secrets", "principal.groups", "context.level",
    "resource.id", "history", "provenance(args.note).from_user", 'secret("s").rotated_days',
]  # fmt: skip
PATTERNS = [
    "^a",
    "b$",
    "^[a-z]+$",
    "a|^p.*d$",
    "[^a]",
    "^(a|b){1,3}$",
    r"\\d",
    r"\\.",
    "^$",
    "x?y*",
    "(?:ab)+",
]
COMPARISONS = ["==", "!=", "<", "<=", ">", ">="]
GLOBS = ["*", "a*", "x/*", "**", "**/y", "?"]
SELECTS = [path for path in PATHS if "." in path and "(" not in path and "[" not in path]


def quoted(text: str) -> str:
    found = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{found}"'


def literals() -> st.SearchStrategy[str]:
    return st.one_of(
        st.sampled_from(TEXTS).map(quoted),
        st.sampled_from(NUMBERS).map(str),
        st.sampled_from(DOUBLES).map(repr),
        st.sampled_from(["true", "false", "null", "1u", "[]", '["a", 1]', 'duration("1h")', "int", "string"]),
    )


def operands() -> st.SearchStrategy[str]:
    paths = st.sampled_from(PATHS)
    simple = st.one_of(paths, paths, literals())
    return st.one_of(
        simple,
        simple,
        st.builds(lambda path: f"size({path})", simple),
        st.builds(lambda one, op, two: f"({one} {op} {two})", simple, st.sampled_from("+-*/%"), simple),
        st.builds(
            lambda path, other: f"{path.replace('.', '.?', 1)}.orValue({other})",
            st.sampled_from(SELECTS),
            simple,
        ),
        st.builds(lambda path: f"type({path})", paths),
        st.builds(lambda one: f"-({one})", simple),
        st.builds(
            lambda test, one, two: f"(has({test}) ? {one} : {two})", st.sampled_from(SELECTS), simple, simple
        ),
        st.just('secret("s").age'),
    )


def conditions(depth: int = 2) -> st.SearchStrategy[str]:
    one = operands()
    paths = st.sampled_from(PATHS)
    texts = st.sampled_from(TEXTS).map(quoted)
    atoms = st.one_of(
        st.builds(lambda a, op, b: f"{a} {op} {b}", one, st.sampled_from(COMPARISONS), one),
        st.builds(lambda a, b: f"{a} in {b}", one, paths),
        st.builds(lambda a, b: f"{a} in [{', '.join(b)}]", paths, st.lists(literals(), max_size=3)),
        st.builds(lambda path: f"has({path})", st.sampled_from(SELECTS)),
        st.builds(
            lambda path, name, text: f"{path}.{name}({text})",
            paths, st.sampled_from(["startsWith", "endsWith", "contains"]), st.one_of(texts, paths),
        ),
        st.builds(lambda path, text: f'{path}.matches("{text}")', paths, st.sampled_from(PATTERNS)),
        st.builds(lambda path: f"ascii_only({path})", paths),
        st.builds(
            lambda path, text: f'glob({path}, "{text}")', paths, st.sampled_from(GLOBS)
        ),
        st.builds(
            lambda path, macro, op, value: f"{path}.{macro}(x, x {op} {value})",
            paths, st.sampled_from(["exists", "all"]), st.sampled_from(["==", "!=", "<"]), one,
        ),
        st.builds(lambda path: f'{path}.exists(x, x.startsWith("a") || x == 1)', paths),
        st.builds(lambda op: f'now {op} timestamp("2026-11-20T00:00:00Z")', st.sampled_from(["<", ">="])),
        st.builds(lambda path: f"{path}.?deep.hasValue()", paths),
        st.builds(lambda value, a: f"cel.bind(v, {value}, v == {a} || v in agent.tags)", one, one),
        paths,
    )  # fmt: skip
    if depth == 0:
        return atoms
    inner = conditions(depth - 1)
    return st.one_of(
        atoms,
        st.builds(lambda a: f"!({a})", inner),
        st.builds(lambda a, op, b: f"({a}) {op} ({b})", inner, st.sampled_from(["&&", "||"]), inner),
        st.builds(lambda a, b, c: f"({a}) ? ({b}) : ({c})", inner, inner, inner),
    )


def values() -> st.SearchStrategy[Any]:
    leaves = st.one_of(
        st.none(),
        st.booleans(),
        st.sampled_from([*NUMBERS, 2**70, -(2**64)]),
        st.sampled_from(DOUBLES),
        st.sampled_from(TEXTS),
        st.sampled_from([b"", b"a", dt.timedelta(hours=2), dt.timedelta(days=200_000), NOW]),
    )
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.lists(inner, max_size=5),
            st.dictionaries(st.sampled_from(["deep", "a", "x y"]), inner, max_size=2),
        ),
        max_leaves=6,
    )


def requests() -> st.SearchStrategy[dict[str, Any]]:
    value = values()

    def some(*names: str) -> st.SearchStrategy[dict[str, Any]]:
        return st.fixed_dictionaries({}, optional=dict.fromkeys(names, value))

    texts = st.sampled_from(TEXTS)
    return st.fixed_dictionaries(
        {
            "tool": st.just("t"),
            "args": some("amount", "note", "items", "opts", "x y"),
            "agent": st.builds(lambda id_, more: {"id": id_, **more}, texts, some("role", "tags")),
            "now": st.sampled_from(["2026-11-20T00:00:00Z", "2027-05-01T12:00:00Z"]),
        },
        optional={
            "environment": texts,
            "session": some("labels"),
            "secrets": st.lists(texts, max_size=4),
            "principal": some("groups"),
            "context": some("level"),
            "resource": some("id"),
            "supplied": st.fixed_dictionaries(
                {},
                optional={
                    "history": value,
                    "provenance": st.fixed_dictionaries(
                        {}, optional={"args.note": st.one_of(some("from_user"), value)}
                    ),
                    "secret": st.fixed_dictionaries(
                        {},
                        optional={
                            "s": st.one_of(
                                value,
                                st.fixed_dictionaries(
                                    {},
                                    optional={
                                        "age_s": st.one_of(value, st.just(3600)),
                                        "rotated_days": value,
                                    },
                                ),
                            )
                        },
                    ),
                },
            ),
        },
    )
