"""A pack: what it is called, what it is for, where its files are."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

__all__ = ["METADATA", "OWNER", "Pack", "PackError", "open_pack", "packs"]

METADATA: Final = "pack.toml"
"""Beside the policies of each pack: `title`, `version`, `needs`."""
OWNER: Final = "pack-owner"
"""Who answers for the rules of a pack until somebody does: `agentguard init --pack` fills in a name."""


class PackError(LookupError):
    """There is no such pack, or its metadata is not right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pack:
    """A folder of policies, tests and a README. `needs` are the facts without which its rules ask or deny."""

    name: str
    title: str
    version: str
    needs: tuple[str, ...]
    folder: Path

    @property
    def files(self) -> tuple[Path, ...]:
        """Its policies and tests, by name."""
        return tuple(sorted(self.folder.glob("*.yaml")))


def packs() -> Mapping[str, Pack]:
    """Every pack that is installed, by name.

    Raises:
        PackError: the metadata of one is not right.
    """
    root = Path(str(files("agentguard_policies")))
    return {found.parent.name: _pack(found) for found in sorted(root.glob(f"*/{METADATA}"))}


def open_pack(name: str) -> Pack:
    """One pack.

    Raises:
        PackError: there is none of this name; the message names one that is close, or all.
    """
    found = packs()
    if name in found:
        return found[name]
    near = get_close_matches(name, found, 1)
    known = f"did you mean `{near[0]}`?" if near else "packs are: " + ", ".join(f"`{one}`" for one in found)
    raise PackError(f"there is no pack `{name[:80]}`; {known}")


def _pack(file: Path) -> Pack:
    try:
        data: dict[str, Any] = tomllib.loads(file.read_text(encoding="utf-8"))
        return Pack(
            name=file.parent.name,
            title=str(data["title"]),
            version=str(data["version"]),
            needs=tuple(str(one) for one in data.get("needs", [])),
            folder=file.parent,
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PackError(f"the pack `{file.parent.name}` has no right `{METADATA}`: {error}") from None
