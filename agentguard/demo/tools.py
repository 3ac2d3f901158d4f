"""The demo's tools: plain functions that really act, each behind the guard."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from agentguard import Guard
from agentguard.demo.office import Office
from agentguard.demo.payments import ACCOUNT

__all__ = ["guarded_tools", "schemas"]


def guarded_tools(guard: Guard, office: Office) -> dict[str, Callable[..., Any]]:
    """The tools by the names that a model calls them; policies know them by the name in `guard.tool`."""

    @guard.tool("payments.balance")
    async def balance(account: str = ACCOUNT) -> str:
        """How much money is on an account."""
        money = await asyncio.to_thread(office.payments.balance, account)
        office.note(
            "payments.balance", {"account": account}, lambda: f"the agent read the balance: {money:,}"
        )
        return f"{money}"

    @guard.tool("payments.transfer")
    async def transfer(payee: str, amount: int, note: str = "") -> str:
        """Transfer money to a payee, in whole euros."""
        made = await asyncio.to_thread(office.payments.transfer, payee, amount, note)

        def look() -> str:
            row = next(row for row in office.payments.transfers() if row.id == made.id)
            left = office.payments.balance()
            return f"transfers row {row.id}: {row.amount:,} to {row.payee}; {left:,} left"

        office.note("payments.transfer", {"payee": payee, "amount": amount, "note": note}, look)
        return f"transferred {amount} to {payee}"

    @guard.tool("files.read")
    async def read_file(name: str) -> str:
        """Read a document."""
        content = (await asyncio.to_thread(office.folder.document, name)).decode("utf-8", "replace")
        text = f"the agent read {len(content):,} characters of other people's words"
        office.note("files.read", {"name": name}, lambda: text, content)
        return content

    @guard.tool("http.post")
    async def post_file(url: str, file: str) -> str:
        """Send a document to a web address."""
        content = await asyncio.to_thread(office.folder.document, file)
        status = await asyncio.to_thread(office.web.deliver, url, content)
        number = len(office.web.received)

        def look() -> str:
            post = office.web.received[number - 1]
            return f"web server: post {number}, {post.size:,} bytes for {post.host}{post.path}"

        office.note("http.post", {"url": url, "file": file}, look)
        return f"sent, status {status}"

    return {"balance": balance, "transfer": transfer, "read_file": read_file, "post_file": post_file}


def schemas() -> list[dict[str, Any]]:
    """The tools as a Chat Completions request describes them."""
    text = {"type": "string"}
    return [
        _schema("balance", "How much money is on an account.", {"account": text}, []),
        _schema(
            "transfer",
            "Transfer money to a payee, in whole euros.",
            {"payee": text, "amount": {"type": "integer"}, "note": text},
            ["payee", "amount"],
        ),
        _schema("read_file", "Read a document.", {"name": text}, ["name"]),
        _schema(
            "post_file", "Send a document to a web address.", {"url": text, "file": text}, ["url", "file"]
        ),
    ]


def _schema(name: str, about: str, properties: dict[str, Any], required: list[str]) -> dict[str, Any]:
    parameters = {"type": "object", "properties": properties, "required": required}
    return {"type": "function", "function": {"name": name, "description": about, "parameters": parameters}}
