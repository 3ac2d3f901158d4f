"""`agentguard channels` as people use it, with a real server where there is one."""

from __future__ import annotations

import base64
import json
import os
import re
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from agentguard import AgentIdentity, ApprovalPending, Guard
from agentguard.channels.outbox import KIND
from agentguard.stepup.model import State
from tests.channels.hearing import Listener
from tests.channels.support import (
    SLACK_KEY,
    TOKEN,
    Memory,
    Scene,
    answer_body,
    click_body,
    independently_signed,
    slack_headers,
)
from tests.cli.conftest import project, work
from tests.cli.support import CONFIG, RAW, folder, open_question, records, run
from tests.policy.bundle_server import certificate
from tests.store.postgres_support import until

__all__ = ["project", "work"]

ROOT = Path(__file__).parents[2]
OPS = base64.b64encode(bytes(range(32))).decode()
ANSWERS = base64.b64encode(bytes(range(32, 64))).decode()
ENV = {
    "OPS_SECRET": f"whsec_{OPS}",
    "OPS_ANSWERS": f"whsec_{ANSWERS}",
    "SLACK_TOKEN": TOKEN,
    "SLACK_SIGNING": SLACK_KEY.decode(),
}

CHANNELS = """\
channels:
  - name: ops
    kind: webhook
    url: {hook}/hook
    private: true
    secrets: [{{env: OPS_SECRET}}]
    answers:
      secrets: [{{env: OPS_ANSWERS}}]
      people: {{U0ANA: ana}}
  - name: finance
    kind: slack
    url: {team}/api
    private: true
    token: {{env: SLACK_TOKEN}}
    channel: C0FINANCE
    events: [approval.*]
    answers:
      secrets: [{{env: SLACK_SIGNING}}]
      team: T0FINANCE
      people: {{U0ANA: ana}}
"""


@pytest.fixture
def place(project: Path, hook: Listener, team: Listener, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a webhook and Slack, both played on loopback."""
    for name, value in ENV.items():
        monkeypatch.setenv(name, value)
    channels = CHANNELS.format(hook=hook.url, team=team.url)
    return folder(project, agentguard_yaml=CONFIG + channels)


@contextmanager
def serving(*args: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The command in a process of its own, and its address."""
    process = subprocess.Popen(
        [sys.executable, "-m", "agentguard", "channels", "serve", "--port", "0", *args],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stderr is not None
    watchdog = threading.Timer(300, process.kill)
    watchdog.start()
    try:
        found = re.search(r"Listening on (\S+)", process.stdout.readline())
        assert found, process.stderr.read()
        yield found[1], process
    finally:
        watchdog.cancel()
        process.terminate()
        process.wait(120)
        process.stdout.close()
        process.stderr.close()


def post(url: str, body: bytes, headers: dict[str, str] | None = None, **more: Any) -> httpx.Response:
    return httpx.post(url, content=body, headers=headers, timeout=120, **more)


def until_noted(place: Path, state: str) -> None:
    """Wait until it is noted what became of what `ops` was told: what was only sent is sent again later."""
    store = records(place)
    until(lambda: [one.state for one in store.records("default", KIND, prefix="ops/")] == [state])
    store.close()


def signed(body: bytes) -> dict[str, str]:
    """As a sender of answers signs now."""
    import time

    at, id = str(int(time.time())), f"msg_{os.urandom(8).hex()}"
    signature = independently_signed(base64.b64decode(ANSWERS), id, at, body)
    return {"webhook-id": id, "webhook-timestamp": at, "webhook-signature": signature}


def pending(guard: Guard, amount: int = 5000) -> str:
    """The id of a question that a guarded call asks."""

    @guard.tool("pay")
    def pay(amount: int, iban: str, note: str) -> str:
        return "paid"

    with (
        guard.session(agent=AgentIdentity("billing", owner="owen"), principal="ben", pause="raise"),
        pytest.raises(ApprovalPending) as found,
    ):
        pay(amount, "DE99SECRET", "hi")
    return found.value.approval_id


def test_channels_are_listed_without_their_secrets(place: Path) -> None:
    """With who may answer, what waits, and whether they can be told."""
    shown = run("channels", "list", COLUMNS="200").output
    assert "ops" in shown
    assert "1 person" in shown
    assert not any(secret in shown for secret in ENV.values())
    rows = json.loads(run("channels", "list", "--json").output)
    assert [(row["name"], row["kind"], row["ready"]) for row in rows] == [
        ("ops", "webhook", "yes"), ("finance", "slack", "yes"),
    ]  # fmt: skip


def test_a_secret_that_is_missing_is_said(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the name of its variable; a guard does not start without it."""
    monkeypatch.delenv("OPS_SECRET")
    assert "`OPS_SECRET` is not set" in run("channels", "list", COLUMNS="200").output
    from agentguard.errors import ConfigurationError

    with pytest.raises(ConfigurationError, match="OPS_SECRET"):
        Guard.from_config("agentguard.yaml")


def test_what_opens_one_channels_messages_signs_no_other_channels_answers(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever reads what `ops` is told could answer in `finance`."""
    from agentguard.errors import ConfigurationError

    monkeypatch.setenv("SLACK_SIGNING", ENV["OPS_SECRET"])
    with pytest.raises(ConfigurationError, match="`finance`: what signs or opens messages cannot sign"):
        Guard.from_config(place / "agentguard.yaml")


def test_a_user_who_is_mapped_to_nobody_is_said(place: Path) -> None:
    """A misspelt subject would never have a vote."""
    config = place / "agentguard.yaml"
    config.write_text(config.read_text().replace("{U0ANA: ana}", "{U0ANA: anna}", 1))
    ready = [row["ready"] for row in json.loads(run("channels", "list", "--json").output)]
    assert ready == ["`anna` is nobody active in the directory, and has no vote", "yes"]


def test_a_secret_may_stand_in_a_file_that_nobody_else_reads(place: Path) -> None:
    """Others may not even read it."""
    config = place / "agentguard.yaml"
    config.write_text(config.read_text().replace("{env: OPS_SECRET}", "{file: ops.secret}"))
    secret = place / "ops.secret"
    secret.write_text(ENV["OPS_SECRET"] + "\n")
    secret.chmod(0o644)
    assert "can be read by others" in json.loads(run("channels", "list", "--json").output)[0]["ready"]
    secret.chmod(0o600)
    assert json.loads(run("channels", "list", "--json").output)[0]["ready"] == "yes"


def test_a_test_message_is_sent_at_once(place: Path, hook: Listener, team: Listener) -> None:
    """To a webhook and to Slack."""
    run("channels", "test", "ops")
    assert hook.heard[0].json["type"] == "agentguard.test"
    run("channels", "test", "finance")
    assert "A test" in team.heard[0].json["text"]


def test_a_test_that_fails_exits_with_1(place: Path, hook: Listener) -> None:
    """With what went wrong, and nothing that the other side sent."""
    hook.answer = lambda heard: (500, b"CANARY", {})
    found = run("channels", "test", "ops", code=1)
    assert "it answered HTTP 500" in found.output
    assert "CANARY" not in found.output
    assert json.loads(run("channels", "test", "ops", "--json", code=1).output)["delivered"] is False


def test_a_name_that_is_none_is_said(place: Path) -> None:
    """With the one that was meant."""
    assert "did you mean `ops`" in run("channels", "test", "opps", code=2).output


def test_a_guard_tells_its_channels(place: Path, hook: Listener, team: Listener) -> None:
    """From its configuration, at once, masked."""
    with Guard.from_config("agentguard.yaml") as guard:
        id = pending(guard)
        assert hook.wait(1)[0].json["subject"] == id
        assert "DE99SECRET" not in hook.heard[0].body.decode() + team.wait(1)[0].body.decode()


def test_a_guard_that_waits_hears_an_answer_from_slack(place: Path, team: Listener) -> None:
    """From the button, through the server, to the call that waits, and back into the message."""
    results: list[Any] = []
    with Guard.from_config("agentguard.yaml") as guard, serving("--no-deliver") as (url, _):

        @guard.tool("pay")
        def pay(amount: int, iban: str, note: str) -> str:
            return "paid"

        def call() -> None:
            with guard.session(agent=AgentIdentity("billing", owner="owen"), principal="ben"):
                results.append(pay(5000, "DE99", "hi"))

        caller = threading.Thread(target=call, daemon=True)
        caller.start()
        message = team.wait(1)[0].json
        value = json.loads(message["blocks"][-1]["elements"][1]["value"])
        import datetime as dt

        # until it is noted where the message stands
        until(lambda: guard.store.records("default", KIND, states=("told",), prefix="finance/"))
        body = click_body(guard.approval(value["a"]))
        now = dt.datetime.now(dt.UTC)
        found = post(f"{url}/channels/finance/answers", body, slack_headers(body, at=now))
        assert found.status_code == 200
        caller.join(120)
        assert results == ["paid"]
        assert team.wait(2)[1].path.endswith("chat.update")


def test_served_answers_are_votes(place: Path) -> None:
    """Signed, over a real socket; a GET of the same address changes nothing (T55)."""
    approval = open_question(place)
    body = answer_body(approval)
    with serving("--no-deliver") as (url, _):
        address = f"{url}/channels/ops/answers"
        assert httpx.get(address, headers=signed(body), timeout=120).status_code == 405
        assert post(address, body).status_code == 401
        store = records(place)
        assert store.approval("default", approval.id).state is State.REQUESTED
        found = post(address, body, signed(body))
        assert found.json() == {"result": "approved"}
        assert "server" not in found.headers
        assert store.approval("default", approval.id).state is State.APPROVED
        store.close()


def test_a_server_delivers_the_outbox_too(place: Path, hook: Listener) -> None:
    """Where no guard runs any more, somebody still tells."""
    records(place).close()
    with serving() as (_, _):
        approval = open_question(place)
        assert hook.wait(1)[0].json["subject"] == approval.id


def test_a_server_sweeps_what_is_due(place: Path, hook: Listener) -> None:
    """A question that nobody answered ends, and people hear of it, although no guard runs."""
    import datetime as dt

    records(place).close()
    with serving():
        now = dt.datetime.now(dt.UTC)
        config = place / "agentguard.yaml"
        assert "sweep_s" not in config.read_text()
        open_question(place, expires_at=now + dt.timedelta(seconds=1))
        hook.wait(1)
        until_noted(place, "told")
    config.write_text(config.read_text() + "sweep_s: 0.1\n")
    with serving():
        ends = hook.wait(2)[1].json
    assert ends["type"] == "agentguard.approval.expired"


def test_a_server_speaks_tls_where_it_is_told(place: Path, tmp_path: Path) -> None:
    """With a certificate and a key, which belong together."""
    certificate(tmp_path)
    cert, key = str(tmp_path / "server.pem"), str(tmp_path / "server.key")
    assert "belong together" in run("channels", "serve", "--tls-cert", cert, code=2).output
    approval = open_question(place)
    body = answer_body(approval, "deny")
    with serving("--no-deliver", "--tls-cert", cert, "--tls-key", key) as (url, _):
        assert url.startswith("https://")
        trusted = ssl.create_default_context(cafile=cert)
        found = post(f"{url}/channels/ops/answers", body, signed(body), verify=trusted)
        assert found.json() == {"result": "denied"}


def test_somebody_whose_button_counts_for_nothing_is_told_so(place: Path, team: Listener) -> None:
    """Only they: an ephemeral message in the channel, by our own address of Slack."""
    import datetime as dt

    body = click_body(open_question(place), user="U0EVE")
    with serving("--no-deliver") as (url, _):
        headers = slack_headers(body, at=dt.datetime.now(dt.UTC))
        assert post(f"{url}/channels/finance/answers", body, headers).status_code == 200
        heard = team.wait(1)[0]
    assert heard.path.endswith("chat.postEphemeral")
    assert heard.json["user"] == "U0EVE"
    assert "refused" in heard.json["text"]


def test_an_address_that_is_taken_is_said(place: Path, hook: Listener) -> None:
    """No traceback."""
    records(place).close()
    port = str(hook.server_address[1])
    assert "nobody can listen" in run("channels", "serve", "--port", port, code=2).output


def test_what_was_given_up_is_listed_and_tried_again(
    place: Path, hook: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`outbox` and `retry`."""
    config = place / "agentguard.yaml"
    only_ops = config.read_text().partition("  - name: finance")[0]
    config.write_text(only_ops.replace("kind: webhook\n", "kind: webhook\n    attempts: 1\n"))
    hook.answer = lambda heard: (500, b"", {})
    with Guard.from_config("agentguard.yaml") as guard:
        pending(guard)
        until_noted(place, "dead")
    found = run("channels", "outbox", "--dead", "--fail-on-dead", code=1, COLUMNS="200").output
    assert "dead" in found
    assert "HTTP 500" in found
    (row,) = json.loads(run("channels", "outbox", "--json").output)
    hook.answer = lambda heard: (204, b"", {})
    assert "tried again" in run("channels", "retry", row["id"][:20]).output
    with Guard.from_config("agentguard.yaml"):
        until_noted(place, "told")
    assert "Nothing waits" in run("channels", "outbox").output
    assert "told" in run("channels", "outbox", "--all", COLUMNS="200").output
    run("channels", "retry", row["id"], code=1)
    assert "no delivery begins" in run("channels", "retry", "nothing", code=2).output


@pytest.mark.parametrize("columns", ["80", "120"])
def test_an_outbox_is_readable_at_any_width_T57(place: Path, columns: str) -> None:
    """And holds nothing that a terminal obeys; what it shows of an id is enough for `retry`."""
    scene = Scene(f"sqlite:///{place / 'records.db'}")
    delivering = scene.delivering(Memory("ops", refuse=9))
    scene.tell("agent.suspended", agent="x\x1b[31m\u202e", digest="sha256:0")
    delivering.turn()
    scene.store.close()
    shown = run("channels", "outbox", COLUMNS=columns).output
    assert all(len(line) <= int(columns) for line in shown.splitlines())
    assert not any(raw in shown for raw in RAW)
    assert "suspended" in shown
    (id,) = re.findall(r"ops/agent/\S+", shown)
    run("channels", "retry", id)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("name: ops", "name: Ops", "is no name of a channel"),
        ("name: finance", "name: ops", "two channels are called"),
        ("events: [approval.*]", "events: [approval.open]", "did you mean `approval.opened`"),
        ("private: true", "privat: true", "did you mean `private`"),
        ("{env: OPS_SECRET}", "{env: OPS_SECRET, file: x}", "names one of `env` and `file`"),
        ("{env: OPS_SECRET}", "{env: OPS_ANSWERS}", "cannot sign answers"),
        ("{env: OPS_SECRET}", "whsec_AAAA", "must be a mapping"),
        ("channel: C0FINANCE", "channel: '#finance'", "named by its id"),
        ("url: http://127", "url: http://evil@127", "holds a user"),
        ("url: http://127.0.0.1", "url: http://hooks.example.com", "plain http"),
        (
            "    private: true\n",
            "    private: true\n    hosts: [hooks.example.com]\n",
            "not among the `hosts`",
        ),
        ("      team: T0FINANCE\n", "", "`team` is missing"),
        ("kind: slack", "kind: mail", "mail"),
    ],
)
def test_check_finds_what_is_wrong_with_channels(place: Path, old: str, new: str, message: str) -> None:
    """With its place, before anything runs."""
    config = place / "agentguard.yaml"
    text = config.read_text()
    assert old in text
    config.write_text(text.replace(old, new, 1))
    found = run("check", code=None)
    assert found.exit_code != 0
    assert message in found.output
    assert "agentguard.yaml:" in found.output
