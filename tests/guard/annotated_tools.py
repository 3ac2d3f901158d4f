"""Tools in a module whose annotations are text, for the tests of the decorator."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from typing import Any

from tests.guard.support import ANY, make_guard

guard = make_guard(ANY)


def plain(payee: str, amount: Decimal, *, at: dt.date | None = None) -> str:
    """Send money."""
    return f"{payee} {amount} {at}"


async def coroutine(payee: str, amount: Decimal, *, at: dt.date | None = None) -> str:
    """Send money."""
    return f"{payee} {amount} {at}"


def generator(payee: str, amount: Decimal, *, at: dt.date | None = None) -> Iterator[str]:
    """Send money."""
    yield f"{payee} {amount} {at}"


async def async_generator(payee: str, amount: Decimal, *, at: dt.date | None = None) -> AsyncIterator[str]:
    """Send money."""
    yield f"{payee} {amount} {at}"


ORIGINALS: dict[str, Any] = {f.__name__: f for f in (plain, coroutine, generator, async_generator)}
GUARDED: dict[str, Any] = {name: guard.tool(function) for name, function in ORIGINALS.items()}
