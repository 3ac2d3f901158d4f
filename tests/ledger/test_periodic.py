"""Checkpoints of a running guard: by configuration, beside the calls, visible when they fail."""

from __future__ import annotations

import functools
import logging
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agentguard import AgentIdentity, ApprovalPending, Guard, ToolCallDenied
from agentguard.config import load_config
from agentguard.errors import CheckpointRefused, ConfigurationError
from agentguard.ledger import periodic
from agentguard.ledger.checkpoint_file import read_notes
from agentguard.ledger.checkpoint_options import CheckpointOptions, signer_of
from agentguard.ledger.checkpointing import Checkpointer
from agentguard.ledger.checkpoints import Checkpoint, read_checkpoint
from agentguard.ledger.kept import read_kept
from agentguard.ledger.verify import verify
from agentguard.stepup.ballot import Answer, cast
from agentguard.stepup.enrolment import write_private
from agentguard.stepup.signing import generate_key
from tests.ledger.attacker import edited, opened, rewrite

POLICY = "policy: pay\ntools: [pay]\nrules:\n  - {id: all, effect: allow, when: 'true'}\n"
CONFIG = """\
policies: policies
store: sqlite:///store.db
checkpoint:
  name: example.com/agents
  key: key.jwk
  file: checkpoints.log
"""
BILLING = AgentIdentity("billing")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with a configuration, a policy and a key."""
    (tmp_path / "policies").mkdir(mode=0o755)
    (tmp_path / "policies" / "pay.yaml").write_text(POLICY)
    write_private(tmp_path / "key.jwk", generate_key().private)
    configure(tmp_path)
    return tmp_path


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread looks when a test says so (`look`), and once when it is stopped."""
    monkeypatch.setattr(periodic, "_LOOK_S", 3600.0)
    monkeypatch.setattr(periodic, "_CLOSING_S", 60.0)


def configure(place: Path, *lines: str) -> None:
    (place / "agentguard.yaml").write_text(CONFIG + "".join(f"  {line}\n" for line in lines))


def opened_guard(place: Path) -> Guard:
    return Guard.from_config(place / "agentguard.yaml")


@pytest.fixture
def guard(place: Path) -> Iterator[Guard]:
    with opened_guard(place) as found:
        yield found


@functools.lru_cache(maxsize=1)
def tool(guard: Guard) -> Callable[[int], int]:
    """The guarded tool of a guard, made once."""

    @guard.tool("pay")
    def pay(amount: int) -> int:
        return amount

    return pay


def call(guard: Guard, times: int = 1) -> None:
    pay = tool(guard)
    with guard.session(agent=BILLING):
        for number in range(times):
            assert pay(number) == number


def look(guard: Guard) -> None:
    assert guard.checkpoints is not None
    guard.checkpoints.look()


def kept(place: Path) -> list[Checkpoint]:
    if not (place / "checkpoints.log").exists():
        return []
    key = signer_of(place / "key.jwk", "example.com/agents", "default").verifier
    return [read_checkpoint(note, [key]) for _, note in read_notes([place / "checkpoints.log"])]


def test_closing_a_guard_leaves_a_checkpoint_of_everything(place: Path) -> None:
    """Outcomes included, although nobody waits for them."""
    with opened_guard(place) as guard:
        call(guard, 3)
    with opened(place / "store.db") as store:
        size, root = store.head("default")
    assert (size, kept(place)[-1].size, kept(place)[-1].root) == (7, size, root)
    checkpoints = read_kept(
        [place / "checkpoints.log"],
        [signer_of(place / "key.jwk", "example.com/agents", "default").verifier],
    )
    with opened(place / "store.db") as store:
        report = verify(store, checkpoints=checkpoints)
    assert report.ok
    assert report.tenants[0].covered == size


def test_a_checkpoint_is_due_after_so_many_events(place: Path) -> None:
    """And not before."""
    configure(place, "every_events: 4", "every_s: 86400")
    with opened_guard(place) as guard:
        look(guard)
        call(guard)
        look(guard)
        assert [one.size for one in kept(place)] == [1]
        call(guard)
        look(guard)
        assert [one.size for one in kept(place)] == [1, 5]


def test_a_checkpoint_is_due_after_so_long(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When anything was written."""
    now = [1000.0]
    monkeypatch.setattr(periodic, "_now", lambda: now[0])
    configure(place, "every_s: 60")
    with opened_guard(place) as guard:
        look(guard)
        call(guard)
        now[0] += 59
        look(guard)
        assert len(kept(place)) == 1
        now[0] += 1
        look(guard)
        assert len(kept(place)) == 2
        now[0] += 60
        look(guard)
        assert len(kept(place)) == 2, "nothing came since"


def test_no_checkpoint_is_made_on_the_thread_of_a_call(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even when it is long due."""
    threads: set[str] = set()
    make = Checkpointer.make

    def seen(self: Checkpointer) -> Checkpoint | None:
        threads.add(threading.current_thread().name)
        return make(self)

    monkeypatch.setattr(Checkpointer, "make", seen)
    configure(place, "every_events: 1")
    with opened_guard(place) as guard:
        call(guard, 5)
    assert threads == {"agentguard-checkpoints"}


def test_a_slow_checkpoint_holds_up_no_call(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call runs while one is being made."""
    started, go_on = threading.Event(), threading.Event()
    make = Checkpointer.make

    def slow(self: Checkpointer) -> Checkpoint | None:
        started.set()
        assert go_on.wait(120)
        return make(self)

    monkeypatch.setattr(Checkpointer, "make", slow)
    monkeypatch.setattr(periodic, "_LOOK_S", 0.001)
    with opened_guard(place) as guard:
        assert started.wait(120)
        call(guard, 3)
        go_on.set()
    assert kept(place)[-1].size == 7


def test_a_failure_is_logged_and_kept_and_stops_nothing(
    place: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Unless it is configured to; when it is over that is told too."""
    with opened_guard(place) as guard:
        assert guard.checkpoints is not None
        look(guard)
        (place / "checkpoints.log").chmod(0o666)
        call(guard)
        with caplog.at_level(logging.WARNING, "agentguard"):
            for _ in range(3):
                guard.checkpoints._next = 0.0
                look(guard)
        assert "chmod o-w" in guard.checkpoints.problem
        assert caplog.text.count("no checkpoint of the ledger could be made") == 1, "once a minute"
        assert guard.halted == ""
        call(guard)
        (place / "checkpoints.log").chmod(0o644)
        with caplog.at_level(logging.WARNING, "agentguard"):
            look(guard)
        assert guard.checkpoints.problem == ""
        assert "checkpoints are made again" in caplog.text


def test_required_checkpoints_deny_every_call_while_they_fail(place: Path) -> None:
    """With a record that says why, and only as long as it lasts."""
    configure(place, "required: true")
    with opened_guard(place) as guard:
        call(guard)
        assert [one.size for one in kept(place)] == [1], "the first one before any call"
        (place / "checkpoints.log").chmod(0o666)
        assert guard.checkpoints is not None
        guard.checkpoints._next = 0.0
        look(guard)
        with guard.session(agent=BILLING), pytest.raises(ToolCallDenied) as denied:
            tool(guard)(1)
        assert denied.value.rule == "agentguard/checkpoint"
        assert "no checkpoint" in denied.value.reason
        assert denied.value.decision_id is not None
        (place / "checkpoints.log").chmod(0o644)
        look(guard)
        call(guard)


def test_an_approved_call_does_not_begin_while_they_fail(place: Path) -> None:
    """It may once they succeed again: the answer stays."""
    (place / "policies" / "pay.yaml").write_text(
        "policy: pay\ntools: [pay]\nrules:\n  - {id: ask, effect: step_up, when: 'true', reason: r, "
        "approval: {reviewers: [ana], expires_in: 10m}}\n"
    )
    (place / "people.yaml").write_text("people: {ana: {}}\n")
    with Guard.from_config(
        place / "agentguard.yaml", pause="raise", directory=place / "people.yaml"
    ) as guard:
        pay = tool(guard)
        with guard.session(agent=BILLING), pytest.raises(ApprovalPending) as pending:
            pay(5)
        asked = guard.store.approval("default", pending.value.approval_id)
        given = Answer(subject="ana", verdict="approve", digest=asked.digest, assurance="login")
        cast(guard.store, guard.directory, "default", asked.id, given)
        guard.halted = "no checkpoint of the ledger can be made"
        with pytest.raises(ToolCallDenied) as denied:
            guard.resume_sync(asked.id)
        assert denied.value.rule == "agentguard/checkpoint"
        guard.halted = ""
        assert guard.resume_sync(asked.id).result == 5


def test_a_guard_does_not_start_without_a_required_checkpoint_T18(place: Path) -> None:
    """A restored backup is refused at once."""
    with opened_guard(place) as guard:
        call(guard, 3)
    configure(place, "required: true")
    rewrite(place / "store.db", lambda rows: rows[:4])
    with pytest.raises(CheckpointRefused, match="an old copy of the store was put back"):
        opened_guard(place)
    configure(place)
    with opened_guard(place) as guard:
        look(guard)
        assert guard.checkpoints is not None
        assert "an old copy" in guard.checkpoints.problem, "not required: an alarm, and calls go on"
        call(guard)


def test_a_ledger_rewritten_while_the_guard_runs_is_an_alarm_T64(
    place: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What it has read already is what the next checkpoint goes on from."""
    with opened_guard(place) as guard:
        call(guard, 3)
        look(guard)
    rewrite(place / "store.db", lambda rows: [edited(row) for row in rows])
    with caplog.at_level(logging.ERROR, "agentguard"), opened_guard(place) as guard:
        look(guard)
    assert "was rewritten" in caplog.text


def test_a_batched_guard_closes_its_window_before_the_last_checkpoint(place: Path) -> None:
    """What is written at the end is vouched for."""
    text = (place / "agentguard.yaml").read_text()
    (place / "agentguard.yaml").write_text(f"record: batched\n{text}")
    with opened_guard(place) as guard:

        @guard.tool("pay", facts={"read_only": True})
        def pay(amount: int) -> int:
            return amount

        with guard.session(agent=BILLING):
            pay(1)
    with opened(place / "store.db") as store:
        assert kept(place)[-1].size == store.head("default")[0]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_makes_its_own(place: Path) -> None:
    """It has none of its parent's threads."""
    with opened_guard(place) as guard:
        call(guard)
        look(guard)
        child = os.fork()
        if child == 0:  # pragma: no cover - another process
            status = 1
            try:
                call(guard, 2)
                guard.close()
                status = 0
            finally:
                os._exit(status)
        assert os.waitpid(child, 0)[1] == 0
        with opened(place / "store.db") as store:
            assert kept(place)[-1].size == store.head("default")[0]


def test_a_guard_makes_checkpoints_in_one_place_only(guard: Guard, place: Path) -> None:
    """Asking twice is a mistake."""
    options = load_config(place / "agentguard.yaml").checkpoint
    assert options is not None
    with pytest.raises(ConfigurationError, match="already"):
        guard.keep_checkpoints(options)


def test_the_configuration_says_where_and_how_often(place: Path) -> None:
    """Relative to its file; each setting is one that is used."""
    command = 'command: ["tee", "copy"]'
    configure(place, command, "every_events: 7", "every_s: 9", "required: true")
    found = load_config(place / "agentguard.yaml").checkpoint
    assert found == CheckpointOptions(
        name="example.com/agents",
        key=place / "key.jwk",
        file=place / "checkpoints.log",
        command=("tee", "copy"),
        every_events=7,
        every_s=9.0,
        required=True,
    )


@pytest.mark.parametrize(
    ("section", "why"),
    [
        ("{name: a, key: key.jwk}", "has to name a `file`, a `command`, or both"),
        ("{name: 'a b', key: key.jwk, file: c}", "cannot name a deployment"),
        ("{key: key.jwk, file: c}", "`name` is missing"),
        ("{name: a, file: c}", "`key` is missing"),
        ("{name: a, key: k, file: c, every: 5}", "unknown key `every`"),
        ("{name: a, key: k, file: c, every_events: 0}", "every_events"),
        ("{name: a, key: k, file: c, every_s: 0.5}", "every_s"),
    ],
)
def test_a_section_that_says_nothing_useful_is_refused(place: Path, section: str, why: str) -> None:
    """With what is wrong with it."""
    (place / "agentguard.yaml").write_text(f"policies: policies\ncheckpoint: {section}\n")
    with pytest.raises(ConfigurationError) as refused:
        load_config(place / "agentguard.yaml")
    assert why in str(refused.value)


@pytest.mark.parametrize(("mode", "content"), [(0o644, None), (0o600, "{}"), (0o600, "x")])
def test_a_key_that_others_may_read_or_that_is_none_stops_the_start(
    place: Path, mode: int, content: str | None
) -> None:
    """Whoever reads it could sign another history."""
    if content is not None:
        (place / "key.jwk").write_text(content)
    (place / "key.jwk").chmod(mode)
    with pytest.raises(ConfigurationError):
        opened_guard(place)
    (place / "key.jwk").unlink()
    with pytest.raises(ConfigurationError, match="agentguard ledger keygen"):
        opened_guard(place)
