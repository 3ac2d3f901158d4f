"""The files of settings: where the configuration is looked for, and how one is read."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from agentguard.access import check_access

if TYPE_CHECKING:
    from agentguard.policy import Finding, Source

__all__ = ["CONFIG_NAME", "VARIABLE", "find_config", "read_mapping"]

CONFIG_NAME: Final = "agentguard.yaml"
VARIABLE: Final = "AGENTGUARD_CONFIG"


def find_config(
    start: str | os.PathLike[str] = ".",
    *,
    explicit: str | os.PathLike[str] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Path | None:
    """The configuration to use: the one named, else `AGENTGUARD_CONFIG`, else `agentguard.yaml` in `start`.

    Folders above are never looked at: others may write there.
    """
    named = explicit or (os.environ if environ is None else environ).get(VARIABLE)
    if named:
        return Path(named)
    found = Path(start, CONFIG_NAME)
    return found if found.exists() else None


def read_mapping(path: str | os.PathLike[str], begins: str) -> tuple[Source | None, list[Finding]]:
    """A file that holds a mapping, and what is wrong with it; `begins` says how one begins."""
    from agentguard.policy import read_files
    from agentguard.policy.findings import Finding

    if Path(path).is_dir():
        return None, [Finding(code="AG002", file=str(path), message="is a folder and not a file")]
    files = read_files(path)
    if not files.sources:
        return None, list(files.findings)
    source = files.sources[0]
    findings = check_access([path])
    if not isinstance(source.data, Mapping):
        return None, [*findings, source.finding("AG103", f"the file is not a mapping; {begins}")]
    return source, findings
