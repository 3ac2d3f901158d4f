"""The root configuration as the rest of the project uses it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from agentguard.bundled import BundleEntry
from agentguard.channels.options import ChannelEntry
from agentguard.config.document import DEFAULT_STORE
from agentguard.engines.configured import EngineEntry
from agentguard.ledger.checkpoint_options import CheckpointOptions
from agentguard.terms import STRICT, Terms

if TYPE_CHECKING:
    from agentguard.policy import Default

__all__ = ["Config"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The root configuration with absolute paths; `file` is None where there is no file, only defaults."""

    policies: tuple[Path, ...]
    default: Default
    governance: Terms = STRICT
    file: Path | None = None
    store: str = DEFAULT_STORE
    directory: Path | None = None
    tools: Path | None = None
    infer_facts: bool = False
    environment: str | None = None
    tenant: str = "default"
    record: Literal["before", "batched"] = "before"
    pause: Literal["wait", "raise"] = "wait"
    strict: bool = False
    max_pending: int | None = 100
    sweep_s: float | None = 60
    replayable: bool = False
    engines: tuple[EngineEntry, ...] = ()
    channels: tuple[ChannelEntry, ...] = ()
    checkpoint: CheckpointOptions | None = None
    bundle: Path | BundleEntry | None = None
    trust: Path | None = None
    reload_s: float | None = None
