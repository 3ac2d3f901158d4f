"""From plain data to checked documents: every problem of shape becomes a finding with its place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from agentguard.policy.document import (
    RESERVED,
    ApprovalDocument,
    ConvertsDocument,
    FlagDocument,
    FlagLevelDocument,
    ObserveDocument,
    PolicyDocument,
    ReserveDocument,
    RuleDocument,
    StageDocument,
    mode_problems,
    problems,
)
from agentguard.policy.findings import Finding, closest, suggestion
from agentguard.policy.source import Path, Source

__all__ = ["ParsedPolicy", "ParsedRule", "parse"]

_PARTS: Final[dict[tuple[str, ...], type[BaseModel]]] = {
    ("approval",): ApprovalDocument,
    ("approval", "stages"): StageDocument,
    ("flag",): FlagDocument,
    ("flag", "converts"): ConvertsDocument,
    ("flag", "escalate_to"): FlagLevelDocument,
    ("observe",): ObserveDocument,
    ("reserve",): ReserveDocument,
}
_TYPES: Final = {
    "string_type": "must be text",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "bool_type": "must be `true` or `false`",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "dict_type": "must be a mapping",
    "model_type": "must be a mapping",
    "too_short": "must not be empty",
}


@dataclass(frozen=True, slots=True)
class ParsedRule:
    """A rule as written (`raw`), and as a model where its shape is right."""

    index: int
    raw: Mapping[str, Any]
    document: RuleDocument | None


@dataclass(frozen=True, slots=True)
class ParsedPolicy:
    """A policy as written, and as models where its shape is right."""

    source: Source
    name: str
    header: PolicyDocument | None
    rules: tuple[ParsedRule, ...]


def parse(source: Source) -> tuple[ParsedPolicy | None, list[Finding]]:
    """One document; None when it is nothing that could be a policy."""
    raw = source.data
    if not isinstance(raw, Mapping):
        what = "is empty" if raw is None else "is not a mapping"
        message = f"the document {what}; a policy begins with `policy: NAME`"
        return None, [source.finding("AG012" if raw is None else "AG103", message)]
    if not all(isinstance(key, str) for key in raw):
        return None, [source.finding("AG010", "the document has a key that is not text")]
    named = raw.get("policy")
    name = named if isinstance(named, str) else ""
    found: list[Finding] = []
    rules_raw = raw.get("rules")
    header: PolicyDocument | None = None
    bare = {**raw, "rules": []} if isinstance(rules_raw, (list, tuple)) else dict(raw)
    label = f"policy `{name}`" if name else "the policy"
    found += _nulls(source, {key: value for key, value in raw.items() if key != "rules"}, (), label, "")
    try:
        header = PolicyDocument.model_validate(bare)
    except ValidationError as error:
        found += _findings(source, error, PolicyDocument, (), label, "", raw)
    if header is not None:
        found += [
            source.finding(p.code, f"{p.message} in {label}", p.path, hint=p.hint)
            for p in mode_problems(header.mode, header.observe)
        ]
    if name in RESERVED:
        found.append(source.finding("AG107", f"the policy name `{name}` is reserved", ("policy",)))
    rules: list[ParsedRule] = []
    if isinstance(rules_raw, (list, tuple)):
        for index, item in enumerate(rules_raw):
            rule, problems_found = _rule(source, name, index, item, header)
            found += problems_found
            if rule is not None:
                rules.append(rule)
        found += _duplicate_ids(source, name, rules)
    return ParsedPolicy(source, name, header, tuple(rules)), found


def _rule(
    source: Source, policy: str, index: int, raw: object, header: PolicyDocument | None
) -> tuple[ParsedRule | None, list[Finding]]:
    at: Path = ("rules", index)
    if not isinstance(raw, Mapping) or not all(isinstance(key, str) for key in raw):
        message = f"rule {index + 1} of policy `{policy}` is not a mapping"
        return None, [source.finding("AG103", message, at)]
    known = raw.get("id")
    rule_id = known if isinstance(known, str) and known else None
    label = f"rule `{rule_id}`" if rule_id else f"rule {index + 1}"
    name = f"{policy}/{rule_id}" if rule_id else f"{policy}/{index + 1}"
    found = _nulls(source, raw, at, label, name)
    document: RuleDocument | None = None
    try:
        document = RuleDocument.model_validate(raw)
    except ValidationError as error:
        found += _findings(source, error, RuleDocument, at, label, name, raw)
    else:
        observed = header is not None and header.observe is not None
        owner = header.owner if header is not None else None
        found += [
            source.finding(p.code, f"{p.message} in {label}", (*at, *p.path), hint=p.hint, rule=name)
            for p in problems(document, policy_observed=observed, owner=owner)
        ]
    return ParsedRule(index, raw, document), found


def _duplicate_ids(source: Source, policy: str, rules: list[ParsedRule]) -> Iterator[Finding]:
    seen: set[str] = set()
    for rule in rules:
        rule_id = rule.raw.get("id")
        if not isinstance(rule_id, str):
            continue
        if rule_id in seen:
            yield source.finding(
                "AG105",
                f"the id `{rule_id}` is there twice in policy `{policy}`",
                ("rules", rule.index, "id"),
                rule=f"{policy}/{rule_id}",
            )
        seen.add(rule_id)


def _nulls(source: Source, value: object, at: Path, label: str, rule: str) -> list[Finding]:
    """An explicit nothing is refused: `when:` with its condition forgotten would mean always."""
    found: list[Finding] = []
    if isinstance(value, Mapping):
        for key, item in value.items():
            if item is None:
                message = f"`{key}` has no value in {label}"
                hint = "give it one, or remove the key"
                found.append(source.finding("AG103", message, (*at, key), key=True, hint=hint, rule=rule))
            elif isinstance(item, (Mapping, list, tuple)):
                found += _nulls(source, item, (*at, key), label, rule)
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            if item is None:
                message = f"an item of the list has no value in {label}"
                found.append(source.finding("AG103", message, (*at, index), hint="remove it", rule=rule))
            elif isinstance(item, (Mapping, list, tuple)):
                found += _nulls(source, item, (*at, index), label, rule)
    return found


def _findings(
    source: Source,
    error: ValidationError,
    model: type[BaseModel],
    at: Path,
    label: str,
    rule: str,
    raw: Mapping[str, Any],
) -> Iterator[Finding]:
    errors = error.errors(include_url=False)
    suggested = {
        (*e["loc"][:-1], closest(str(e["loc"][-1]), _keys(model, e["loc"])))
        for e in errors
        if e["type"] == "extra_forbidden"
    }
    for e in errors:
        loc, kind = e["loc"], e["type"]
        if kind == "missing" and loc in suggested:
            continue  # The key is there, misspelt, and has its own finding.
        if e.get("input", "") is None and kind != "missing":
            continue  # `_nulls` has said so.
        if kind == "too_short" and any(o["loc"][: len(loc)] == loc and o is not e for o in errors):
            continue  # Its items have their own findings; those that were refused were not counted.
        where = label
        inner = [str(part) for part in loc[:-1] if isinstance(part, str)]
        if inner and inner[0] != "set":
            where = f"`{'.'.join(inner)}` of {label}"
        key_itself = bool(loc) and loc[-1] == "[key]"
        path: tuple[str | int, ...] = (*at, *(loc[:-1] if key_itself else loc))
        last = str(loc[-1]) if loc else ""
        hint = ""
        on_key = key_itself
        if kind == "extra_forbidden":
            code, message, on_key = "AG102", f"unknown key `{last[:80]}` in {where}", True
            hint = suggestion(last, _keys(model, loc), listed=8)
        elif kind == "missing":
            code, message = "AG101", f"`{last}` is missing in {where}"
            path = (*at, *loc[:-1])
            if len(loc) == 1 and "id" in raw:
                path = (*at, "id")
        elif kind == "literal_error":
            allowed = [
                word.strip("'") for word in e.get("ctx", {})["expected"].replace(" or ", ", ").split(", ")
            ]
            word = str(e["input"])[:60]
            code, message = (
                "AG104",
                f"unknown {'effect' if last == 'effect' else f'word for `{last}`'} `{word}` in {where}",
            )
            hint = suggestion(word, allowed)
        elif kind.startswith("AG"):
            code, message = kind, f"{e['msg']} (in {where})"
        else:
            code, message = "AG103", f"`{_last_name(loc)}` {_type_message(kind, e)} in {where}"
            if kind == "int_type" and isinstance(e["input"], str):
                hint = "remove the quotes"
        yield source.finding(code, message, path, key=on_key, hint=hint, rule=rule)


def _keys(model: type[BaseModel], loc: tuple[int | str, ...]) -> list[str]:
    names = tuple(part for part in loc[:-1] if isinstance(part, str))
    return list(_PARTS.get(names, model).model_fields)


def _last_name(loc: tuple[int | str, ...]) -> str:
    names = [part for part in loc if isinstance(part, str)]
    return names[-1] if names else "value"


def _type_message(kind: str, error: Any) -> str:
    context = error.get("ctx", {})
    if kind == "greater_than_equal":
        return f"must be at least {context['ge']}"
    if kind == "less_than_equal":
        return f"must be at most {context['le']}"
    if kind == "too_long":
        return f"must have at most {context['max_length']} items"
    return _TYPES.get(kind) or str(error["msg"]).lower()
