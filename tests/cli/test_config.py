"""The root configuration and the tool facts: what they mean, and what is refused with its place."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from agentguard import AgentGuardError, Guard
from agentguard.access import check_access
from agentguard.config import find_config, guard_options, load_config, load_tool_facts, read_config
from agentguard.decision import Effect
from agentguard.errors import ConfigurationError
from tests.cli.support import run
from tests.store.postgres_support import until

posix = pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    path.chmod(0o644)
    return path


def test_the_defaults_are_the_safe_ones(work: Path) -> None:
    """Only `policies` is needed; the default effect is deny."""
    config = load_config(write(work / "agentguard.yaml", "policies: p/\n"))
    assert config.policies == (work / "p",)
    assert config.store == f"sqlite:///{work / 'agentguard.db'}"
    assert config.default.effect is Effect.DENY
    assert (config.record, config.pause, config.strict, config.tenant) == ("before", "wait", False, "default")
    assert config.directory is None
    assert config.tools is None
    assert config.environment is None


def test_every_setting_is_read(work: Path) -> None:
    """Paths are relative to the file, wherever the program runs."""
    (work / "conf").mkdir()
    text = """\
policies: [a, /srv/b.yaml]
store: sqlite:///data/x.db
directory: people.yaml
tools: tools.yaml
default: {effect: flag, owner: ana, until: 2099-01-31}
environment: prod
tenant: eu
record: batched
pause: raise
strict: true
"""
    config = load_config(write(work / "conf" / "agentguard.yaml", text))
    base = work / "conf"
    assert config.policies == (base / "a", Path("/srv/b.yaml"))
    assert config.store == f"sqlite:///{base / 'data/x.db'}"
    assert (config.directory, config.tools) == (base / "people.yaml", base / "tools.yaml")
    assert (config.default.effect, config.default.owner) == (Effect.FLAG, "ana")
    assert config.default.until == dt.datetime(2099, 1, 31, tzinfo=dt.UTC)
    assert (config.environment, config.tenant, config.record) == ("prod", "eu", "batched")
    assert (config.pause, config.strict) == ("raise", True)


def test_an_absolute_store_and_one_in_memory_stay(work: Path) -> None:
    absolute = load_config(write(work / "a.yaml", "policies: p\nstore: sqlite:////var/x.db\n"))
    assert absolute.store == "sqlite:////var/x.db"
    assert load_config(write(work / "b.yaml", "policies: p\nstore: 'memory:'\n")).store == "memory:"


@pytest.mark.parametrize(
    ("text", "place", "code", "words"),
    [
        ("policies: p\nstor: x\n", "2:1", "AG102", "did you mean `store`?"),
        ("policy: p\n", "1:1", "AG102", "did you mean `policies`?"),
        ("policies: p\npolicies: q\n", "2:1", "AG005", "there twice"),
        ("policies: p\nrecord: batch\n", "2:9", "AG104", "did you mean `batched`?"),
        ("policies: p\nstrict: yes\n", "2:9", "AG103", "must be `true` or `false`"),
        ("policies: p\npause:\n", "2:7", "AG104", "unknown word for `pause`"),
        ("policies: []\n", "1:1", "AG103", "must not be empty"),
        ("store: 'memory:'\n", "1:1", "AG101", "`policies` is missing"),
        ("policies: p\nstore: mysql://x\n", "2:8", "AG303", "names no store"),
        ("policies: p\ndefault: {effect: flag}\n", "2:1", "AG303", "needs an `owner`"),
        ("policies: p\ndefault: {effect: allow}\n", "2:19", "AG104", "known: `deny`, `flag`"),
        ("policies: p\ndefault: {efect: deny}\n", "2:11", "AG102", "did you mean `effect`?"),
        ("- p\n", "1:1", "AG103", "not a mapping"),
        ("policies: &p x\n", "1:11", "AG006", "an anchor"),
    ],
)
def test_T48_what_is_wrong_is_refused_with_its_place(
    work: Path, text: str, place: str, code: str, words: str
) -> None:
    path = write(work / "agentguard.yaml", text)
    with pytest.raises(ConfigurationError) as caught:
        load_config(path)
    assert f"agentguard.yaml:{place}: {code} " in str(caught.value)
    assert words in str(caught.value)


def test_a_missing_or_unusable_file_is_an_error(work: Path) -> None:
    with pytest.raises(ConfigurationError, match="does not exist"):
        load_config("nope.yaml")
    with pytest.raises(ConfigurationError, match="is a folder"):
        load_config(work)


@posix
@pytest.mark.parametrize("load", [load_config, load_tool_facts])
def test_T47_a_file_that_anybody_may_change_is_refused(work: Path, load: Callable[[Path], object]) -> None:
    path = write(work / "agentguard.yaml", "policies: p\n" if load is load_config else "pay: {}\n")
    path.chmod(0o666)
    with pytest.raises(ConfigurationError, match=r"AG301 anybody may change this file; run `chmod o-w"):
        load(path)
    path.chmod(0o664)
    load(path)


@posix
def test_T47_a_folder_where_anybody_may_replace_the_file_is_refused(work: Path) -> None:
    path = write(work / "agentguard.yaml", "policies: p\n")
    work.chmod(0o777)
    with pytest.raises(ConfigurationError, match="anybody may replace"):
        load_config(path)
    work.chmod(0o1777)
    load_config(path)  # sticky: a file of one's own cannot be replaced


@posix
def test_T47_somebody_elses_file_in_a_shared_folder_is_refused(
    work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In `/tmp` anybody can put an `agentguard.yaml`; only one's own, or root's, is taken."""
    path = write(work / "agentguard.yaml", "policies: p\n")
    work.chmod(0o1777)
    if os.geteuid() == 0:
        os.chown(path, 12_345, -1)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: 12_345)
    with pytest.raises(ConfigurationError, match="anybody may replace"):
        load_config(path)


@posix
def test_T47_a_folder_of_policies_where_anybody_may_add_one_is_refused(project: Path) -> None:
    policies = project / "policies"
    assert check_access([policies]) == []
    policies.chmod(0o1777)
    assert [found.code for found in check_access([policies])] == ["AG301"]
    with pytest.raises(ConfigurationError, match="anybody may add files"):
        guard_options(project / "agentguard.yaml")


@posix
@pytest.mark.parametrize("named", ["directory.yaml", "tools.yaml"])
def test_T47_a_file_that_is_named_is_refused_where_anybody_may_change_it(project: Path, named: str) -> None:
    """Who may approve and what a tool does decide as much as a policy does."""
    assert guard_options(project / "agentguard.yaml")
    (project / named).chmod(0o666)
    with pytest.raises(ConfigurationError, match=f"{named}: AG301 anybody may change this file"):
        guard_options(project / "agentguard.yaml")


def test_T47_only_this_folder_is_searched(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A configuration in a folder above is not taken: others may write there."""
    write(work / "agentguard.yaml", "policies: p\n")
    inner = work / "inner"
    inner.mkdir()
    assert find_config(work, environ={}) == work / "agentguard.yaml"
    assert find_config(inner, environ={}) is None
    assert find_config(inner, environ={"AGENTGUARD_CONFIG": "x.yaml"}) == Path("x.yaml")
    assert find_config(inner, explicit="y.yaml", environ={"AGENTGUARD_CONFIG": "x.yaml"}) == Path("y.yaml")


def test_tool_facts_are_read_and_frozen(work: Path) -> None:
    path = write(
        work / "tools.yaml",
        """\
payments.transfer:
  writes: true
  external: true
  sensitive: [payee]
  labels: [money]
  secrets: ["payments:write"]
  injected: [runtime]
  arguments: [payee, amount]
search:
  untrusted_output: true
  schema: {type: object, properties: {query: {type: string}}}
open: {schema: {properties: {a: {}}, additionalProperties: true}}
bare:
""",
    )
    tools = load_tool_facts(path)
    transfer = tools["payments.transfer"]
    assert transfer.facts.to_facts() == {
        "writes": True, "external": True, "sensitive": ("payee",), "labels": ("money",)
    }  # fmt: skip
    assert (transfer.secrets, transfer.injected) == (("payments:write",), ("runtime",))
    assert transfer.arguments == ("payee", "amount")
    assert transfer.where.endswith("tools.yaml:1")
    assert tools["search"].arguments == ("query",)
    assert tools["search"].schema == {"type": "object", "properties": {"query": {"type": "string"}}}
    assert tools["open"].arguments is None
    assert tools["bare"].facts.to_facts() == {"sensitive": (), "labels": ()}
    with pytest.raises(TypeError):
        tools["more"] = transfer  # type: ignore[index]


@pytest.mark.parametrize(
    ("text", "place", "code", "words"),
    [
        ("pay load: {}\n", "1:1", "AG302", "cannot name a tool"),
        ("pаy: {}\n", "1:1", "AG302", "cannot name a tool"),
        ("pay: {write: true}\n", "1:7", "AG102", "did you mean `writes`?"),
        ('pay: {writes: "yes"}\n', "1:15", "AG103", "must be `true` or `false`"),
        ("pay: {secrets: x}\n", "1:16", "AG103", "must be a list"),
        ("pay: {read_only: true, writes: true}\n", "1:7", "AG303", "read_only"),
        ("pay: {arguments: [iban], sensitive: [ibn]}\n", "1:38", "AG303", "did you mean `iban`?"),
        ("pay: {arguments: [a], injected: [a]}\n", "1:34", "AG303", "injected and an argument"),
        ("pay: {arguments: [a], schema: {}}\n", "1:7", "AG303", "both"),
        ("pay: {schema: {type: array}}\n", "1:7", "AG303", "must describe an object"),
        ("pay: 7\n", "1:6", "AG103", "must be a mapping"),
        ("pay: {}\npay: {}\n", "2:1", "AG005", "there twice"),
    ],
)
def test_T48_wrong_tool_facts_are_refused(work: Path, text: str, place: str, code: str, words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_tool_facts(write(work / "tools.yaml", text))
    assert f"tools.yaml:{place}: {code} " in str(caught.value)
    assert words in str(caught.value)


def test_every_problem_is_reported_at_once(work: Path) -> None:
    _, findings = read_config(write(work / "agentguard.yaml", "polices: p\nstor: x\nrecord: 7\n"))
    assert [found.line for found in findings if found.code != "AG101"] == [3, 1, 2] or len(findings) == 4


def test_the_options_of_a_guard_come_from_the_file(project: Path) -> None:
    """`Guard.from_config` reads the file through this."""
    options = guard_options(project / "agentguard.yaml")
    assert len(options["snapshot"].rules) == 2
    assert options["store"] == f"sqlite:///{project / 'records.db'}"
    assert options["directory"] == project / "directory.yaml"
    assert options["tool_facts"] == project / "tools.yaml"
    assert options["snapshot"].rules[0].at.startswith("policies/pay.yaml:")


def test_a_signed_bundle_runs_instead_of_the_folder(project: Path) -> None:
    """The keys that may sign it are a file of the operator's; another signer's bundle is refused."""
    run("bundle", "keygen", "bundle.jwk", "trusted.jwk")
    run("bundle", "keygen", "other.jwk", "stranger.jwk")
    policy = "policy: signed\nowner: ops\ntools: ['*']\nrules:\n  - {id: any, effect: allow}\n"
    (project / "signed.yaml").write_text(policy)
    build = ("bundle", "build", "signed.yaml", "--version", "3", "--out", "p.bundle")
    run(*build, "--key", "bundle.jwk")
    config = project / "agentguard.yaml"
    text = config.read_text()
    config.write_text(text + "bundle: p.bundle\ntrust: trusted.jwk\nreload_s: 0.05\n")
    with Guard.from_config(config) as guard:
        assert [rule.name for rule in guard.snapshot.rules] == ["signed/any"]
        assert guard.snapshot.signed is not None
        (project / "signed.yaml").write_text(policy.replace("any", "new"))
        run("bundle", "build", "signed.yaml", "--version", "4", "--out", "p.bundle", "--key", "bundle.jwk")
        until(lambda: guard.snapshot.signed is not None and guard.snapshot.signed.version == 4)
    run(*build, "--key", "other.jwk")
    with pytest.raises(AgentGuardError, match="not signed"):
        Guard.from_config(config)
    run("bundle", "build", "signed.yaml", "--version", "9", "--out", "p.bundle", "--key", "bundle.jwk")
    (project / "trusted.jwk").chmod(0o666)
    with pytest.raises(ConfigurationError, match="AG301"):
        Guard.from_config(config)


@pytest.mark.parametrize("key", ["bundle: p.bundle", "trust: trusted.jwk"])
def test_T48_a_bundle_needs_its_trust(project: Path, key: str) -> None:
    config = project / "agentguard.yaml"
    config.write_text(config.read_text() + f"{key}\n")
    with pytest.raises(ConfigurationError, match="belong together"):
        load_config(config)
