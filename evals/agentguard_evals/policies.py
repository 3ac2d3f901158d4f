"""What `--policy` names: a path, or a pack, with `pack:` before it or without."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from agentguard.errors import ConfigurationError
from agentguard.packs import PREFIX
from agentguard.policy.findings import closest

__all__ = ["PACKS", "pack_names", "policy_paths"]

PACKS: Final = "agentguard_policies"
"""The package whose folders are packs."""


def policy_paths(named: Sequence[str]) -> list[Path]:
    """The path behind each name: what exists is a path, anything else the name of a pack.

    Raises:
        ConfigurationError: there is neither; the message lists the packs that exist.
    """
    return [_path(name) for name in named]


def _path(name: str) -> Path:
    path = Path(name)
    if path.exists():
        return path
    name = name.removeprefix(PREFIX)
    packs = _packs()
    if name in packs:
        return packs[name]
    near = closest(name, packs)
    if near is not None:
        known = f"did you mean the pack `{near}`?"
    elif packs:
        known = "packs are: " + ", ".join(f"`{one}`" for one in sorted(packs))
    else:
        known = f"no packs are installed (there is no `{PACKS}`)"
    raise ConfigurationError(f"there is no policy file or folder `{name}`; {known}")


def pack_names() -> list[str]:
    """The packs that are installed."""
    return sorted(_packs())


def _packs() -> dict[str, Path]:
    try:
        spec = importlib.util.find_spec(PACKS)
    except (ImportError, ValueError):
        return {}
    places = list(spec.submodule_search_locations or ()) if spec is not None else []
    folders = [folder for place in places for folder in Path(place).iterdir() if folder.is_dir()]
    return {folder.name: folder for folder in folders if any(folder.glob("*.yaml"))}
