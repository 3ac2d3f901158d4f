"""Bundles that are fetched: what a server may do to a guard, which is nothing (T40, T47, T60)."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import logging
import re
import socket
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agentguard import ConfigurationError, Guard, PolicyError, ToolCallDenied, fetching
from agentguard.bundled import BundleEntry
from agentguard.config import load_config
from agentguard.fetching import RemoteBundle, Unreachable
from agentguard.policy import bundle as bundles
from agentguard.policy.bundle import Bundle
from agentguard.refetching import BundleWatch
from agentguard.stepup.signing import generate_key
from tests.guard.support import AGENT, WAYS, Way, bank
from tests.policy.bundle_server import Asked, Server, certificate, serving

KEYS, STRANGER = generate_key(), generate_key()
AT = dt.datetime(2026, 11, 20, 10, tzinfo=dt.UTC)
ALLOW = {"a.yaml": "policy: all\nowner: ops\ntools: ['*']\nrules:\n  - {id: any, effect: allow}\n"}
DENY = {"a.yaml": ALLOW["a.yaml"].replace("any, effect: allow", "none, effect: deny")}


def sealed(version: int, files: dict[str, str] = ALLOW, private: Any = KEYS.private) -> bytes:
    return Bundle.seal(files, version=version, at=AT, private=private)


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as found:
        yield found


def remote(url: str, **options: Any) -> RemoteBundle:
    return RemoteBundle(url, **{"trust": [KEYS.public], "timeout_s": 120, **options})


def watched(server: Server, **options: Any) -> tuple[Guard, BundleWatch]:
    """A guard under version 1, with a watch that looks only when it is told to."""
    server.serve(sealed(1))
    bundle = remote(server.url, **options)
    guard = Guard(snapshot=bundle.snapshot(), store="memory:")
    return guard, guard.watch(bundle, every_s=3600)


def said(guard: Guard) -> list[tuple[str, str]]:
    """What the ledger has of policies: the type, and the reason of a refusal."""
    found = [json.loads(event.leaf) for event in guard.store.events("default")]
    return [(one["type"], one.get("reason", "")) for one in found if one["type"].startswith("policy.")]


# What it is for


@pytest.mark.parametrize("way", WAYS)
def test_a_newer_bundle_is_in_force_from_the_next_decision_on_T40(server: Server, way: Way) -> None:
    """Fetched, verified, swapped whole, and recorded with its version."""
    guard, watch = watched(server)
    with guard:
        transfer, ran = bank(guard, way)
        with guard.session(agent=AGENT):
            transfer("A", 1)
            server.serve(sealed(2, DENY))
            assert watch.look() == "loaded"
            with pytest.raises(ToolCallDenied, match="all/none"):
                transfer("A", 1)
        assert len(ran) == 1
        assert [kind for kind, _ in said(guard)] == ["policy.loaded", "policy.loaded"]
        assert guard.snapshot.signed is not None
        assert guard.snapshot.signed.version == 2


@pytest.mark.parametrize("tag", [True, False])
def test_what_has_not_changed_is_not_loaded_again(server: Server, tag: bool) -> None:
    """The server is asked with the tag it gave; one that gives none sends the same bytes."""
    server.serve(sealed(1), tag=tag)
    bundle = remote(server.url)
    with Guard(snapshot=bundle.snapshot(), store="memory:") as guard:
        old = guard.snapshot
        watch = guard.watch(bundle, every_s=3600)
        assert [watch.look(), watch.look()] == ["unchanged", "unchanged"]
        assert guard.snapshot is old
        assert [tag is not None for tag in server.tags] == [False, tag, tag]
        assert len(said(guard)) == 1


def test_the_thread_asks_by_itself(server: Server) -> None:
    """On its own thread, never on the caller's."""
    asking: set[str] = set()
    changed = threading.Event()

    class Seen(RemoteBundle):
        def fetch(self) -> Any:
            asking.add(threading.current_thread().name)
            return super().fetch()

        def accepted(self, candidate: Any) -> None:
            super().accepted(candidate)
            if candidate.snapshot.signed.version == 2:
                changed.set()

    server.serve(sealed(1))
    bundle = Seen(server.url, trust=[KEYS.public])
    with Guard(snapshot=bundle.snapshot(), store="memory:") as guard:
        asking.clear()
        guard.watch(bundle, every_s=1)
        server.serve(sealed(2, DENY))
        assert changed.wait(120)
        assert guard.snapshot.signed is not None
        assert guard.snapshot.signed.version == 2
    assert asking == {"agentguard-policies"}


async def test_a_server_that_hangs_holds_up_no_call_on_the_event_loop(server: Server) -> None:
    """A decision is made while a fetch waits."""
    guard, watch = watched(server)
    hanging = threading.Event()

    def hang(asked: Asked) -> None:
        hanging.set()
        asked.server.done.wait(300)

    server.answer = hang
    async with guard:

        @guard.tool("bank.transfer")
        async def transfer(payee: str) -> str:
            return payee

        thread = threading.Thread(target=watch.look)
        thread.start()
        assert await asyncio.to_thread(hanging.wait, 60)
        async with guard.session(agent=AGENT):
            assert await transfer("A") == "A"
        assert thread.is_alive()
        server.done.set()  # type: ignore[attr-defined]
        await asyncio.to_thread(thread.join, 60)


# What a server may do instead


def redirect(asked: Asked) -> None:
    asked.reply(b"", 302, Location="http://127.0.0.1:9/other")


def truncated(asked: Asked) -> None:
    asked.send_response(200)
    asked.send_header("content-length", "100000")
    asked.end_headers()
    asked.wfile.write(sealed(2, DENY)[:200])
    asked.close_connection = True


def zipped(asked: Asked) -> None:
    asked.reply(b"\x1f\x8b", content_encoding="gzip")


def garbage(asked: Asked) -> None:
    asked.wfile.write(b"HTTP/9.9 what\r\n\r\n")
    asked.close_connection = True


FAILURES = [
    (lambda asked: asked.reply(b"", 500), "HTTP 500"),
    (lambda asked: asked.reply(b"", 503), "HTTP 503"),
    (lambda asked: asked.reply(b"", 404), "HTTP 404"),
    (lambda asked: asked.reply(b"", 401), "HTTP 401"),
    (lambda asked: asked.reply(sealed(2, DENY), 203), "HTTP 203"),
    (redirect, "redirects are not followed"),
    (truncated, "no answer"),
    (zipped, "compressed"),
    (garbage, "no answer"),
]


@pytest.mark.parametrize(("answer", "match"), FAILURES)
def test_a_server_that_fails_changes_nothing_T40_T60(
    server: Server, answer: Any, match: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The old policies stay in force; it is logged and recorded once, and the next good bundle counts."""
    guard, watch = watched(server)
    with guard:
        old = guard.snapshot
        server.answer = answer
        caplog.clear()
        assert [watch.look(), watch.look(), watch.look()] == ["unreachable"] * 3
        assert guard.snapshot is old
        ((kind, reason),) = said(guard)[1:]
        assert kind == "policy.refused"
        assert match in reason
        assert len([one for one in caplog.records if one.levelno >= logging.ERROR]) == 1
        server.serve(sealed(2, DENY))
        assert watch.look() == "loaded"
        assert "can be fetched again" in caplog.text
        assert guard.snapshot is not old


def test_nothing_is_unchanged_that_was_never_seen_T40(server: Server) -> None:
    """A server that says so to the first question has no bundle."""
    server.answer = lambda asked: asked.reply(b"", 304)
    with pytest.raises(Unreachable, match="HTTP 304, unchanged, and was not asked"):
        remote(server.url).fetch()


REFUSED = [
    (b"", "not signed"),
    (b"policy: all", "not signed"),
    (sealed(2, DENY)[:-20], "not signed"),
    (sealed(2, DENY, STRANGER.private), "not signed"),
    (sealed(1, DENY), "with other policies"),
]


@pytest.mark.parametrize(("content", "match"), REFUSED)
@pytest.mark.parametrize("tag", [True, False])
def test_a_bundle_that_is_not_right_is_refused_once_T40_T47(
    server: Server, content: bytes, match: str, tag: bool
) -> None:
    """Unsigned, cut short, signed by somebody else, another one of the same version."""
    guard, watch = watched(server)
    with guard:
        old = guard.snapshot
        server.serve(content, tag=tag)
        assert [watch.look(), watch.look(), watch.look()] == ["refused"] * 3
        assert guard.snapshot is old
        ((kind, reason),) = said(guard)[1:]
        assert (kind, match in reason) == ("policy.refused", True)
        server.serve(sealed(2, DENY))
        assert watch.look() == "loaded"


@pytest.mark.parametrize("keep", [True, False])
def test_yesterdays_bundle_is_refused_T40(server: Server, tmp_path: Path, keep: bool) -> None:
    """Also where it was signed with the right key: by what the ledger knows, and by what was kept."""
    store = f"sqlite:///{tmp_path}/guard.db"
    kept = tmp_path / "guard.db.bundle"
    server.serve(sealed(7, DENY))
    bundle = remote(server.url, keep=kept if keep else None)
    with Guard(snapshot=bundle.snapshot(), store=store) as guard:
        watch = guard.watch(bundle, every_s=3600)
        server.serve(sealed(6))
        assert watch.look() == "refused"
        assert "version 7 was in force already" in said(guard)[-1][1]
        assert {rule.name for rule in guard.snapshot.rules} == {"all/none"}
    if keep:
        started = remote(server.url, keep=kept).snapshot()
        assert {rule.name for rule in started.rules} == {"all/none"}
        kept.unlink()
    with pytest.raises(PolicyError, match="version 7 was in force"):
        Guard(snapshot=remote(server.url).snapshot(), store=store)


def test_a_huge_body_is_not_read_T24(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends at the bound, whatever its length is said to be."""
    monkeypatch.setattr(fetching, "LARGEST", 10_000)
    written: list[int] = []

    def huge(asked: Asked) -> None:
        asked.send_response(200)
        asked.end_headers()
        try:
            for _ in range(100_000):
                asked.wfile.write(b"x" * 65_536)
                written.append(65_536)
        except OSError:
            pass
        asked.close_connection = True

    server.answer = huge
    with pytest.raises(Unreachable, match="longer than 10000 bytes"):
        remote(server.url).fetch()
    assert sum(written) < 100_000 * 65_536 / 10


def slow_body(asked: Asked) -> None:
    asked.send_response(200)
    asked.send_header("content-length", "100000")
    asked.end_headers()
    asked.drip(b"x" * 100_000)


def slow_body_of_unknown_length(asked: Asked) -> None:
    asked.send_response(200)
    asked.end_headers()
    asked.wfile.write(b"x")
    silent(asked)


def slow_headers(asked: Asked) -> None:
    asked.drip(b"HTTP/1.1 200 OK\r\n" + b"".join(b"x-%d: y\r\n" % n for n in range(10_000)))


def silent(asked: Asked) -> None:
    asked.server.done.wait(300)


@pytest.mark.parametrize("answer", [slow_body, slow_body_of_unknown_length, slow_headers, silent])
def test_a_slow_drip_ends_with_the_time_for_the_whole_fetch_T60(server: Server, answer: Any) -> None:
    """A byte now and then keeps a connection alive, and not the fetch; in the body and before it."""
    server.answer = answer
    while not server.asked:  # the time may be up before the server is asked at all
        with pytest.raises(Unreachable, match=r"no answer within|too slowly"):
            remote(server.url, timeout_s=1).fetch()
    assert len(server.asked) == 1


@pytest.mark.parametrize("url", ["https://exa mple.com/p", "https://example.com/\x7f", "https://a|b/p"])
def test_what_cannot_stand_in_a_url_is_refused_at_once(url: str) -> None:
    """And not when it is asked for."""
    with pytest.raises(ConfigurationError, match="is not an http or https URL"):
        remote(url)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("https://ops:hunter 2@example.com/p", "character 19 cannot"),
        ("https://ops:hunter2/@example.com/p", "host or port cannot be read"),
        ("https://[hunter2/p", "host or port cannot be read"),
        ("htps://ops:hunter2@example.com/p", "does not begin with `https://`"),
        ("hunter2:ops@example.com/p", "does not begin with `https://`"),
        ("https:///hunter2", "names no host"),
        ("https://hunter2:0/p", "its port is 0"),
        ("https://ops:hunter2@example.com/p", "pass a token instead"),
        ("https://example.com/p?token=hunter2", "pass a token instead"),
    ],
)
def test_a_url_that_is_refused_is_not_repeated(url: str, why: str) -> None:
    """A password may stand anywhere in one that cannot be read; the error says what is wrong with it."""
    with pytest.raises(ConfigurationError, match=why) as refused:
        remote(url)
    assert "hunter" not in "".join(traceback.format_exception(refused.value, limit=0))


def test_a_handshake_that_never_ends_is_ended_T60() -> None:
    """A port that is open and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"https://127.0.0.1:{listening.getsockname()[1]}/policies.bundle"
        with pytest.raises(Unreachable, match="no answer"):
            remote(url, timeout_s=0.5).fetch()


def test_a_certificate_that_nobody_trusts_is_an_error_T60(tmp_path: Path) -> None:
    """Unless it is named; the reason says what it is."""
    context, ca = certificate(tmp_path)
    with serving(tls=context) as server:
        server.serve(sealed(1))
        with pytest.raises(Unreachable, match="certificate is not trusted"):
            remote(server.url).fetch()
        assert remote(server.url, ca=ca).snapshot().signed is not None
    with pytest.raises(ConfigurationError, match="certificates"):
        remote("https://example.com/p", ca=tmp_path / "none.pem")


def test_the_environment_does_not_lead_elsewhere_T60(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy of an environment variable sees the request."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    server.serve(sealed(1))
    assert remote(server.url).fetch() is not None


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/p.bundle",
        "http://10.0.0.1/p.bundle",
        "http://127.0.0.1.example.com/p",
        "ftp://example.com/p",
        "file:///etc/policies",
        "https://user:word@example.com/p",
        "https://example.com/p?token=x",
        "https:///p",
        "https://[::1",
        "https://example.com:99999/p",
    ],
)
def test_only_https_is_asked_or_loopback_T60(url: str) -> None:
    """And a URL holds no secret."""
    with pytest.raises(ConfigurationError, match="the bundle"):
        remote(url)


def test_nothing_is_fetched_without_keys_T47() -> None:
    """A URL without a signature is no source of policies, in code as in a configuration."""
    with pytest.raises(ConfigurationError, match="no key is trusted"):
        RemoteBundle("https://example.com/p", trust=[])
    with pytest.raises(PolicyError, match="does not exist; what is fetched has to be signed"):
        Guard("https://example.com/policies", store="memory:")
    with Guard(snapshot=Bundle.verify(sealed(1), [KEYS.public]).snapshot(), store="memory:") as guard:
        with pytest.raises(ConfigurationError, match="RemoteBundle"):
            guard.watch("https://example.com/policies")
        with pytest.raises(ConfigurationError, match="every 1"):
            guard.watch(remote("https://example.com/p"), every_s=0.5)


def test_the_token_is_sent_and_never_told(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    """Neither in errors nor in logs."""
    with pytest.raises(Unreachable) as caught:
        remote(server.url, token="s3cret").fetch()
    assert server.asked[0].headers["authorization"] == "Bearer s3cret"
    assert "s3cret" not in str(caught.value) + caplog.text
    with pytest.raises(ConfigurationError, match="token"):
        remote(server.url, token="a\r\nx: y")


# Keys


def test_keys_that_change_are_read_again_T47(server: Server, tmp_path: Path) -> None:
    """What was refused is judged anew, and what a key no longer trusted signs is refused."""
    trusted = tmp_path / "trusted.jwk"
    trusted.write_text(json.dumps(KEYS.public))
    guard, watch = watched(server, trust=trusted)
    with guard:
        server.serve(sealed(2, DENY, STRANGER.private))
        assert [watch.look(), watch.look()] == ["refused", "refused"]
        trusted.write_text(json.dumps({"keys": [STRANGER.public]}))
        assert watch.look() == "loaded"
        trusted.write_text(json.dumps(KEYS.public))
        assert watch.look() == "refused"
        trusted.chmod(0o666)
        with pytest.raises(PolicyError, match="AG301 anybody may change this file"):
            watch.bundle.fetch()


# Starting without the server


def test_without_a_server_and_without_a_copy_nothing_starts_T40(tmp_path: Path) -> None:
    """The message says both."""
    with serving() as server:
        url = server.url
    for keep in (None, tmp_path / "never.bundle"):
        with pytest.raises(PolicyError, match=r"could not be fetched .* refused; and no copy was kept"):
            remote(url, keep=keep).snapshot()


def test_without_a_server_the_copy_that_was_kept_starts_T40(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Verified as ever, with the time at which the server last answered."""
    kept, store = tmp_path / "guard.db.bundle", f"sqlite:///{tmp_path}/guard.db"
    with serving() as server:
        server.serve(sealed(3, DENY))
        bundle = remote(server.url, keep=kept, clock=lambda: AT)
        with Guard(snapshot=bundle.snapshot(), store=store):
            pass
    assert kept.stat().st_mode & 0o077 == 0
    later = remote(bundle.url, keep=kept, clock=lambda: AT + dt.timedelta(hours=5))
    with Guard(snapshot=later.snapshot(), store=store) as guard:
        assert {rule.name for rule in guard.snapshot.rules} == {"all/none"}
        assert later.stale_s == 5 * 3600
        assert "the copy that was kept is in force: version 3" in caplog.text
        watch = guard.watch(later, every_s=3600)
        assert watch.look() == "unreachable"
        assert "not been confirmed for 5 h" in caplog.text


@pytest.mark.parametrize("damage", ["changed", "cut", "empty", "stranger", "writable"])
def test_a_copy_is_trusted_for_its_signature_and_not_for_its_place_T47(tmp_path: Path, damage: str) -> None:
    """Whoever can write beside the store cannot bring in policies."""
    kept = tmp_path / "guard.db.bundle"
    content = sealed(3)
    match damage:
        case "changed":
            kept.write_bytes(content[:-9] + bytes([content[-9] ^ 1]) + content[-8:])
        case "cut":
            kept.write_bytes(content[:100])
        case "empty":
            kept.write_bytes(b"")
        case "stranger":
            kept.write_bytes(sealed(9, ALLOW, STRANGER.private))
        case _:
            kept.write_bytes(content)
            kept.chmod(0o666)
    with serving() as server:
        url = server.url
    with pytest.raises(PolicyError, match=r"could not be fetched .*; and .*guard.db.bundle"):
        remote(url, keep=kept).snapshot()


def test_an_older_copy_is_refused_by_the_ledger_T40(tmp_path: Path) -> None:
    """A copy of last week put in the place of the one that was kept."""
    store, kept = f"sqlite:///{tmp_path}/guard.db", tmp_path / "guard.db.bundle"
    with serving() as server:
        server.serve(sealed(7, DENY))
        bundle = remote(server.url, keep=kept)
        Guard(snapshot=bundle.snapshot(), store=store).close()
    kept.write_bytes(sealed(6))
    with pytest.raises(PolicyError, match="version 7 was in force already"):
        Guard(snapshot=remote(bundle.url, keep=kept).snapshot(), store=store)


def test_a_damaged_copy_does_not_stand_in_the_way_of_the_server(server: Server, tmp_path: Path) -> None:
    """It is replaced."""
    kept = tmp_path / "guard.db.bundle"
    kept.write_bytes(b"?")
    server.serve(sealed(2))
    assert remote(server.url, keep=kept).snapshot().signed is not None
    assert Bundle.open(kept, [KEYS.public]).version == 2


def test_a_copy_that_cannot_be_kept_is_said_and_no_more(
    server: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The policies count all the same."""
    server.serve(sealed(1))
    remote(server.url, keep=tmp_path / "none" / "x.bundle").snapshot()
    assert "could not be kept" in caplog.text


# How old it is


def test_how_long_the_server_has_not_answered_can_be_seen(
    server: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """In code, in the log once an hour, and on the file that was kept."""
    now = [AT]
    kept = tmp_path / "kept.bundle"
    guard, watch = watched(server, keep=kept, clock=lambda: now[0])
    with guard:
        now[0] += dt.timedelta(minutes=50)
        assert watch.bundle.stale_s == 3000
        assert watch.look() == "unchanged"
        assert watch.bundle.stale_s == 0
        assert kept.stat().st_mtime == now[0].timestamp()
        server.answer = lambda asked: asked.reply(b"", 404)
        for _ in range(12):
            now[0] += dt.timedelta(minutes=15)
            watch.look()
        assert watch.bundle.stale_s == 3 * 3600
        warned = [one for one in caplog.messages if "not been confirmed" in one]
        assert [one.split(" for ")[1][:3] for one in warned] == ["1 h", "2 h", "3 h"]
        assert kept.stat().st_mtime == (AT + dt.timedelta(minutes=50)).timestamp()
        assert len(said(guard)) == 2


def test_a_store_that_refuses_is_asked_again(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing comes in force unrecorded, and nothing is taken for seen that is not in force."""
    from agentguard.errors import StoreUnavailable

    guard, watch = watched(server)
    with guard:
        old = guard.snapshot
        server.serve(sealed(2, DENY))

        def refuse(*_: Any, **__: Any) -> None:
            raise StoreUnavailable("full")

        with monkeypatch.context() as patch:
            patch.setattr(guard.store, "change_records", refuse)
            with pytest.raises(StoreUnavailable):
                watch.look()
        assert guard.snapshot is old
        assert watch.look() == "loaded"
        assert guard.snapshot is not old


def test_a_guard_that_is_closed_meanwhile_takes_nothing(server: Server) -> None:
    """The fetch ends, and changes nothing."""
    guard, watch = watched(server)
    new = sealed(2, DENY)

    def late(asked: Asked) -> None:
        guard.close()
        asked.reply(new)

    server.answer = late
    old = guard.snapshot
    assert watch.look() == "unchanged"
    assert guard.snapshot is old


def test_the_bound_is_that_of_files() -> None:
    """One number for both."""
    assert fetching.LARGEST == bundles.LARGEST


# In a configuration


def configured(folder: Path, **lines: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "trusted.jwk").write_text(json.dumps(KEYS.public))
    settings = {"policies": ".", "store": "sqlite:///guard.db", "trust": "trusted.jwk", **lines}
    path = folder / "agentguard.yaml"
    path.write_text("".join(f"{name}: {value}\n" for name, value in settings.items()))
    for file in folder.iterdir():
        file.chmod(0o644)
    return path


def test_a_configuration_names_the_bundle_by_its_url_T40(tmp_path: Path) -> None:
    """Fetched at start, kept beside the store, started from there when the server is gone."""
    with serving() as server:
        server.serve(sealed(1, DENY))
        path = configured(tmp_path / "c", bundle=server.url, reload_s="60")
        with Guard.from_config(path) as guard:
            assert {rule.name for rule in guard.snapshot.rules} == {"all/none"}
    assert (tmp_path / "c" / "guard.db.bundle").exists()
    with Guard.from_config(path) as guard:
        assert {rule.name for rule in guard.snapshot.rules} == {"all/none"}
    (tmp_path / "c" / "guard.db.bundle").unlink()
    with pytest.raises(PolicyError, match="no copy was kept"):
        Guard.from_config(path)


def test_a_configuration_says_what_the_server_needs(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A token from the environment, certificates, the time."""
    server.serve(sealed(1))
    bundle = f"{{url: '{server.url}', token_env: POLICY_TOKEN, timeout_s: 60}}"
    path = configured(tmp_path / "c", bundle=bundle)
    with pytest.raises(ConfigurationError, match="POLICY_TOKEN"):
        Guard.from_config(path)
    monkeypatch.setenv("POLICY_TOKEN", "t0ken")
    Guard.from_config(path).close()
    assert server.asked[-1].headers["authorization"] == "Bearer t0ken"


@pytest.mark.parametrize(
    ("lines", "match"),
    [
        ({"bundle": "http://example.com/p"}, "use https"),
        ({"bundle": "https://example.com/p?x=1"}, "a query"),
        ({"bundle": "https://example.com/p", "reload_s": "0.1"}, "at least 1"),
        ({"bundle": "{url: p.bundle, token_env: X}"}, "https URL"),
        ({"bundle": "{url: 'https://example.com/p', tokn_env: X}"}, "unknown key `tokn_env`"),
        ({"bundle": "https://example.com/p", "trust": "https://example.com/k"}, "file of yours"),
        ({"bundle": "p", "policies": "https://example.com/p"}, "has to be signed"),
        ({"bundle": "p", "policies": "[a, 'https://example.com/p']"}, "has to be signed"),
    ],
)
def test_a_configuration_that_would_fetch_what_it_should_not_is_refused_T60(
    tmp_path: Path, lines: dict[str, str], match: str
) -> None:
    """With file, line and column, before anything is asked."""
    with pytest.raises(ConfigurationError, match=match) as caught:
        Guard.from_config(configured(tmp_path / "c", **lines))
    assert "agentguard.yaml:" in str(caught.value)


PAGE = (Path(__file__).resolve().parents[2] / "docs" / "policies.md").read_text(encoding="utf-8")


def test_the_page_runs(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The blocks about fetching in `docs/policies.md`, with this server in the place of theirs."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "trusted.jwk").write_text(json.dumps(KEYS.public))
    server.serve(sealed(1))
    (code,) = [one for one in re.findall(r"```python\n(.*?)```", PAGE, re.S) if "RemoteBundle(" in one]
    names: dict[str, Any] = {}
    code = code.replace("https://policies.example.com/agents.bundle", server.url)
    exec(compile(code, "docs/policies.md", "exec"), names)  # noqa: S102
    assert names["watch"].look() == "unchanged"
    names["guard"].close()
    (text,) = [one for one in re.findall(r"```yaml\n(.*?)```", PAGE, re.S) if one.startswith("bundle:")]
    (tmp_path / "agentguard.yaml").write_text("policies: .\n" + text)
    found = load_config(tmp_path / "agentguard.yaml")
    assert found.bundle == BundleEntry(url="https://policies.example.com/agents.bundle")


def test_every_key_of_a_bundle_is_on_the_page() -> None:
    """As a mapping."""
    for key in BundleEntry.model_fields:
        assert f"`{key}`" in PAGE
