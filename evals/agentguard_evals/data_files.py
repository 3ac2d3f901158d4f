"""Reading the data of a suite: JSON and JSON lines, packed or not, with one digest over all of it."""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from agentguard.errors import ConfigurationError
from agentguard_evals.case import Gap, Suite
from agentguard_evals.recordings import Recording, suite_of
from agentguard_evals.rows import BrokenRow, row_of

__all__ = ["Data", "recorded_suite"]


class Data:
    """The files of one folder; `digest` covers all that was read from it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._digest = hashlib.sha256()

    @property
    def digest(self) -> str:
        return self._digest.hexdigest()

    def json(self, name: str) -> Any:
        """A JSON document.

        Raises:
            ConfigurationError: it is not there, or is none.
        """
        return self._parsed(name, json.loads)

    def lines(self, name: str) -> list[Any]:
        """A document of JSON lines; see `json`."""
        return list(
            self._parsed(name, lambda text: [json.loads(line) for line in text.splitlines() if line.strip()])
        )

    def _parsed(self, name: str, parse: Any) -> Any:
        path = self._folder / name
        try:
            content = path.read_bytes()
            content = gzip.decompress(content) if name.endswith(".gz") else content
            self._digest.update(content)
            return parse(content.decode("utf-8"))
        except (OSError, EOFError, zlib.error) as error:
            raise ConfigurationError(f"{path}: {getattr(error, 'strerror', None) or error}") from None
        except (ValueError, RecursionError) as error:
            raise ConfigurationError(f"{path}: not the JSON that this suite knows: {error}") from None


def recorded_suite(
    name: str,
    rows: Iterable[Mapping[str, Any]],
    data: Data,
    *,
    title: str,
    reread: str,
    gaps: Sequence[Gap] = (),
) -> Suite:
    """A suite of rows that were made from data; each has an `id`.

    Raises:
        ConfigurationError: a row cannot be replayed, so the data is not what the suite knows.
    """
    cases = []
    for found in rows:
        try:
            row = row_of(found)
        except BrokenRow as error:
            raise ConfigurationError(f"{reread}: case `{found.get('id')}`: {error}") from None
        assert row.id is not None
        cases.append(Recording(row.id, row.group or name, row))
    return suite_of(name, cases, title=title, reread=reread, digest=data.digest, gaps=gaps)
