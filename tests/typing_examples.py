"""What a type checker sees of decorated tools; checked by mypy and pyright, never run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any, assert_type

from agentguard import AgentIdentity, Guard, Resumption, Snapshot

guard = Guard(snapshot=Snapshot.from_documents([]), store="memory:")


@guard.tool("payments.transfer", secrets=["payments:write"])
async def transfer(payee: str, amount: int, note: str = "") -> str:
    return payee


@guard.tool("notes.read", facts={"read_only": True})
def read(name: str) -> bytes:
    return name.encode()


@guard.tool
def plain(number: int) -> float:
    return float(number)


@guard.tool("rows")
def rows(limit: int) -> Iterator[int]:
    yield limit


@guard.tool("lines")
async def lines(limit: int) -> AsyncIterator[str]:
    yield str(limit)


class Bank:
    @guard.tool("bank.pay")
    def pay(self, amount: int) -> int:
        return amount


def takes_transfer(function: Callable[[str, int], Coroutine[Any, Any, str]]) -> None: ...


async def use() -> None:
    assert_type(await transfer("ACME", 5, note="x"), str)
    assert_type(read("a"), bytes)
    assert_type(plain(1), float)
    assert_type(rows(1), Iterator[int])
    assert_type(lines(1), AsyncIterator[str])
    assert_type(Bank().pay(3), int)
    takes_transfer(transfer)
    assert_type(await guard.resume("a"), Resumption)
    async with guard.session(agent=AgentIdentity("a")) as session:
        assert_type(session.calls, int)
    await transfer("ACME", "5")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
