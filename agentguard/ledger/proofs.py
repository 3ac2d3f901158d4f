"""Proofs for people without the store: that an event is in the log of a signed checkpoint, or that one
checkpoint's log goes on from another's.

A proof is JSON (docs/ledger.md lists the fields), or, for an event, a C2SP tlog-proof with the leaf as its
extra data. Checking one needs the verifier key and nothing else.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from agentguard.canonical import loads
from agentguard.errors import ArgumentsError, CheckpointRefused
from agentguard.ledger.checkpoints import Checkpoint, read_checkpoint
from agentguard.ledger.log import leaf_hash, verify_consistency, verify_inclusion
from agentguard.ledger.notes import VerifierKey

__all__ = ["MAX_PROOF", "Consistency", "Inclusion", "Proof", "read_proof"]

MAX_PROOF: Final = 4 * 1024 * 1024
"""Characters of a proof that are read."""

_TLOG: Final = "c2sp.org/tlog-proof@v1"
_INDEX: Final = re.compile(r"0|[1-9][0-9]{0,17}")


@dataclass(frozen=True, slots=True)
class Inclusion:
    """That `leaf` is event number `index` + 1 of the checkpoint's log."""

    leaf: bytes
    index: int
    path: tuple[bytes, ...]
    checkpoint: str

    def check(self, keys: Iterable[VerifierKey]) -> Checkpoint:
        """The checkpoint that vouches for the leaf.

        Raises:
            CheckpointRefused: no key that counts signed it, or the leaf is not in its log.
        """
        found = read_checkpoint(self.checkpoint, keys)
        if not verify_inclusion(leaf_hash(self.leaf), self.index, found.size, self.path, found.root):
            raise CheckpointRefused(
                f"the event is not number {self.index + 1:,} of the log that the checkpoint was signed for"
            )
        try:
            said: Any = json.loads(self.leaf).get("tenant")
        except (ValueError, AttributeError, RecursionError):
            raise CheckpointRefused("the leaf is in the log, and is no event") from None
        if said != found.tenant:
            raise CheckpointRefused("the event is another tenant's than the checkpoint")
        return found

    def to_json(self) -> dict[str, Any]:
        return {
            "v": 1,
            "kind": "inclusion",
            "leaf": self.leaf.decode("utf-8"),
            "index": self.index,
            "path": [_encoded(part) for part in self.path],
            "checkpoint": self.checkpoint,
        }

    def to_tlog(self) -> str:
        """As c2sp.org/tlog-proof has it."""
        lines = [_TLOG, f"extra {_encoded(self.leaf)}", f"index {self.index}", *map(_encoded, self.path)]
        return "\n".join([*lines, "", self.checkpoint])


@dataclass(frozen=True, slots=True)
class Consistency:
    """That the log of `earlier` is the beginning of the log of `checkpoint`."""

    earlier: str
    path: tuple[bytes, ...]
    checkpoint: str

    def check(self, keys: Iterable[VerifierKey]) -> tuple[Checkpoint, Checkpoint]:
        """Both checkpoints.

        Raises:
            CheckpointRefused: no key that counts signed one of them, or one log is not the other's beginning.
        """
        counted = list(keys)
        first, second = read_checkpoint(self.earlier, counted), read_checkpoint(self.checkpoint, counted)
        if first.origin != second.origin:
            raise CheckpointRefused(f"they speak of two logs: `{first.origin}` and `{second.origin}`")
        if not verify_consistency(first.size, first.root, second.size, second.root, self.path):
            raise CheckpointRefused(
                f"the log of {first.size:,} events is not the beginning of the one of {second.size:,}"
            )
        return first, second

    def to_json(self) -> dict[str, Any]:
        return {
            "v": 1,
            "kind": "consistency",
            "earlier": self.earlier,
            "path": [_encoded(part) for part in self.path],
            "checkpoint": self.checkpoint,
        }


Proof = Inclusion | Consistency


def read_proof(text: str) -> Proof:
    """A proof as JSON or as a tlog-proof.

    Raises:
        CheckpointRefused: it is none.
    """
    try:
        if text.startswith(f"{_TLOG}\n"):
            return _from_tlog(text)
        data = loads(text, what="the proof", limit=MAX_PROOF)
        return _from_json(data)
    except ArgumentsError as error:
        raise CheckpointRefused(f"it is no proof: {error}") from None
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        told = f"`{error.args[0]}` is missing" if isinstance(error, KeyError) else str(error)
        raise CheckpointRefused(f"it is no proof: {told[:200]}") from None


def _from_json(data: Mapping[str, Any]) -> Proof:
    if data["v"] != 1 or type(data["v"]) is not int:
        raise ValueError("it has another version than 1")
    path = tuple([_decoded(part) for part in data["path"]])
    kinds = {"inclusion": {"leaf", "index"}, "consistency": {"earlier"}}
    unknown = data.keys() - {"v", "kind", "path", "checkpoint"} - kinds[_text(data["kind"])]
    if unknown:
        raise ValueError(f"unknown key {min(unknown)[:40]!r}")
    if data["kind"] == "consistency":
        return Consistency(_text(data["earlier"]), path, _text(data["checkpoint"]))
    if type(data["index"]) is not int:
        raise TypeError("`index` is not a whole number")
    return Inclusion(_text(data["leaf"]).encode(), data["index"], path, _text(data["checkpoint"]))


def _from_tlog(text: str) -> Inclusion:
    if len(text) > MAX_PROOF:
        raise ValueError(f"more than {MAX_PROOF:,} characters")
    head, _, checkpoint = text.partition("\n\n")
    lines = head.split("\n")[1:]
    if not lines or not lines[0].startswith("extra "):
        raise ValueError("the leaf is missing: it is expected as `extra`")
    leaf = base64.b64decode(lines.pop(0)[6:], validate=True)
    index = lines.pop(0).removeprefix("index ") if lines else ""
    if not _INDEX.fullmatch(index):
        raise ValueError("`index` is missing")
    return Inclusion(leaf, int(index), tuple([_decoded(line) for line in lines]), checkpoint)


def _encoded(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _decoded(value: object) -> bytes:
    try:
        found = base64.b64decode(_text(value), validate=True)
    except binascii.Error:
        raise ValueError("a hash in `path` is no base64") from None
    if len(found) != 32:
        raise ValueError("a hash in `path` has not 32 bytes")
    return found


def _text(value: object) -> str:
    if type(value) is not str:
        raise TypeError("a text is needed")
    return value
