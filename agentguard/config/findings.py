"""What is wrong with a file of settings: what the codes mean, and all of it as one error."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from agentguard.errors import ConfigurationError

if TYPE_CHECKING:
    from agentguard.policy import Finding

__all__ = ["EXPLANATIONS", "refused"]

EXPLANATIONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "AG301": "Anybody on this machine may change the file, or put another in its place: whoever can edit "
        "a policy decides what runs. Take the right away (`chmod o-w`), or move the file to a folder of "
        "your own.",
        "AG302": "The name cannot be a tool's: tool names consist of letters, digits and `. _ - / :` of "
        "ASCII, so that no other name looks like them.",
        "AG303": "The configuration contradicts itself; the message says where. Nothing is guessed: what was "
        "meant has to be written down.",
    }
)
"""What the codes of configuration findings mean; the other codes are those of policies."""


def refused(path: str | os.PathLike[str], findings: Iterable[Finding]) -> ConfigurationError:
    """The error that holds every problem with its place."""
    lines = [
        f"{found.at or os.fspath(path)}: {found.code} {found.message}"
        + (f"; {found.hint}" if found.hint else "")
        for found in findings
    ]
    return ConfigurationError("\n".join(lines))
