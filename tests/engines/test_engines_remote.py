"""Decision points over HTTP: OPA and AuthZEN, and everything that a server can do instead of answering."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from agentguard import ConfigurationError, ContextRequest, Effect, ToolCallDenied, outbound
from agentguard.engines import AuthzenEngine, OpaEngine, Opinion
from agentguard.engines.remote import RemoteError
from tests.engines.servers import Asked, always, serving
from tests.guard.support import AGENT, ANY, WAYS, Way, bank, events, make_guard

REQUEST = ContextRequest.from_mapping(
    {
        "tool": "bank.transfer",
        "args": {"payee": "ACME", "amount": 5},
        "agent": {"id": "billing", "tags": ["prod"]},
        "principal": {"id": "ben", "groups": ["finance"]},
        "call_id": "call-1",
        "supplied": {"engines": {"other": {"effect": "allow"}}},
    }
)
DENIED = Opinion(effect=Effect.DENY, reason="it refuses this")
OUTLASTS_S = 60
"""How long a server goes on that does not answer. Whoever waits for its end is not bounded in time."""


def opa(url: str, **settings: Any) -> OpaEngine:
    """One that waits for its answer, however slow the machine is."""
    return OpaEngine(url, timeout_s=60, **settings)


def authzen(url: str) -> AuthzenEngine:
    """The same."""
    return AuthzenEngine(url, timeout_s=60)


@pytest.mark.parametrize(
    ("result", "effect"),
    [
        (True, Effect.ALLOW),
        (False, Effect.DENY),
        ({"effect": "allow"}, Effect.ALLOW),
        ({"effect": "deny", "reason": "no", "rules": ["r"]}, Effect.DENY),
        ({"effect": "not_applicable"}, None),
        (
            {"effect": "step_up", "approve": {"stages": [{"reviewers": ["ana"]}], "expires_in_s": 60}},
            Effect.STEP_UP,
        ),
    ],
)
def test_opa_answers(result: Any, effect: Effect | None) -> None:
    """A boolean document, or an object of our words."""
    with serving(always({"result": result, "decision_id": "d"})) as (url, asked):
        found = opa(url, token="t0ken").decide(REQUEST)
    assert found.effect is effect
    assert found.error is None
    (request,) = asked
    assert request.path == "/v1/data/agentguard/decision"
    assert request.headers["authorization"] == "Bearer t0ken"
    assert request.headers["x-request-id"] == "call-1"
    given = request.body["input"]
    assert (given["tool"], given["args"], given["agent"]["id"]) == (
        "bank.transfer",
        {"payee": "ACME", "amount": 5},
        "billing",
    )
    assert "engines" not in given["supplied"]


def test_opas_undefined_document_is_a_deny_or_no_opinion() -> None:
    """A path that is not there looks the same as one that has nothing to say."""
    with serving(always({})) as (url, _):
        assert opa(url).decide(REQUEST).effect is Effect.DENY
        assert opa(url, silent="not_applicable").decide(REQUEST).effect is None


@pytest.mark.parametrize(
    "answer",
    [
        [],
        "allow",
        {"result": None},
        {"result": "allow"},
        {"result": 1},
        {"result": {}},
        {"result": {"allow": True}},
        {"result": {"effect": "allow", "permits": True}},
        {"result": {"effect": "ALLOW"}},
        {"result": {"effect": "step_up"}},
        {"result": [True]},
    ],
    ids=repr,
)
def test_any_other_answer_of_opas_is_a_deny_T39(answer: Any) -> None:
    """Nor can it say that it may permit."""
    with serving(always(answer)) as (url, _):
        found = opa(url).decide(REQUEST)
    assert found.effect is Effect.DENY
    assert found.error


@pytest.mark.parametrize(
    ("answer", "wanted"),
    [
        ({"decision": True}, Opinion(effect=Effect.ALLOW)),
        ({"decision": True, "context": {"x": 1}}, Opinion(effect=Effect.ALLOW)),
        ({"decision": False}, DENIED),
        (
            {"decision": False, "context": {"reason_user": {"de": "nein", "en": "no"}}},
            Opinion(effect=Effect.DENY, reason="no"),
        ),
        ({"decision": False, "context": {"reason": "closed"}}, Opinion(effect=Effect.DENY, reason="closed")),
        ({"decision": False, "context": {"reason": 5}}, DENIED),
    ],
)
def test_authzen_answers(answer: Any, wanted: Opinion) -> None:
    """`decision` decides; the reason is told."""
    with serving(always(answer)) as (url, asked):
        assert authzen(f"{url}/").decide(REQUEST) == wanted
    (request,) = asked
    assert request.path == "/access/v1/evaluation"
    assert request.body["subject"]["id"] == "billing"
    assert request.body["action"]["name"] == "bank.transfer"
    assert "engines" not in request.body["context"]["agentguard"]["supplied"]


@pytest.mark.parametrize(
    "answer", [[], {}, {"decision": "true"}, {"decision": 1}, {"decision": None}, {"allow": True}], ids=repr
)
def test_any_other_answer_is_a_deny_T39(answer: Any) -> None:
    """Only a boolean is a decision."""
    with serving(always(answer)) as (url, _):
        found = authzen(url).decide(REQUEST)
    assert found.effect is Effect.DENY
    assert found.error


@pytest.mark.parametrize(
    ("answer", "match"),
    [
        (always(b'{"decision": true, "decision": false}'), "twice"),
        (always(b'{"decision": tru'), "JSON"),
        (always(b"[" * 30_000), "JSON"),
        (always(b'{"decision": NaN}'), "JSON"),
        (always(b"\xff\xfe"), "JSON"),
        (always(b""), "JSON"),
        (always(b"x" * 100_000), "longer"),
        (always({"decision": True}, 403), "HTTP 403"),
        (always({"decision": True}, 404), "HTTP 404"),
        (always({"decision": True}, 500), "HTTP 500"),
        (always({"decision": True}, 302, location="http://127.0.0.1:1/"), "HTTP 302"),
        (always({"decision": True}, 201), "HTTP 201"),
    ],
)
def test_what_a_server_may_do_instead_T19_T60(answer: Any, match: str) -> None:
    """No redirect is followed, nothing too long or ambiguous is read, no error status is an answer."""
    with serving(answer) as (url, _), pytest.raises(RemoteError, match=match):
        authzen(url).decide(REQUEST)


def test_a_busy_server_is_asked_again() -> None:
    """Within the time that there is."""
    busy = [503, 429, 502]

    def answer(asked: Asked) -> None:
        status = busy.pop() if busy else 200
        asked.reply({"decision": True}, status)

    with serving(answer) as (url, asked):
        assert authzen(url).decide(REQUEST).effect is Effect.ALLOW
        assert len(asked) == 4


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("case", ["busy", "silent", "drip", "refused", "closes"])
def test_a_server_that_does_not_answer_denies_in_time_T41_T42(case: str, way: Way) -> None:
    """However it fails, and whichever driver waits for it; the server goes on for longer."""
    done = threading.Event()
    outlasted: list[bool] = []
    until = time.monotonic() + OUTLASTS_S

    def answer(asked: Asked) -> None:
        if case == "busy" and time.monotonic() < until:
            asked.reply({}, 503)
        elif case == "silent":
            outlasted.append(done.wait(OUTLASTS_S))
        elif case == "closes" and time.monotonic() < until:
            asked.connection.shutdown(socket.SHUT_RDWR)
        elif case == "drip":
            outlasted.append(drip(asked, done))
        else:
            outlasted.append(False)

    with serving(answer) as (url, _):
        if case == "refused":
            url = "http://127.0.0.1:9"
        engine = AuthzenEngine(url, timeout_s=0.3, permits=True)
        with make_guard(ANY, engines=[engine]) as guard:
            transfer, ran = bank(guard, way)
            with guard.session(agent=AGENT), pytest.raises(ToolCallDenied, match="engine/authzen"):
                transfer("A", 1)
            assert not ran
        assert not [ended for ended in outlasted if not ended], "it waited until the server had enough"
        done.set()
        engine.close()


def drip(asked: Asked, done: threading.Event) -> bool:
    """A byte now and then; whether the client had enough, or the test, before the server had."""
    asked.send_response(200)
    asked.send_header("content-length", "60000")
    asked.end_headers()
    for _ in range(OUTLASTS_S * 100):
        if done.wait(0.01):
            return True
        try:
            asked.wfile.write(b" ")
        except OSError:
            return True
    return False


def test_an_answer_that_drips_ends_in_time_T42() -> None:
    """The thread that reads it is not kept for as long as the server likes."""
    done = threading.Event()
    outlasted: list[bool] = []
    with serving(lambda asked: outlasted.append(drip(asked, done))) as (url, _):
        with pytest.raises(RemoteError, match="no answer within"):
            AuthzenEngine(url, timeout_s=0.3).decide(REQUEST)
        assert False not in outlasted, "it waited until the server had enough"
        done.set()


def test_what_comes_after_its_time_is_not_read_T42(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor taken for an answer, where it was the last of it."""
    now = [0.0]
    monkeypatch.setattr(outbound, "time", SimpleNamespace(monotonic=lambda: now[0]))

    def drops(count: int) -> Iterator[bytes]:
        for _ in range(count):
            now[0] += 1
            yield b" "

    assert outbound.body(drops(5), 10, 5) == b" " * 5
    for late in (drops(2), drops(1)):
        with pytest.raises(outbound.Again, match="slowly"):
            outbound.body(late, 10, 6)
    endless = drops(100)
    with pytest.raises(outbound.Again, match="slowly"):
        outbound.body(endless, 1000, 6)
    assert len(list(endless)) == 99, "the rest was not waited for"


@pytest.mark.parametrize("way", WAYS)
def test_on_the_path_of_a_call(way: Way) -> None:
    """Permission from a decision point that is trusted with it, and its refusal."""

    def answer(asked: Asked) -> None:
        asked.reply({"result": asked.body["input"]["args"]["amount"] <= 100})

    nothing = {"id": "n", "effect": "deny", "when": "false"}
    with serving(answer) as (url, _), make_guard(nothing, engines=[opa(url, permits=True)]) as guard:
        transfer, ran = bank(guard, way)
        with guard.session(agent=AGENT):
            transfer("A", 100)
            with pytest.raises(ToolCallDenied, match="engine/opa"):
                transfer("A", 101)
        assert [amount for _, amount, _ in ran] == [100]
        granted = [event["decision"].get("granted_by") for event in events(guard, "decision")]
        assert granted == [["engine/opa"], None]


@pytest.mark.parametrize(
    ("url", "match"),
    [
        ("ftp://x", "not an http"),
        ("opa.example.com", "not an http"),
        ("http://opa.example.com", "https"),
        ("https://user:pw@opa.example.com", "token"),
        ("https://user@opa.example.com", "token"),
        ("https://:pw@opa.example.com", "token"),
        ("https://opa.example.com/?x=1", "query"),
        ("https://", "not an http"),
    ],
)
def test_an_address_that_cannot_be_trusted_is_refused_T26(url: str, match: str) -> None:
    """At the start, not at the first call."""
    for engine in (OpaEngine, AuthzenEngine):
        with pytest.raises(ConfigurationError, match=match):
            engine(url)


def test_other_settings_that_are_refused() -> None:
    """Each with what to write."""
    with pytest.raises(ConfigurationError, match="path"):
        OpaEngine("https://x", path="../v1/policies")
    with pytest.raises(ConfigurationError, match="silent"):
        OpaEngine("https://x", silent="allow")  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="token"):
        OpaEngine("https://x", token="a\r\nx: y")


def test_the_environment_does_not_choose_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever sets a variable would decide what runs."""
    with (
        serving(always({"decision": False})) as (url, asked),
        serving(always({"decision": True})) as (proxy, other),
    ):
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy)
        assert authzen(url).decide(REQUEST).effect is Effect.DENY
        assert asked
        assert not other
