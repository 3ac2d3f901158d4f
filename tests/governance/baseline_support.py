"""What the tests of baselines have in common: an agent at work for days, and an owner who approves."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

from agentguard import AgentIdentity, Guard, Snapshot
from agentguard.governance import Terms, agents
from agentguard.governance.baseline_desk import BaselineDesk
from agentguard.governance.baseline_learning import learn
from agentguard.governance.baselines import KIND, Told, tell
from agentguard.governance.desk import Desk
from agentguard.governance.vouching import Word, content_digest, signed_word
from agentguard.ledger.keys import args_hmac
from agentguard.stepup.directory import StaticDirectory
from agentguard.store.protocol import Store
from tests.governance.support import DIRECTORY, KEYS, local
from tests.store.support import START, FakeClock

DAY = dt.timedelta(days=1)
KEY = b"k" * 32
ALLOW = {"id": "a", "effect": "allow"}
FLAG = {"owner": "ana", "review_in": "3d"}


def asking(condition: str, effect: str = "flag", **more: Any) -> dict[str, Any]:
    """A rule that asks for the baseline."""
    block = {"flag": FLAG} if effect == "flag" else {}
    return {"id": "new", "effect": effect, "when": condition, **block, **more}


@dataclass(kw_only=True)
class Yard:
    """An agent `billing` of `owen` that pays and reads, and a desk for its baseline."""

    store: Store
    clock: FakeClock
    rules: Sequence[dict[str, Any]] = (ALLOW,)
    directory: StaticDirectory = field(default_factory=lambda: DIRECTORY)
    terms: Terms = field(default_factory=Terms)

    def guard(self, **more: Any) -> Guard:
        document = {"policy": "p", "tools": ["*"], "rules": list(self.rules)}
        found = Guard(
            snapshot=Snapshot.from_documents([document]), store=self.store, directory=self.directory, **more
        )
        found._key = KEY  # a store in memory has a random one
        return found

    def work(self, *calls: dict[str, Any], agent: str = "billing", **session: Any) -> list[Any]:
        """Calls in one session: `tool` is `pay` unless it is said; what was raised stands for a result."""
        found: list[Any] = []
        with self.guard() as guard:
            tools: dict[str, Callable[..., Any]] = {}
            for name in ("pay", "read", "wipe"):

                def body(amount: int = 0, to: str = "ACME", note: str = "", items: Any = None) -> str:
                    return "done"

                scopes = {"pay": ["payments:write"], "wipe": ["root"]}.get(name, [])
                tools[name] = guard.tool(name, secrets=scopes)(body)
            with guard.session(agent=AgentIdentity(agent, owner="owen"), **session):
                for call in calls:
                    name = call.get("tool", "pay")
                    arguments = {key: value for key, value in call.items() if key != "tool"}
                    try:
                        found.append(tools[name](**arguments))
                    except Exception as error:
                        found.append(error)
        return found

    def days(self, count: int = 3, calls: int = 20, **more: Any) -> None:
        """So many working days of so many payments, within the first minutes of the hour of `START`."""
        for _ in range(count):
            self.work(*({"amount": 10 + n, "to": "ACME"} for n in range(calls)), **more)
            self.clock.at += DAY

    def register(self, agent: str = "billing", owner: str = "owen") -> None:
        """Put the agent into the inventory."""
        desk = Desk(store=self.store, directory=self.directory, terms=self.terms)
        known = next((one for one in self.store.records("default", "agent") if one.id == agent), None)
        facts = agents.facts_of({"owner": owner})
        digest = agents.state_digest("default", agent, known, facts)
        desk.register(agent, facts, local(digest, self.store.now()))

    @property
    def desk(self) -> BaselineDesk:
        return BaselineDesk(store=self.store, directory=self.directory, terms=self.terms)

    def learned(self, agent: str = "billing", *, begin: dt.datetime = START, **more: Any) -> dict[str, Any]:
        """What the ledger shows from `begin` until now."""
        return learn(
            self.store, "default", agent, begin=begin, end=more.pop("end", self.clock.at),
            zone=ZoneInfo("UTC"), digest=lambda content: args_hmac(KEY, content), **more,
        )  # fmt: skip

    def draft(
        self, agent: str = "billing", *, who: str = "ben", days: int = 30, **more: Any
    ) -> dict[str, Any]:
        parts = self.learned(agent, **more)
        return self.desk.draft(agent, parts, zone="UTC", ends=self.clock.at + days * DAY, proposer=who)

    def propose(self, content: dict[str, Any] | None = None, who: str = "ben", **more: Any) -> Told:
        content = self.draft(who=who, **more) if content is None else content
        return tell(self.desk.propose(content, self.said("propose", content, who)))

    def approve(self, agent: str = "billing", who: str = "owen", **more: Any) -> Told:
        waits = self.desk.told(agent).waits
        assert waits is not None
        return tell(self.desk.approve(agent, self.said("approve", waits, who, **more)))

    def said(self, act: str, content: dict[str, Any] | Any, who: str, key: str = "") -> Word:
        digest, at = content_digest(content), self.store.now()
        if who == "local":
            return local(digest, at)
        word = Word(act=act, subject=who, digest=digest, at=at)
        private = KEYS[key or who].private
        return signed_word(private, tenant="default", kind=KIND, id=content["agent"], word=word)

    def settled(self, **more: Any) -> Told:
        """Three days of work, learned and approved."""
        self.register()
        self.days()
        self.propose(**more)
        return self.approve()

    def matched(self, event: int = -1) -> list[str]:
        """The rules that fired on one of the decisions, by default the last one."""
        return [one["rule_id"] for one in self.decisions[event]["decision"].get("matched", ())]

    @property
    def decisions(self) -> list[dict[str, Any]]:
        return self.events("decision")

    def events(self, *types: str) -> list[dict[str, Any]]:
        import json

        return [json.loads(row.leaf) for row in self.store.events("default", types=types)]


def kinds(content: dict[str, Any]) -> list[str]:
    """The kinds of what is notable."""
    return [one["kind"] for one in content["notable"]]


def texts(content: dict[str, Any]) -> str:
    return "\n".join(one["text"] for one in content["notable"])


def calls(count: int, **arguments: Any) -> Iterable[dict[str, Any]]:
    return [dict(arguments) for _ in range(count)]
