"""What can be said about policies before a call is decided: load errors, and the lint of `agentguard check`.

Pure: files are read by whoever calls it, and what is known about tools comes as data.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from agentguard.decision import Effect
from agentguard.policy.arguments import argument_findings, truth_findings
from agentguard.policy.files import Files
from agentguard.policy.findings import Finding, closest, suggestion
from agentguard.policy.functions import BASELINE_FACTS
from agentguard.policy.parse import ParsedPolicy, ParsedRule
from agentguard.policy.prepare import Prepared, prepare
from agentguard.policy.redundant import redundant
from agentguard.policy.rules import Rule
from agentguard.policy.scalars import tool_matches
from agentguard.policy.shapes import arguments_shape
from agentguard.policy.source import Path, Source

__all__ = [
    "Checked",
    "ToolArguments",
    "ToolSchemas",
    "check_documents",
    "check_files",
    "check_prepared",
    "load_findings",
]

ToolArguments = Mapping[str, Collection[str] | None]
"""Known tools, and the names of their arguments; None where they are not known or any name is taken."""

ToolSchemas = Mapping[str, Mapping[str, Any]]
"""The JSON Schemas of the arguments of tools, where there are any."""

_NOTHING_NAMED: Final = Finding(
    code="AG011", message="no policy was named", hint="name a policy file or folder"
)
_FIELDS: Final[dict[str, frozenset[str]]] = {
    "session": frozenset({"id", "labels", "calls"}),
    "facts": frozenset(
        {
            "action",
            "changed",
            "destructive",
            "executes",
            "external",
            "idempotent",
            "inferred",
            "labels",
            "read_only",
            "reads",
            "roles",
            "sensitive",
            "topics",
            "touches_secrets",
            "uncertain",
            "untrusted_output",
            "writes",
        }
    ),
    "resource": frozenset({"type", "id", "data_class"}),
    "principal": frozenset({"id", "groups"}),
    "agent": frozenset({"id", "owner", "tags"}),
    "baseline": frozenset(BASELINE_FACTS),
}


def check_documents(
    sources: Iterable[Source],
    *,
    tools: ToolArguments | None = None,
    schemas: ToolSchemas | None = None,
    now: dt.datetime | None = None,
    default: Effect = Effect.DENY,
) -> list[Finding]:
    """Every error and warning about a set of documents, in the order of the files.

    `tools` are the registered tools; without them tool and argument names are not compared with anything.
    With `schemas` types, values and what may be absent are compared too. Dates that have passed are reported
    when `now` is given. `default` is what joins in where nothing permits.
    """
    listed = list(sources)
    prepared = prepare(listed)
    more = check_prepared(prepared, tools=tools, schemas=schemas, now=now, default=default)
    found = [*prepared.findings, *more]
    found = _in_order(found, [source.file for source in listed])
    return found if listed else [Finding(code="AG011", message="no policy was read")]


@dataclass(frozen=True, slots=True)
class Checked:
    """The findings about a set of files, and what was read: the arguments of the renderers."""

    findings: tuple[Finding, ...]
    files: int
    rules: int


def check_files(
    files: Files,
    *,
    tools: ToolArguments | None = None,
    schemas: ToolSchemas | None = None,
    now: dt.datetime | None = None,
    default: Effect = Effect.DENY,
    others_permit: bool = False,
) -> Checked:
    """The same for files as `read_files` returns them, with what was wrong in reading them.

    `others_permit` says that what no rule permits may be permitted elsewhere, by another engine.
    """
    prepared = prepare(files.sources)
    more = check_prepared(prepared, tools=tools, schemas=schemas, now=now, default=default)
    if others_permit:
        more = [one for one in more if one.code != "AG220"]
    found = [*files.findings, *prepared.findings, *more]
    if not found and not prepared.policies:
        found.append(_NOTHING_NAMED)
    found += [_hidden(name) for name in files.hidden]
    return Checked(tuple(_in_order(found, files.names)), files.count, prepared.rules_read)


def load_findings(prepared: Prepared, files: Files) -> list[Finding]:
    """What is wrong with a set of files: in reading, in each document, or because nothing is there."""
    found = [*files.findings, *prepared.findings]
    found += [
        _no_rules(policy) for policy in prepared.policies if not policy.rules and policy.header is not None
    ]
    return _in_order(found or ([] if prepared.policies else [_NOTHING_NAMED]), files.names)


def _hidden(name: str) -> Finding:
    message = "a hidden file is not loaded"
    hint = "rename it if it is a policy, delete it if not"
    return Finding(code="AG014", file=name, message=message, hint=hint, severity="warning")


def _in_order(findings: list[Finding], names: Sequence[str]) -> list[Finding]:
    """By file and place; in documents that never were files by document, as found."""
    places = {name: i for i, name in enumerate(names)}
    return sorted(findings, key=lambda f: (places.get(f.file, -1), f.line, f.col, f.code))


def _no_rules(policy: ParsedPolicy) -> Finding:
    return policy.source.finding("AG012", f"the policy `{policy.name}` has no rule", ("rules",), key=True)


def check_prepared(
    prepared: Prepared,
    *,
    tools: ToolArguments | None = None,
    schemas: ToolSchemas | None = None,
    now: dt.datetime | None = None,
    default: Effect = Effect.DENY,
) -> list[Finding]:
    """The lint over what was prepared; errors of shape and of expressions are not repeated."""
    found: list[Finding] = []
    schemas = schemas or {}
    shapes = {name: arguments_shape(known, schemas.get(name)) for name, known in (tools or {}).items()}
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
        found += argument_findings(policy, parsed, rule, shapes)
        found += truth_findings(policy, parsed, rule, shapes)
        found += _near_fields(policy, parsed, rule)
        found += _unattended(policy, parsed, rule)
        if now is not None:
            found += _dates(policy, parsed, rule, now)
    never: set[str] = set()
    for one in redundant(prepared.rules):
        policy, parsed = at[one.rule]
        found.append(
            policy.source.finding(
                one.code,
                one.message,
                ("rules", parsed.index, *one.path),
                offset=one.offset,
                hint=one.hint,
                rule=one.rule,
                severity="warning",
            )
        )
        if one.code == "AG225":
            never.add(one.rule)
    broken = any(finding.severity == "error" for finding in prepared.findings)
    permits = any(_permits(rule, now) for rule in prepared.rules if rule.name not in never)
    if prepared.rules and not broken and not permits and default is Effect.DENY:
        first = prepared.policies[0].source
        message, hint = "no rule permits anything", "add an allow"
        found.append(first.finding("AG220", message, ("policy",), hint=hint, severity="warning"))
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


def _permits(rule: Rule, now: dt.datetime | None) -> bool:
    """Whether a rule can permit: a rule that is observed does not, until that ends."""
    if rule.observe_until is not None and (now is None or now < rule.observe_until):
        return False
    to_step_up = rule.converted is not None and rule.converted.effect is Effect.STEP_UP
    return rule.grants or rule.effect is Effect.STEP_UP or to_step_up


def _unattended(policy: ParsedPolicy, parsed: ParsedRule, rule: Rule) -> Iterator[Finding]:
    """A flag that nobody has to look at: it is recorded, and stays so for ever."""
    flag = parsed.document.flag if parsed.document is not None else None
    if flag is None:
        return
    missing = [key for key in ("review_in", "escalate_to") if getattr(flag, key) is None]
    if flag.converts is None and not rule.grants:
        missing.append("converts")
    if missing:
        names = " and no ".join(f"`{key}`" for key in missing)
        examples = {
            "review_in": "review_in: 7d",
            "escalate_to": "escalate_to: NAME",
            "converts": "converts: {on: DATE, to: deny}",
        }
        hint = f"add `{', '.join(examples[key] for key in missing)}`"
        message = f"the flag of rule `{rule.id}` has no {names}"
        yield policy.source.finding(
            "AG227",
            message,
            ("rules", parsed.index, "flag"),
            key=True,
            hint=hint,
            rule=rule.name,
            severity="warning",
        )


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
