"""The catalogue of control identifiers: reviewed data (`controls.yaml`), each with where it was read."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from agentguard.errors import ConfigurationError

__all__ = ["Catalogue", "Entry", "catalogue"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One control. `standing` is `primary` or `secondary`."""

    id: str
    title: str
    catalogue: str
    source: str
    standing: str


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Every control that is known, and other spellings of their identifiers."""

    entries: dict[str, Entry]
    aliases: dict[str, str]

    def name(self, id: str) -> str:
        """The identifier under which a control is counted, whatever its spelling."""
        return self.aliases.get(id, id)

    def find(self, id: str) -> Entry | None:
        """The control of an identifier or an alias."""
        return self.entries.get(self.name(id))


@cache
def catalogue() -> Catalogue:
    """The catalogue of this version.

    Raises:
        ConfigurationError: the file of this installation is damaged.
    """
    from agentguard.policy.reader import read

    text = files("agentguard.governance.report").joinpath("controls.yaml").read_text(encoding="utf-8")
    source, findings = read(text, "controls.yaml")
    if source is None or findings:
        raise ConfigurationError("the catalogue of controls is damaged; install agentguard again")
    data: Any = source.data
    entries: dict[str, Entry] = {}
    for one in data["catalogues"]:
        for id, title in one["controls"].items():
            if id in entries:
                raise ConfigurationError(f"the catalogue of controls has `{id}` twice")
            entries[id] = Entry(id, title, one["name"], one["source"], one["standing"])
    return Catalogue(entries, dict(data["aliases"]))
