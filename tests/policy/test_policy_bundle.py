"""Signed bundles: who signed, what was signed, and that the version only goes up (T40, T47)."""

from __future__ import annotations

import base64
import datetime as dt
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from joserfc import jws
from joserfc.jwk import OctKey, OKPKey

from agentguard import ConfigurationError, Guard, PolicyError
from agentguard.canonical import encode
from agentguard.ledger.verify import verify
from agentguard.policy.bundle import Bundle, trusted_keys
from agentguard.stepup.signing import generate_key

AT = dt.datetime(2026, 11, 20, 10, tzinfo=dt.UTC)
FILES = {"a.yaml": "policy: a\nowner: ops\ntools: ['*']\nrules:\n  - {id: any, effect: allow}\n"}
OTHER = {"a.yaml": FILES["a.yaml"].replace("allow", "deny")}
KEYS, STRANGER = generate_key(), generate_key()


def sealed(version: int = 1, files: dict[str, str] = FILES, **changes: Any) -> bytes:
    return Bundle.seal(files, **{"version": version, "at": AT, "private": KEYS.private, **changes})


def forged(payload: bytes, header: dict[str, Any] | None = None, key: Any = None) -> bytes:
    """Anything, signed."""
    head = {"alg": "Ed25519", "typ": "agentguard-bundle+jws", **(header or {})}
    plain = {name: KEYS.private[name] for name in ("kty", "crv", "x", "d")}
    key = key or OKPKey.import_key(plain)
    return jws.serialize_compact(head, payload, key, algorithms=[head["alg"]]).encode()


def test_what_was_signed_is_what_is_read() -> None:
    """Files, version, time, and by whom."""
    found = Bundle.verify(sealed(7), [STRANGER.public, KEYS.public])
    assert (found.version, found.created, found.files, found.signer) == (7, AT, FILES, KEYS.public["kid"])
    snapshot = found.snapshot()
    assert [rule.name for rule in snapshot.rules] == ["a/any"]
    assert snapshot.rules[0].at == "a.yaml:5"
    assert snapshot.signed is not None
    assert snapshot.with_register(snapshot.register).signed == snapshot.signed


def test_every_changed_byte_is_refused_T47() -> None:
    """Whichever of the three parts it is in."""
    content = sealed()
    for at in range(0, len(content), 7):
        changed = bytearray(content)
        changed[at] ^= 1
        with pytest.raises(PolicyError):
            Bundle.verify(bytes(changed), [KEYS.public])


CONTENT: dict[str, Any] = {"v": 1, "version": 1, "created": AT.isoformat(), "files": FILES}


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", "not signed"),
        (b"policy: a", "not signed"),
        (b"a.b.c", "not signed"),
        (b"\xff" * 100, "not signed"),
        (sealed(private=STRANGER.private), "not signed"),
        (forged(encode(CONTENT), {"typ": "agentguard-vote+jws"}), "not signed"),
        (forged(encode(CONTENT), {"typ": "JWT"}), "not signed"),
        (forged(b"5"), "not a bundle"),
        (forged(b"[" * 5000), "not a bundle"),
        (forged(b'{"v":1,"v":1}'), "not a bundle"),
        (forged(encode({**CONTENT, "v": 2})), "not a bundle"),
        (forged(encode({**CONTENT, "version": 0})), "not a bundle"),
        (forged(encode({**CONTENT, "version": True})), "not a bundle"),
        (forged(encode({**CONTENT, "version": "1"})), "not a bundle"),
        (forged(encode({**CONTENT, "files": {}})), "not a bundle"),
        (forged(encode({**CONTENT, "files": {"a": 5}})), "not a bundle"),
        (forged(encode({**CONTENT, "more": 1})), "not a bundle"),
        (forged(encode({**CONTENT, "created": "now"})), "not a bundle"),
        (forged(encode({**CONTENT, "created": "2026-11-20T10:00:00"})), "zone"),
    ],
)
def test_what_is_no_bundle_is_refused_T47_T48(content: bytes, match: str) -> None:
    """Also where it is signed with the right key."""
    with pytest.raises(PolicyError, match=match):
        Bundle.verify(content, [KEYS.public])


def test_other_algorithms_are_refused_T51() -> None:
    """No signature at all, and the public key as a shared secret."""
    payload = base64.urlsafe_b64encode(encode(CONTENT)).rstrip(b"=")
    head = base64.urlsafe_b64encode(b'{"alg":"none","typ":"agentguard-bundle+jws"}').rstrip(b"=")
    secret = OctKey.import_key(json.dumps(KEYS.public).encode())
    for content in (head + b"." + payload + b".", forged(encode(CONTENT), {"alg": "HS256"}, secret)):
        with pytest.raises(PolicyError, match="not signed"):
            Bundle.verify(content, [KEYS.public])
    with pytest.raises(PolicyError, match="no key"):
        Bundle.verify(sealed(), [])


def test_what_does_not_load_is_not_signed_and_not_used() -> None:
    """With its findings."""
    bad = {"a.yaml": FILES["a.yaml"].replace("effect", "efect")}
    with pytest.raises(PolicyError, match="AG102"):
        sealed(files=bad)
    with pytest.raises(PolicyError):
        Bundle.verify(forged(encode({**CONTENT, "files": bad})), [KEYS.public]).snapshot()
    for version in (0, -1, 2**60):
        with pytest.raises(ConfigurationError, match="version"):
            sealed(version)
    with pytest.raises(ConfigurationError, match="private"):
        sealed(private=KEYS.public)


def test_a_large_set_is_read() -> None:
    """Ten thousand rules are more than a token."""
    rules = "".join(f"  - {{id: r{n}, effect: deny, when: 'args.x == {n}'}}\n" for n in range(2_000))
    files = {f"{n}.yaml": f"policy: p{n}\nowner: o\ntools: ['t{n}']\nrules:\n{rules}" for n in range(5)}
    assert len(Bundle.verify(sealed(files=files), [KEYS.public]).snapshot().rules) == 10_000


def test_an_older_version_is_refused_T40(tmp_path: Path) -> None:
    """By this guard, by the next one on this store, and not by another tenant's."""
    url = f"sqlite:///{tmp_path}/guard.db"

    def snapshot(version: int, files: dict[str, str] = FILES) -> Any:
        return Bundle.verify(sealed(version, files), [KEYS.public]).snapshot()

    with Guard(snapshot=snapshot(5), store=url) as guard:
        guard.swap(snapshot(6, OTHER))
        for version in (1, 5):
            with pytest.raises(PolicyError, match="version 6 was in force"):
                guard.swap(snapshot(version))
        with pytest.raises(PolicyError, match="other policies"):
            guard.swap(snapshot(6))
        guard.swap(snapshot(6, OTHER))
        assert guard.snapshot.signed == snapshot(6, OTHER).signed
        assert verify(guard.store).ok
    with pytest.raises(PolicyError, match="version 6 was in force"):
        Guard(snapshot=snapshot(5), store=url)
    with Guard(snapshot=snapshot(6, OTHER), store=url) as guard:
        loaded = [json.loads(event.leaf) for event in guard.store.events("default")]
        assert [event["bundle"]["version"] for event in loaded] == [5, 6, 6, 6]
        assert {event["bundle"]["signer"] for event in loaded} == {KEYS.public["kid"]}
    Guard(snapshot=snapshot(1), store=url, tenant="other").close()


def test_a_watched_bundle_is_replaced_by_a_newer_one_only_T40_T47(tmp_path: Path) -> None:
    """A rollback and a stranger's bundle leave the one in force, recorded."""
    path = tmp_path / "policies.bundle"
    path.write_bytes(sealed(2))

    def load() -> Any:
        return Bundle.open(path, [KEYS.public]).snapshot()

    with Guard(snapshot=load(), store="memory:") as guard:
        watch = guard.watch(path, load=load, every_s=3600)
        watch.look()
        watch.look()
        versions: list[int] = []
        for content, ended in (
            (sealed(1, OTHER), "refused"),
            (sealed(3, OTHER, private=STRANGER.private), "refused"),
            (sealed(3, OTHER)[:-5], "refused"),
            (sealed(3, OTHER), "loaded"),
            (sealed(4, OTHER), "loaded"),
        ):
            path.write_bytes(content)
            assert [watch.look(), watch.look()] == ["changing", ended]
            assert guard.snapshot.signed is not None
            versions.append(guard.snapshot.signed.version)
        assert versions == [2, 2, 2, 3, 4]
        types = [event.type for event in guard.store.events("default")]
        assert types == ["policy.loaded", *["policy.refused"] * 3, *["policy.loaded"] * 2]


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_keys_that_anybody_may_change_are_not_trusted_T47(tmp_path: Path) -> None:
    """Whoever changes them says who may sign."""
    path = tmp_path / "trust.jwk"
    path.write_text(json.dumps(KEYS.public), encoding="utf-8")
    path.chmod(0o646)
    with pytest.raises(ConfigurationError, match="AG301 anybody may change this file"):
        trusted_keys(path)


def test_trusted_keys_are_public_ones(tmp_path: Path) -> None:
    """One, or a set; never a private key by mistake."""
    path = tmp_path / "keys.json"
    path.write_text(json.dumps(KEYS.public))
    assert trusted_keys(path) == [KEYS.public]
    path.write_text(json.dumps({"keys": [KEYS.public, STRANGER.public]}))
    assert trusted_keys(path) == [KEYS.public, STRANGER.public]
    for content, match in (
        (json.dumps(KEYS.private), "private key"),
        ("{}", "something else"),
        ('{"keys": []}', "no key"),
        ("[]", "no key"),
        ("nonsense", "JSON"),
        (json.dumps({**KEYS.public, "crv": "P-256"}), "something else"),
    ):
        path.write_text(content)
        with pytest.raises(ConfigurationError, match=match):
            trusted_keys(path)
    with pytest.raises(ConfigurationError, match="cannot be read"):
        trusted_keys(tmp_path / "none")


def test_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The block about bundles in `docs/policies.md`."""
    page = (Path(__file__).resolve().parents[2] / "docs" / "policies.md").read_text(encoding="utf-8")
    (block,) = [code for code in re.findall(r"```python\n(.*?)```", page, re.S) if "Bundle.open" in code]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "trusted.jwk").write_text(json.dumps(KEYS.public))
    (tmp_path / "policies.bundle").write_bytes(sealed())
    names: dict[str, Any] = {}
    exec(compile(block, "docs/policies.md", "exec"), names)  # noqa: S102
    names["watch"].look()
    assert names["watch"].look() == "loaded"
    names["guard"].close()
