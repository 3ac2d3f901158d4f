"""Files below a folder that the user named."""

from __future__ import annotations

from typing import Final

from agentguard.provenance.arguments import Value
from agentguard.provenance.request import Request

__all__ = ["within"]

_LONGEST: Final = 400
_RUN: Final = frozenset(
    {"setup.py", "conftest.py", "package.json", "makefile", "dockerfile", "jenkinsfile", "justfile"}
)
_ENDINGS: Final = (".sh", ".bash", ".zsh", ".ps1", ".bat", ".cmd", ".pth", ".service", ".desktop", ".plist")


def within(value: Value, request: Request) -> bool:
    """Whether a value is the path of something below a folder of the user's words, and nothing hidden: what
    begins with a dot is how a folder is set up, and is no part of its contents."""
    path = value.text.strip().replace("\\", "/")
    if value.role not in ("path", "object") or "/" not in path or len(value.text) > _LONGEST:
        return False
    for named in request.literals.of("file"):
        folder = named.replace("\\", "/").rstrip("/")
        head, mark, rest = path.casefold().partition(f"{folder}/")
        if mark and not head and len(folder) > 2 and rest and _plain(rest):
            return True
    return False


def _plain(rest: str) -> bool:
    parts = rest.rstrip("/").split("/")
    runs = parts[-1] in _RUN or parts[-1].endswith(_ENDINGS)  # what others run without looking
    return not runs and not any(part.startswith(".") or not part for part in parts)
