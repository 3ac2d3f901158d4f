"""The formats of C2SP: signed notes and checkpoints, against published examples and byte by byte."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import pytest

from agentguard.errors import CheckpointRefused, ConfigurationError
from agentguard.ledger.checkpoints import (
    checkpoint_of,
    notes_in,
    origin_of,
    read_checkpoint,
    tenant_of,
)
from agentguard.ledger.notes import MAX_NOTE, MAX_SIGNATURES, Signer, VerifierKey, open_note
from agentguard.stepup.signing import generate_key
from tests.ledger.attacker import signer

# Published by the Go module golang.org/x/mod/sumdb/note (its tests), key and signatures.
PETER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
PETERS_PRIVATE = "AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
ENOCH = "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop"
TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
PETERS = (
    "\u2014 PeterNeumann "
    "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
ENOCHS = (
    "\u2014 EnochRoot "
    "rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n"
)
# Published by another implementation of signed notes (signed_note, for Elixir).
FOO = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
FOOS = (
    "This is an example message.\n\n\u2014 example.com/foo "
    "Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
)

LOG = signer()
ROOT = bytes(range(32))


def key(text: str) -> VerifierKey:
    return VerifierKey.parse(text)


def test_published_notes_open() -> None:
    """With one signer known, with both, and one of another implementation."""
    peter, enoch = key(PETER), key(ENOCH)
    note = f"{TEXT}\n{PETERS}{ENOCHS}"
    assert open_note(note, [peter]) == (TEXT, (peter,))
    assert open_note(note, [enoch, peter]) == (TEXT, (peter, enoch))
    assert open_note(FOOS, [key(FOO)])[0] == "This is an example message.\n"


def test_the_published_private_key_signs_as_published() -> None:
    """Ed25519 is deterministic, so the note is the same to the last byte."""
    public = base64.b64decode(PETER.rpartition("+")[2])[1:]
    seed = base64.b64decode(PETERS_PRIVATE)[1:]
    jwk = {"crv": "Ed25519", "d": _url(seed), "x": _url(public)}
    found = Signer.from_jwk("PeterNeumann", jwk)
    assert str(found.verifier) == PETER
    assert found.sign(TEXT) == f"{TEXT}\n{PETERS}"


def test_a_keys_id_is_of_its_name_and_its_bytes() -> None:
    """The same key under another name is another key."""
    found = key(PETER)
    hashed = hashlib.sha256(b"PeterNeumann\n\x01" + found.public).digest()
    assert (found.id, found.id.hex()) == (hashed[:4], "c74f20a3")
    assert VerifierKey("other", found.public).id != found.id
    assert str(found) == PETER


def test_no_piece_and_no_mangling_of_a_key_is_a_key() -> None:
    """Every piece of its text, every character changed, and other lengths and algorithms."""
    pieces = {PETER[i:j] for i in range(len(PETER)) for j in range(i + 1, len(PETER) + 1)} - {PETER}
    mangled = {PETER[:i] + chr(ord(c) + 1) + PETER[i + 1 :] for i, c in enumerate(PETER)}
    longer = "PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY=="
    other = "PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
    for text in sorted(pieces | mangled | {longer, other, PETER.replace("c74f20a3", "C74F20A3")}):
        with pytest.raises(ConfigurationError):
            key(text)


@pytest.mark.parametrize(
    "note",
    [
        TEXT,
        f"{TEXT}\n",
        f"{TEXT}\n{PETERS[:-1]}",
        f"{TEXT}{PETERS}",
        f"\x01{TEXT}\n{PETERS}",
        f"{TEXT}\r\n{PETERS}",
        f"\udcff{TEXT}\n{PETERS}",
        f"{TEXT}\n\u2014 Bad Name {PETERS[15:]}",
        f"{TEXT}\n\u2014 Bad+Name {PETERS[15:]}",
        f"{TEXT}\n-- {PETERS[2:]}",
        f"{TEXT}\n{PETERS}unexpected\n",
        f"{TEXT}\n{PETERS * (MAX_SIGNATURES + 1)}",
        f"{'x' * MAX_NOTE}\n\n{PETERS}",
        f"{TEXT}\n{PETERS[:60]}ABCD{PETERS[60:]}",
        f"{TEXT} \n{PETERS}",
        f"{TEXT}\n{PETERS}".replace("problem is", "problem was"),
        f"{TEXT}\n{ENOCHS}",
        "",
        "\n\n",
    ],
)
def test_what_is_no_note_or_not_signed_is_refused(note: str) -> None:
    """Cut, with control characters, with other lines, too long, changed, or signed by somebody else."""
    with pytest.raises(CheckpointRefused):
        open_note(note, [key(PETER)])


def test_a_bad_signature_of_a_known_key_spoils_the_note() -> None:
    """Although another known key signed it well."""
    bad = f"{TEXT}\n{PETERS}{ENOCHS.replace('rwz+eBzm', 'rwz+eBzn')}"
    with pytest.raises(CheckpointRefused, match="EnochRoot"):
        open_note(bad, [key(PETER), key(ENOCH)])
    assert open_note(bad, [key(PETER)])[0] == TEXT, "of an unknown key it does not count"


def test_a_note_that_is_too_long_is_not_looked_at() -> None:
    """Although it is signed."""
    with pytest.raises(CheckpointRefused, match="too long"):
        open_note(LOG.sign("x" * MAX_NOTE + "\n"), [LOG.verifier])


@pytest.mark.parametrize("text", ["", "no end", "a\tb\n", "a\r\n", "\x00\n"])
def test_what_cannot_be_a_note_is_not_signed(text: str) -> None:
    """A note that nobody could open would be worth nothing."""
    with pytest.raises(ValueError, match="lines of text"):
        LOG.sign(text)


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\u2003b", "a\nb", "a\tb"])
def test_a_name_that_cannot_stand_in_a_note_is_no_name(name: str) -> None:
    """White space would end it, and a plus sign the name in a key."""
    with pytest.raises(ConfigurationError):
        VerifierKey(name, bytes(32))


def test_a_jwk_whose_halves_do_not_belong_together_is_refused() -> None:
    """Or that is no private Ed25519 key."""
    first, second = generate_key().private, generate_key().private
    for jwk in ({**first, "x": second["x"]}, {**first, "crv": "X25519"}, {**first, "d": "AA"}, {}):
        with pytest.raises(ConfigurationError):
            Signer.from_jwk("a", jwk)


def test_a_checkpoint_has_three_lines_and_one_signature() -> None:
    """Origin, size, root in base64; the key has the log's name."""
    made = checkpoint_of(LOG, 41, ROOT)
    lines = made.note.split("\n")
    assert lines[:4] == ["example.com/agents/default", "41", base64.b64encode(ROOT).decode(), ""]
    assert lines[4].startswith("\u2014 example.com/agents/default ")
    assert lines[5:] == [""]
    assert read_checkpoint(made.note, [LOG.verifier]) == made
    assert (made.size, made.root, made.tenant) == (41, ROOT, "default")


@pytest.mark.parametrize(
    "text",
    [
        "{o}\n41\n",
        "{o}\n41\n{r}\n\nmore\n",
        "{o}\n041\n{r}\n",
        "{o}\n-1\n{r}\n",
        "{o}\n4 1\n{r}\n",
        "{o}\n\u0664\n{r}\n",
        "{o}\n" + "9" * 19 + "\n{r}\n",
        "{o}\n41\nAAAA\n",
        "{o}\n41\n{r}=\n",
        "\n41\n{r}\n",
        "{o}/x\n41\n{r}\n",
        "{o}\n\n41\n{r}\n",
    ],
)
def test_a_signed_note_that_is_no_checkpoint_of_its_log_is_refused(text: str) -> None:
    """Signed with the right key, and still none."""
    origin = LOG.verifier.name
    note = LOG.sign(text.format(o=origin, r=base64.b64encode(ROOT).decode()))
    with pytest.raises(CheckpointRefused):
        read_checkpoint(note, [LOG.verifier])


def test_further_lines_of_a_checkpoint_are_not_looked_at() -> None:
    """The format has them, and we write none."""
    root = base64.b64encode(ROOT).decode()
    note = LOG.sign(f"{LOG.verifier.name}\n0\n{root}\nextension\n")
    assert read_checkpoint(note, [LOG.verifier]).size == 0


def test_a_tenants_key_does_not_speak_for_another_tenant_T62() -> None:
    """Nor does the same private key under another name."""
    jwk = generate_key().private
    one = Signer.from_jwk(origin_of("example.com", "one"), jwk)
    two = Signer.from_jwk(origin_of("example.com", "two"), jwk)
    root = base64.b64encode(ROOT).decode()
    passed_off = one.sign(f"{two.verifier.name}\n41\n{root}\n")
    with pytest.raises(CheckpointRefused, match="speaks for"):
        read_checkpoint(passed_off, [one.verifier, two.verifier])


@pytest.mark.parametrize(
    "tenant", ["default", "a/b", "a b", "a+b", "ümlaut", "x\ny", "..", "%2F", "\u202e", "a" * 100]
)
def test_every_tenant_has_a_name_of_its_own(tenant: str) -> None:
    """That can stand in a note, and gives the tenant back."""
    origin = origin_of("example.com/agents", tenant)
    assert tenant_of(origin) == tenant
    assert VerifierKey(origin, bytes(32)).name == origin
    assert origin.count("/") == 2


@pytest.mark.parametrize("name", ["", "/", "a b", "a+b", "a\n", "ä", "x" * 201, "-a"])
def test_a_deployment_with_another_name_is_refused(name: str) -> None:
    """It has to be one that can stand in a note, and that nobody mistakes for another."""
    with pytest.raises(ConfigurationError, match="cannot name a deployment"):
        origin_of(name, "default")


def test_a_file_of_notes_is_taken_apart_as_it_was_put_together() -> None:
    """With empty lines between them or none, and with what is no note."""
    notes = [checkpoint_of(LOG, size, ROOT).note for size in range(3)]
    two = notes[1] + PETERS
    for text in ("\n".join(notes), "".join(notes), "\n\n" + "\n\n\n".join(notes) + "\n\n"):
        assert list(notes_in(text)) == notes
    assert list(notes_in(f"{notes[0]}\n{two}\n{notes[2]}")) == [notes[0], two, notes[2]]
    found = list(notes_in(f"torn\n4\n\n{notes[0]}junk"))
    assert (len(found), found[1], found[2]) == (3, notes[0], "junk")
    assert list(notes_in("")) == list(notes_in("\n\n\n")) == []


def _url(raw: bytes) -> Any:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
