"""A file of proofs: what `*_proofs.yaml` may say. Reading one needs no solver."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from agentguard.policy.expressions import Expressions, Fault
from agentguard.policy.findings import Finding
from agentguard.policy.scalars import Instant, Text, ToolPattern
from agentguard.policy.source import Path, Source
from agentguard.policy.testing.document import Label
from agentguard.policy.testing.shape import nulls, validated

__all__ = ["Proof", "ProofDocument", "ProofFile", "ProofsDocument", "read_proofs"]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class ProofDocument(_Model):
    """One claim: that a call never has an outcome, or that a rule can be reached."""

    name: Label
    description: str = ""
    never: Literal["runs", "asks", "passes", "denied"] | None = Field(
        None, description="what no call may: run without a person, wait for one, do either, be denied"
    )
    reachable: Text | None = Field(None, description="a rule, `policy/rule`, that some call must match")
    tool: ToolPattern | None = Field(None, description="a tool or pattern; left out: every tool")
    when: Text | None = Field(None, description="only calls for which this condition is true")


class ProofsDocument(_Model):
    """Claims about policies, which `agentguard prove` proves or refutes."""

    description: str = ""
    since: Instant | None = Field(None, description="for calls from this time on; left out: from now on")
    at: Instant | None = Field(None, description="for calls at this time only")
    proofs: Annotated[tuple[ProofDocument, ...], Field(strict=False, min_length=1)]


@dataclass(frozen=True, slots=True)
class Proof:
    """A claim and where it stands."""

    id: str
    at: str
    document: ProofDocument


@dataclass(frozen=True, slots=True)
class ProofFile:
    """The claims of one file."""

    name: str
    document: ProofsDocument
    proofs: tuple[Proof, ...]


def read_proofs(
    source: Source, rules: frozenset[str], tools: frozenset[str] | None = None
) -> tuple[ProofFile | None, list[Finding]]:
    """The claims of one file, or everything that is wrong with it.

    `rules` and `tools` are the names there are; without `tools` no tool is unknown.
    """
    raw = source.data
    if not isinstance(raw, Mapping) or not raw.get("proofs"):
        message = "the file has no `proofs`" if isinstance(raw, Mapping) else "the file holds no proofs"
        return None, [source.finding("AG405", message, hint="add `proofs: [...]`")]
    findings = list(nulls(source, raw, (), "the proofs", frozenset()))
    document, found = validated(ProofsDocument, source, raw, (), "the proofs")
    findings += found
    if document is None or findings:
        return None, findings
    if document.since is not None and document.at is not None:
        findings.append(source.finding("AG402", "`since` and `at` contradict each other", ("at",), key=True))
    seen: set[str] = set()
    for index, one in enumerate(document.proofs):
        findings += _wrong(source, ("proofs", index), one, seen, rules, tools)
    proofs = tuple(_proof(source, index, one) for index, one in enumerate(document.proofs))
    return (None if findings else ProofFile(source.file, document, proofs)), findings


def _proof(source: Source, index: int, document: ProofDocument) -> Proof:
    line = source.place(("proofs", index)).line
    return Proof(f"{source.file}::{document.name}", f"{source.file}:{line}", document)


def _wrong(
    source: Source,
    at: Path,
    proof: ProofDocument,
    seen: set[str],
    rules: frozenset[str],
    tools: frozenset[str] | None,
) -> list[Finding]:
    """What no model can say about one claim."""
    found: list[Finding] = []

    def problem(code: str, message: str, key: str, **more: Any) -> None:
        found.append(source.finding(code, f"{message} (in proof `{proof.name}`)", (*at, key), **more))

    if proof.name in seen:
        problem("AG402", f"there are two proofs `{proof.name}`", "name")
    seen.add(proof.name)
    if (proof.never is None) == (proof.reachable is None):
        problem("AG402", "a proof needs `never` or `reachable`, one of the two", "name")
    if proof.reachable is not None and proof.tool is not None:
        problem("AG402", "`tool` does not belong to `reachable`: the rule has its own", "tool")
    if proof.reachable is not None and proof.reachable not in rules:
        from agentguard.policy.findings import suggestion

        hint = suggestion(proof.reachable, rules, listed=0)
        problem("AG403", f"`{proof.reachable[:100]}` is no rule", "reachable", hint=hint)
    if proof.tool is not None and tools is not None:
        from agentguard.policy.proving.tools import unknown_tool

        unknown = unknown_tool(proof.tool, tools)
        if unknown is not None:
            problem("AG210", unknown[0], "tool", hint=unknown[1])
    if proof.when is not None:
        fault = Expressions().compile(proof.when)
        if isinstance(fault, Fault):
            problem(fault.code, fault.message, "when", offset=fault.offset, hint=fault.hint)
    return found
