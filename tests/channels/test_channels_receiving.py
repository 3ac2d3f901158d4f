"""The server that hears answers: one POST, bounded, and nothing else."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from agentguard.channels import receiving
from agentguard.channels.answering import AnswerDesk
from agentguard.channels.receiving import LARGEST, AnswerApp
from agentguard.stepup.model import State
from tests.channels.support import Scene, answer_body, desk, signed

PATH = "/channels/ops/answers"


async def ask(
    app: AnswerApp,
    body: bytes = b"",
    headers: dict[str, str] | None = None,
    *,
    method: str = "POST",
    path: str = PATH,
    more: list[tuple[str, str]] | None = None,
    messages: list[dict[str, Any]] | None = None,
) -> tuple[int, dict[str, str], bytes]:
    """One request to the application."""
    sent: list[dict[str, Any]] = []
    coming = messages if messages is not None else [{"type": "http.request", "body": body}]

    async def receive() -> dict[str, Any]:
        if coming:
            return coming.pop(0)
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Any) -> None:
        sent.append(message)

    listed = [(name.encode(), value.encode()) for name, value in [*(headers or {}).items(), *(more or [])]]
    await app({"type": "http", "method": method, "path": path, "headers": listed}, receive, send)
    start, end = sent
    return start["status"], {k.decode(): v.decode() for k, v in start["headers"]}, end["body"]


@pytest.fixture
def app(here: Scene) -> Any:
    found = AnswerApp(desk(here))
    yield found
    found.close()


async def test_a_signed_post_is_a_vote(here: Scene, app: AnswerApp) -> None:
    """And is answered in JSON that nobody keeps."""
    approval = here.ask()
    body = answer_body(approval)
    status, headers, content = await ask(app, body, signed(body))
    assert (status, content) == (200, b'{"result": "approved"}')
    assert headers["cache-control"] == "no-store"


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"])
async def test_nothing_but_a_post_changes_anything_T55(here: Scene, app: AnswerApp, method: str) -> None:
    """Not even with a right signature: what looks at links before people do cannot approve."""
    approval = here.ask()
    body = answer_body(approval)
    more = [("x-http-method-override", "POST")]
    status, headers, _ = await ask(app, body, signed(body), method=method, more=more)
    assert (status, headers["allow"]) == (405, "POST")
    assert here.store.approval(here.tenant, approval.id).state is State.REQUESTED


@pytest.mark.parametrize(
    "path",
    ["/", "/channels", "/channels/mute/answers", "/channels/OPS/answers", f"{PATH}/", "/channels//answers"],
)
async def test_there_is_nothing_else(app: AnswerApp, path: str) -> None:
    """Neither an index nor a channel that takes no answers."""
    assert (await ask(app, path=path))[0] == 404


async def test_a_signature_that_stands_twice_is_refused_T55(here: Scene, app: AnswerApp) -> None:
    """A proxy and we might read different ones."""
    body = answer_body(here.ask())
    headers = signed(body)
    more = [("Webhook-Signature", headers["webhook-signature"])]
    assert (await ask(app, body, headers, more=more))[0] == 400


async def test_a_body_that_is_too_large_is_not_read(app: AnswerApp) -> None:
    """Also in pieces, however long it goes on."""
    piece = {"type": "http.request", "body": b"x" * 1000, "more_body": True}
    messages = [dict(piece) for _ in range(1000)]
    assert (await ask(app, messages=messages))[0] == 413
    assert len(messages) > 900


async def test_a_body_in_pieces_is_put_together(here: Scene, app: AnswerApp) -> None:
    """The signature is over all of it."""
    body = answer_body(here.ask())
    messages = [
        {"type": "http.request", "body": body[:10], "more_body": True},
        {"type": "http.request", "body": body[10:]},
    ]
    assert (await ask(app, headers=signed(body), messages=messages))[0] == 200


async def test_a_body_that_does_not_end_is_left(app: AnswerApp, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten seconds; here less."""
    monkeypatch.setattr(receiving, "_READ_S", 0.01)
    messages = [{"type": "http.request", "body": b"x", "more_body": True}]
    assert (await ask(app, messages=messages))[0] == 408


async def test_what_goes_wrong_inside_is_not_shown(
    here: Scene, app: AnswerApp, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A bug is an answer without words, and its class in the log."""

    def broken(*_: Any) -> None:
        raise ZeroDivisionError("CANARY")

    monkeypatch.setattr(AnswerDesk, "take", broken)
    status, _, content = await ask(app, b"{}")
    assert (status, content) == (500, b'{"result": "failed"}')
    assert "CANARY" not in caplog.text


async def test_twenty_copies_of_one_answer_are_one(here: Scene, app: AnswerApp) -> None:
    """However they race."""
    body = answer_body(here.ask())
    headers = signed(body)
    found = await asyncio.gather(*(ask(app, body, headers) for _ in range(20)))
    assert sorted(status for status, _, _ in found) == [200] + [409] * 19


def test_the_bound_is_what_the_documentation_says() -> None:
    """64 KiB."""
    assert LARGEST == 65_536
