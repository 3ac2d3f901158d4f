"""What can be said about policies before a call is decided: load errors, and the lint of `agentguard check`.

Pure: files are read by whoever calls it, and what is known about tools comes as data.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from agentguard.decision import Effect
from agentguard.policy.files import Files
from agentguard.policy.findings import Finding, closest, suggestion
from agentguard.policy.parse import ParsedPolicy, ParsedRule
from agentguard.policy.prepare import Prepared, prepare
from agentguard.policy.rules import Rule
from agentguard.policy.scalars import pattern_covers, tool_matches
from agentguard.policy.source import Path, Source

__all__ = ["Checked", "ToolArguments", "check_documents", "check_files", "check_prepared", "load_findings"]

ToolArguments = Mapping[str, Collection[str] | None]
"""Known tools, and the names of their arguments; None where they are not known or any name is taken."""

_NOTHING_NAMED: Final = Finding(
    code="AG011", message="no policy was named", hint="name a policy file or folder"
)
_ARGUMENT: Final = re.compile(r"args\.([A-Za-z_][A-Za-z0-9_]*)")
_FIELDS: Final[dict[str, frozenset[str]]] = {
    "session": frozenset({"id", "labels", "calls"}),
    "facts": frozenset({"reads", "writes", "destructive", "external", "read_only", "sensitive"}),
    "resource": frozenset({"type", "id", "data_class"}),
    "principal": frozenset({"id", "groups"}),
    "agent": frozenset({"id", "owner", "tags"}),
}


def check_documents(
    sources: Iterable[Source], *, tools: ToolArguments | None = None, now: dt.datetime | None = None
) -> list[Finding]:
    """Every error and warning about a set of documents, in the order of the files.

    `tools` are the registered tools; without them tool and argument names are not compared with anything.
    Dates that have passed are reported when `now` is given.
    """
    listed = list(sources)
    prepared = prepare(listed)
    found = [*prepared.findings, *check_prepared(prepared, tools=tools, now=now)]
    found = _in_order(found, [source.file for source in listed])
    return found if listed else [Finding(code="AG011", message="no policy was read")]


@dataclass(frozen=True, slots=True)
class Checked:
    """The findings about a set of files, and what was read: the arguments of the renderers."""

    findings: tuple[Finding, ...]
    files: int
    rules: int


def check_files(
    files: Files, *, tools: ToolArguments | None = None, now: dt.datetime | None = None
) -> Checked:
    """The same for files as `read_files` returns them, with what was wrong in reading them."""
    prepared = prepare(files.sources)
    found = [*files.findings, *prepared.findings, *check_prepared(prepared, tools=tools, now=now)]
    if not found and not prepared.policies:
        found.append(_NOTHING_NAMED)
    return Checked(tuple(_in_order(found, files.names)), files.count, prepared.rules_read)


def load_findings(prepared: Prepared, files: Files) -> list[Finding]:
    """What is wrong with a set of files: in reading, in each document, or because nothing is there."""
    found = [*files.findings, *prepared.findings]
    found += [
        _no_rules(policy) for policy in prepared.policies if not policy.rules and policy.header is not None
    ]
    return _in_order(found or ([] if prepared.policies else [_NOTHING_NAMED]), files.names)


def _in_order(findings: list[Finding], names: Sequence[str]) -> list[Finding]:
    """By file and place; in documents that never were files by document, as found."""
    places = {name: i for i, name in enumerate(names)}
    return sorted(findings, key=lambda f: (places.get(f.file, -1), f.line, f.col, f.code))


def _no_rules(policy: ParsedPolicy) -> Finding:
    return policy.source.finding("AG012", f"the policy `{policy.name}` has no rule", ("rules",), key=True)


def check_prepared(
    prepared: Prepared, *, tools: ToolArguments | None = None, now: dt.datetime | None = None
) -> list[Finding]:
    """The lint over what was prepared; errors of shape and of expressions are not repeated."""
    found: list[Finding] = []
    at = {
        f"{policy.name}/{parsed.raw.get('id')}": (policy, parsed)
        for policy in prepared.policies
        for parsed in policy.rules
    }
    for policy in prepared.policies:
        if not policy.rules and policy.header is not None:
            found.append(_no_rules(policy))
        if tools is not None:
            found += _unknown_tools(policy, tools)
    for rule in prepared.rules:
        policy, parsed = at[rule.name]
        if tools is not None:
            found += _unknown_arguments(policy, parsed, rule, tools)
        found += _near_fields(policy, parsed, rule)
        if now is not None:
            found += _dates(policy, parsed, rule, now)
    for name, code, message in _redundant(prepared.rules):
        policy, parsed = at[name]
        found.append(_warning(policy, parsed, code, message, "id"))
    broken = any(finding.severity == "error" for finding in prepared.findings)
    if prepared.rules and not broken and not any(_permits(rule) for rule in prepared.rules):
        found.append(
            Finding(code="AG220", message="no rule permits anything", severity="warning", hint="add an allow")
        )
    order = {policy.source.file: i for i, policy in enumerate(prepared.policies)}
    return sorted(
        found, key=lambda finding: (order.get(finding.file, -1), finding.line, finding.col, finding.code)
    )


def _warning(
    policy: ParsedPolicy, parsed: ParsedRule, code: str, message: str, *path: str, hint: str = ""
) -> Finding:
    name = f"{policy.name}/{parsed.raw.get('id')}"
    at: Path = ("rules", parsed.index, *path)
    return policy.source.finding(code, message, at, hint=hint, rule=name, severity="warning")


def _permits(rule: Rule) -> bool:
    return rule.grants or rule.effect is Effect.STEP_UP or rule.converted is not None


def _unknown_tools(policy: ParsedPolicy, tools: ToolArguments) -> Iterator[Finding]:
    places: list[tuple[Path, object]] = []
    if policy.header is not None and policy.header.tools is not None:
        for i, one in enumerate(policy.header.tools):
            places.append((("tools", i), one))
    for parsed in policy.rules:
        listed = parsed.raw.get("tools")
        if isinstance(listed, (list, tuple)):
            for i, item in enumerate(listed):
                places.append((("rules", parsed.index, "tools", i), item))
    for at, pattern in places:
        if not isinstance(pattern, str) or any(tool_matches(pattern, tool) for tool in tools):
            continue
        if pattern.endswith(".*"):
            prefixes = {tool.rsplit(".", 1)[0] + ".*" for tool in tools if "." in tool}
            hint = suggestion(pattern, prefixes)
            yield policy.source.finding("AG210", f"no registered tool matches `{pattern}`", at, hint=hint)
        else:
            hint = suggestion(pattern, tools)
            yield policy.source.finding("AG210", f"tool `{pattern}` is not registered", at, hint=hint)


def _unknown_arguments(
    policy: ParsedPolicy, parsed: ParsedRule, rule: Rule, tools: ToolArguments
) -> Iterator[Finding]:
    known: set[str] = set()
    matching = 0
    for tool, arguments in tools.items():
        if any(tool_matches(pattern, tool) for pattern in rule.tools):
            if arguments is None:
                return
            matching += 1
            known |= set(arguments)
    if not matching:
        return
    for path, text in _texts(parsed):
        reported: set[str] = set()
        for found in _ARGUMENT.finditer(_without_strings(text)):
            name = found[1]
            if name not in known and name not in reported:
                reported.add(name)
                yield policy.source.finding(
                    "AG211",
                    f"no tool of rule `{rule.id}` has an argument `{name}`",
                    ("rules", parsed.index, *path),
                    offset=found.start(1),
                    hint=suggestion(name, known),
                    rule=rule.name,
                )
    for assignment in rule.sets:
        name = assignment.steps[0]
        if name not in known:
            yield policy.source.finding(
                "AG211",
                f"no tool of rule `{rule.id}` has an argument `{name}`",
                ("rules", parsed.index, "set", assignment.path),
                key=True,
                hint=suggestion(name, known),
                rule=rule.name,
            )


def _texts(parsed: ParsedRule) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """The expressions of a rule with their places."""
    document = parsed.document
    if document is None:
        return
    if isinstance(document.when, str):
        yield ("when",), document.when
    for path, value in (document.set or {}).items():
        if isinstance(value, str):
            yield ("set", path), value
    if document.reserve is not None:
        for i, text in enumerate(document.reserve.per):
            yield ("reserve", "per", i), text
        if isinstance(document.reserve.amount, str):
            yield ("reserve", "amount"), document.reserve.amount


_STRING: Final = re.compile(r"""r?("(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')""")


def _without_strings(text: str) -> str:
    """The expression with its texts blanked, so that what they hold is not taken for a name."""
    return _STRING.sub(lambda found: " " * len(found[0]), text)


def _near_fields(policy: ParsedPolicy, parsed: ParsedRule, rule: Rule) -> Iterator[Finding]:
    """Fields that are one letter away from a known one; others may be the operator's own."""
    for path, text in _texts(parsed):
        bare = _without_strings(text)
        for found in re.finditer(r"(?<![\w.])([a-z]+)\.([A-Za-z_]\w*)(?!\w|\()", bare):
            known = _FIELDS.get(found[1])
            if known is None or found[2] in known:
                continue
            near = closest(found[2], known)
            if near is not None and abs(len(near) - len(found[2])) <= 1:
                yield policy.source.finding(
                    "AG212",
                    f"`{found[0]}` in rule `{rule.id}` is not a usual field",
                    ("rules", parsed.index, *path),
                    offset=found.start(2),
                    hint=f"did you mean `{near}`?",
                    rule=rule.name,
                    severity="warning",
                )


def _dates(policy: ParsedPolicy, parsed: ParsedRule, rule: Rule, now: dt.datetime) -> Iterator[Finding]:
    if rule.converts_on is not None and now >= rule.converts_on and rule.converted is not None:
        to, day = rule.converted.effect.value, rule.converts_on.date().isoformat()
        message = f"rule `{rule.id}` counts as `{to}` since {day}"
        yield _warning(
            policy, parsed, "AG223", message, "flag", "converts", "on", hint=f"write `effect: {to}`"
        )
    if rule.observe_until is not None and now >= rule.observe_until:
        day = rule.observe_until.date().isoformat()
        own = "observe" in parsed.raw
        message = f"rule `{rule.id}` is enforced since {day}: its observation has ended"
        path = ("observe", "until") if own else ("id",)
        yield _warning(policy, parsed, "AG224", message, *path, hint="remove `observe`, or set a new date")


def _redundant(rules: Iterable[Rule]) -> Iterator[tuple[str, str, str]]:
    """Rules that can never change a decision, in the cases that are certain by their text."""
    plain_rules = [rule for rule in rules if rule.observe_until is None and rule.converts_on is None]
    same: dict[tuple[object, ...], Rule] = {}
    denials: list[Rule] = []
    allows: list[Rule] = []
    for rule in plain_rules:
        key = (rule.tools, " ".join(rule.text.split()), rule.effect, rule.grants)
        bare = not (rule.sets or rule.approve or rule.reserve or rule.redact or rule.flag)
        first = same.setdefault(key, rule)
        if first is not rule and bare:
            yield rule.name, "AG222", f"rule `{rule.id}` says the same as `{first.name}`"
        if rule.condition is None and bare:
            if rule.effect is Effect.DENY:
                denials.append(rule)
            elif rule.grants:
                allows.append(rule)
    for rule in plain_rules:
        if rule.reserve is None and not rule.non_waivable:
            denied = next((one for one in denials if one is not rule and _covers(one, rule)), None)
            if denied is not None and (rule.effect is not Effect.DENY or rule.condition is not None):
                message = f"rule `{rule.id}` never decides: `{denied.name}` denies every call to its tools"
                yield rule.name, "AG221", message
                continue
        if rule.grants and rule.condition is not None and not (rule.reserve or rule.redact or rule.flag):
            allowed = next((one for one in allows if one is not rule and _covers(one, rule)), None)
            if allowed is not None:
                message = f"rule `{rule.id}` never decides: `{allowed.name}` permits every call to its tools"
                yield rule.name, "AG221", message


def _covers(wide: Rule, narrow: Rule) -> bool:
    return all(any(pattern_covers(w, n) for w in wide.tools) for n in narrow.tools)
