"""Files of proofs together with the policies they are about."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from agentguard.policy.files import Files
from agentguard.policy.findings import Finding
from agentguard.policy.proving.answers import Answer, Found
from agentguard.policy.proving.document import Proof, ProofFile, read_proofs
from agentguard.policy.proving.questions import Bounds, never, reachable
from agentguard.policy.snapshot import Snapshot

__all__ = ["Proved", "load_proofs", "prove"]


@dataclass(frozen=True, slots=True)
class Proved:
    """A claim with its answer; it `holds`, fails, or is not known."""

    proof: Proof
    answer: Answer

    @property
    def holds(self) -> Found:
        """Whether the claim is proved: one that a rule can be reached is, by a call that does."""
        if self.proof.document.reachable is None or self.answer.found == "unknown":
            return self.answer.found
        return "proved" if self.answer.found == "refuted" else "refuted"

    def to_json(self) -> dict[str, Any]:
        document = self.proof.document
        return {
            "proof": self.proof.id,
            "name": document.name,
            "at": self.proof.at,
            "holds": {"proved": True, "refuted": False, "unknown": None}[self.holds],
            **self.answer.to_json(),
        }


def load_proofs(
    files: Files, snapshot: Snapshot, tools: frozenset[str] | None = None
) -> tuple[list[ProofFile], list[Finding]]:
    """The files of proofs; with any finding nothing is proved, so that nothing passes by chance.

    `tools` are those that a tool-facts file knows; without it no tool is unknown.
    """
    rules = frozenset(rule.name for rule in snapshot.rules)
    findings = list(files.findings)
    found: list[ProofFile] = []
    for source in files.sources:
        file, wrong = read_proofs(source, rules, tools)
        findings += wrong
        if file is not None:
            found.append(file)
    return found, findings


def prove(files: list[ProofFile], snapshot: Snapshot, bounds: Bounds) -> Iterator[Proved]:
    """Answer every claim, in the order of the files.

    Raises:
        ConfigurationError: z3 is not installed.
    """
    for file in files:
        document = file.document
        changed = dataclasses.replace(
            bounds,
            begin=document.since or bounds.begin,
            at=document.at if document.at is not None else bounds.at,
        )
        for proof in file.proofs:
            yield Proved(proof, _answer(proof, snapshot, changed))


def _answer(proof: Proof, snapshot: Snapshot, bounds: Bounds) -> Answer:
    document = proof.document
    if document.reachable is not None:
        return reachable(snapshot, document.reachable, when=document.when, bounds=bounds)
    assert document.never is not None
    return never(snapshot, document.never, tool=document.tool or "*", when=document.when, bounds=bounds)
