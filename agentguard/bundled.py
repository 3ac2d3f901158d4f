"""The signed bundle as a configuration file describes it: a file, or a URL with what its server needs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from agentguard.errors import ConfigurationError
from agentguard.outbound import checked_url, is_url

if TYPE_CHECKING:
    from agentguard.fetching import RemoteBundle
    from agentguard.policy.default import Default

__all__ = ["BundleEntry", "Bundled", "kept_beside", "problem_of", "remote_of"]

Text = Annotated[str, Field(min_length=1, max_length=4096)]


class BundleEntry(BaseModel):
    """Where a bundle lies: the path of a file, or an https URL."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    url: Text
    token_env: Text | None = Field(default=None, description="the variable that holds the bearer token")
    ca: Text | None = Field(default=None, description="certificates trusted instead of the public ones")
    timeout_s: float = Field(default=30.0, gt=0, le=600, strict=False, description="for a whole fetch")

    @property
    def remote(self) -> bool:
        """Whether it is fetched."""
        return is_url(self.url)


def _short(value: object) -> object:
    return {"url": value} if isinstance(value, str) else value


Bundled = Annotated[BundleEntry, BeforeValidator(_short, json_schema_input_type=Text | BundleEntry)]
"""An entry, or its URL or path alone."""


def problem_of(entry: BundleEntry, reload_s: float | None) -> str | None:
    """What each key allows and all together do not."""
    if not entry.remote:
        if entry.token_env is not None or entry.ca is not None:
            return "`token_env` and `ca` are for a bundle with an https URL"
        return None
    try:
        checked_url(entry.url, "the bundle", None)
    except ConfigurationError as error:
        return str(error)
    if reload_s is not None and reload_s < 1:
        return "a server is asked every second at most: `reload_s` is at least 1 for a fetched bundle"
    return None


def kept_beside(store: str) -> Path | None:
    """Where the copy of a fetched bundle is kept: beside the store's file; nowhere where it has none."""
    return Path(f"{store.removeprefix('sqlite:///')}.bundle") if store.startswith("sqlite:///") else None


def remote_of(
    entry: BundleEntry,
    *,
    base: Path,
    trust: Path,
    store: str,
    default: Default,
    environ: Mapping[str, str] | None = None,
) -> RemoteBundle:
    """The bundle to fetch.

    Raises:
        ConfigurationError: the extra is missing, the variable of the token is not set, `ca` is not usable.
    """
    from agentguard.fetching import RemoteBundle

    options: dict[str, Any] = {"timeout_s": entry.timeout_s, "keep": kept_beside(store), "default": default}
    if entry.token_env is not None:
        options["token"] = (os.environ if environ is None else environ).get(entry.token_env)
        if not options["token"]:
            problem = f"the bundle: the variable `{entry.token_env}` is not set; put its server's token there"
            raise ConfigurationError(problem)
    if entry.ca is not None:
        options["ca"] = base / entry.ca
    return RemoteBundle(entry.url, trust=trust, **options)
