"""`agentguard bundle`: keys, building, verifying."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.support import run

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
