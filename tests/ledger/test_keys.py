"""The key for arguments' digests: from the environment or a file that only its owner reads."""

from __future__ import annotations

import base64
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from agentguard.errors import ConfigurationError
from agentguard.ledger.keys import VARIABLE, args_hmac, ledger_key

KEY = bytes(range(32))


@pytest.mark.parametrize(
    "text",
    [KEY.hex(), KEY.hex().upper(), base64.urlsafe_b64encode(KEY).decode().rstrip("="), f" {KEY.hex()}\n"],
)
def test_the_environment_gives_the_key(text: str) -> None:
    """In hexadecimal or base64url; the file is not looked at."""
    assert ledger_key("sqlite:////nowhere/x.db", environ={VARIABLE: text}) == KEY


@pytest.mark.parametrize("text", ["short", KEY.hex()[:-2], "!" * 50, "ü" * 50, "A" * 20])
def test_a_weak_or_mistyped_key_is_refused(text: str) -> None:
    """Fewer than 32 bytes, or not text of either kind."""
    with pytest.raises(ConfigurationError, match=VARIABLE):
        ledger_key("memory:", environ={VARIABLE: text})


def test_a_file_is_made_beside_the_store_once(tmp_path: Path) -> None:
    """With mode 0600, whoever comes first; then it stays."""
    url = f"sqlite:///{tmp_path}/store.db"
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(lambda _: ledger_key(url, environ={}), range(16)))
    assert len(keys) == 1
    (file,) = tmp_path.iterdir()
    assert file.name == "store.db.key"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert len(keys.pop()) == 32


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_file_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    """As ssh does."""
    url = f"sqlite:///{tmp_path}/store.db"
    ledger_key(url, environ={})
    (tmp_path / "store.db.key").chmod(mode)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        ledger_key(url, environ={})


def test_a_file_that_is_no_key_is_refused(tmp_path: Path) -> None:
    """And not replaced; a missing folder is an error too."""
    file = tmp_path / "store.db.key"
    for content in (b"", b"hello", b"\xff" * 40):
        file.write_bytes(content)
        file.chmod(0o600)
        with pytest.raises(ConfigurationError):
            ledger_key(f"sqlite:///{tmp_path}/store.db", environ={})
        assert file.read_bytes() == content
    with pytest.raises(ConfigurationError):
        ledger_key(f"sqlite:///{tmp_path}/no/store.db", environ={})


def test_a_memory_store_has_a_key_of_its_own() -> None:
    """Another one each time."""
    assert ledger_key("memory:", environ={}) != ledger_key("memory:", environ={})


def test_the_digest_is_hmac_sha256() -> None:
    """RFC 4231, test case 2, and the key matters."""
    expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    assert args_hmac(b"Jefe", b"what do ya want for nothing?") == f"hmac-sha256:{expected}"
    assert args_hmac(KEY, b"x") != args_hmac(KEY[::-1], b"x")
