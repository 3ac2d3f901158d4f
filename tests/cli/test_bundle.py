"""`agentguard bundle`: keys, building, verifying."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from agentguard import Guard
from tests.cli.support import run
from tests.policy.bundle_server import serving

POLICY = "policy: a\nowner: ops\ntools: ['*']\nrules:\n  - {id: any, effect: allow}\n"


@pytest.fixture
def made(work: Path) -> Path:
    (work / "policies").mkdir()
    (work / "policies" / "a.yaml").write_text(POLICY)
    run("bundle", "keygen", "bundle.jwk", "trusted.jwk")
    return work


def test_from_keys_to_a_verified_bundle(made: Path) -> None:
    out = run(
        "bundle", "build", "policies", "--key", "bundle.jwk", "--version", "7", "--out", "p.bundle"
    ).stdout
    assert "Signed 1 file as version 7" in out
    shown = run("bundle", "show", "p.bundle", "--trust", "trusted.jwk").stdout
    assert "Version 7, signed with" in shown
    assert "policies/a.yaml" in shown
    data = json.loads(run("bundle", "show", "p.bundle", "--trust", "trusted.jwk", "--json").stdout)
    assert (data["version"], data["files"], data["rules"]) == (7, ["policies/a.yaml"], 1)


def test_keys_are_private_and_never_overwritten(made: Path) -> None:
    assert (made / "bundle.jwk").stat().st_mode & 0o077 == 0
    assert "exists" in run("bundle", "keygen", "bundle.jwk", "new.jwk", code=2).stderr
    assert "exists" in run("bundle", "keygen", "new.jwk", "trusted.jwk", code=2).stderr
    assert not (made / "new.jwk").exists()
    (made / "bundle.jwk").chmod(0o644)
    refused = run(
        "bundle", "build", "policies", "--key", "bundle.jwk", "--version", "1", "--out", "p", code=2
    )
    assert "chmod 600" in refused.stderr


def test_what_cannot_be_signed_or_trusted_is_refused(made: Path) -> None:
    (made / "bad.yaml").write_text(POLICY.replace("effect", "efect"))
    build = ("--key", "bundle.jwk", "--version", "1", "--out", "p.bundle")
    assert "AG102" in run("bundle", "build", "bad.yaml", *build, code=2).stderr
    assert not (made / "p.bundle").exists()
    run("bundle", "build", "policies", *build)
    run("bundle", "keygen", "other.jwk", "stranger.jwk")
    assert "not signed" in run("bundle", "show", "p.bundle", "--trust", "stranger.jwk", code=2).stderr
    assert "private key" in run("bundle", "show", "p.bundle", "--trust", "other.jwk", code=2).stderr
    assert "cannot be read" in run("bundle", "show", "none", "--trust", "trusted.jwk", code=2).stderr


def fetched(work: Path, url: str) -> None:
    """A configuration with a URL, and a guard that ran under it."""
    config = f"policies: policies\nstore: sqlite:///g.db\nbundle: {url}\ntrust: trusted.jwk\n"
    (work / "agentguard.yaml").write_text(config)
    for path in (work / "agentguard.yaml", work / "trusted.jwk"):
        path.chmod(0o644)


def test_a_bundle_is_shown_from_its_url_and_its_age_is_told(made: Path) -> None:
    """`status` reads what was kept, and a monitor sees by its exit code that the server is gone."""
    build = ("--key", "bundle.jwk", "--version", "7", "--out", "p.bundle")
    run("bundle", "build", "policies", *build)
    with serving() as server:
        server.serve((made / "p.bundle").read_bytes())
        assert "Version 7" in run("bundle", "show", server.url, "--trust", "trusted.jwk").stdout
        fetched(made, server.url)
        assert "nothing was fetched yet" in run("bundle", "status", code=1).stderr
        Guard.from_config("agentguard.yaml").close()
    assert f"Version 7 of {server.url}" in run("bundle", "status", "--max-age", "1h").stdout
    old = time.time() - 7200
    os.utime(made / "g.db.bundle", (old, old))
    assert "2 h ago" in run("bundle", "status").stdout
    data = json.loads(run("bundle", "status", "--max-age", "1h", "--json", code=1).stdout)
    assert (data["version"], data["stale"], data["age_s"] // 60) == (7, True, 120)
    (made / "g.db.bundle").write_bytes(b"x")
    assert "not signed" in run("bundle", "status", code=2).stderr


def test_the_age_of_what_is_not_fetched_is_not_told(made: Path) -> None:
    """A bundle in a file, a store without a file, a time that is none."""
    fetched(made, "p.bundle")
    assert "no bundle with an https URL" in run("bundle", "status", code=2).stderr
    fetched(made, "https://example.com/p")
    assert "--max-age" in run("bundle", "status", "--max-age", "soon", code=2).stderr
    config = (made / "agentguard.yaml").read_text().replace("sqlite:///g.db", "'memory:'")
    (made / "agentguard.yaml").write_text(config)
    assert "no file" in run("bundle", "status", code=2).stderr
