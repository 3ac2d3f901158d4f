"""Engines in `agentguard.yaml`: read with the strictness of everything else there."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from agentguard import AgentIdentity, ConfigurationError, Guard, ToolCallDenied
from agentguard.config import load_config, read_config
from agentguard.engines import AuthzenEngine, CedarEngine, OpaEngine
from tests.engines.servers import always, serving

HERE = Path(__file__).parent
HEAD = "policies: policies\nstore: 'memory:'\n"


@pytest.fixture
def work(tmp_path: Path) -> Path:
    tmp_path.chmod(0o700)
    (tmp_path / "policies").mkdir(0o700)
    (tmp_path / "policies" / "all.yaml").write_text(
        "policy: all\nowner: ops\ntools: ['*']\nrules:\n  - {id: any, effect: allow}\n"
    )
    for name in ("payments.cedar", "payments.cedarschema"):
        shutil.copy(HERE / name, tmp_path / name)
    return tmp_path


def written(work: Path, engines: str) -> Path:
    path = work / "agentguard.yaml"
    path.write_text(HEAD + engines)
    return path


def test_every_setting_is_read(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths are relative to the file, tokens come from the environment."""
    monkeypatch.setenv("PDP_TOKEN", "t0ken")
    with serving(always({"result": False})) as (url, asked):
        path = written(
            work,
            f"""\
engines:
  - kind: cedar
    policies: payments.cedar
    schema: payments.cedarschema
    tools: [payments.*]
    include: [args]
    silent: not_applicable
  - kind: opa
    url: "{url}"
    path: a/b
    name: mail-opa
    tools: [mail]
    permits: true
    timeout_s: 30
    token_env: PDP_TOKEN
    silent: not_applicable
  - {{kind: authzen, url: "https://pdp.example.com", tools: [other]}}
""",
        )
        with Guard.from_config(path) as guard:
            cedar, opa, authzen = guard.engines
            assert isinstance(cedar, CedarEngine)
            assert isinstance(opa, OpaEngine)
            assert isinstance(authzen, AuthzenEngine)
            assert [engine.name for engine in guard.engines] == ["cedar", "mail-opa", "authzen"]
            assert (opa.permits, opa.timeout_s, authzen.permits, authzen.timeout_s) == (True, 30, False, 1)

            @guard.tool("payments.transfer")
            def transfer(payee: str, amount: int) -> None:
                raise AssertionError("it ran")

            @guard.tool("mail")
            def mail() -> None:
                raise AssertionError("it ran")

            with guard.session(agent=AgentIdentity("a", tags=["prod"])):
                with pytest.raises(ToolCallDenied, match="no-evil"):
                    transfer("EVIL", 5)
                with pytest.raises(ToolCallDenied, match="engine/mail-opa"):
                    mail()
        assert asked[0].path == "/v1/data/a/b"
        assert asked[0].headers["authorization"] == "Bearer t0ken"


@pytest.mark.parametrize(
    ("engine", "line", "words"),
    [
        ("{kind: cedr, policies: p, schema: s}", 4, "kind"),
        ("{policies: p, schema: s}", 4, "kind"),
        ("{kind: cedar, policies: p}", 4, "schema"),
        ("{kind: cedar, policies: p, schema: s, permit: true}", 4, "permit"),
        ('{kind: opa, url: "https://x", permits: "yes"}', 4, "permits"),
        ('{kind: opa, url: "https://x", timeout_s: 0}', 4, "timeout_s"),
        ('{kind: opa, url: "https://x", tools: []}', 4, "tools"),
        ('{kind: authzen, url: "https://x", silent: deny}', 4, "silent"),
    ],
)
def test_what_is_wrong_is_refused_with_its_place_T48(work: Path, engine: str, line: int, words: str) -> None:
    """A misspelt key does not become a decision point that permits, or one that is never asked."""
    path = written(work, f"engines:\n  - {engine}\n")
    _, findings = read_config(path)
    assert [finding.line for finding in findings] == [line]
    assert words in findings[0].message
    with pytest.raises(ConfigurationError, match=r"agentguard\.yaml:4"):
        load_config(path)


def test_what_cannot_be_used_is_refused_when_the_guard_is_made(work: Path) -> None:
    """With the engine's name and what to do."""
    for engine, match in (
        ('{kind: opa, url: "https://x", token_env: NO_SUCH_VARIABLE}', "`NO_SUCH_VARIABLE` is not set"),
        ('{kind: opa, url: "http://opa.example.com"}', "https"),
        ("{kind: cedar, policies: none.cedar, schema: payments.cedarschema}", "none.cedar"),
    ):
        with pytest.raises(ConfigurationError, match=match):
            Guard.from_config(written(work, f"engines:\n  - {engine}\n"))


def test_policies_of_an_engine_that_anybody_may_change_are_refused_T47(work: Path) -> None:
    """They decide what runs, as ours do."""
    path = written(
        work, "engines:\n  - {kind: cedar, policies: payments.cedar, schema: payments.cedarschema}\n"
    )
    Guard.from_config(path).close()
    for name in ("payments.cedar", "payments.cedarschema"):
        (work / name).chmod(0o666)
        with pytest.raises(ConfigurationError, match="AG301"):
            Guard.from_config(path)
        (work / name).chmod(0o600)
