"""The root configuration `agentguard.yaml`, and the file of tool facts that it names.

Both are read under the strict rules of policy files: unknown keys, duplicate keys and files that anybody on
the machine may change are refused, with file, line and column.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from agentguard.access import check_access, near
from agentguard.bundled import Bundled, BundleEntry, problem_of, remote_of
from agentguard.channels.options import ChannelEntry, entry_keys, problems_of
from agentguard.channels.options import files_of as channel_files
from agentguard.engines.configured import EngineEntry, engine_of, files_of
from agentguard.errors import ConfigurationError
from agentguard.ledger.checkpoint_options import CheckpointEntry, CheckpointOptions
from agentguard.outbound import is_url
from agentguard.packs import located
from agentguard.terms import MAX_DAYS, MAX_MINUTES, STRICT, Terms
from agentguard.tools import ToolFacts, tool_name

if TYPE_CHECKING:
    from agentguard.channels.channel import OutboxChannel
    from agentguard.fetching import RemoteBundle
    from agentguard.policy import Default, Finding, Snapshot, Source

__all__ = [
    "CONFIG_NAME",
    "DEFAULT_STORE",
    "EXPLANATIONS",
    "VARIABLE",
    "Config",
    "ConfigDocument",
    "ToolDocument",
    "ToolEntry",
    "find_config",
    "guard_options",
    "load_config",
    "load_tool_facts",
    "read_config",
    "read_tool_facts",
]

CONFIG_NAME: Final = "agentguard.yaml"
VARIABLE: Final = "AGENTGUARD_CONFIG"
DEFAULT_STORE: Final = "sqlite:///agentguard.db"

EXPLANATIONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "AG301": "Anybody on this machine may change the file, or put another in its place: whoever can edit "
        "a policy decides what runs. Take the right away (`chmod o-w`), or move the file to a folder of "
        "your own.",
        "AG302": "The name cannot be a tool's: tool names consist of letters, digits and `. _ - / :` of "
        "ASCII, so that no other name looks like them.",
        "AG303": "The configuration contradicts itself; the message says where. Nothing is guessed: what was "
        "meant has to be written down.",
    }
)
"""What the codes of configuration findings mean; the other codes are those of policies."""

_EXPECTED: Final = {
    "string_type": "must be text",
    "bool_type": "must be `true` or `false`",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "dict_type": "must be a mapping",
    "model_type": "must be a mapping",
    "too_short": "must not be empty",
    "string_too_short": "must not be empty",
}

M = TypeVar("M", bound=BaseModel)
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


Names = Annotated[tuple[Text, ...], Field(strict=False)]


class ToolDocument(ToolFacts):
    """What a tool-facts file says of one tool."""

    model_config = ConfigDict(strict=True)

    sensitive: Names = ()
    labels: Names = ()
    secrets: Names = ()
    injected: Names = ()
    topics: Names | None = None
    inferred: Names | None = None
    arguments: Names | None = None
    definition: Text | None = Field(
        default=None, description="digest of the definition that was looked at; another one is noticed"
    )
    parameters: dict[str, Any] | None = Field(default=None, alias="schema")


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


@dataclass(frozen=True, slots=True)
class Watch:
    """What is looked at for changes, how files of policies are loaded, and how often."""

    paths: tuple[str, ...] | RemoteBundle
    load: Callable[[], Snapshot] | None
    every_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolEntry:
    """One tool of a tool-facts file; `schema` is the JSON Schema of its arguments, where one is given."""

    facts: ToolFacts = field(default_factory=ToolFacts)
    secrets: tuple[str, ...] = ()
    injected: tuple[str, ...] = ()
    definition: str | None = None
    arguments: tuple[str, ...] | None = None
    schema: Mapping[str, Any] | None = None
    where: str = ""


def find_config(
    start: str | os.PathLike[str] = ".",
    *,
    explicit: str | os.PathLike[str] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Path | None:
    """The configuration to use: the one named, else `AGENTGUARD_CONFIG`, else `agentguard.yaml` in `start`.

    Folders above are never looked at: others may write there.
    """
    named = explicit or (os.environ if environ is None else environ).get(VARIABLE)
    if named:
        return Path(named)
    found = Path(start, CONFIG_NAME)
    return found if found.exists() else None


def load_config(path: str | os.PathLike[str]) -> Config:
    """The configuration in a file.

    Raises:
        ConfigurationError: it cannot be read or is refused; the message holds every problem with its place.
    """
    config, findings = read_config(path)
    if config is None or findings:
        raise _refused(path, findings)
    return config


def load_tool_facts(path: str | os.PathLike[str]) -> Mapping[str, ToolEntry]:
    """The tools of a tool-facts file, by name; read-only.

    Raises:
        ConfigurationError: it cannot be read or is refused; the message holds every problem with its place.
    """
    tools, findings = read_tool_facts(path)
    if findings:
        raise _refused(path, findings)
    return tools


def guard_options(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The keyword arguments of `Guard` that a configuration file describes.

    Raises:
        ConfigurationError: the file, a policy or the directory is refused, or anybody may change one.
    """
    config = load_config(path)
    base = Path(os.path.abspath(path)).parent
    files = [file for entry in config.engines for file in files_of(entry, base)]
    files += [file for channel in config.channels for file in channel_files(channel, base)]
    others = [near(other) for other in (config.directory, config.tools, *files) if other is not None]
    loose = check_access(dict.fromkeys(others))
    if loose:
        raise _refused(path, loose)
    return {
        **_policies(config, base),
        "store": config.store,
        "directory": config.directory,
        "tool_facts": config.tools,
        "infer_facts": config.infer_facts,
        "environment": config.environment,
        "tenant": config.tenant,
        "record": config.record,
        "pause": config.pause,
        "strict": config.strict,
        "max_pending": config.max_pending,
        "sweep_s": config.sweep_s,
        "replayable": config.replayable,
        "governance": config.governance,
        "checkpoint": config.checkpoint,
        "engines": [engine_of(entry, base) for entry in config.engines],
        "outbox": _outbox(config, base),
    }


def _outbox(config: Config, base: Path) -> list[OutboxChannel]:
    if not config.channels:
        return []
    from agentguard.channels.configured import channels_of  # here: few configurations have channels

    return [one.channel for one in channels_of(config.channels, base)]


def _policies(config: Config, base: Path) -> dict[str, Any]:
    """The policies to begin with, and what is looked at for others."""
    from agentguard.policy import Snapshot, read_files

    path, bundle = config.file or base, config.bundle
    if isinstance(bundle, BundleEntry):
        assert config.trust is not None  # INVARIANT: the configuration was refused otherwise
        remote = remote_of(bundle, base=base, trust=config.trust, store=config.store, default=config.default)
        watch = None if config.reload_s is None else Watch(remote, None, config.reload_s)
        return {"snapshot": remote.snapshot(), "watch": watch}
    named = [near(one) for one in (config.policies if bundle is None else (bundle,))]

    def load() -> Snapshot:
        trusted = [] if config.trust is None else [near(config.trust)]
        read = read_files(named).names if bundle is None else ()
        loose = check_access(dict.fromkeys([*named, *read, *trusted]))
        if loose:
            raise _refused(path, loose)
        if bundle is None or config.trust is None:
            return Snapshot.load(named, default=config.default)
        from agentguard.policy.bundle import Bundle, trusted_keys

        return Bundle.open(bundle, trusted_keys(config.trust)).snapshot(default=config.default)

    return {
        "snapshot": load(),
        "watch": None if config.reload_s is None else Watch(tuple(named), load, config.reload_s),
    }


def read_config(path: str | os.PathLike[str]) -> tuple[Config | None, list[Finding]]:
    """The configuration as far as it is right, and everything that is wrong with its file.

    With any finding it is not to be used for anything but finding more; None where nothing of it is usable.
    """
    from agentguard.policy import Default

    source, findings = _read(path, "a configuration begins with `policies: FOLDER`")
    if source is None:
        return None, findings
    document, problems = _validate(ConfigDocument, source, source.data, ())
    findings += problems
    if document is None:
        # What is right is used all the same, so that one run reports what is wrong in the files it names.
        right = {
            key: value
            for key, value in source.data.items()
            if not _validate(ConfigDocument, source, {"policies": ".", key: value}, ())[1]
        }
        document, _ = _validate(ConfigDocument, source, right, ())
    if document is None:
        return None, findings
    base = Path(os.path.abspath(path)).parent
    try:
        default = Default(**document.default.model_dump())
    except ConfigurationError as error:
        default = Default()
        findings.append(source.finding("AG303", str(error), ("default",), key=True))
    if (document.bundle is None) != (document.trust is None):
        given = "bundle" if document.trust is None else "trust"
        message = "`bundle` and `trust` belong together: a bundle counts where a trusted key has signed it"
        findings.append(source.finding("AG303", message, (given,), key=True))
    problem = document.bundle and problem_of(document.bundle, document.reload_s)
    if problem:
        findings.append(source.finding("AG303", problem, ("bundle",)))
    findings += _no_urls(source, document)
    for at, why in problems_of(document.channels):
        findings.append(source.finding("AG303", why, ("channels", *at)))
    checkpoint = None
    try:
        if document.checkpoint is not None:
            checkpoint = CheckpointOptions.of(document.checkpoint, base, document.tenant)
    except ConfigurationError as error:
        findings.append(source.finding("AG303", str(error), ("checkpoint",), key=True))
    store = document.store
    if store.startswith("sqlite:///"):
        store = f"sqlite:///{base / store.removeprefix('sqlite:///')}"
    elif not store.startswith(("postgresql://", "postgres://")) and store not in ("memory:", "memory://"):
        hint = "write `sqlite:///file.db`, `postgresql://user@host/database` or `memory:`"
        findings.append(source.finding("AG303", "the value names no store", ("store",), hint=hint))
    config = Config(
        file=Path(path),
        policies=tuple(_policy(named, base, source, findings) for named in document.policies),
        default=default,
        governance=Terms(
            **{**document.governance.model_dump(), "approvers": tuple(document.governance.approvers)}
        ),
        store=store,
        directory=base / document.directory if document.directory else None,
        tools=base / document.tools if document.tools else None,
        engines=tuple(document.engines),
        channels=tuple(document.channels),
        checkpoint=checkpoint,
        bundle=_placed(document.bundle, base),
        trust=base / document.trust if document.trust else None,
        max_pending=document.max_pending,
        sweep_s=document.sweep_s,
        **document.model_dump(
            include={
                "infer_facts",
                "environment",
                "tenant",
                "record",
                "pause",
                "strict",
                "replayable",
                "reload_s",
            }
        ),
    )
    return config, findings


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


def read_tool_facts(path: str | os.PathLike[str]) -> tuple[Mapping[str, ToolEntry], list[Finding]]:
    """The tools that are right, and everything that is wrong with the file."""
    source, findings = _read(path, "tool facts begin with the name of a tool")
    found: dict[str, ToolEntry] = {}
    for name in source.data if source is not None else ():
        assert source is not None
        try:
            tool_name(name)
        except ConfigurationError as error:
            findings.append(source.finding("AG302", str(error), (name,), key=True))
            continue
        raw = {} if source.data[name] is None else source.data[name]
        tool, problems = _validate(ToolDocument, source, raw, (name,))
        problems = problems or list(_contradictions(source, name, tool))
        findings += problems
        if tool is None or problems:
            continue
        facts = tool.model_dump(exclude={"secrets", "injected", "arguments", "definition", "parameters"})
        found[name] = ToolEntry(
            facts=ToolFacts(**facts),
            secrets=tool.secrets,
            injected=tool.injected,
            definition=tool.definition,
            arguments=_arguments(tool),
            schema=tool.parameters,
            where=f"{source.file}:{source.place((name,), key=True).line}",
        )
    return MappingProxyType(found), findings


def _read(path: str | os.PathLike[str], begins: str) -> tuple[Source | None, list[Finding]]:
    from agentguard.policy import read_files
    from agentguard.policy.findings import Finding

    if Path(path).is_dir():
        return None, [Finding(code="AG002", file=str(path), message="is a folder and not a file")]
    files = read_files(path)
    if not files.sources:
        return None, list(files.findings)
    source = files.sources[0]
    findings = check_access([path])
    if not isinstance(source.data, Mapping):
        return None, [*findings, source.finding("AG103", f"the file is not a mapping; {begins}")]
    return source, findings


def _validate(
    model: type[M], source: Source, data: object, at: tuple[str | int, ...]
) -> tuple[M | None, list[Finding]]:
    """The data as a model, or every problem of its shape at its place."""
    from agentguard.policy.findings import suggestion

    try:
        return model.model_validate(data), []
    except ValidationError as error:
        errors = error.errors(include_url=False)
    found: list[Finding] = []
    for e in errors:
        loc, kind, message, hint = e["loc"], e["type"], e["msg"].lower(), ""
        name = str(loc[-1])[:80] if loc else ""
        of = ".".join(str(part)[:80] for part in (*at, *loc[:-1]))
        inside = f" in `{of}`" if of else ""
        if kind == "extra_forbidden":
            code, message = "AG102", f"unknown key `{name}`{inside}"
            hint = suggestion(name, _keys(model, loc), listed=14)
        elif kind == "missing":
            code, message = "AG101", f"`{name}` is missing{inside}"
        elif kind == "literal_error":
            allowed = e.get("ctx", {})["expected"].replace(" or ", ", ").split(", ")
            word = str(e["input"])[:60]
            code, message = "AG104", f"unknown word for `{name}`: `{word}`"
            hint = suggestion(word, [one.strip("'") for one in allowed])
        else:
            words = _EXPECTED.get(kind, message)
            code, message = "AG103", f"`{name or '.'.join(str(part) for part in at)}` {words}{inside}"
        found.append(source.finding(code, message, (*at, *loc), key=code == "AG102", hint=hint))
    return None, found


def _keys(model: type[BaseModel], loc: tuple[int | str, ...]) -> list[str]:
    if loc[0] == "channels" and len(loc) > 3:
        return entry_keys(loc[2], next((part for part in loc[3:-1] if isinstance(part, str)), None))
    if len(loc) > 1:
        inner: dict[str, type[BaseModel]] = {
            "default": _Default,
            "bundle": BundleEntry,
            "governance": _Governance,
        }
        model = inner.get(str(loc[0]), model)
    return [info.alias or name for name, info in model.model_fields.items()]


def _contradictions(source: Source, name: str, tool: ToolDocument | None) -> Iterator[Finding]:
    """What each key allows and all together do not."""
    from agentguard.policy.findings import suggestion

    if tool is None:
        return
    if tool.arguments is not None and tool.parameters is not None:
        message = f"`{name}` has both `arguments` and `schema`"
        yield source.finding("AG303", message, (name, "arguments"), key=True, hint="keep the schema")
    if tool.parameters is not None and tool.parameters.get("type", "object") != "object":
        message = f"the `schema` of `{name}` must describe an object: its properties are the arguments"
        yield source.finding("AG303", message, (name, "schema"), key=True)
    try:
        tool.to_facts()
    except ConfigurationError as error:
        yield source.finding("AG303", f"`{name}`: {error}", (name, "read_only"), key=True)
    known = _arguments(tool)
    for index, argument in enumerate(tool.sensitive):
        if known is not None and argument not in known:
            message = f"`{name}` has no argument `{argument}` that could be sensitive"
            at = (name, "sensitive", index)
            yield source.finding("AG303", message, at, hint=suggestion(argument, known))
    for index, argument in enumerate(tool.injected):
        if known is not None and argument in known:
            message = f"`{argument}` of `{name}` is injected and an argument; it can only be one of them"
            yield source.finding("AG303", message, (name, "injected", index))


def _arguments(tool: ToolDocument) -> tuple[str, ...] | None:
    """The names of a tool's arguments; None where they are not known or any name is taken."""
    if tool.parameters is None:
        return tool.arguments
    properties = tool.parameters.get("properties")
    if not isinstance(properties, Mapping) or tool.parameters.get("additionalProperties"):
        return None
    return tuple(str(name) for name in properties)


def _refused(path: str | os.PathLike[str], findings: Iterable[Finding]) -> ConfigurationError:
    lines = [
        f"{found.at or os.fspath(path)}: {found.code} {found.message}"
        + (f"; {found.hint}" if found.hint else "")
        for found in findings
    ]
    return ConfigurationError("\n".join(lines))
