"""Files that decide what runs: refused where anybody on the machine may change them."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agentguard.policy import Finding

__all__ = ["check_access", "near", "refuse_file", "refuse_writable"]


def near(path: Path) -> str:
    """A path as people know it: relative to the working folder when it lies in it."""
    try:
        return str(path.relative_to(Path.cwd()))
    except (ValueError, OSError):
        return os.fspath(path)


def check_access(paths: Iterable[str | os.PathLike[str]]) -> list[Finding]:
    """What anybody on the machine may change: files, the folders they lie in, and folders of policies (T47).

    In a folder with the sticky bit, such as `/tmp`, a file of one's own or of root is one's own.
    """
    from agentguard.policy import Finding

    found: list[Finding] = []
    for path in paths if os.name == "posix" else ():
        file = Path(path)
        try:
            mine = file.stat()
            above = file.resolve().parent.stat()
        except (OSError, ValueError):
            continue  # whoever reads it says so
        message = ""
        if mine.st_mode & stat.S_IWOTH:
            message = f"anybody may {'add files to this folder' if file.is_dir() else 'change this file'}"
        elif above.st_mode & stat.S_IWOTH and (
            not above.st_mode & stat.S_ISVTX or mine.st_uid not in (0, os.geteuid())
        ):
            message, file = "anybody may replace what is in this folder", Path(path).parent
        if message:
            found.append(
                Finding(code="AG301", file=str(path), message=message, hint=f"run `chmod o-w {file}`")
            )
    return found


def refuse_file(path: str | os.PathLike[str], what: str) -> None:
    """Refuse one file that anybody on the machine may change or replace; `what` begins the message.

    Raises:
        ConfigurationError: saying what to do.
    """
    from agentguard.errors import ConfigurationError

    for one in check_access([path]):
        raise ConfigurationError(f"{what} `{one.file}`: {one.code} {one.message}; {one.hint}")


def refuse_writable(policies: Iterable[str | os.PathLike[str]]) -> None:
    """Refuse policies that anybody on the machine may change.

    Raises:
        PolicyError: naming each such file and folder, and what to do.
    """
    from agentguard.errors import PolicyError
    from agentguard.policy import render_text

    paths = [Path(path) for path in policies]
    files = [file for path in paths if path.is_dir() for file in sorted(path.rglob("*.y*ml"))]
    loose = check_access(dict.fromkeys([*paths, *files]))
    if loose:
        text = render_text(loose, files=len(paths) + len(files), rules=0, loaded=False).rstrip()
        raise PolicyError(f"the policies were refused:\n{text}", loose)
