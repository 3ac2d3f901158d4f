"""Channels and their outbox as rows."""

from __future__ import annotations

import datetime as dt
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from agentguard.channels.outbox import KIND, item_of
from agentguard.cli.terminal import ago
from agentguard.errors import AgentGuardError, StoreError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentguard.config import Config
    from agentguard.stepup.directory import Directory
    from agentguard.store.protocol import Store

__all__ = ["Row", "listed", "outbox_rows", "row_json"]


_SHORT: Final = 11
"""Characters of a subject that `retry` needs to be typed: as many as a flag's or an exception's id has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One delivery: `next` is the type of what is told next."""

    id: str
    channel: str
    state: str
    next: str
    waiting: int
    told: int
    attempts: int
    due: dt.datetime | None
    problem: str
    on_its_way: bool

    def cells(self, now: dt.datetime) -> list[str]:
        """For people."""
        due = "on its way" if self.on_its_way else "" if self.due is None else ago(self.due, now)
        head, _, subject = self.id.rpartition("/")
        move = self.next.partition(".")[2] or self.next
        return [f"{head}/{subject[:_SHORT]}", self.state, move, str(self.attempts), due, self.problem]


def row_json(row: Row) -> dict[str, Any]:
    """For programs."""
    return {
        "id": row.id,
        "channel": row.channel,
        "state": row.state,
        "next": row.next,
        "waiting": row.waiting,
        "told": row.told,
        "attempts": row.attempts,
        "due": None if row.due is None else row.due.isoformat(),
        "problem": row.problem,
    }


def outbox_rows(
    store: Store, tenant: str, states: Sequence[str], channel: str | None, limit: int
) -> list[Row]:
    """What is in the outbox, what is pressing first.

    Raises:
        StoreError: the store could not do it.
    """
    prefix = "" if channel is None else f"{channel}/"
    now = store.now()
    rows: list[Row] = []
    for record in store.records(tenant, KIND, states=states, prefix=prefix, limit=limit):
        try:
            item = item_of(record)
        except StoreError:
            rows.append(_damaged(record.id, record.state))
            continue
        first = item.waiting[0] if item.waiting else {}
        rows.append(
            Row(
                id=record.id,
                channel=item.channel,
                state=record.state,
                next=str(first.get("type", "")),
                waiting=len(item.waiting),
                told=item.told,
                attempts=item.attempts,
                due=record.due,
                problem=item.error,
                on_its_way=bool(item.lease) and record.due is not None and record.due > now,
            )
        )
    order = {"dead": 0, "urgent": 1, "waiting": 2}
    return sorted(rows, key=lambda row: (order.get(row.state, 3), row.id))


def _damaged(id: str, state: str) -> Row:
    return Row(
        id=id,
        channel=id.partition("/")[0],
        state=state,
        next="",
        waiting=0,
        told=0,
        attempts=0,
        due=None,
        problem="damaged",
        on_its_way=False,
    )


def listed(config: Config, store: Store | None, tenant: str) -> list[dict[str, Any]]:
    """Every channel of the configuration; no secret is among it."""
    found: list[dict[str, Any]] = []
    people = _people(config)
    for entry in config.channels:
        answers = entry.answers
        waiting, dead = (0, 0) if store is None else _counts(store, tenant, entry.name)
        found.append(
            {
                "name": entry.name,
                "kind": entry.kind,
                "host": urlsplit(entry.url).netloc,
                "events": ", ".join(entry.events),
                "answers": "none" if answers is None else _people_text(len(answers.people)),
                "waiting": waiting,
                "dead": dead,
                "ready": _ready(config, entry.name, people),
            }
        )
    return found


def _people_text(count: int) -> str:
    return "1 person" if count == 1 else f"{count} people"


def _counts(store: Store, tenant: str, channel: str) -> tuple[int, int]:
    found = store.records(tenant, KIND, states=("urgent", "waiting", "dead"), prefix=f"{channel}/")
    dead = sum(record.state == "dead" for record in found)
    return len(found) - dead, dead


def _people(config: Config) -> Directory | None:
    from agentguard.stepup.directory import open_directory

    try:
        return open_directory(config.directory)
    except AgentGuardError:
        return None  # whoever votes is told so


def _ready(config: Config, name: str, people: Directory | None) -> str:
    """`yes`, or what is missing."""
    from agentguard.channels.configured import channels_of

    base = Path(os.path.abspath(config.file)).parent if config.file is not None else Path.cwd()
    (entry,) = [entry for entry in config.channels if entry.name == name]
    try:
        channels_of([entry], base)
    except AgentGuardError as error:
        return str(error)
    subjects = [] if entry.answers is None else entry.answers.people.values()
    for subject in dict.fromkeys(subjects):
        if people is None or people.active(people.subject(subject)) is not True:
            return f"`{subject}` is nobody active in the directory, and has no vote"
    return "yes"
