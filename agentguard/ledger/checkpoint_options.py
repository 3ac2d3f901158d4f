"""Checkpoints as a configuration file asks for them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, ConfigDict, Field

from agentguard.errors import ConfigurationError

if TYPE_CHECKING:
    from agentguard.ledger.notes import Signer

__all__ = ["CheckpointEntry", "CheckpointOptions", "signer_of"]

Text = Annotated[str, Field(min_length=1, max_length=4096)]


class CheckpointEntry(BaseModel):
    """The section `checkpoint:` of a configuration."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    name: Text = Field(description="the deployment; with the tenant it names the log: example.com/agents")
    key: Text = Field(description="the file of the private key that signs")
    file: Text | None = Field(default=None, description="append checkpoints to this file")
    command: list[Text] = Field(default=[], description="hand each to this command on its standard input")
    every_events: int = Field(default=1000, ge=1, description="at the latest after so many events")
    every_s: float = Field(
        default=300, ge=1, le=86_400, strict=False, description="or after so long, when anything was written"
    )
    required: bool = Field(default=False, description="deny every call while checkpoints fail")


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointOptions:
    """The same with absolute paths."""

    name: str
    key: Path
    file: Path | None = None
    command: tuple[str, ...] = ()
    every_events: int = 1000
    every_s: float = 300.0
    required: bool = False

    @classmethod
    def of(cls, entry: CheckpointEntry, base: Path, tenant: str) -> CheckpointOptions:
        """What an entry says; paths are relative to `base`.

        Raises:
            ConfigurationError: it names neither file nor command, or no deployment.
        """
        from agentguard.ledger.checkpoints import origin_of  # here: few configurations ask for checkpoints

        if entry.file is None and not entry.command:
            raise ConfigurationError("`checkpoint` has to name a `file`, a `command`, or both")
        origin_of(entry.name, tenant)
        return cls(
            name=entry.name,
            key=base / entry.key,
            file=None if entry.file is None else base / entry.file,
            command=tuple(entry.command),
            every_events=entry.every_events,
            every_s=entry.every_s,
            required=entry.required,
        )


def signer_of(key: Path, name: str, tenant: str) -> Signer:
    """The signer of a tenant's checkpoints.

    Raises:
        ConfigurationError: the key cannot be read, is none, or others may read it.
    """
    from agentguard.ledger.checkpoints import origin_of
    from agentguard.ledger.notes import Signer
    from agentguard.stepup.enrolment import load_private_key

    if not key.exists():
        raise ConfigurationError(f"there is no key `{key}`; make one with `agentguard ledger keygen`")
    return Signer.from_jwk(origin_of(name, tenant), load_private_key(key))
