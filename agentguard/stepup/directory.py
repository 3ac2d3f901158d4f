"""Who the reviewers are: people, their groups, their other names and their keys.

The file (`directory.yaml`)::

    people:
      ana:
        name: Ana Alba
        aliases: [ana@example.com]
        groups: [finance]
        keys: [{kty: OKP, crv: Ed25519, x: 11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo}]
      ben: {groups: [leads], disabled: true}
    groups:
      finance: {includes: [leads]}       # whoever is in `leads` is in `finance`

Subjects, aliases and groups are compared without regard to case, width and white space.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agentguard.errors import ConfigurationError
from agentguard.stepup.eligibility import LOCAL, PRINCIPAL, fold

if TYPE_CHECKING:
    from agentguard.policy.findings import Finding

__all__ = ["Directory", "FileDirectory", "Person", "PublicKey", "StaticDirectory", "open_directory"]

MAX_BYTES: Final = 16 * 1024 * 1024
MAX_NESTING: Final = 32
"""Levels of groups in groups."""

Name = Annotated[str, Field(min_length=1, max_length=256)]


class Directory(Protocol):
    """Who is who; asked when somebody votes. A failure to answer is an error, and the vote does not count."""

    def members(self, group: str) -> frozenset[str]:
        """Canonical subjects of the active people in a group, nested groups included; unknown: nobody."""
        ...

    def keys(self, subject: str) -> tuple[Mapping[str, Any], ...]:
        """Public Ed25519 keys (JWK) of an active person."""
        ...

    def subject(self, alias: str) -> str:
        """The canonical subject behind a name; an unknown name is itself, in its folded spelling."""
        ...

    def active(self, subject: str) -> bool | None:
        """True for a person who may act, False for a disabled one, None for somebody unknown."""
        ...


class PublicKey(BaseModel):
    """An Ed25519 public key as a JWK (RFC 8037); a private part is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kty: Literal["OKP"]
    crv: Literal["Ed25519"]
    x: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{43}$")]
    kid: Annotated[str, Field(max_length=128)] | None = None


class Person(BaseModel):
    """One person of the directory."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = ""
    aliases: tuple[Name, ...] = ()
    groups: tuple[Name, ...] = ()
    keys: tuple[PublicKey, ...] = ()
    disabled: bool = False


class Group(BaseModel):
    """A group; `includes` are groups whose members are members of this one too."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    includes: tuple[Name, ...] = ()


class Document(BaseModel):
    """The whole file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    people: dict[Name, Person] = {}
    groups: dict[Name, Group] = {}


@dataclass(frozen=True, slots=True)
class _Known:
    """A document, indexed by folded names."""

    names: Mapping[str, str]
    people: Mapping[str, Person]
    members: Mapping[str, frozenset[str]]


class StaticDirectory:
    """A directory that does not change, from plain data as in the file; empty by default."""

    def __init__(
        self,
        people: Mapping[str, Any] | None = None,
        groups: Mapping[str, Any] | None = None,
    ) -> None:
        self._known = _index(
            _document({"people": people or {}, "groups": groups or {}}, "directory"), "directory"
        )

    def members(self, group: str) -> frozenset[str]:
        return self._known.members.get(fold(group), frozenset())

    def keys(self, subject: str) -> tuple[Mapping[str, Any], ...]:
        person = self._known.people.get(self.subject(subject))
        if person is None or person.disabled:
            return ()
        return tuple(key.model_dump(exclude_none=True) for key in person.keys)

    def subject(self, alias: str) -> str:
        return self._known.names.get(fold(alias), fold(alias))

    def active(self, subject: str) -> bool | None:
        person = self._known.people.get(self.subject(subject))
        return None if person is None else not person.disabled


class FileDirectory:
    """A directory in a YAML file, read again when the file changes.

    While the file is missing or invalid nobody is known and every question raises `ConfigurationError`: an
    older version is not used on, since whoever was removed would stay in it.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._lock = threading.Lock()
        self._stamp: tuple[int, int, int] | None = None
        self._current: StaticDirectory | ConfigurationError = ConfigurationError("not read yet")
        self._now()

    def members(self, group: str) -> frozenset[str]:
        return self._now().members(group)

    def keys(self, subject: str) -> tuple[Mapping[str, Any], ...]:
        return self._now().keys(subject)

    def subject(self, alias: str) -> str:
        return self._now().subject(alias)

    def active(self, subject: str) -> bool | None:
        return self._now().active(subject)

    def _now(self) -> StaticDirectory:
        with self._lock:
            try:
                status = self.path.stat()
            except OSError as error:
                self._stamp = None
                more = "; `agentguard reviewers enroll NAME` makes one" if not self.path.exists() else ""
                raise ConfigurationError(f"`{self.path}` cannot be read: {error.strerror}{more}") from error
            stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
            if stamp != self._stamp:
                try:
                    self._current = _static(load(self.path), str(self.path))
                except ConfigurationError as error:
                    self._current = error
                self._stamp = stamp
            if isinstance(self._current, ConfigurationError):
                raise ConfigurationError(str(self._current))
            return self._current


def open_directory(path: str | os.PathLike[str] | None) -> Directory:
    """The directory in a file, or an empty one for None.

    Raises:
        ConfigurationError: the file is missing or refused.
    """
    return StaticDirectory() if path is None else FileDirectory(path)


def load(path: Path) -> Document:
    """The file's document, checked.

    Raises:
        ConfigurationError: it cannot be read, or something in it is wrong; the message names file and place.
    """
    document, findings = read_document(path)
    for one in findings:
        raise ConfigurationError(f"{one.at}: {one.message}" + (f"; {one.hint}" if one.hint else ""))
    assert document is not None  # INVARIANT: there is a finding otherwise
    check_document(document, str(path))
    return document


def read_document(path: Path) -> tuple[Document | None, list[Finding]]:
    """The file's document as it stands there, or everything that is wrong with its shape.

    Raises:
        ConfigurationError: it cannot be read.
    """
    # Here: they bring the whole policy language with them.
    from agentguard.policy.reader import read
    from agentguard.policy.testing.shape import validated

    try:
        if path.stat().st_size > MAX_BYTES:
            raise ConfigurationError(f"`{path}` has more than {MAX_BYTES} bytes")
        content = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"`{path}` cannot be read: {error.strerror}") from error
    source, findings = read(content, str(path))
    if source is None:
        return None, findings
    if source.data is not None and not isinstance(source.data, Mapping):
        message = "a directory is a mapping; it begins with `people:`"
        return None, [source.finding("AG103", message)]
    return validated(Document, source, source.data or {}, (), "the directory")


def check_document(document: Document, where: str) -> None:
    """Refuse a document that contradicts itself.

    Raises:
        ConfigurationError: two people with one name or one key, groups in a circle, an unknown group.
    """
    _index(document, where)


def _document(data: object, where: str) -> Document:
    try:
        return Document.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the document"
        raise ConfigurationError(f"{where}: `{place}`: {first['msg']}") from None


def _static(document: Document, where: str) -> StaticDirectory:
    static = StaticDirectory()
    static._known = _index(document, where)
    return static


def _index(document: Document, where: str) -> _Known:
    people: dict[str, Person] = {}
    names: dict[str, str] = {}
    direct: dict[str, set[str]] = {}
    held: dict[str, str] = {}
    for subject, person in document.people.items():
        canonical = fold(subject)
        if canonical in people:
            raise ConfigurationError(f"{where}: two people have the name `{subject}`")
        people[canonical] = person
        for name in (subject, *person.aliases):
            key = fold(name)
            if key in (LOCAL, PRINCIPAL, "") or key.startswith("group:"):
                raise ConfigurationError(f"{where}: `{name}` cannot be the name of a person")
            if names.setdefault(key, canonical) != canonical:
                raise ConfigurationError(f"{where}: two people have the name `{name}`")
        for group in person.groups:
            direct.setdefault(fold(group), set())
            if not person.disabled:
                direct[fold(group)].add(canonical)
        for public in person.keys:
            if held.setdefault(public.x, canonical) != canonical:
                raise ConfigurationError(f"{where}: `{subject}` has the same key as `{held[public.x]}`")
    includes: dict[str, list[str]] = {}
    for name, declared in document.groups.items():
        if fold(name) in includes:
            raise ConfigurationError(f"{where}: the group `{name}` is there twice")
        includes[fold(name)] = [fold(included) for included in declared.includes]
    for name, included in includes.items():
        for other in included:
            if other not in includes and other not in direct:
                raise ConfigurationError(
                    f"{where}: the group `{name}` includes `{other}`, which does not exist"
                )
    done: dict[str, tuple[frozenset[str], int]] = {}
    for name in (*direct, *includes):
        _flatten(name, direct, includes, (), done, where)
    return _Known(names=names, people=people, members={name: found[0] for name, found in done.items()})


def _flatten(
    name: str,
    direct: Mapping[str, Iterable[str]],
    includes: Mapping[str, list[str]],
    above: tuple[str, ...],
    done: dict[str, tuple[frozenset[str], int]],
    where: str,
) -> tuple[frozenset[str], int]:
    """A group's people, and how many levels of groups it holds."""
    if name in done:
        return done[name]
    if name in above:
        raise ConfigurationError(f"{where}: groups include each other: {' > '.join((*above, name))}")
    people, levels = set(direct.get(name, ())), 0
    for other in includes.get(name, ()) if len(above) <= MAX_NESTING else ():
        inner, depth = _flatten(other, direct, includes, (*above, name), done, where)
        people |= inner
        levels = max(levels, depth + 1)
    if levels > MAX_NESTING or len(above) > MAX_NESTING:
        raise ConfigurationError(f"{where}: groups are nested deeper than {MAX_NESTING} levels")
    done[name] = (frozenset(people), levels)
    return done[name]
