"""Other decision points as a configuration file describes them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, assert_never

from pydantic import BaseModel, ConfigDict, Field

from agentguard.engines.model import Engine, Silent
from agentguard.errors import ConfigurationError

__all__ = ["AuthzenEntry", "CedarEntry", "EngineEntry", "OpaEntry", "engine_of", "files_of"]

Text = Annotated[str, Field(min_length=1, max_length=4096)]


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    name: Text | None = Field(default=None, description="how decisions call it: engine/NAME")
    tools: Annotated[list[Text], Field(min_length=1)] = ["*"]
    permits: bool = Field(default=False, description="whether its allow counts as a grant of permission")


class CedarEntry(_Entry):
    """Cedar policies of a file, with their schema."""

    kind: Literal["cedar"]
    policies: Text
    schema_file: Text = Field(alias="schema")
    include: list[Text] = ["args", "environment"]
    silent: Silent = "deny"


class _Remote(_Entry):
    url: Text
    token_env: Text | None = Field(default=None, description="the variable that holds the bearer token")
    timeout_s: float = Field(default=1.0, gt=0, le=60, strict=False)


class OpaEntry(_Remote):
    """One document of an OPA server."""

    kind: Literal["opa"]
    path: Text = "agentguard/decision"
    silent: Silent = "deny"


class AuthzenEntry(_Remote):
    """An AuthZEN 1.0 decision point."""

    kind: Literal["authzen"]


EngineEntry = Annotated[CedarEntry | OpaEntry | AuthzenEntry, Field(discriminator="kind")]


def files_of(entry: CedarEntry | OpaEntry | AuthzenEntry, base: Path) -> list[Path]:
    """The files that an engine is read from: whoever can change them decides what runs."""
    return [base / entry.policies, base / entry.schema_file] if isinstance(entry, CedarEntry) else []


def engine_of(
    entry: CedarEntry | OpaEntry | AuthzenEntry, base: Path, environ: Mapping[str, str] | None = None
) -> Engine:
    """The engine that an entry describes; paths are relative to `base`.

    Raises:
        ConfigurationError: its extra is missing, its files are refused, its token's variable is not set.
    """
    shared: dict[str, Any] = {
        "name": entry.name or entry.kind,
        "tools": list(entry.tools),
        "permits": entry.permits,
    }
    match entry:
        case CedarEntry():
            from agentguard.engines.cedar import CedarEngine

            policies, schema = files_of(entry, base)
            return CedarEngine(policies, schema=schema, include=entry.include, silent=entry.silent, **shared)
        case OpaEntry():
            from agentguard.engines.opa import OpaEngine

            shared |= {"token": _token(entry, environ), "timeout_s": entry.timeout_s}
            return OpaEngine(entry.url, path=entry.path, silent=entry.silent, **shared)
        case AuthzenEntry():
            from agentguard.engines.authzen import AuthzenEngine

            shared |= {"token": _token(entry, environ), "timeout_s": entry.timeout_s}
            return AuthzenEngine(entry.url, **shared)
        case _:
            assert_never(entry)


def _token(entry: OpaEntry | AuthzenEntry, environ: Mapping[str, str] | None) -> str | None:
    if entry.token_env is None:
        return None
    found = (os.environ if environ is None else environ).get(entry.token_env)
    if not found:
        raise ConfigurationError(
            f"engine `{entry.name or entry.kind}`: the variable `{entry.token_env}` is not set; "
            "put the decision point's token there"
        )
    return found
