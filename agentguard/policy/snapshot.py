"""The compiled set of policies that one decision sees."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from agentguard.access import check_access
from agentguard.call import ContextRequest
from agentguard.canonical import digest, encode
from agentguard.decision import Decision
from agentguard.errors import PolicyError
from agentguard.policy.check import load_findings
from agentguard.policy.deciding import Policies, decide
from agentguard.policy.default import Default
from agentguard.policy.files import PolicyPaths, read_files
from agentguard.policy.findings import Finding
from agentguard.policy.index import Index
from agentguard.policy.prepare import Prepared, collector_paused, prepare
from agentguard.policy.register import Refused, Register
from agentguard.policy.report import render_text
from agentguard.policy.rules import Rule
from agentguard.policy.source import Source
from agentguard.policy.waivers import CompiledRegister

__all__ = ["Signed", "Snapshot"]

_SHOWN: Final = 20
_CACHED: Final = 4096
_DENY: Final = Default()


@dataclass(frozen=True, slots=True)
class Signed:
    """The signed bundle that a snapshot comes from: its version, its digest, the key's thumbprint."""

    version: int
    digest: str
    signer: str


class Snapshot:
    """Immutable: compiled rules, a register of exceptions and grants, a default effect, and a digest.

    Safe to use from any thread. `decide` is a pure function of the snapshot and the request.
    """

    __slots__ = ("_needs", "_policies", "_signed", "tracks")

    def __init__(self, policies: Policies, signed: Signed | None = None) -> None:
        self._policies: Final = policies
        self._signed: Final = signed
        self._needs: dict[str, frozenset[str]] = {}
        # Whether any rule asks where values come from, so that sessions have to keep what they see.
        self.tracks: Final = policies.index.tracks or policies.register.tracks

    @classmethod
    def from_documents(
        cls,
        documents: Iterable[Mapping[str, Any]],
        *,
        default: Default = _DENY,
        register: Register | None = None,
    ) -> Snapshot:
        """Compile documents, each a mapping as a policy file holds it.

        Raises:
            PolicyError: something is wrong; it carries every finding.
        """
        with collector_paused():
            return cls._compile([Source.from_mapping(document) for document in documents], default, register)

    @classmethod
    def from_sources(
        cls, sources: Iterable[Source], *, default: Default = _DENY, register: Register | None = None
    ) -> Snapshot:
        """Compile documents that were read already (`agentguard.policy.read`), with their places.

        Raises:
            PolicyError: something is wrong; it carries every finding.
        """
        with collector_paused():
            return cls._compile(list(sources), default, register)

    @classmethod
    def load(
        cls,
        paths: PolicyPaths,
        *,
        default: Default = _DENY,
        register: Register | None = None,
    ) -> Snapshot:
        """Compile policy files and folders: `*.yaml` and `*.yml`.

        Of a folder, `*_test.yaml`, `*_proofs.yaml` and names that begin with a dot are left out.

        Raises:
            PolicyError: a path does not exist, nothing was found, something is wrong in a file, anybody may
                change it, or one that is left out for its name holds a policy; it carries every finding of
                every file.
        """
        with collector_paused():
            return cls._load(paths, default, register)

    # What these two read and parse is gone when they return: the collector then has little to walk.

    @classmethod
    def _compile(cls, sources: Sequence[Source], default: Default, register: Register | None) -> Snapshot:
        prepared = prepare(sources)
        if prepared.findings:
            raise _refused(prepared.findings, prepared, files=len(sources))
        return cls._build(prepared, default, register)

    @classmethod
    def _load(cls, paths: PolicyPaths, default: Default, register: Register | None) -> Snapshot:
        listed = [paths] if isinstance(paths, (str, os.PathLike)) else list(paths)
        files = read_files(listed)
        prepared = prepare(files.sources)
        findings = [*check_access(dict.fromkeys([*listed, *files.names])), *load_findings(prepared, files)]
        if findings:
            raise _refused(findings, prepared, files=files.count)
        return cls._build(prepared, default, register)

    @classmethod
    def _build(cls, prepared: Prepared, default: Default, register: Register | None) -> Snapshot:
        index = Index(prepared.rules)
        documents = sorted(prepared.documents, key=lambda document: str(document["policy"]))
        found = digest(encode({"v": 1, "default": default.to_json(), "policies": documents}))
        compiled = CompiledRegister.compile(register if register is not None else Register(), index.rules)
        return cls(Policies(index, compiled, default, found))

    @property
    def digest(self) -> str:
        """SHA-256 over the documents and the default effect; the register is not part of it."""
        return self._policies.digest

    @property
    def rules(self) -> tuple[Rule, ...]:
        """Every compiled rule, by name."""
        return self._policies.index.rules

    @property
    def default(self) -> Default:
        """What joins a decision when nothing permits."""
        return self._policies.default

    @property
    def register(self) -> Register:
        """The exceptions and grants in use."""
        return self._policies.register.register

    @property
    def refused(self) -> tuple[Refused, ...]:
        """Records of the register that can never apply, and why."""
        return self._policies.register.refused

    @property
    def policies(self) -> Policies:
        """What `decide` and `explain` read."""
        return self._policies

    def with_register(self, register: Register) -> Snapshot:
        """The same policies with other exceptions and grants; only their conditions are compiled."""
        old = self._policies
        compiled = CompiledRegister.compile(register, old.index.rules)
        return Snapshot(Policies(old.index, compiled, old.default, old.digest), self._signed)

    @property
    def signed(self) -> Signed | None:
        """The signed bundle that it comes from, if it does."""
        return self._signed

    def with_signature(self, signed: Signed) -> Snapshot:
        """The same policies, as those of a bundle whose signature was verified."""
        return Snapshot(self._policies, signed)

    def rules_for(self, tool: str) -> tuple[Rule, ...]:
        """The rules that concern a tool, strongest effect first, then by name."""
        found = self._policies.index.find(tool)
        return () if found is None else tuple(sorted(found.rules(), key=lambda rule: rule.order))

    def needs(self, tool: str) -> frozenset[str]:
        """The names of the facts that a decision about this tool reads and that somebody has to supply."""
        found = self._needs.get(tool)
        if found is None:
            selection = self._policies.index.find(tool)
            if selection is None:
                return frozenset()
            found = self._policies.register.needs(tool) | selection.needs
            if len(self._needs) >= _CACHED:
                self._needs = {}
            self._needs[tool] = found
        return found

    def decide(self, request: ContextRequest, *, exhausted: Collection[str] = ()) -> Decision:
        """Decide one call; a request that cannot be decided at all is denied as `agentguard/error`.

        `exhausted` holds the keys of counters that could not be taken from: decided again with them, an allow
        rule, grant or exception that needs the counter no longer applies, and any other rule denies.
        """
        return decide(self._policies, request, exhausted)

    def __repr__(self) -> str:
        return f"<Snapshot {self.digest[:19]} of {len(self.rules)} rules, register {self.register.version}>"


def _refused(findings: Iterable[Finding], prepared: Prepared, *, files: int) -> PolicyError:
    listed = tuple(findings)
    text = render_text(listed[:_SHOWN], files=files, rules=prepared.rules_read, loaded=False).rstrip()
    more = f"{os.linesep}... and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else ""
    return PolicyError(f"the policies were refused:\n{text}{more}", listed)
