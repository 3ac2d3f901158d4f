"""Several processes and one store: nothing twice, nothing lost, no gap."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentguard.decision import Stage
from agentguard.ledger.verify import verify
from agentguard.stepup.model import State
from agentguard.store import open_store
from tests.postgres.server import drop, fresh_url
from tests.store.support import answer, ask, needs

PROCESSES = 4


@pytest.fixture(params=["sqlite", "postgresql"])
def shared(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a store that all processes open."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/store.db"
        return
    found = fresh_url()
    yield found
    drop(found)


def run(script: str, shared: str) -> list[object]:
    """Run the script in several processes that begin together; each prints one JSON line."""
    prelude = (
        "import json, random, sys\n"
        "from agentguard.errors import ClaimRefused, VoteRefused\n"
        "from agentguard.stepup import machine\n"
        "from agentguard.store import Reservation, open_store\n"
        "from tests.store.support import answer, decided, ended, settled, take\n"
        "store = open_store(sys.argv[1], timeout_s=60)\n"
        "me = int(sys.argv[2])\n"
        "random.seed(me)\n"
        "print('ready', flush=True)\n"
        "sys.stdin.readline()\n"
    )
    children = [
        subprocess.Popen(
            [sys.executable, "-c", prelude + script, shared, str(number)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(PROCESSES)
    ]
    for child in children:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
    results = []
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    for child in children:
        out, _ = child.communicate(timeout=900)
        assert child.returncode == 0
        results.append(json.loads(out))
    return results


def test_200_approvals_are_claimed_once_each_by_4_processes_T09(shared: str) -> None:
    """Each runs once, and the ledger tells the same."""
    store = open_store(shared)
    approvals = [answer(store, ask(store, call_id=f"call-{number}")) for number in range(200)]
    results = run(
        "found = store.approvals('default', limit=1000)\n"
        "random.shuffle(found)\n"
        "mine = []\n"
        "for approval in found:\n"
        "    try:\n"
        "        take(store, approval)\n"
        "        mine.append(approval.id)\n"
        "        settled(store, approval)\n"
        "    except ClaimRefused as refused:\n"
        "        assert refused.state in ('claimed', 'succeeded'), refused\n"
        "print(json.dumps(mine))\n",
        shared,
    )
    claims = Counter(found for result in results for found in result)  # type: ignore[attr-defined]
    assert set(claims) == {approval.id for approval in approvals}
    assert set(claims.values()) == {1}
    report = verify(store)
    assert report.ok, report.tenants[0].findings
    assert report.tenants[0].types["claimed"] == report.tenants[0].types["outcome"] == 200
    store.close()


def test_votes_expiries_and_claims_race_to_one_end_each_T09(shared: str) -> None:
    """Whatever wins, the approval ends once and the ledger agrees with the table."""
    store = open_store(shared)
    for number in range(40):
        ask(store, call_id=f"call-{number}", requirement=needs(Stage(("group:finance",), 2)))
    run(
        "acts = [lambda a: answer(store, a, 'ana'), lambda a: answer(store, a, 'bob'),\n"
        "        lambda a: answer(store, a, 'bob', 'deny'), lambda a: take(store, a),\n"
        "        lambda a: store.update_approval('default', a.id, machine.withdraw)]\n"
        "for approval in store.approvals('default', limit=1000):\n"
        "    for act in random.choices(acts, weights=[4, 4, 1, 4, 1], k=5):\n"
        "        try:\n"
        "            act(approval)\n"
        "        except (ClaimRefused, VoteRefused):\n"
        "            pass\n"
        "print('0')\n",
        shared,
    )
    report = verify(store)
    assert report.ok, report.tenants[0].findings
    states = Counter(approval.state for approval in store.approvals("default", limit=1000))
    assert set(states) <= {State.REQUESTED, State.APPROVED, State.DENIED, State.WITHDRAWN, State.CLAIMED}
    store.close()


def test_4_processes_append_to_one_chain_T44(shared: str) -> None:
    """No number twice, none missing, durable or not, one event or several at a time."""
    store = open_store(shared)
    run(
        "for number in range(150):\n"
        "    event = decided()\n"
        "    store.append('default', [event])  # as a guard: on the disk before its call runs\n"
        "    more = [ended(event), decided()]\n"
        "    for events in ([more] if number % 2 else [more[:1], more[1:]]):\n"
        "        store.append('default', events, durable=number % 5 == 0)\n"
        "store.close()\n"
        "print('0')\n",
        shared,
    )
    report = verify(store)
    assert report.ok, report.tenants[0].findings
    assert report.size == PROCESSES * 150 * 3
    store.close()


def test_4_processes_never_overrun_a_limit_T50(shared: str) -> None:
    """Exactly as much is taken as there is."""
    store = open_store(shared)
    results = run(
        "taken = [store.reserve('default', [Reservation('a', 3, 300), Reservation('b', 1, 1000, 3600)])\n"
        "         for _ in range(60)]\n"
        "print(taken.count(None))\n",
        shared,
    )
    assert sum(results) == 100  # type: ignore[arg-type]
    store.close()
