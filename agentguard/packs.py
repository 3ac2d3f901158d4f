"""Packs where paths of policies are named: `pack:hijack` is the folder of that pack."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Final

from agentguard.errors import ConfigurationError

__all__ = ["PREFIX", "is_pack", "located"]

PREFIX: Final = "pack:"


def is_pack(path: str | os.PathLike[str]) -> bool:
    """Whether a path names a pack."""
    return os.fspath(path).startswith(PREFIX)


def located(
    paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
) -> list[str | os.PathLike[str]]:
    """The paths with the folder of each pack that is named in its place.

    Raises:
        ConfigurationError: there is no such pack, or no packs are installed.
    """
    listed = [paths] if isinstance(paths, (str, os.PathLike)) else list(paths)
    return [_folder(os.fspath(path)) if is_pack(path) else path for path in listed]


def _folder(named: str) -> str:
    try:
        from agentguard_policies import PackError, open_pack
    except ImportError:
        raise ConfigurationError(f"`{named[:80]}`: no packs are installed with this agentguard") from None
    try:
        return str(open_pack(named.removeprefix(PREFIX)).folder)
    except PackError as error:
        raise ConfigurationError(str(error)) from None
