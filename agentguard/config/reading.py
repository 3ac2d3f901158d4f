"""Reading the root configuration: as far as it is right, and everything that is wrong with it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from agentguard.bundled import BundleEntry, problem_of
from agentguard.channels.options import problems_of
from agentguard.config.document import ConfigDocument, document_keys
from agentguard.config.files import read_mapping
from agentguard.config.findings import refused
from agentguard.config.model import Config
from agentguard.config.shape import validated
from agentguard.errors import ConfigurationError
from agentguard.ledger.checkpoint_options import CheckpointOptions
from agentguard.outbound import is_url
from agentguard.packs import located
from agentguard.terms import Terms

if TYPE_CHECKING:
    from agentguard.policy import Default, Finding, Source

__all__ = ["load_config", "read_config"]

_AS_WRITTEN: Final = {
    "infer_facts",
    "environment",
    "tenant",
    "record",
    "pause",
    "strict",
    "max_pending",
    "sweep_s",
    "replayable",
    "reload_s",
}


def load_config(path: str | os.PathLike[str]) -> Config:
    """The configuration in a file.

    Raises:
        ConfigurationError: it cannot be read or is refused; the message holds every problem with its place.
    """
    config, findings = read_config(path)
    if config is None or findings:
        raise refused(path, findings)
    return config


def read_config(path: str | os.PathLike[str]) -> tuple[Config | None, list[Finding]]:
    """The configuration as far as it is right, and everything that is wrong with its file.

    With any finding it is not to be used for anything but finding more; None where nothing of it is usable.
    """
    source, findings = read_mapping(path, "a configuration begins with `policies: FOLDER`")
    if source is None:
        return None, findings
    document, problems = _document(source)
    findings += problems
    if document is None:
        return None, findings
    base = Path(os.path.abspath(path)).parent
    default = _default(document, source, findings)
    findings += _bundle_problems(document, source)
    findings += _no_urls(source, document)
    for at, why in problems_of(document.channels):
        findings.append(source.finding("AG303", why, ("channels", *at)))
    checkpoint = _checkpoint(document, base, source, findings)
    store = _store(document.store, base, source, findings)
    governance = document.governance.model_dump()
    config = Config(
        file=Path(path),
        policies=tuple(_policy(named, base, source, findings) for named in document.policies),
        default=default,
        governance=Terms(**{**governance, "approvers": tuple(document.governance.approvers)}),
        store=store,
        directory=base / document.directory if document.directory else None,
        tools=base / document.tools if document.tools else None,
        engines=tuple(document.engines),
        channels=tuple(document.channels),
        checkpoint=checkpoint,
        bundle=_placed(document.bundle, base),
        trust=base / document.trust if document.trust else None,
        **document.model_dump(include=_AS_WRITTEN),
    )
    return config, findings


def _document(source: Source) -> tuple[ConfigDocument | None, list[Finding]]:
    """What is right is used all the same, so that one run reports what is wrong in the files it names."""
    document, problems = validated(ConfigDocument, source, source.data, keys=document_keys)
    if document is None:
        right = {
            key: value
            for key, value in source.data.items()
            if not validated(ConfigDocument, source, {"policies": ".", key: value}, keys=document_keys)[1]
        }
        document, _ = validated(ConfigDocument, source, right, keys=document_keys)
    return document, problems


def _default(document: ConfigDocument, source: Source, findings: list[Finding]) -> Default:
    from agentguard.policy import Default

    try:
        return Default(**document.default.model_dump())
    except ConfigurationError as error:
        findings.append(source.finding("AG303", str(error), ("default",), key=True))
        return Default()


def _bundle_problems(document: ConfigDocument, source: Source) -> Iterator[Finding]:
    if (document.bundle is None) != (document.trust is None):
        given = "bundle" if document.trust is None else "trust"
        message = "`bundle` and `trust` belong together: a bundle counts where a trusted key has signed it"
        yield source.finding("AG303", message, (given,), key=True)
    problem = document.bundle and problem_of(document.bundle, document.reload_s)
    if problem:
        yield source.finding("AG303", problem, ("bundle",))


def _checkpoint(
    document: ConfigDocument, base: Path, source: Source, findings: list[Finding]
) -> CheckpointOptions | None:
    if document.checkpoint is None:
        return None
    try:
        return CheckpointOptions.of(document.checkpoint, base, document.tenant)
    except ConfigurationError as error:
        findings.append(source.finding("AG303", str(error), ("checkpoint",), key=True))
        return None


def _store(store: str, base: Path, source: Source, findings: list[Finding]) -> str:
    """The store's URL, with the whole path of a file."""
    if store.startswith("sqlite:///"):
        return f"sqlite:///{base / store.removeprefix('sqlite:///')}"
    if not store.startswith(("postgresql://", "postgres://")) and store not in ("memory:", "memory://"):
        hint = "write `sqlite:///file.db`, `postgresql://user@host/database` or `memory:`"
        findings.append(source.finding("AG303", "the value names no store", ("store",), hint=hint))
    return store


def _policy(named: str, base: Path, source: Source, findings: list[Finding]) -> Path:
    """A path of policies; of a pack that is named, its folder."""
    try:
        return base / Path(*located(named))
    except ConfigurationError as error:
        findings.append(source.finding("AG303", str(error), ("policies",)))
        return base / named


def _placed(entry: BundleEntry | None, base: Path) -> Path | BundleEntry | None:
    return entry if entry is None or entry.remote else base / entry.url


def _no_urls(source: Source, document: ConfigDocument) -> Iterator[Finding]:
    """A URL where a file belongs: what is fetched has to be signed."""
    listed = source.data.get("policies")
    for index, named in enumerate(document.policies):
        if is_url(named):
            message = "policies are files and folders; what is fetched has to be signed"
            at = ("policies",) if isinstance(listed, str) else ("policies", index)
            yield source.finding("AG303", message, at, hint="name it as `bundle`, with the keys as `trust`")
    if document.trust is not None and is_url(document.trust):
        yield source.finding("AG303", "the trusted keys are a file of yours", ("trust",))
