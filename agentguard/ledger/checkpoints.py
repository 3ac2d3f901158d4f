"""Checkpoints: size and root of one log, signed, in the format of C2SP (c2sp.org/tlog-checkpoint).

The text has three lines: the origin, which names the log, the number of events, and the root in base64. The
origin is `deployment/tenant` and at the same time the name of the key, so that nobody can pass off one
tenant's checkpoint as another's. What stands in further lines is not looked at.

A file of checkpoints is one after the other, with an empty line between them.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, unquote

from agentguard.errors import CheckpointRefused, ConfigurationError
from agentguard.ledger.notes import Signer, VerifierKey, open_note

__all__ = ["Checkpoint", "checkpoint_of", "notes_in", "origin_of", "read_checkpoint", "tenant_of"]

_SIZE: Final = re.compile(r"0|[1-9][0-9]{0,17}")
_DEPLOYMENT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~:/-]{0,199}")
_DASH: Final = "\u2014 "


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What was signed: the log `origin` had `size` events with the root `root`; `note` is the whole of it."""

    origin: str
    size: int
    root: bytes
    note: str

    @property
    def tenant(self) -> str:
        """Whose ledger it is."""
        return tenant_of(self.origin)


def origin_of(deployment: str, tenant: str) -> str:
    """The name of a tenant's log in a deployment, such as `example.com/agents/default`.

    Raises:
        ConfigurationError: the deployment's name has other characters than letters, digits and `._~:/-`.
    """
    if not _DEPLOYMENT.fullmatch(deployment):
        raise ConfigurationError(
            f"`{deployment[:80]}` cannot name a deployment: letters, digits and `._~:/-`, "
            "such as `example.com/agents`"
        )
    return f"{deployment.rstrip('/')}/{quote(tenant, safe='')}"


def tenant_of(origin: str) -> str:
    """The tenant in a log's name."""
    return unquote(origin.rpartition("/")[2])


def checkpoint_of(signer: Signer, size: int, root: bytes) -> Checkpoint:
    """A signed checkpoint; its origin is the name of the key."""
    origin = signer.verifier.name
    note = signer.sign(f"{origin}\n{size}\n{base64.b64encode(root).decode()}\n")
    return Checkpoint(origin, size, root, note)


def read_checkpoint(note: str, keys: Iterable[VerifierKey]) -> Checkpoint:
    """The checkpoint in a note that one of the keys signed.

    Raises:
        CheckpointRefused: it is none, is not signed by a key of its own log, or by none that counts.
    """
    text, signers = open_note(note, keys)
    lines = text.split("\n")[:-1]
    if len(lines) < 3 or not all(lines):
        raise CheckpointRefused("it is no checkpoint: origin, size, root")
    origin, size, encoded = lines[:3]
    root = _root(encoded)
    if not _SIZE.fullmatch(size) or root is None:
        raise CheckpointRefused("it is no checkpoint: its size or root is none")
    if all(key.name != origin for key in signers):
        raise CheckpointRefused(f"it speaks for `{origin[:200]}`, and `{signers[0].name}` signed it")
    return Checkpoint(origin, int(size), root, note)


def notes_in(text: str) -> Iterator[str]:
    """The checkpoints in a file, in order; what is none comes as it stands, for whoever reads it to refuse.

    A checkpoint's text has no empty line. So one ends where no further signature line follows, and a piece
    that a crash tore off ends where the next one begins.
    """
    note: list[str] = []
    for line in text.split("\n"):
        signed = bool(note) and note[-1].startswith(_DASH)
        if note and not line.startswith(_DASH) and (signed or (line and not note[-1])):
            yield "\n".join([*note, ""])
            note = []
        if line or (note and note[-1]):
            note.append(line)
    if any(note):
        yield "\n".join(note)


def _root(encoded: str) -> bytes | None:
    try:
        found = base64.b64decode(encoded, validate=True)
    except (ValueError, binascii.Error):
        return None
    return found if len(found) == 32 and base64.b64encode(found).decode() == encoded else None
