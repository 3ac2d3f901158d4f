"""The tenants of a PostgreSQL store: a number for each name, which all rows have."""

from __future__ import annotations

from typing import Any, Final

from agentguard.ledger.log import EMPTY_ROOT
from agentguard.store import rules
from agentguard.store.postgres_connections import Connections
from agentguard.store.postgres_schema import whole

__all__ = ["Tenants"]

_KNOWN: Final = 1024
_STRAYS: Final = "SELECT " + " + ".join(
    f"(SELECT count(*) FROM {table} WHERE tenant NOT IN (SELECT no FROM tenant))"
    for table in ("event", "approval", "record")
)


class Tenants:
    """Looks numbers up, and remembers them: a tenant keeps its own for ever."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._numbers: dict[str, int] = {}

    def known(self, tenant: str) -> int | None:
        """The tenant's number, if it has one."""
        known = self._numbers.get(tenant)
        if known is not None and not self._connections.closed:
            return known
        with self._connections.use() as db:
            found: Any = db.execute("SELECT no FROM tenant WHERE name = %s", (tenant,)).fetchone()
        return None if found is None else self._remember(tenant, found[0])

    def number(self, tenant: str) -> int:
        """The tenant's number; a new tenant is made."""
        known = self.known(tenant)
        if known is not None:
            return known
        rules.check_tenant(tenant)
        with self._connections.transaction() as db:
            db.execute("INSERT INTO tenant (name) VALUES (%s) ON CONFLICT DO NOTHING", (tenant,))
            number = whole(db.execute("SELECT no FROM tenant WHERE name = %s", (tenant,)).fetchone())
            db.execute("INSERT INTO head VALUES (%s, 0, '', %s) ON CONFLICT DO NOTHING", (number, EMPTY_ROOT))
        return self._remember(tenant, number)

    def names(self) -> list[str]:
        """All of them, sorted."""
        with self._connections.use() as db:
            return sorted(str(row[0]) for row in db.execute("SELECT name FROM tenant").fetchall())

    def strays(self) -> int:
        """Rows of numbers that nobody has."""
        with self._connections.use() as db:
            return whole(db.execute(_STRAYS.encode()).fetchone())

    def _remember(self, tenant: str, number: int) -> int:
        if len(self._numbers) >= _KNOWN:
            self._numbers.clear()
        self._numbers[tenant] = number
        return number
