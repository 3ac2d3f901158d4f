"""What the tests of flags have in common: a guard whose calls are flagged, and people who answer."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from agentguard import AgentIdentity, Guard, Snapshot
from agentguard.governance import Terms
from agentguard.governance.flag_desk import FlagDesk
from agentguard.governance.flag_item import KIND, Item, Resolution, tell
from agentguard.governance.flag_sweeping import FlagNotice, FlagsSwept, sweep
from agentguard.governance.vouching import Word, signed_word
from agentguard.stepup.directory import StaticDirectory
from agentguard.store.protocol import Store
from tests.governance.support import DIRECTORY, KEYS, local

DAY = 86_400.0

FLAG: dict[str, Any] = {
    "owner": "ana",
    "review_in": "3d",
    "escalate_to": [{"to": "bob"}, {"to": "cai", "after": "2d"}],
    "converts": {"on": "2028-01-01", "to": "deny"},
}
RULES: tuple[dict[str, Any], ...] = (
    {"id": "a", "effect": "allow"},
    {"id": "f", "effect": "flag", "when": "args.amount > 10", "flag": FLAG},
)


def snapshot(rules: Sequence[dict[str, Any]] = RULES, **more: Any) -> Snapshot:
    """The rules as one policy about every tool."""
    document = {"policy": "p", "tools": ["*"], "rules": list(rules)}
    return Snapshot.from_documents([document], **more)


@dataclass(kw_only=True)
class Shop:
    """A guard whose tools take money, and a desk at which people answer for what was flagged."""

    store: Store
    rules: Sequence[dict[str, Any]] = RULES
    directory: StaticDirectory = field(default_factory=lambda: DIRECTORY)
    terms: Terms = field(default_factory=Terms)
    heard: list[FlagNotice] = field(default_factory=list)

    def guard(self, **more: Any) -> Guard:
        return Guard(snapshot=snapshot(self.rules, **more), store=self.store, directory=self.directory)

    def pay(self, *calls: dict[str, Any], agent: str = "billing", tool: str = "pay", **more: Any) -> None:
        """Real calls of an agent through a guard."""
        with self.guard(**more) as guard:

            @guard.tool(tool)
            def pay(amount: int, to: str = "ACME", **others: Any) -> int:
                return amount

            with guard.session(agent=AgentIdentity(agent, owner="owen")):
                for call in calls:
                    pay(**call)

    def sweep(self, **more: Any) -> FlagsSwept:
        return sweep(self.store, "default", tell=self.heard.append, **more)

    @property
    def desk(self) -> FlagDesk:
        return FlagDesk(store=self.store, directory=self.directory, terms=self.terms)

    @property
    def items(self) -> list[Item]:
        return [tell(record) for record in self.store.records("default", KIND)]

    @property
    def item(self) -> Item:
        """The only item."""
        (found,) = self.items
        return found

    def said(self, act: str, item: Item, digest: str, who: str, reason: str) -> Word:
        """What somebody says about an item, signed with their key."""
        at = self.store.now()
        if who == "local":
            return local(digest, at, reason)
        word = Word(act=act, subject=who, digest=digest, at=at, reason=reason)
        return signed_word(KEYS[who].private, tenant="default", kind=KIND, id=item.id, word=word)

    def acknowledge(self, item: Item, who: str = "ana", reason: str = "on it") -> Item:
        word = self.said("acknowledge", item, item.digest("default"), who, reason)
        return tell(self.desk.acknowledge(item.id, word))

    def resolve(
        self, item: Item, how: str = "false-positive", who: str = "ana", reason: str = "a test", **more: Any
    ) -> Item:
        drafted = self.desk.draft(item.id, Resolution(how), **more)
        word = self.said("resolve", item, item.digest("default", drafted), who, reason)
        return tell(self.desk.resolve(item.id, drafted, word))

    def events(self, *types: str) -> list[dict[str, Any]]:
        """What the ledger says of flags, as plain data."""
        import json

        return [json.loads(row.leaf) for row in self.store.events("default", types=types)]


def until(days: float, start: dt.datetime) -> dt.datetime:
    return start + dt.timedelta(days=days)


__all__ = ["DAY", "FLAG", "RULES", "Shop", "snapshot", "until"]
