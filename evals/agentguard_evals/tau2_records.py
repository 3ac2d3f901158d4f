"""The records of a tau2 domain while one task runs: its database, and over it what the calls have changed.

The database is shared by all cases and never written to. A changed record is a copy that its case alone sees.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, Final

__all__ = ["Records", "customer_of"]


class Records:
    """The tables of a database, by name and key."""

    def __init__(self, tables: Mapping[str, Mapping[str, Any]]) -> None:
        self._tables: Final = tables
        self._changed: Final[dict[tuple[str, str], Any]] = {}

    def find(self, table: str, key: object) -> Any:
        """The record as it is now; None where there is none."""
        if not isinstance(key, str):
            return None
        changed = self._changed.get((table, key))
        return changed if changed is not None else self._tables[table].get(key)

    @property
    def now(self) -> Mapping[str, Mapping[str, Any]]:
        """All tables as they are now."""
        changed: dict[str, dict[str, Any]] = {}
        for (table, key), record in self._changed.items():
            changed.setdefault(table, {})[key] = record
        return {
            name: {**table, **changed[name]} if name in changed else table
            for name, table in self._tables.items()
        }

    def pay(self, user: str, method: str, field: str, amount: float) -> None:
        """Take an amount from what a gift card or certificate holds in `field`; a card has no such field."""
        held = (self.find("users", user) or {}).get("payment_methods", {})
        if field in held.get(method, {}):
            left = {**held[method], field: round(held[method][field] - amount, 2)}
            self.change("users", user, payment_methods={**held, method: left})

    def change(self, table: str, key: str, **fields: Any) -> None:
        """Give fields of a record other values; where there is no such record, nothing happens."""
        record = self.find(table, key)
        if record is not None:
            self._changed[table, key] = {**copy.deepcopy(record), **fields}


def customer_of(told: str, users: Mapping[str, Mapping[str, Any]]) -> str:
    """The user whom a task's text is about: by id, else by email, else by name and postcode, else by name.

    It stands for the sign-in of an operator's chat, and reads no gold action.

    Raises:
        KeyError: the text names no user, or several.
    """

    def named(user: Mapping[str, Any]) -> bool:
        return f"{user['name']['first_name']} {user['name']['last_name']}" in told

    ways = (
        lambda key, _: key in told,
        lambda _, user: user["email"] in told,
        lambda _, user: named(user) and user["address"]["zip"] in told,
        lambda _, user: named(user),
    )
    for way in ways:
        found = [key for key, user in users.items() if way(key, user)]
        if len(found) == 1:
            return found[0]
        if found:
            raise KeyError(f"a task that names {len(found)} users")
    raise KeyError("a task that names no user")
