"""Where a PostgreSQL store is: a connection URL of libpq's, with a schema of ours in it."""

from __future__ import annotations

import hashlib
import re
import urllib.parse
from dataclasses import dataclass, field
from typing import Final

import psycopg
from psycopg.conninfo import conninfo_to_dict

from agentguard.errors import ConfigurationError

__all__ = ["Place", "parse"]

_SCHEMA: Final = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_HOST: Final = r"(?:[\w.%-]*|\[[0-9A-Fa-f:.%]+\])(?::\d*)?"
_HOSTS: Final = re.compile(f"{_HOST}(?:,{_HOST})*")
"""Hosts with their ports, as libpq takes them."""

_OURS: Final = "agentguard_schema"
_UNREADABLE: Final = (
    "the store's URL cannot be read; it is `postgresql://user:password@host:port/database?parameter=value`, "
    "with `/`, `?`, `#`, `@` and `%` in a password written as `%2F`, `%3F`, `%23`, `%40` and `%25`"
)
"""Says nothing of the URL itself, in which a password may stand anywhere."""


@dataclass(frozen=True, slots=True)
class Place:
    """A connection string for libpq, the schema of the tables, and how both are shown, without secrets."""

    conninfo: str = field(repr=False)
    schema: str
    shown: str

    def lock(self, *name: object) -> int:
        """The number of an advisory lock of this schema, from its name."""
        text = "\x00".join(["agentguard", self.schema, *(str(part) for part in name)])
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big", signed=True)


def parse(url: str) -> Place:
    """A store's place from its URL: `postgresql://user@host:port/database?agentguard_schema=name`.

    The schema is `agentguard` unless it is named; every other parameter is libpq's.

    Raises:
        ConfigurationError: it is not such a URL.
    """
    try:
        parts = urllib.parse.urlsplit(url)
        query = urllib.parse.parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    except ValueError:
        raise ConfigurationError(_UNREADABLE) from None
    # A `/`, `?`, `#` or `@` in a password that is not written as `%2F` and so on ends it too soon, and its
    # rest would be shown as a database.
    host = parts.netloc.rpartition("@")[2]
    misplaced = "@" in f"{parts.path}{parts.query}" or parts.netloc.count("@") > 1
    if parts.fragment or misplaced or not _HOSTS.fullmatch(host):
        raise ConfigurationError(_UNREADABLE)
    named = [value for key, value in query if key == _OURS]
    schema = named[-1] if named else "agentguard"
    if len(named) > 1 or not _SCHEMA.fullmatch(schema):
        raise ConfigurationError(
            f"`{_OURS}={schema[:40]}` names no schema; use small letters, digits and `_`, once"
        )
    pairs = [(key, value) for key, value in query if key != _OURS]
    rest = urllib.parse.urlencode(pairs, quote_via=urllib.parse.quote)  # to libpq a `+` is no space
    shown = f"postgresql://{host}{parts.path}" + ("" if schema == "agentguard" else f"?{_OURS}={schema}")
    conninfo = f"postgresql://{parts.netloc}{parts.path}" + (f"?{rest}" if rest else "")
    try:
        conninfo_to_dict(conninfo)
    except psycopg.ProgrammingError:  # its message repeats what it could not read
        raise ConfigurationError(_UNREADABLE) from None
    return Place(conninfo, schema, shown)
