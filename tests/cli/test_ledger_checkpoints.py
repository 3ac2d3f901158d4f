"""`agentguard ledger keygen | vkey | checkpoint | verify --checkpoint | prove`: as an operator and an auditor
use them."""

from __future__ import annotations

import json
import shutil
import sqlite3
import stat
import sys
from pathlib import Path
from typing import Any

import pytest

from agentguard.ledger.checkpoints import notes_in, read_checkpoint
from agentguard.ledger.notes import VerifierKey
from tests.cli.support import CONFIG, HOSTILE, RAW, folder, open_question, records, run
from tests.ledger.attacker import edited, rewrite
from tests.store.support import decided, ended

NAME = "example.com/agents"
SECTION = f"checkpoint:\n  name: {NAME}\n  key: checkpoint.jwk\n  file: checkpoints.log\n"


def fill(path: Path, number: int = 3, tenant: str = "default") -> None:
    store = records(path)
    for _ in range(number):
        event = decided(tenant)
        store.append(tenant, [event, ended(event, tenant)])
    store.close()


@pytest.fixture
def key(project: Path) -> str:
    """A signing key in the folder, and its verifier key."""
    out = run("ledger", "keygen", "checkpoint.jwk", "--name", NAME).stdout
    return out.splitlines()[-1]


@pytest.fixture
def signed(project: Path, key: str) -> str:
    """Six events, a checkpoint of them by configuration, and six more."""
    (project / "agentguard.yaml").write_text(CONFIG + SECTION)
    fill(project)
    run("ledger", "checkpoint")
    fill(project)
    return key


def test_a_key_is_made_for_its_owner_and_never_over_another(project: Path, key: str) -> None:
    """The verifier key is printed by itself on the last line, and again by `vkey`."""
    assert stat.S_IMODE((project / "checkpoint.jwk").stat().st_mode) == 0o600
    assert str(VerifierKey.parse(key)) == key
    assert VerifierKey.parse(key).name == f"{NAME}/default"
    assert run("ledger", "vkey", "--key", "checkpoint.jwk", "--name", NAME).stdout == f"{key}\n"
    eu = run("ledger", "vkey", "--key", "checkpoint.jwk", "--name", NAME, "--tenant", "eu").stdout.strip()
    assert VerifierKey.parse(eu).public == VerifierKey.parse(key).public
    assert VerifierKey.parse(eu).name == f"{NAME}/eu"
    assert "exists" in run("ledger", "keygen", "checkpoint.jwk", "--name", NAME, code=2).stderr
    assert "cannot name" in run("ledger", "keygen", "other.jwk", "--name", "a b", code=2).stderr
    assert not (project / "other.jwk").exists()


def test_a_key_that_others_may_read_does_not_sign(project: Path, key: str) -> None:
    """The message says what to do."""
    fill(project)
    (project / "checkpoint.jwk").chmod(0o644)
    found = run("ledger", "checkpoint", "--key", "checkpoint.jwk", "--name", NAME, code=2)
    assert "chmod 600" in found.stderr
    assert found.stdout == ""


def test_a_checkpoint_is_printed_where_no_place_is_named(project: Path, key: str) -> None:
    """One for each tenant, as a file of them is."""
    fill(project)
    fill(project, 1, "eu")
    out = run("ledger", "checkpoint", "--key", "checkpoint.jwk", "--name", NAME).stdout
    eu = run("ledger", "vkey", "--key", "checkpoint.jwk", "--name", NAME, "--tenant", "eu").stdout.strip()
    keys = [VerifierKey.parse(key), VerifierKey.parse(eu)]
    found = [read_checkpoint(note, keys) for note in notes_in(out)]
    assert [(one.tenant, one.size) for one in found] == [("default", 6), ("eu", 2)]
    (project / "kept.log").write_text(out)
    checked = run("ledger", "verify", "--checkpoint", "kept.log", "--key", key, "--key", eu).stdout
    assert checked.count("1 checkpoint agrees") == 2


def test_a_checkpoint_goes_where_the_configuration_says(project: Path, signed: str) -> None:
    """And a second one of the same events is not written."""
    out = run("ledger", "checkpoint").stdout
    assert "12 events of tenant default, signed: checkpoints.log" in out
    assert signed in out
    run("ledger", "checkpoint")
    assert len(list(notes_in((project / "checkpoints.log").read_text()))) == 2
    data = json.loads(run("ledger", "checkpoint", "--json").stdout)
    assert [(one["tenant"], one["size"], one["new"], one["key"]) for one in data] == [
        ("default", 12, False, signed)
    ]


def test_a_checkpoint_goes_to_a_command(project: Path, key: str) -> None:
    """Quoted as a shell does, and run without one."""
    fill(project)
    (project / "take it.py").write_text("import sys\nopen('taken', 'w').write(sys.stdin.read())\n")
    command = f"{sys.executable} 'take it.py' ; rm -rf x"
    sign = ("ledger", "checkpoint", "--key", "checkpoint.jwk", "--name", NAME, "--to-command")
    run(*sign, command)
    assert (project / "taken").read_text().startswith(f"{NAME}/default\n6\n")
    refused = run(*sign, f"{sys.executable} -c 'import sys; sys.exit(\"\x1b[31mno\")'", code=2)
    assert "refused it with code 1: \\x1b[31mno" in refused.stderr
    for wrong in ("", "'"):
        assert "is no command" in run(*sign, wrong, code=2).stderr


def test_what_is_missing_is_said(project: Path) -> None:
    """The key, its name, the tenant."""
    fill(project)
    assert "agentguard ledger keygen" in run("ledger", "checkpoint", code=2).stderr
    assert "there is no key" in run("ledger", "checkpoint", "--key", "k.jwk", "--name", "a", code=2).stderr
    run("ledger", "keygen", "k.jwk", "--name", "a")
    found = run("ledger", "checkpoint", "--key", "k.jwk", "--name", "a", "--tenant", "us", code=2)
    assert "no tenant `us`; it has default" in found.stderr


def test_verify_compares_with_the_configured_checkpoints(project: Path, signed: str) -> None:
    """Without being told; and says how far they reach."""
    out = run("ledger", "verify").stdout
    assert "1 checkpoint agrees; the first 6 events are vouched for" in out
    assert "no problems" in out
    data = json.loads(run("ledger", "verify", "--json").stdout)
    assert (data["tenants"][0]["checkpoints"], data["tenants"][0]["covered"]) == (1, 6)


def test_verify_without_checkpoints_says_what_it_cannot_see(project: Path) -> None:
    """So that nobody takes it for more."""
    fill(project)
    assert "Not compared with any checkpoint" in run("ledger", "verify").stdout


def test_verify_names_what_the_checkpoints_show_T64(project: Path, signed: str) -> None:
    """A rewrite with every hash recomputed, and the stretch in which it lies."""
    run("ledger", "checkpoint")
    rewrite(project / "records.db", lambda rows: [*rows[:7], edited(rows[7]), *rows[8:]])
    alone = run("ledger", "verify", "--store", "sqlite:///records.db", "--config", _plain(project)).stdout
    assert "no problems" in alone
    out = run("ledger", "verify", code=1).stdout
    assert "NOT INTACT  12 events" in out
    assert "events 7 to 12: rewritten" in out
    assert "1 checkpoint agrees; the first 6 events are vouched for" in out


def _plain(project: Path) -> str:
    """A configuration that knows of no checkpoints."""
    (project / "plain.yaml").write_text(CONFIG)
    return "plain.yaml"


def test_verify_finds_a_restored_backup_T18(project: Path, signed: str) -> None:
    """And so does the next checkpoint."""
    shutil.copy(project / "records.db", project / "backup.db")
    fill(project)
    run("ledger", "checkpoint")
    shutil.copy(project / "backup.db", project / "records.db")
    out = run("ledger", "verify", code=1).stdout
    assert "events 13 to 18: rollback" in out
    assert "an old copy of the store was put back" in " ".join(out.split())
    found = run("ledger", "checkpoint", code=1).stderr
    assert "approvals that were used since are open again" in found


def test_an_auditor_needs_the_file_and_the_verifier_key(project: Path, signed: str) -> None:
    """And neither the configuration nor the private key."""
    (project / "checkpoint.jwk").unlink()
    plain = _plain(project)
    kept = ("ledger", "verify", "--config", plain, "--checkpoint", "checkpoints.log")
    assert "the first 6 events" in run(*kept, "--key", signed).stdout
    (project / "keys.txt").write_text(f"# the key of production\n{signed}\n\n")
    assert "the first 6 events" in run(*kept, "--key", "keys.txt").stdout
    assert "whose signature counts?" in run(*kept, code=2).stderr
    for wrong in ("nonsense", "a+b+c", "checkpoints.log"):
        run(*kept, "--key", wrong, code=2)
    assert "--checkpoint" in run("ledger", "verify", "--config", plain, "--key", signed, code=2).stderr
    none = run("ledger", "verify", "--config", plain, "--checkpoint", "none", "--key", signed, code=2)
    assert "cannot be read" in none.stderr


@pytest.mark.parametrize("what", ["key", "origin", "tenant", "text"])
def test_a_checkpoint_that_does_not_count_is_named_T64(project: Path, signed: str, what: str) -> None:
    """By another key, of another deployment or tenant, or changed."""
    log = project / "checkpoints.log"
    if what == "text":
        log.write_text(log.read_text().replace("\n6\n", "\n5\n"))
    else:
        run("ledger", "keygen", "other.jwk", "--name", NAME)
        name = "example.com/elsewhere" if what == "origin" else NAME
        log.unlink()
        if what == "tenant":
            fill(project, 1, "eu")
        tenant = "eu" if what == "tenant" else "default"
        sign = ("ledger", "checkpoint", "--key", "other.jwk", "--name", name, "--to", "checkpoints.log")
        run(*sign, "--tenant", tenant)
    out = run("ledger", "verify", "--checkpoint", "checkpoints.log", "--key", signed, code=1).stdout
    assert "NOT INTACT  checkpoints.log, checkpoint 1" in out
    assert "no checkpoint vouches for it" in out


def test_payloads_are_compared_where_the_key_is(project: Path) -> None:
    """Without it that is an error, and no silence."""
    question = open_question(project, local=True)
    out = run("ledger", "verify", "--payloads", code=2)
    assert "needs the ledger's key" in out.stderr
    key = "AGENTGUARD_LEDGER_KEY"
    found = run("ledger", "verify", "--payloads", code=1, **{key: "k" * 43}).stdout
    assert f"approval `{question.id}` holds other arguments" in found, "the fixture's digest is made up"


# Proofs


def test_an_event_is_proven_and_checked_without_the_store(project: Path, signed: str) -> None:
    """By whoever has the proof and the verifier key."""
    out = run("ledger", "prove", "3", "--output", "proof.json").stdout
    assert "Written to proof.json" in out
    assert "2 of 6 (event 3)" in out
    data = json.loads((project / "proof.json").read_text())
    assert data["index"] == 2
    assert json.loads(data["leaf"])["type"] == "decision"
    for name in ("records.db", "agentguard.yaml", "checkpoint.jwk", "checkpoints.log"):
        (project / name).unlink()
    found = run("ledger", "prove", "--check", "proof.json", "--key", signed).stdout
    assert found.startswith("Proven.")
    assert "payments.transfer" in "".join(found.split())
    checked = json.loads(run("ledger", "prove", "--check", "proof.json", "--key", signed, "--json").stdout)
    assert (checked["ok"], checked["size"], checked["origin"]) == (True, 6, f"{NAME}/default")
    assert checked["proof"] == data
    assert "whose signature counts?" in run("ledger", "prove", "--check", "proof.json", code=2).stderr


@pytest.mark.parametrize("tamper", ["leaf", "index", "path", "checkpoint", "form"])
def test_a_changed_proof_is_not_proven_T64(project: Path, signed: str, tamper: str) -> None:
    """With why, and exit code 1."""
    data: dict[str, Any] = json.loads(run("ledger", "prove", "3", "--json").stdout)
    changes: dict[str, Any] = {
        "leaf": data["leaf"].replace("billing", "someone"),
        "index": 3,
        "path": data["path"][1:],
        "checkpoint": data["checkpoint"].replace("\n6\n", "\n7\n"),
    }
    if tamper == "form":
        (project / "proof.json").write_text("{")
    else:
        (project / "proof.json").write_text(json.dumps({**data, tamper: changes[tamper]}))
    found = run("ledger", "prove", "--check", "proof.json", "--key", signed, code=1)
    assert "not proven" in found.stderr
    assert "Proven" not in found.stdout
    as_data = json.loads(
        run("ledger", "prove", "--check", "proof.json", "--key", signed, "--json", code=1).stdout
    )
    assert as_data["ok"] is False


def test_a_proof_as_c2sp_has_it(project: Path, signed: str) -> None:
    """Printed by itself, and checked the same way."""
    text = run("ledger", "prove", "3", "--tlog-proof").stdout
    assert text.startswith("c2sp.org/tlog-proof@v1\nextra ")
    (project / "event.tlog-proof").write_text(text)
    assert "Proven." in run("ledger", "prove", "--check", "event.tlog-proof").stdout


def test_a_log_is_proven_to_go_on(project: Path, signed: str) -> None:
    """From one checkpoint to the newest."""
    run("ledger", "checkpoint")
    out = run("ledger", "prove", "--since", "6", "--output", "goes-on.json").stdout
    assert "6 events, root" in out
    assert "Proven." in run("ledger", "prove", "--check", "goes-on.json", "--key", signed).stdout
    assert "no checkpoint of 7 events" in run("ledger", "prove", "--since", "7", code=2).stderr


def test_what_cannot_be_proven_is_said(project: Path, signed: str) -> None:
    """Not covered yet, not there, several, a rewritten ledger, no checkpoint at all."""
    assert "run `agentguard ledger checkpoint` first" in run("ledger", "prove", "9", code=1).stderr
    assert "has no event 99" in run("ledger", "prove", "99", code=2).stderr
    assert "names several events" in run("ledger", "prove", "call-1", code=2).stderr
    assert "name one of" in run("ledger", "prove", code=2).stderr
    assert "name one of" in run("ledger", "prove", "3", "--since", "6", code=2).stderr
    assert "--tlog-proof" in run("ledger", "prove", "--since", "6", "--tlog-proof", code=2).stderr
    plain = _plain(project)
    assert "--checkpoint FILE" in run("ledger", "prove", "3", "--config", plain, code=2).stderr
    rewrite(project / "records.db", lambda rows: [edited(row) for row in rows])
    assert "is not the one that the checkpoint" in run("ledger", "prove", "3", code=1).stderr


def test_T57_nothing_raw_of_an_event_or_a_checkpoint_is_printed(project: Path, key: str) -> None:
    """Names of calls and agents, origins, names of keys."""
    (project / "agentguard.yaml").write_text(CONFIG + SECTION)
    question = open_question(project, agent=HOSTILE, principal=HOSTILE)
    run("ledger", "checkpoint")
    shown = run("ledger", "prove", "2").stdout
    assert question.id in shown.replace("\n", "").replace(" ", "")
    other = f"{HOSTILE}\n1\nAAAA\n\n\u2014 x AAAAAAAA\n"
    named = f"{NAME}\n1\nAAAA\n\n\u2014 x\u202e\x9b2J\u200b AAAAAAAA\n"
    (project / "hostile.log").write_text(f"{other}\n{named}", newline="")
    found = run("ledger", "verify", "--checkpoint", "hostile.log", "--key", key, code=1).stdout
    assert "x\\u202e" in found
    listed = run("ledger", "show").stdout
    db = sqlite3.connect(project / "records.db")
    db.execute("UPDATE event SET id = ?, type = ?", (HOSTILE, HOSTILE))
    db.commit()
    db.close()
    damaged = run("ledger", "verify", code=1).stdout
    store = records(project)
    made_up = {"v": 1, "id": "e-1", "type": "vote", "tenant": "eu", "at": "2026-11-20T10:00:00.000000Z"}
    store.append("eu", [{**made_up, "approval": HOSTILE}])
    store.close()
    named = run("ledger", "verify", "--tenant", "eu", "--config", _plain(project), code=1).stdout
    assert "was never opened" in named
    for text in (shown, found, listed, damaged, named):
        for raw in RAW:
            assert raw not in text, repr(raw)


@pytest.mark.parametrize("columns", ["80", "120"])
def test_show_folds_and_cuts_nothing_off(project: Path, columns: str) -> None:
    """Long names are folded under themselves; every line fits."""
    name = "a-very-long-name-of-an-agent-" * 6 + "\u4e2d\u6587"
    open_question(project, agent=name)
    out = run("ledger", "show", COLUMNS=columns).stdout
    assert max(len(line) for line in out.splitlines()) <= int(columns)
    assert name in _column(out, "agent", "what")
    assert "payments.transfer" in _column(out, "tool", "agent")
    assert "approval.opened" in _column(out, "event", "tool")
    assert "2 events" in out


def _column(text: str, name: str, following: str) -> str:
    """A column of a table, folded pieces joined."""
    lines = text.splitlines()
    start, end = lines[0].index(name), lines[0].index(following)
    return "".join([line[start:end].strip() for line in lines[1:]])


def test_a_folder_is_what_the_configuration_makes_of_it(project: Path) -> None:
    """`agentguard check` names what is wrong with the section."""
    folder(project, agentguard_yaml=CONFIG + "checkpoint: {name: a, key: k.jwk}\n")
    found = run("check", code=None)
    assert "has to name a `file`, a `command`, or both" in found.stdout + found.stderr
