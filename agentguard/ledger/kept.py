"""Checkpoints that were kept elsewhere, as a verification is given them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from agentguard.errors import CheckpointRefused
from agentguard.ledger.checkpoint_file import read_notes
from agentguard.ledger.checkpoints import Checkpoint, read_checkpoint, tenant_of
from agentguard.ledger.findings import Finding
from agentguard.ledger.notes import VerifierKey
from agentguard.ledger.placing import Promise

__all__ = ["Kept", "read_kept"]


@dataclass(frozen=True, slots=True)
class Kept:
    """Checkpoints with their places, of any tenant; `refused` are those that do not count, with why.

    `others` is how many speak for tenants that nobody asked about.
    """

    checkpoints: tuple[tuple[str, Checkpoint], ...] = ()
    refused: tuple[str, ...] = ()
    others: int = 0

    def tenants(self) -> list[str]:
        """Those that they speak for."""
        return list(dict.fromkeys(one.tenant for _, one in self.checkpoints))

    def promises(self, tenant: str) -> Iterator[Promise]:
        """What they say of a tenant's ledger; the same said twice counts once."""
        said: set[tuple[int, bytes]] = set()
        for where, one in self.checkpoints:
            if one.tenant == tenant and (one.size, one.root) not in said:
                said.add((one.size, one.root))
                yield Promise(one.size, one.root, where)

    def forks(self, tenant: str) -> Iterator[Finding]:
        """Pairs that cannot both be true: the same size, another root."""
        known: dict[int, tuple[str, bytes]] = {}
        for where, one in self.checkpoints:
            if one.tenant != tenant:
                continue
            before, root = known.setdefault(one.size, (where, one.root))
            if root != one.root:
                message = f"{before} and {where} were both signed for {one.size:,} events, with two roots"
                yield Finding("fork", message, None, None, one.size)


def read_kept(paths: Iterable[Path], keys: Iterable[VerifierKey], tenant: str | None = None) -> Kept:
    """Every checkpoint in these files, in order.

    With `tenant`, those of other tenants of the same deployments are left out and counted; any other log, and
    any other key, is refused. A key that was asked for and signed nothing here is refused too: whoever took
    its checkpoints away would otherwise leave nothing to compare.

    Raises:
        ConfigurationError: a file cannot be read, or holds nothing.
    """
    counted = list(keys)
    deployments = {key.name.rpartition("/")[0] for key in counted}
    found: list[tuple[str, Checkpoint]] = []
    refused: list[str] = []
    others = 0
    for where, note in read_notes(paths):
        try:
            one = read_checkpoint(note, counted)
        except CheckpointRefused as error:
            origin = note.partition("\n")[0]
            deployment, _, _ = origin.rpartition("/")
            if tenant is not None and deployment in deployments and tenant_of(origin) != tenant:
                others += 1
            else:
                refused.append(f"{where}: {error}")
            continue
        if tenant is None or one.tenant == tenant:
            found.append((where, one))
        else:
            others += 1
    heard = {one.origin for _, one in found}
    for key in counted:
        if key.name not in heard and (tenant is None or tenant_of(key.name) == tenant):
            refused.append(f"there is no checkpoint of `{key.name}` that counts")
    return Kept(tuple(found), tuple(refused), others)
