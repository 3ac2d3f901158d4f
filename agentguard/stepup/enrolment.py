"""Giving a reviewer a key: the private part into a file of theirs, the public part into the directory."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from agentguard.errors import ConfigurationError
from agentguard.stepup import signing
from agentguard.stepup.directory import Document, Person, PublicKey, check_document, load
from agentguard.stepup.eligibility import fold

__all__ = ["enroll", "load_private_key", "write_document", "write_private"]


def enroll(
    directory: str | os.PathLike[str],
    subject: str,
    key_file: str | os.PathLike[str],
    *,
    groups: Sequence[str] = (),
    name: str = "",
    replace_keys: bool = False,
) -> dict[str, Any]:
    """Make a key pair for a reviewer and return its public part.

    The private key is written first, as a JWK with mode 0600, and never over an existing file. Then the
    person and the public key appear in the directory, whole or not at all; comments of the file are not kept,
    except those above its first entry. `replace_keys` drops the person's earlier keys.

    Raises:
        ConfigurationError: a file cannot be written, exists already, or the directory would not be valid.
    """
    target, path = Path(directory), Path(key_file)
    pair = signing.generate_key()
    with _Replacing(target) as replacing:
        document = load(target) if target.exists() else Document()
        known = next((key for key in document.people if fold(key) == fold(subject)), subject)
        person = document.people.get(known, Person())
        if person.disabled:
            raise ConfigurationError(f"`{subject}` is disabled in `{target}`")
        public = PublicKey.model_validate(pair.public)
        joined = person.model_copy(
            update={
                "keys": (public,) if replace_keys else (*person.keys, public),
                "groups": tuple(dict.fromkeys((*person.groups, *groups))),
                "name": name or person.name,
            }
        )
        changed = Document(people={**document.people, known: joined}, groups=document.groups)
        check_document(changed, str(target))
        write_private(path, pair.private)
        try:
            replacing.write(changed)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
    return pair.public


def load_private_key(path: str | os.PathLike[str]) -> dict[str, Any]:
    """A reviewer's private key as a JWK.

    Raises:
        ConfigurationError: it cannot be read, is not a private Ed25519 key, or others may read it.
    """
    file = Path(path)
    try:
        with open(file, encoding="utf-8") as handle:
            if os.name == "posix" and os.fstat(handle.fileno()).st_mode & 0o077:
                raise ConfigurationError(f"`{file}` can be read by others; run `chmod 600 {file}`")
            data: object = json.loads(handle.read(16 * 1024))
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"`{file}` cannot be read as a key: {error}") from error
    if not isinstance(data, dict) or data.get("crv") != "Ed25519" or not isinstance(data.get("d"), str):
        raise ConfigurationError(f"`{file}` is not a private Ed25519 key")
    return {str(key): value for key, value in data.items()}


def write_document(path: str | os.PathLike[str], document: Document) -> None:
    """Write a whole directory file, atomically.

    Raises:
        ConfigurationError: it would not be valid, or cannot be written.
    """
    check_document(document, str(path))
    with _Replacing(Path(path)) as replacing:
        replacing.write(document)


class _Replacing:
    """Replaces a file by a new one; the new one's name is also the lock against another writer."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.fresh = path.with_name(path.name + ".new")
        self._handle = -1

    def __enter__(self) -> _Replacing:
        mode = 0o644
        try:
            mode = self.path.stat().st_mode & 0o777
        except FileNotFoundError:
            pass
        try:
            self._handle = os.open(self.fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        except FileExistsError:
            raise ConfigurationError(
                f"`{self.fresh}` exists: somebody else is writing `{self.path}`; if nobody is, delete it"
            ) from None
        except OSError as error:
            raise ConfigurationError(f"`{self.path}` cannot be written: {error.strerror}") from error
        return self

    def write(self, document: Document) -> None:
        text = yaml.safe_dump(_plain(document), sort_keys=False, allow_unicode=True, width=100)
        try:
            with os.fdopen(self._handle, "w", encoding="utf-8") as file:
                self._handle = -1
                file.write(_heading(self.path) + text)
                file.flush()
                os.fsync(file.fileno())
            load(self.fresh)
            os.replace(self.fresh, self.path)
        except OSError as error:
            raise ConfigurationError(f"`{self.path}` cannot be written: {error.strerror}") from error

    def __exit__(self, *_: object) -> None:
        if self._handle >= 0:
            os.close(self._handle)
        self.fresh.unlink(missing_ok=True)


def _plain(document: Document) -> dict[str, Any]:
    people = {
        subject: person.model_dump(mode="json", exclude_defaults=True, exclude_none=True)
        for subject, person in document.people.items()
    }
    groups = {
        name: group.model_dump(mode="json", exclude_defaults=True) for name, group in document.groups.items()
    }
    return {"people": people, "groups": groups} if groups else {"people": people}


def _heading(path: Path) -> str:
    try:
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    except OSError:
        return ""
    kept: list[str] = []
    for line in lines:
        if line.strip() and not line.startswith("#"):
            break
        kept.append(line)
    return "".join(kept)


def write_private(path: Path, private: Mapping[str, Any]) -> None:
    """Write a key to a new file that only its owner can read.

    Raises:
        ConfigurationError: the file exists, or cannot be written.
    """
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise ConfigurationError(f"`{path}` exists; a key is never written over another file") from None
    except OSError as error:
        raise ConfigurationError(f"`{path}` cannot be written: {error.strerror}") from error
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            json.dump(dict(private), file)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        path.unlink(missing_ok=True)
        raise ConfigurationError(f"`{path}` cannot be written: {error.strerror}") from error
