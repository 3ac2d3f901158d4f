"""The root configuration as a file holds it."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from agentguard.bundled import Bundled, BundleEntry
from agentguard.channels.options import ChannelEntry, entry_keys
from agentguard.config.shape import Place, keys_of
from agentguard.engines.configured import EngineEntry
from agentguard.ledger.checkpoint_options import CheckpointEntry
from agentguard.terms import MAX_DAYS, MAX_MINUTES, STRICT

__all__ = ["DEFAULT_STORE", "ConfigDocument", "Text", "document_keys"]

DEFAULT_STORE: Final = "sqlite:///agentguard.db"
Text = Annotated[str, Field(min_length=1, max_length=4096)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class _Default(_Model):
    effect: Literal["deny", "flag"] = "deny"
    owner: Text | None = None
    until: Text | None = None


class _Governance(_Model):
    max_days: Annotated[int, Field(ge=1, le=MAX_DAYS)] = MAX_DAYS
    max_renewals: Annotated[int, Field(ge=0, le=100)] = STRICT.max_renewals
    break_glass_minutes: Annotated[int, Field(ge=0, le=MAX_MINUTES)] = STRICT.break_glass_minutes
    break_glass_dual: bool = STRICT.break_glass_dual
    approvers: list[Text] = []
    local: bool = False


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


class ConfigDocument(_Model):
    """The root configuration as a file holds it."""

    policies: Annotated[
        list[Text], BeforeValidator(_listed, json_schema_input_type=Text | list[Text]), Field(min_length=1)
    ]
    store: Text = DEFAULT_STORE
    directory: Text | None = None
    tools: Text | None = None
    infer_facts: bool = Field(
        default=False, description="infer what nobody declared about a tool from its definition"
    )
    default: _Default = _Default()
    governance: _Governance = Field(
        default=_Governance(), description="how long exceptions and grants may last, and who may approve them"
    )
    environment: Text | None = None
    tenant: Text = "default"
    record: Literal["before", "batched"] = "before"
    pause: Literal["wait", "raise"] = "wait"
    strict: bool = False
    max_pending: int | None = Field(
        default=100, ge=1, description="questions of one agent that may wait under one rule"
    )
    sweep_s: float | None = Field(
        default=60, ge=0.05, le=86_400, strict=False, description="look this often for what is due"
    )
    replayable: bool = False
    engines: list[EngineEntry] = []
    channels: list[ChannelEntry] = Field(
        default=[], description="where people are told of questions, flags and breaches, and answer"
    )
    checkpoint: CheckpointEntry | None = Field(
        default=None, description="signed checkpoints of the ledger, kept outside the store"
    )
    bundle: Bundled | None = Field(
        default=None, description="the signed bundle that runs instead of `policies`: a file or an https URL"
    )
    trust: Text | None = Field(default=None, description="the public keys that may sign the bundle")
    reload_s: float | None = Field(
        default=None, ge=0.05, le=86_400, strict=False, description="look for changed policies this often"
    )


_INNER: Final[dict[str, type[BaseModel]]] = {
    "default": _Default,
    "bundle": BundleEntry,
    "governance": _Governance,
}


def document_keys(at: Place) -> list[str]:
    """The keys that there are where an unknown one stands."""
    if at[0] == "channels" and len(at) > 3:
        return entry_keys(at[2], next((part for part in at[3:-1] if isinstance(part, str)), None))
    return keys_of(_INNER.get(str(at[0]), ConfigDocument) if len(at) > 1 else ConfigDocument)
