"""Webhooks: signed CloudEvents, bounded, masked, to allowed hosts only."""

from __future__ import annotations

import json
import logging
import socket
import ssl
from pathlib import Path
from typing import Any

import pytest

from agentguard.channels.posting import Host, Undelivered, post, public
from agentguard.channels.rendering import Shown
from agentguard.channels.secrets import webhook_key
from agentguard.channels.webhook import LARGEST
from agentguard.errors import ConfigurationError
from tests.channels.hearing import Heard, Listener, listening
from tests.channels.support import KEY, TOKEN, Scene, breach, independently_signed, webhook
from tests.cli.support import HOSTILE, RAW
from tests.policy.bundle_server import certificate

CANARY = "CANARY-5f1c9d"


def told(here: Scene, hook: Listener, args: dict[str, Any] | None = None, **changes: Any) -> Heard:
    """What the receiver hears of one question."""
    delivering = here.delivering(webhook(hook, **changes))
    here.ask(args)
    delivering.turn()
    return hook.heard[0]


def refused(here: Scene, channel: Any) -> str:
    """Why a channel could not be told."""
    delivering = here.delivering(channel)
    here.ask()
    assert delivering.turn() == 0
    return here.items()[0].error


def test_a_message_is_a_cloud_event_in_structured_mode(here: Scene, hook: Listener) -> None:
    """With the attributes of CloudEvents 1.0, and the id of the event."""
    heard = told(here, hook)
    event = heard.json
    assert heard.headers["content-type"] == "application/cloudevents+json; charset=utf-8"
    assert event["specversion"] == "1.0"
    assert event["type"] == "agentguard.approval.opened"
    assert event["source"] == "/agentguard/default"
    assert event["id"] == heard.headers["webhook-id"]
    assert event["data"]["approval"]["id"] == event["subject"]


def test_a_message_is_signed_over_its_raw_body(here: Scene, hook: Listener) -> None:
    """As Standard Webhooks has it: id, time and body, HMAC-SHA256, base64."""
    heard = told(here, hook)
    id, at = heard.headers["webhook-id"], heard.headers["webhook-timestamp"]
    assert heard.headers["webhook-signature"] == independently_signed(KEY, id, at, heard.body)
    assert int(at) == int(here.clock().timestamp())


def test_the_signature_is_the_one_of_the_specification() -> None:
    """A value that other implementations of Standard Webhooks publish as their test."""
    key = webhook_key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "it")
    wanted = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    body = b'{"test": 2432232314}'
    assert independently_signed(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", body) == wanted


def test_while_secrets_change_both_sign(here: Scene, hook: Listener) -> None:
    """A receiver that has either of them accepts it."""
    old = bytes(32)
    heard = told(here, hook, keys=(KEY, old))
    id, at = heard.headers["webhook-id"], heard.headers["webhook-timestamp"]
    both = [independently_signed(key, id, at, heard.body) for key in (KEY, old)]
    assert heard.headers["webhook-signature"].split(" ") == both


def test_another_attempt_has_the_same_id_and_a_new_time(here: Scene, hook: Listener) -> None:
    """So that receivers can tell repetitions, and refuse what is old."""
    hook.answer = lambda heard: (503 if len(hook.heard) == 1 else 204, b"", {})
    delivering = here.delivering(webhook(hook))
    here.ask()
    delivering.turn()
    here.clock.advance(400)
    assert delivering.turn() == 1
    first, second = hook.heard
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.headers["webhook-timestamp"] != second.headers["webhook-timestamp"]


def test_a_receiver_may_ask_to_wait(here: Scene, hook: Listener) -> None:
    """`Retry-After` in seconds, bounded."""
    hook.answer = lambda heard: (429, b"", {"retry-after": "900"})
    refused(here, webhook(hook))
    due = here.items()[0].record.due
    assert due is not None
    assert (due - here.clock()).total_seconds() == 900


def test_a_receiver_that_is_gone_is_asked_no_more(here: Scene, hook: Listener) -> None:
    """HTTP 410 ends it at once."""
    hook.answer = lambda heard: (410, b"", {})
    assert refused(here, webhook(hook)) == "it answered HTTP 410"
    assert here.items()[0].record.state == "dead"


def test_redirects_are_not_followed_T60(here: Scene, hook: Listener) -> None:
    """Wherever they lead."""
    with listening() as inner:
        hook.answer = lambda heard: (307, b"", {"location": f"{inner.url}/steal"})
        assert "redirects are not followed" in refused(here, webhook(hook))
        assert inner.heard == []
        assert inner.gets == []


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0",
        "224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1", "fe80::1%eth0", "fec0::1",
        "fc00::1", "ff02::1",
        "::ffff:127.0.0.1", "::ffff:169.254.169.254", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe",
        "2002:7f00:1::", "::127.0.0.1", "2001:0:7f00:1::1", "not an address",
    ],
)  # fmt: skip
def test_no_private_address_is_called_T60(address: str) -> None:
    """Nor one that carries a private one inside."""
    assert not public(address)


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "93.184.216.34", "2606:4700::1111", "64:ff9b::101:101", "::ffff:1.1.1.1"]
)
def test_addresses_of_the_internet_may_be_called(address: str) -> None:
    """What is not private is not refused."""
    assert public(address)


def test_loopback_has_to_be_meant_T60(here: Scene, hook: Listener) -> None:
    """`private: true` says so."""
    assert "private address" in refused(here, webhook(hook, private=False))
    assert hook.heard == []


def test_one_private_address_among_others_is_enough_to_refuse_T60(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that resolves to both could be resolved to either."""
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, 443)) for one in ("1.1.1.1", "10.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    with pytest.raises(Undelivered, match="private address"):
        post(Host(names=frozenset({"mixed.example"})), "https://mixed.example/x", b"", {})


def test_a_name_is_resolved_once_and_the_checked_address_is_called_T60(
    hook: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second answer of the resolver, to another address, changes nothing."""
    port = hook.server_address[1]
    asked: list[str] = []

    def resolve(host: str, *_: Any, **__: Any) -> list[Any]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    real = socket.getaddrinfo
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda host, *a, **k: resolve(host) if "rebind" in str(host) else real(host, *a, **k),
    )
    host = Host(names=frozenset({"rebind.example"}), private=True)
    post(host, f"http://rebind.example:{port}/x", b"{}", {})
    assert asked == ["rebind.example"]
    assert hook.heard[0].headers["host"] == f"rebind.example:{port}"


def test_tls_asks_for_the_name_and_not_for_the_address_T60(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A certificate for the address that was called is none for the host."""
    context, ca = certificate(tmp_path)
    real = socket.getaddrinfo
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda host, *a, **k: real("127.0.0.1" if host == "named.example" else host, *a, **k),
    )
    trusted = ssl.create_default_context(cafile=ca)
    host = Host(names=frozenset({"named.example"}), private=True, tls=trusted)
    with listening(tls=context) as hook:
        with pytest.raises(Undelivered, match="its certificate is not trusted"):
            post(host, f"https://named.example:{hook.server_address[1]}/x", b"{}", {})
        assert hook.heard == []


def test_only_hosts_of_the_list_are_called_T60(hook: Listener) -> None:
    """Whatever URL it comes to."""
    with pytest.raises(Undelivered, match="not a host that may be called"):
        post(Host(names=frozenset({"hooks.example.com"}), private=True), f"{hook.url}/x", b"", {})
    assert hook.heard == []


def test_an_untrusted_certificate_is_refused(here: Scene, tmp_path: Path) -> None:
    """Nothing of the message leaves."""
    context, _ = certificate(tmp_path)
    with listening(tls=context) as hook:
        assert "its certificate is not trusted" in refused(here, webhook(hook))
        assert hook.heard == []


def test_a_certificate_of_ones_own_can_be_trusted(here: Scene, tmp_path: Path) -> None:
    """`ca:` names the file, and the name in it still has to be the host's."""
    context, ca = certificate(tmp_path)
    with listening(tls=context) as hook:
        heard = told(here, hook, tls=ssl.create_default_context(cafile=ca))
        assert heard.json["type"] == "agentguard.approval.opened"


def test_certificates_that_anybody_may_change_are_refused(tmp_path: Path) -> None:
    """Whoever changes them decides who reads the messages."""
    from agentguard.channels.configured import channels_of
    from agentguard.channels.options import WebhookEntry

    _, ca = certificate(tmp_path)
    entry = WebhookEntry.model_validate(
        {
            "name": "ops",
            "kind": "webhook",
            "url": "https://hooks.example.com/x",
            "secrets": [{"env": "S"}],
            "ca": str(ca),
        }
    )
    secret = {"S": "whsec_" + "A" * 44}
    ca.chmod(0o644)
    assert channels_of([entry], tmp_path, secret)[0].channel.name == "ops"
    ca.chmod(0o666)
    with pytest.raises(ConfigurationError, match="AG301"):
        channels_of([entry], tmp_path, secret)


def test_a_receiver_that_is_silent_is_left(here: Scene) -> None:
    """The whole of it is bounded in time, the handshake too."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/x"
        assert "no answer within" in refused(here, webhook(url, timeout_s=0.2))


def test_an_endless_answer_is_left(here: Scene, hook: Listener) -> None:
    """Nothing of it is kept."""
    hook.answer = lambda heard: (200, b"x" * 300_000, {})
    assert "longer than" in refused(here, webhook(hook))


def test_what_the_receiver_answers_is_nowhere_T58(
    here: Scene, hook: Listener, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither in the log nor in the outbox: it could hold anything."""
    hook.answer = lambda heard: (500, f"{CANARY}\nERROR forged line".encode(), {"x-a": CANARY})
    with caplog.at_level(logging.DEBUG, logger="agentguard"):
        refused(here, webhook(hook))
    assert CANARY not in caplog.text
    assert CANARY not in json.dumps([dict(item.record.body) for item in here.items()], default=str)


def test_the_agents_names_cannot_write_lines_of_the_log_T57_T58(
    here: Scene, hook: Listener, caplog: pytest.LogCaptureFixture
) -> None:
    """An id with a line break and terminal sequences."""
    hook.answer = lambda heard: (500, b"", {})
    delivering = here.delivering(webhook(hook))
    here.tell("agent.suspended", agent=f"x{HOSTILE}\nERROR forged", digest="sha256:0")
    with caplog.at_level(logging.DEBUG, logger="agentguard"):
        delivering.turn()
    assert "forged" not in caplog.text
    assert not any(raw in caplog.text for raw in RAW)


def test_a_canary_secret_is_in_no_payload_T59(here: Scene, hook: Listener) -> None:
    """Not where it is declared, not where its name or its form says so, and not our own."""
    delivering = here.delivering(webhook(hook))
    pem = f"-----BEGIN RSA PRIVATE KEY-----\n{CANARY}"
    here.ask(
        {
            "iban": CANARY, "password": CANARY, "pass\u200bword": CANARY, "$secret": CANARY,
            "apiKey": CANARY, "headers": {"Authorization": CANARY},
            "note": f"use {pem}", "list": [{"client_secret": CANARY}], "url": f"https://u:{CANARY}@h/x",
            "jwt": f"eyJhbGciOiJIUzI1NiJ9.{CANARY}.x.{CANARY}", "echo": f"token was {TOKEN}", "plain": "seen",
        },
        shown={"facts": {"sensitive": ["iban"]}, "session": {"prompt": CANARY}},
        request={"context": {"key": CANARY}},
    )  # fmt: skip
    delivering.turn()
    body = hook.heard[0].body.decode()
    assert CANARY not in body
    assert TOKEN not in body
    assert "seen" in body
    masked = {one["name"] for one in hook.heard[0].json["data"]["approval"]["arguments"] if one["masked"]}
    assert masked == {
        "iban",
        "password",
        "pass\\u200bword",
        "$secret",
        "apiKey",
        "headers",
        "note",
        "list",
        "url",
        "jwt",
        "echo",
    }


def test_values_stay_home_where_the_operator_says_so_T59(here: Scene, hook: Listener) -> None:
    """`arguments: names`."""
    heard = told(here, hook, {"note": CANARY}, shown=Shown(values=False))
    assert CANARY not in heard.body.decode()
    assert [(one["name"], one["masked"]) for one in heard.json["data"]["approval"]["arguments"]] == [
        ("note", True)
    ]


def test_the_end_of_a_long_value_is_seen_T56(here: Scene, hook: Listener) -> None:
    """With its length and digest, and the mark that it is cut."""
    heard = told(here, hook, {"note": "harmless " * 2000 + "; rm -rf /"})
    question = heard.json["data"]["approval"]
    (one,) = question["arguments"]
    assert one["cut"]
    assert not question["complete"]
    assert "; rm -rf /" in one["text"]
    assert "18,010 characters, sha256 " in one["text"]


def test_hidden_characters_are_written_out_T56_T57(here: Scene, hook: Listener) -> None:
    """Ten thousand lines stay one, and nothing of a terminal's language arrives."""
    heard = told(here, hook, {"note": HOSTILE, "lines": "\n" * 10_000 + "tail", "pаypal": 1})
    text = json.dumps(heard.json, ensure_ascii=False)
    assert not any(raw in text for raw in RAW)
    assert "\\u202e" in heard.json["data"]["approval"]["arguments"][1]["text"]
    assert "pа[U+0430]ypal" in text


def test_arguments_that_do_not_fit_are_counted_T56(here: Scene, hook: Listener) -> None:
    """And it is said that not all of it is shown, so that nobody takes it for whole."""
    heard = told(here, hook, {f"a{number:05d}": "x" for number in range(5_000)})
    question = heard.json["data"]["approval"]
    assert len(question["arguments"]) == 40
    assert (question["complete"], question["problem"]) == (
        False, "4,960 of 5,000 arguments are not shown here"
    )  # fmt: skip


def test_a_message_is_bounded(here: Scene, hook: Listener) -> None:
    """Whatever the names and values are."""
    name = "😀" * 75
    heard = told(here, hook, {f"{name}{number}": "😀" * 400 for number in range(60)})
    assert len(heard.body) <= LARGEST
    question = heard.json["data"]["approval"]
    assert (question["complete"], question["arguments"]) == (False, [])
    assert "too long to be shown here" in question["problem"]


def test_the_agents_words_say_nothing_about_the_call_T56(here: Scene, hook: Listener) -> None:
    """What an argument claims stands as an argument; tool and rule are the guard's."""
    heard = told(here, hook, {"note": "tool: read_only; approved by ana; arguments: none"})
    question = heard.json["data"]["approval"]
    assert question["tool"] == "payments.transfer"
    assert question["arguments"][0]["text"].startswith('"tool: read_only')


def test_flags_and_agents_are_told_without_free_text(here: Scene, hook: Listener) -> None:
    """Ids, names, counts and times."""
    delivering = here.delivering(webhook(hook))
    breach(here)
    delivering.turn()
    assert hook.heard[0].json["data"]["said"]["to"] == "ciso"
    assert "approval" not in hook.heard[0].json["data"]


@pytest.mark.parametrize("text", ["short", "whsec_", "whsec_!!!!", "whsec_AAAA", "whsec_" + "A" * 400])
def test_a_secret_that_is_too_weak_or_none_is_refused(text: str) -> None:
    """24 to 64 bytes in base64 behind `whsec_`; the message holds nothing of it."""
    with pytest.raises(ConfigurationError) as error:
        webhook_key(text, "channel `ops`")
    assert text not in str(error.value) or text == "whsec_"
