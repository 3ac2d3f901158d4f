"""Where a PostgreSQL store is: a connection URL of libpq's, with a schema of ours in it."""

from __future__ import annotations

import hashlib
import re
import urllib.parse
from dataclasses import dataclass
from typing import Final

from agentguard.errors import ConfigurationError

__all__ = ["Place", "lock_of", "parse"]

_SCHEMA: Final = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_OURS: Final = "agentguard_schema"


@dataclass(frozen=True, slots=True)
class Place:
    """A connection string for libpq, the schema of the tables, and how both are shown, without secrets."""

    conninfo: str
    schema: str
    shown: str


def parse(url: str) -> Place:
    """A store's place from its URL: `postgresql://user@host:port/database?agentguard_schema=name`.

    The schema is `agentguard` unless it is named; every other parameter is libpq's.

    Raises:
        ConfigurationError: it is not such a URL.
    """
    try:
        parts = urllib.parse.urlsplit(url)
        query = urllib.parse.parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    except ValueError as error:
        raise ConfigurationError(f"the store's URL cannot be read: {error}") from None
    named = [value for key, value in query if key == _OURS]
    schema = named[-1] if named else "agentguard"
    if len(named) > 1 or not _SCHEMA.fullmatch(schema):
        raise ConfigurationError(
            f"`{_OURS}={schema[:40]}` names no schema; use small letters, digits and `_`, once"
        )
    rest = urllib.parse.urlencode([(key, value) for key, value in query if key != _OURS])
    host = parts.netloc.rpartition("@")[2]
    shown = f"postgresql://{host}{parts.path}" + ("" if schema == "agentguard" else f"?{_OURS}={schema}")
    return Place(urllib.parse.urlunsplit(("postgresql", parts.netloc, parts.path, rest, "")), schema, shown)


def lock_of(*name: object) -> int:
    """The number of an advisory lock, from its name."""
    text = "\x00".join(["agentguard", *(str(part) for part in name)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big", signed=True)
