"""Reading policy files: the edge of the package, and the only part of it that opens anything."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from agentguard.errors import ConfigurationError
from agentguard.packs import is_pack, located
from agentguard.policy.findings import Finding
from agentguard.policy.reader import MAX_BYTES, read
from agentguard.policy.source import Source

__all__ = ["Files", "Kind", "PolicyPaths", "is_proofs", "is_test", "read_files"]

PolicyPaths = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]
"""A file or folder, or several."""
Kind = Literal["policies", "tests", "proofs"]
"""What a folder is read for: each file is of one kind, by the end of its name."""

_SUFFIXES = (".yaml", ".yml")
_TESTS = ("_test.yaml", "_test.yml")
_PROOFS = ("_proofs.yaml", "_proofs.yml")
_POLICY = re.compile(rb"""^["']?policy["']?[ \t]*:""", re.MULTILINE)
_RENAME = "rename the file, so that it does not end in `_test` or `_proofs`"


@dataclass(frozen=True, slots=True)
class Files:
    """What was read: a source for each file that is YAML, what is wrong with others, all names in order."""

    sources: tuple[Source, ...]
    findings: tuple[Finding, ...]
    names: tuple[str, ...]
    hidden: tuple[str, ...] = ()
    """YAML files of a folder that were left out because their names begin with a dot."""

    @property
    def count(self) -> int:
        """How many files there are."""
        return len(self.names)


def read_files(paths: PolicyPaths, *, tests: bool = False, kind: Kind | None = None) -> Files:
    """Read policy files, and all of a folder, in the order of their names.

    With `tests`, the `*_test.yaml` of a folder instead; that there are none is then no finding. `kind` says
    the same of all kinds: `proofs` are `*_proofs.yaml`. Where policies are read, tests and proofs that hold a
    policy are findings: it would not be in force.
    """
    wanted: Kind = kind or ("tests" if tests else "policies")
    listed = [paths] if isinstance(paths, (str, os.PathLike)) else list(paths)
    sources: list[Source] = []
    findings: list[Finding] = []
    seen: set[str] = set()
    names: list[str] = []
    hidden: list[str] = []
    for item in listed:
        shown = os.fspath(item)
        if is_pack(shown):
            try:
                (found_in,) = located(shown)
            except ConfigurationError as error:
                findings.append(Finding(code="AG001", file=shown[:80], message=str(error)))
                continue
            shown = os.fspath(found_in)
        path = Path(shown)
        try:
            mode = path.stat().st_mode
        except (OSError, ValueError) as error:
            missing = isinstance(error, (FileNotFoundError, NotADirectoryError, ValueError))
            message = "the policy path does not exist" if missing else f"cannot be read: {_cause(error)}"
            name = shown if len(shown) < 300 and shown.isprintable() else shown.splitlines()[0][:80]
            hint = "policies are read from files and folders; text goes to `Snapshot.from_documents`"
            if shown.startswith(("https:/", "http:/")):
                hint = "what is fetched has to be signed: name it as `bundle`, or pass a `RemoteBundle`"
            findings.append(
                Finding(
                    code="AG001" if missing else "AG002",
                    file=name,
                    message=message,
                    hint=hint if missing else "",
                )
            )
            continue
        if stat.S_ISDIR(mode):
            found = list(_walk(path, findings, wanted, hidden))
            if not found and wanted == "policies":
                findings.append(
                    Finding(
                        code="AG011",
                        file=shown,
                        message="there is no policy file in this folder",
                        hint="`*.yaml`",
                    )
                )
        else:
            found = [path]
        for file in found:
            real = os.path.realpath(file)
            if real in seen:
                continue
            seen.add(real)
            names.append(str(file))
            source = _file(file, findings)
            if source is not None:
                sources.append(source)
    return Files(tuple(sources), tuple(findings), tuple(names), tuple(dict.fromkeys(hidden)))


def is_test(path: str | os.PathLike[str]) -> bool:
    """Whether a name is that of a file with tests."""
    return os.fspath(path).lower().endswith(_TESTS)


def is_proofs(path: str | os.PathLike[str]) -> bool:
    """Whether a name is that of a file with proofs."""
    return os.fspath(path).lower().endswith(_PROOFS)


def _kind(name: str) -> Kind:
    return "tests" if is_test(name) else "proofs" if is_proofs(name) else "policies"


def _walk(root: Path, findings: list[Finding], wanted: Kind, hidden: list[str]) -> Iterator[Path]:
    """The files of a kind in a folder; hidden names are left out, links must stay inside."""
    inside = os.path.realpath(root)

    def failed(error: OSError) -> None:
        findings.append(
            Finding(
                code="AG002", file=str(error.filename or root), message=f"cannot be read: {_cause(error)}"
            )
        )

    for folder, folders, names in os.walk(root, onerror=failed):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in (*folders, *sorted(names)):
            path = Path(folder, name)
            if not path.is_symlink() or name.startswith("."):
                continue
            target = os.path.realpath(path)
            if target != inside and not target.startswith(inside + os.sep):
                findings.append(
                    Finding(
                        code="AG002",
                        file=str(path),
                        message="the link leads out of the folder that was named",
                    )
                )
        for name in sorted(names):
            if not name.lower().endswith(_SUFFIXES):
                continue
            path = Path(folder, name)
            if name.startswith("."):
                hidden.append(str(path))
                continue
            target = os.path.realpath(path)
            if target != inside and not target.startswith(inside + os.sep):
                continue
            if _kind(name) == wanted:
                yield path
            elif wanted == "policies":
                findings.extend(_misnamed(path))


def _misnamed(path: Path) -> Iterator[Finding]:
    """A policy under the name of another kind."""
    kind = "tests" if is_test(path) else "proofs"
    message = f"this policy is not loaded: by its name the file holds {kind}"
    source = _file(path, [])
    if source is None and _begins_policy(path):  # what is wrong with it is said where it is read
        yield Finding(code="AG013", file=str(path), message=message, hint=_RENAME)
    elif source is not None and isinstance(source.data, Mapping) and "policy" in source.data:
        yield source.finding("AG013", message, ("policy",), key=True, hint=_RENAME)


def _begins_policy(path: Path) -> bool:
    """Whether a file that cannot be read as YAML begins a policy."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return False
        with path.open("rb") as file:
            return _POLICY.search(file.read(MAX_BYTES)) is not None
    except OSError:
        return False


def _file(path: Path, findings: list[Finding]) -> Source | None:
    name = str(path)
    try:
        # A pipe or device would block or never end: look before opening.
        if not stat.S_ISREG(path.stat().st_mode):
            findings.append(Finding(code="AG002", file=name, message="is not a regular file"))
            return None
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        findings.append(Finding(code="AG002", file=name, message=f"cannot be read: {_cause(error)}"))
        return None
    source, found = read(content, name)
    findings.extend(found)
    return source


def _cause(error: Exception) -> str:
    return (getattr(error, "strerror", None) or type(error).__name__).lower()
