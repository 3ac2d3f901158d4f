"""How users' code infers: a decorated tool keeps its signature. Checked by mypy and pyright, never run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import assert_type

from agentguard import AgentIdentity, Guard, Session

guard = Guard("policies/", store="memory:")


@guard.tool("payments.transfer", secrets=["payments:write"])
async def transfer(payee: str, amount: int, note: str = "") -> str:
    return f"{payee} {amount} {note}"


@guard.tool
def lookup(name: str) -> dict[str, int]:
    return {name: 1}


@guard.tool()
def rows(count: int) -> Iterator[bytes]:
    yield b"" * count


@guard.tool(facts={"read_only": True})
async def pages(*urls: str) -> AsyncIterator[str]:
    for url in urls:
        yield url


class Account:
    @guard.tool("account.add", injected=["log"])
    def add(self, amount: int, *, log: Callable[[str], None] = print) -> float:
        log("added")
        return float(amount)


async def use() -> None:
    assert_type(await transfer("ACME", amount=5, note="x"), str)
    assert_type(lookup("a"), dict[str, int])
    assert_type(rows(1), Iterator[bytes])
    assert_type(pages("a", "b"), AsyncIterator[str])
    assert_type(Account().add(1, log=print), float)
    assert_type(guard.call("lookup", {"name": "a"}, lambda arguments: lookup(**arguments)), dict[str, int])
    async with guard.session(agent=AgentIdentity("billing", role="billing"), principal="ben") as session:
        assert_type(session, Session)
    with guard.session(agent=AgentIdentity("billing")) as session, guard as same:
        assert_type(session.calls, int)
        assert_type(same, Guard)


async def misuse() -> None:
    await transfer("ACME", "5")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType, reportGeneralTypeIssues]
    await transfer()  # type: ignore[call-arg] # pyright: ignore[reportCallIssue, reportGeneralTypeIssues]
    lookup(nme="a")  # type: ignore[call-arg] # pyright: ignore[reportCallIssue, reportGeneralTypeIssues]
    guard.session(agent="billing")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType, reportGeneralTypeIssues]
