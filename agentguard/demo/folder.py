"""The folder that a demo lives in: its policies, documents, database and ledger."""

from __future__ import annotations

import copy
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Final

from agentguard.errors import ConfigurationError, PolicyError
from agentguard.policy import Snapshot, Source, read
from agentguard.policy.report import render_text

__all__ = ["Folder", "demo_folder"]

_MARK: Final = "agentguard.yaml"
_POLICIES: Final = "policies"
MAX_DOCUMENT: Final = 20_000


class Folder:
    """The paths of a demo's files."""

    def __init__(self, path: Path) -> None:
        self.path: Final = path
        self.documents: Final = path / "documents"
        self.database: Final = path / "payments.db"
        self.tools: Final = path / "tools.yaml"
        self.store: Final = f"sqlite:///{path / 'agentguard.db'}"

    def snapshot(self, expires_in: str | None = None) -> Snapshot:
        """The policies of the folder, named as people see them there; `expires_in` cuts every deadline.

        Raises:
            PolicyError: they were refused, with file and line.
        """
        sources: list[Source] = []
        findings = []
        for file in sorted((self.path / _POLICIES).glob("*.yaml")):
            source, found = read(file.read_bytes(), f"{_POLICIES}/{file.name}")
            findings += found
            if source is not None:
                sources.append(source if expires_in is None else _hurried(source, expires_in))
        if findings:
            raise PolicyError(render_text(findings, files=len(sources), rules=0, loaded=False), findings)
        if not sources:
            raise ConfigurationError(f"there is no policy file in `{self.path / _POLICIES}`")
        return Snapshot.from_sources(sources)

    def document(self, name: str) -> bytes:
        """The content of a document.

        Raises:
            ValueError: there is no such document, or it is too long.
        """
        known = {file.name: file for file in self.documents.iterdir() if file.is_file()}
        if name not in known or known[name].is_symlink() or known[name].stat().st_size > MAX_DOCUMENT:
            raise ValueError("there is no such document")
        return known[name].read_bytes()


@contextmanager
def demo_folder(keep: Path | None) -> Iterator[Folder]:
    """A temporary folder that is removed at the end; or the one to keep, whose policies stay as they are.

    Raises:
        ConfigurationError: the folder to keep holds something that is not a demo's.
    """
    files = resources.files("agentguard.demo") / "files"
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="agentguard-demo-", ignore_cleanup_errors=True) as made:
            _copy(files, Path(made))
            yield Folder(Path(made))
        return
    if keep.exists() and (not keep.is_dir() or (any(keep.iterdir()) and not _is_demo(keep))):
        raise ConfigurationError(f"`{keep}` is not empty and not a demo's folder; name another one")
    keep.mkdir(mode=0o700, parents=True, exist_ok=True)
    _copy(files, keep)
    yield Folder(keep.resolve())


def _is_demo(path: Path) -> bool:
    """Whether a folder was made by an earlier demo: its configuration is the demo's."""
    ours = (resources.files("agentguard.demo") / "files" / _MARK).read_bytes()
    try:
        return (path / _MARK).read_bytes() == ours
    except OSError:
        return False


def _copy(source: Traversable, target: Path) -> None:
    """Copy what is not there yet: what somebody changed in a kept folder is theirs."""
    for item in source.iterdir():
        place = target / item.name
        if item.is_dir():
            place.mkdir(mode=0o700, exist_ok=True)
            _copy(item, place)
        elif not place.exists():
            with item.open("rb") as content, place.open("wb") as file:
                shutil.copyfileobj(content, file)
            place.chmod(0o600)


def _hurried(source: Source, expires_in: str) -> Source:
    """The same policy with short deadlines; files and lines stay what they are."""
    data: Any = copy.deepcopy(source.data)
    rules = data.get("rules") if isinstance(data, dict) else None
    for rule in rules if isinstance(rules, list) else ():
        approval = rule.get("approval") if isinstance(rule, dict) else None
        if isinstance(approval, dict):
            approval["expires_in"] = expires_in
    return Source(data=data, file=source.file, text=source.text, root=source.root)
