"""A process that delivers: `python -m tests.channels.deliverer STORE URL`, until nothing is left to tell."""

from __future__ import annotations

import sys

from agentguard.channels.outbox import KIND, OPEN
from agentguard.store import open_store
from tests.channels.support import webhook


def main(place: str, url: str) -> None:
    from agentguard.channels.delivering import Delivering

    store = open_store(place, timeout_s=60)
    delivering = Delivering(store, "default", webhook(url, timeout_s=30))
    print("ready", flush=True)
    sys.stdin.readline()
    told = delivering.turn()
    while store.records("default", KIND, states=OPEN, due_by=store.now()):
        told += delivering.turn()
    print(told, flush=True)
    store.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
