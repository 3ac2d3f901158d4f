"""What a SQL statement does, where it can be told: so that a tool that is only given queries reads.

A single statement of the usual form is told. With a comment, a quoted name, a second statement, a function
that is not known to be harmless, or a word that could write or leave the database, it stays a command.
"""

from __future__ import annotations

import re
from typing import Final

from agentguard.tools import Action

__all__ = ["statement_action"]

_LONGEST: Final = 20_000
_WORD: Final = re.compile(r"'(?:[^']|'')*'|[A-Za-z_][A-Za-z0-9_$]*")
_FIRST: Final[dict[str, Action]] = {
    "select": "read", "with": "read", "show": "read", "describe": "read", "values": "read",
    "insert": "update", "update": "update", "delete": "delete",
}  # fmt: skip
_CHANGING: Final = frozenset({"insert", "update", "delete"})
_REFUSED: Final = frozenset((
    "into", "match", "remove", "merge", "replace", "truncate", "drop", "alter", "create", "grant", "revoke",
    "call", "exec",
    "execute", "copy", "load", "outfile", "dumpfile", "attach", "detach", "pragma", "vacuum", "set",
    "begin", "commit", "rollback", "lock", "unlock", "do", "declare", "handler", "kill", "shutdown",
    "backup", "restore", "import", "export", "sleep", "waitfor", "benchmark", "openrowset",
    "opendatasource", "dblink", "xp_cmdshell", "setval", "nextval",
))  # fmt: skip
_FOREIGN: Final = re.compile(r"\b(?:from|join)\s*\(?\s*''", re.IGNORECASE)
_PLAIN: Final = re.compile(r"[\w\s.,()'*=<>!+%/-]*")
_CALL: Final = re.compile(r"(\w+)\s*\(")
_FUNCTIONS: Final = frozenset((
    "count", "sum", "min", "max", "avg", "now", "lower", "upper", "length", "coalesce", "round", "abs",
    "date", "year", "month", "day", "distinct", "in", "as", "values", "and", "or", "not", "where", "on",
    "over", "from", "any", "all", "exists", "select", "by", "trim", "substring", "cast", "extract",
    "date_trunc", "strftime", "like", "between",
))  # fmt: skip


def statement_action(text: str) -> Action | None:
    """The action of a single SQL statement, or None where it is none that can be told."""
    body = text.strip().rstrip(";").rstrip()
    if not body or len(body) > _LONGEST:
        return None
    plain = re.sub(r"'(?:[^']|'')*'", "''", body)
    if _FOREIGN.search(plain) is not None:  # a literal as a table: a file or an address
        return None
    if "\\" in body or not _PLAIN.fullmatch(plain) or "--" in plain or "/*" in plain:
        return None
    if any(called.lower() not in _FUNCTIONS for called in _CALL.findall(plain)):
        return None
    words = [word.lower() for word in _WORD.findall(plain) if not word.startswith("'")]
    action = _FIRST.get(words[0]) if words else None
    if action is None:
        return None
    rest = set(words[1:])
    refused = _REFUSED - ({"into"} if words[0] == "insert" else {"set"} if words[0] == "update" else set())
    if rest & refused or rest & _CHANGING:
        return None
    return action
