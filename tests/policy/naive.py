"""A reference for decisions, written from DESIGN 3 alone: plain dictionaries, nothing prepared.

It goes through all rules, and asks the exact interpreter about conditions that are not in `CONDITIONS`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from typing import Any

from agentguard import cel
from agentguard.policy.functions import ENVIRONMENT

RANK = {"allow": 0, "flag": 1, "constrain": 2, "step_up": 3, "deny": 4}
ERROR = object()

Facts = Mapping[str, Any]


def _get(tree: Any, *path: str) -> Any:
    for step in path:
        if not isinstance(tree, Mapping) or step not in tree:
            return ERROR
        tree = tree[step]
    return tree


def _compare(facts: Facts, path: tuple[str, ...], test: Callable[[Any], bool], kind: type) -> Any:
    value = _get(facts, *path)
    return test(value) if type(value) is kind else ERROR


CONDITIONS: dict[str, Callable[[Facts], Any]] = {
    "true": lambda facts: True,
    "false": lambda facts: False,
    "args.amount > 10": lambda facts: _compare(facts, ("args", "amount"), lambda v: v > 10, int),
    "args.amount <= 10": lambda facts: _compare(facts, ("args", "amount"), lambda v: v <= 10, int),
    'args.note == "x"': lambda facts: (
        False
        if _get(facts, "args", "note") is not ERROR and type(_get(facts, "args", "note")) is not str
        else _compare(facts, ("args", "note"), lambda v: v == "x", str)
    ),
    'environment == "prod"': lambda facts: _compare(facts, ("environment",), lambda v: v == "prod", str),
    'agent.id == "billing"': lambda facts: _get(facts, "agent", "id") == "billing",
    "args.amount": lambda facts: (
        _get(facts, "args", "amount") if type(_get(facts, "args", "amount")) is bool else ERROR
    ),
    "context.hold": lambda facts: (
        _get(facts, "context", "hold") if type(_get(facts, "context", "hold")) is bool else ERROR
    ),
}
"""Every condition that the laws use, and what it means."""


def _less_one(facts: Facts) -> Any:
    value = _get(facts, "args", "amount")
    return value - 1 if type(value) is int else ERROR


VALUES: dict[str, Callable[[Facts], Any]] = {
    "5": lambda facts: 5,
    "10": lambda facts: 10,
    "args.amount - 1": _less_one,
    '"x"': lambda facts: "x",
}
"""Every value that a constraint of the laws writes."""


def holds(condition: str, facts: Facts) -> Any:
    """True, false or ERROR."""
    known = CONDITIONS.get(condition)
    if known is not None:
        return known(facts)
    try:
        value = cel.compile(condition, environment=ENVIRONMENT).interpret(facts)
    except cel.CelException:
        return ERROR
    return value if type(value) is bool else ERROR


def covers(pattern: str, tool: str) -> bool:
    if pattern == "*":
        return True
    if pattern.endswith(".*"):
        wanted = pattern[:-2].split(".")
        segments = tool.split(".")
        return len(segments) > len(wanted) and segments[: len(wanted)] == wanted
    return pattern == tool


def decide(
    documents: list[dict[str, Any]],
    facts: dict[str, Any],
    *,
    default: str = "deny",
    exceptions: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    """Effect, permission and what matched, for one request."""
    first = _pass(documents, facts, default, exceptions or [])
    writes: dict[str, Any] = {}
    wanted = _wanted(first, facts)
    for name, path, value in wanted:
        if value is not ERROR:
            writes.setdefault(path, (value, name))
    _deny(first, _conflicting(wanted))
    result = first
    if writes and first["effect"] != "deny":
        changed = {**facts, "args": {**facts["args"], **{p.split(".")[1]: v for p, (v, _) in writes.items()}}}
        second = _pass(documents, changed, default, exceptions or [])
        wanted = _wanted(second, changed)
        again = _conflicting(wanted)
        for name, path, value in wanted:
            there = changed["args"].get(path.split(".")[1], ERROR)
            if there is ERROR or not _same(value, there):
                again.add(name)
        _deny(second, again)
        stronger = max((first["effect"], second["effect"]), key=RANK.__getitem__)
        matched = dict(first["matched"])
        for name, effect in second["matched"].items():
            if name not in matched or RANK[effect] > RANK[matched[name]]:
                matched[name] = effect
        result = {
            **second,
            "effect": stronger,
            "matched": matched,
            "observed": {**first["observed"], **second["observed"]},
            "waived": first["waived"] | second["waived"],
        }
    return {
        "effect": result["effect"],
        "granted_by": sorted(result["permits"]),
        "matched": result["matched"],
        "observed": result["observed"],
        "waived": result["waived"],
        "sets": {} if result["effect"] == "deny" else {p: v for p, (v, _) in writes.items()},
    }


Wanted = list[tuple[str, str, Any]]


def _wanted(found: dict[str, Any], facts: Facts) -> Wanted:
    """Rule, path and value of everything that constraints write."""
    return [
        (name, path, VALUES[str(text)](facts))
        for name, rule in found["constraining"]
        for path, text in rule["set"].items()
    ]


def _conflicting(wanted: Wanted) -> set[str]:
    """The rules whose value cannot be computed, or is another one than that of a second rule."""
    return {
        name
        for name, path, value in wanted
        if value is ERROR
        or any(path == other and v is not ERROR and not _same(value, v) for _, other, v in wanted)
    }


def _same(a: Any, b: Any) -> bool:
    return type(a) is type(b) and a == b


def _deny(found: dict[str, Any], names: set[str]) -> None:
    for name in names:
        found["matched"][name] = "deny"
    if names:
        found["effect"] = "deny"


def _pass(
    documents: list[dict[str, Any]], facts: dict[str, Any], default: str, exceptions: list[dict[str, Any]]
) -> dict[str, Any]:
    matched: dict[str, str] = {}
    observed: dict[str, str] = {}
    permits: list[str] = []
    constraining: list[tuple[str, dict[str, Any]]] = []
    waived: set[tuple[str, str]] = set()
    step_ups: list[tuple[str, str | None]] = []
    now: dt.datetime = facts["now"]
    for document in documents:
        for rule in document["rules"]:
            tools = [t for t in rule.get("tools", ["*"]) if covers(t, facts["tool"])]
            if not tools or not any(covers(t, facts["tool"]) for t in document.get("tools", ["*"])):
                continue
            value = holds(str(rule.get("when", "true")).replace("True", "true"), facts)
            if value is False:
                continue
            name = f"{document['policy']}/{rule['id']}"
            error = value is ERROR
            effect, grants = rule["effect"], rule["effect"] == "allow"
            if grants and "flag" in rule:
                effect = "flag"
            converts = rule.get("flag", {}).get("converts")
            if converts and now >= dt.datetime.fromisoformat(converts["on"]).replace(tzinfo=dt.UTC):
                effect, grants = converts["to"], False
            if error and grants:
                continue
            observe = rule.get("observe") or (
                document.get("observe") if rule.get("mode") != "enforce" else None
            )
            if observe and now < dt.datetime.fromisoformat(observe["until"]).replace(tzinfo=dt.UTC):
                observed[name] = effect
                continue
            waiver = None
            if not grants and not error and not rule.get("non_waivable"):
                fitting = [
                    x
                    for x in exceptions
                    if name in x["rules"]
                    and x["agent"] == facts["agent"]["id"]
                    and any(covers(t, facts["tool"]) for t in x["tools"])
                    and dt.datetime.fromisoformat(x["approved_at"])
                    <= now
                    < dt.datetime.fromisoformat(x["expires"])
                    and holds(x.get("when", "true"), facts) is True
                    and RANK[_control(x)] <= RANK[effect]
                ]
                fitting.sort(key=lambda x: (RANK[_control(x)], x["id"]))
                waiver = fitting[0] if fitting else None
            if effect == "step_up":
                step_ups.append((name, waiver["id"] if waiver else None))
                continue
            if waiver:
                waived.add((waiver["id"], name))
                matched[f"exception/{waiver['id']}"] = _control(waiver)
                continue
            matched[name] = effect
            if grants:
                permits.append(name)
            if effect == "constrain" and rule.get("set"):
                constraining.append((name, rule))
    if permits or any(waiver is None for _, waiver in step_ups):
        for name, waiver_id in step_ups:
            if waiver_id is None:
                matched[name] = "step_up"
            else:
                waived.add((waiver_id, name))
                control = next(x for x in exceptions if x["id"] == waiver_id)
                matched[f"exception/{waiver_id}"] = _control(control)
    else:
        matched.update({name: "step_up" for name, _ in step_ups})
    if not permits and not any(
        effect == "step_up" and not n.startswith("exception/") for n, effect in matched.items()
    ):
        matched["agentguard/default"] = default
    effect = max(matched.values(), key=RANK.__getitem__)
    return {
        "matched": matched,
        "observed": observed,
        "permits": permits,
        "constraining": constraining,
        "waived": waived,
        "effect": effect,
    }


def _control(exception: dict[str, Any]) -> str:
    return "step_up" if "approval" in exception["control"] else "flag"
