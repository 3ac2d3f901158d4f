"""Policies that change while the guard runs (T40): compiled aside, swapped whole, refused without a gap."""

from __future__ import annotations

import json
import multiprocessing
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from agentguard import ConfigurationError, Guard, Snapshot, ToolCallDenied
from agentguard.errors import StoreUnavailable
from agentguard.reloading import PolicyWatch
from tests.guard.support import AGENT, WAYS, Way, bank
from tests.store.postgres_support import until

ALLOW = "policy: all\nowner: ops\ntools: ['*']\nrules:\n  - {id: any, effect: allow}\n"
DENY = ALLOW.replace("any, effect: allow", "none, effect: deny")
BROKEN = ALLOW.replace("effect: allow", "efect: allow")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "policies"
    folder.mkdir(0o700)
    (folder / "all.yaml").write_text(ALLOW)
    return folder


def replace(folder: Path, text: str, name: str = "all.yaml") -> None:
    """As an editor or a deployment does it: written beside, renamed."""
    beside = folder / ".new"
    beside.write_text(text)
    beside.rename(folder / name)


def watched(folder: Path, **options: Any) -> tuple[Guard, PolicyWatch]:
    """A guard whose watch looks only when it is told to."""
    guard = Guard(folder, store="memory:", **options)
    watch = guard.watch(folder, every_s=3600)
    assert [watch.look(), watch.look(), watch.look()] == ["changing", "loaded", "unchanged"]
    return guard, watch


def said(guard: Guard) -> list[tuple[str, str]]:
    """What the ledger has of policies: its type and the beginning of the snapshot."""
    found = [json.loads(event.leaf) for event in guard.store.events("default")]
    return [(event["type"], event["snapshot"]) for event in found if event["type"].startswith("policy.")]


@pytest.mark.parametrize("way", WAYS)
def test_what_changed_is_in_force_and_recorded(folder: Path, way: Way) -> None:
    """From the next decision on, without another guard."""
    guard, watch = watched(folder)
    with guard:
        transfer, ran = bank(guard, way)
        with guard.session(agent=AGENT):
            transfer("A", 1)
            replace(folder, DENY)
            assert [watch.look(), watch.look()] == ["changing", "loaded"]
            with pytest.raises(ToolCallDenied, match="all/none"):
                transfer("A", 1)
        assert len(ran) == 1
        before, after = said(guard)
        assert (before[0], after) == ("policy.loaded", ("policy.loaded", guard.snapshot.digest))
        assert guard.non_waivable("all/none") is False


@pytest.mark.parametrize(
    "change",
    ["broken", "not YAML", "empty", "gone", "folder gone", "writable", "link"],
)
def test_a_set_that_does_not_load_leaves_the_old_one_T40_T46_T47(
    folder: Path, change: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged and recorded once, and the next good set comes in force."""
    guard, watch = watched(folder)
    old = guard.snapshot
    match change:
        case "broken":
            replace(folder, BROKEN)
        case "not YAML":
            replace(folder, "policy: [")
        case "empty":
            replace(folder, "")
        case "gone":
            (folder / "all.yaml").unlink()
        case "folder gone":
            folder.rename(folder.with_name("moved"))
        case "writable":
            (folder / "all.yaml").chmod(0o666)
        case _:
            (folder / "link.yaml").symlink_to("/etc/hostname")
    with guard:
        assert [watch.look(), watch.look(), watch.look()] == ["changing", "refused", "unchanged"]
        assert guard.snapshot is old
        assert "stay in force" in caplog.text
        assert said(guard)[1:] == [("policy.refused", old.digest)]
        if change == "folder gone":
            folder.with_name("moved").rename(folder)
        elif change == "link":
            (folder / "link.yaml").unlink()
        (folder / "all.yaml").write_text(DENY)
        (folder / "all.yaml").chmod(0o600)
        assert [watch.look(), watch.look()] == ["changing", "loaded"]
        assert guard.snapshot is not old


def test_files_that_are_being_written_are_waited_for_T40(folder: Path) -> None:
    """Half a file may be a set of its own: the rules that deny stand at the end."""
    whole = ALLOW + "  - {id: evil, effect: deny, when: 'args.payee == \"EVIL\"'}\n"
    (folder / "all.yaml").write_text(whole)
    guard, watch = watched(folder)
    with guard:
        digest = guard.snapshot.digest
        with (folder / "all.yaml").open("w") as file:
            for line in whole.splitlines(keepends=True):
                file.write(line)
                file.flush()
                assert watch.look() == "changing"
                assert guard.snapshot.digest == digest
        assert watch.look() == "loaded"
        assert guard.snapshot.digest == digest


def test_what_changes_while_it_is_loaded_is_loaded_again_T40(folder: Path) -> None:
    """What comes in force is what stood there before and after."""

    def load() -> Snapshot:
        found = Snapshot.load(folder)
        if changes:
            replace(folder, changes.pop())
        return found

    changes: list[str] = []
    with Guard(folder, store="memory:") as guard:
        watch = guard.watch(folder, every_s=3600, load=load)
        watch.look()
        watch.look()
        old = guard.snapshot
        changes.append(ALLOW)
        replace(folder, DENY)
        assert [watch.look(), watch.look()] == ["changing", "changing"]
        assert guard.snapshot is old
        assert [watch.look(), watch.look()] == ["changing", "loaded"]
        assert guard.snapshot.digest == old.digest


def test_nothing_comes_in_force_unrecorded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that refuses keeps the old set, and the next look tries again."""
    guard, watch = watched(folder)
    with guard:
        old = guard.snapshot
        replace(folder, DENY)
        watch.look()

        def refuse(*_: Any, **__: Any) -> None:
            raise StoreUnavailable("full")

        with monkeypatch.context() as patch:
            patch.setattr(guard.store, "change_records", refuse)
            with pytest.raises(StoreUnavailable):
                watch.look()
            assert guard.snapshot is old
        assert watch.look() == "loaded"
        assert guard.snapshot is not old


@pytest.mark.parametrize("way", WAYS)
def test_one_decision_sees_one_snapshot_T40(folder: Path, way: Way) -> None:
    """A set that comes in force between the decision and the run does not mix with the one that decided."""
    seen: list[str] = []

    def provider(request: Any, names: Any) -> dict[str, Any]:
        guard.swap(other)
        seen.append(guard.snapshot.digest)
        return {"context": {"x": 1}}

    reads = ALLOW.replace("effect: allow", "effect: allow, when: 'context.x == 1'")
    replace(folder, reads)
    other = Snapshot.from_documents(
        [{"policy": "all", "owner": "o", "tools": ["*"], "rules": [{"id": "none", "effect": "deny"}]}]
    )
    with Guard(folder, store="memory:", facts=[provider]) as guard:
        mine = guard.snapshot.digest
        transfer, ran = bank(guard, way)
        with guard.session(agent=AGENT):
            transfer("A", 1)
            with pytest.raises(ToolCallDenied, match="all/none"):
                transfer("A", 1)
        assert seen[0] == other.digest
        assert len(ran) == 1
        decisions = [json.loads(event.leaf) for event in guard.store.events("default", types=("decision",))]
        assert [event["decision"]["snapshot"] for event in decisions] == [mine, other.digest]


def test_calls_go_on_while_sets_change(folder: Path) -> None:
    """Thousands of calls under sets that alternate: each is decided wholly by one of them."""
    guard, watch = watched(folder)
    done = threading.Event()

    def change() -> None:
        for number in range(60):
            replace(folder, (ALLOW, DENY)[number % 2])
            watch.look()
            watch.look()
        done.set()

    with guard:
        transfer, ran = bank(guard)
        thread = threading.Thread(target=change)
        thread.start()
        denied, rules = 0, set()
        with guard.session(agent=AGENT):
            calls = 0
            while not done.is_set():
                calls += 1
                try:
                    transfer("A", calls)
                except ToolCallDenied as error:
                    denied += 1
                    rules.add(error.rule)
        thread.join()
        assert len(ran) + denied == calls
        assert rules <= {"all/none", "agentguard/breaker"}


def test_the_thread_looks_by_itself_and_ends_with_the_guard(folder: Path) -> None:
    """Nobody has to ask."""
    with Guard(folder, store="memory:") as guard:
        guard.watch(folder, every_s=0.05)
        replace(folder, DENY)
        until(lambda: denies(guard))
    until(lambda: all(thread.name != "agentguard-policies" for thread in threading.enumerate()))


def denies(guard: Guard) -> bool:
    return "all/none" in {rule.name for rule in guard.snapshot.rules}


def _sees(url: str) -> None:
    try:
        until(lambda: denies(_GUARDS[url]))
        os._exit(0)
    finally:
        os._exit(1)


_GUARDS: dict[str, Guard] = {}


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_worker_looks_too_T43(tmp_path: Path, folder: Path) -> None:
    """It does not keep the policies of the hour at which it was forked."""
    url = f"sqlite:///{tmp_path}/guard.db"
    with Guard(folder, store=url) as guard:
        _GUARDS[url] = guard
        guard.watch(folder, every_s=0.05)
        worker = multiprocessing.get_context("fork").Process(target=_sees, args=(url,))
        worker.start()
        replace(folder, DENY)
        worker.join(300)
        assert worker.exitcode == 0


def test_settings_of_the_configuration(tmp_path: Path, folder: Path) -> None:
    """`reload_s` in `agentguard.yaml`, and its bounds."""
    config = tmp_path / "agentguard.yaml"
    config.write_text("policies: policies\nstore: 'memory:'\nreload_s: 0.05\n")
    with Guard.from_config(config) as guard:
        replace(folder, DENY)
        until(lambda: denies(guard))
    config.write_text("policies: policies\nstore: 'memory:'\nreload_s: 0\n")
    with pytest.raises(ConfigurationError, match="reload_s"):
        Guard.from_config(config)
    with Guard(folder, store="memory:") as guard, pytest.raises(ConfigurationError, match="less often"):
        guard.watch(folder, every_s=0)
