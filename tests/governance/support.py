"""What the tests of governance have in common: people with keys, an exception to ask for, calls to decide."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass, field
from typing import Any

from agentguard.decision import Decision
from agentguard.governance import Terms, in_force
from agentguard.governance.desk import Desk
from agentguard.governance.vouching import Word, content_digest, signed_word
from agentguard.policy import Register, Snapshot
from agentguard.stepup.directory import StaticDirectory
from agentguard.stepup.signing import generate_key
from agentguard.store.protocol import Record, Store
from tests.policy.support import exception, grant, policy, request, rule

__all__ = ["ASKED", "DIRECTORY", "KEYS", "Office", "exception", "grant", "local", "people", "request", "word"]

NAMES = ("ana", "bob", "cai", "owen", "ben", "eve")
KEYS = {name: generate_key() for name in NAMES}


def people(**changes: dict[str, Any]) -> StaticDirectory:
    """A directory in which everybody has a key; `changes` replace what it says about one of them."""
    found: dict[str, Any] = {
        name: {"groups": ["security"], "keys": [KEYS[name].public]} for name in NAMES if name != "eve"
    }
    found["eve"] = {"keys": [KEYS["eve"].public]}
    found["bob"]["aliases"] = ["bob@example.com"]
    for name, said in changes.items():
        found[name] = {**found.get(name, {}), **said}
    return StaticDirectory(found, {"security": {}, "finance": {}})


DIRECTORY = people()

RULES = [
    rule("a", "allow"),
    rule("no", "deny", "args.amount > 100"),
    rule("hard", "deny", "args.amount > 1000", non_waivable=True),
]

ASKED: dict[str, Any] = {
    "agent": "billing",
    "rules": ["p/no"],
    "tools": ["payments.transfer"],
    "control": {"redact_result": ["$.iban"]},
    "reason": "the migration needs it",
    "risk": "larger transfers go through unseen",
    "remediate_by": "2026-12-10",
    "owner": "owen",
    "expires": "2026-12-20T10:00:00Z",
}
"""An exception as somebody asks for it, for the request of `tests.policy.support`."""


def word(
    who: str, act: str, kind: str, id: str, digest: str, at: dt.datetime, *, reason: str = "", key: str = ""
) -> Word:
    """What somebody says, signed with their key, or with that of `key`."""
    plain = Word(act=act, subject=who, digest=digest, at=at, reason=reason)
    return signed_word(KEYS[key or who].private, tenant="default", kind=kind, id=id, word=plain)


def local(digest: str, at: dt.datetime, reason: str = "") -> Word:
    """The same without any proof."""
    return Word(act="", subject="local", digest=digest, at=at, reason=reason)


@dataclass(kw_only=True)
class Office:
    """A desk on a store, with people who sign what they say, and the decisions that follow."""

    store: Store
    directory: StaticDirectory = field(default_factory=lambda: DIRECTORY)
    terms: Terms = field(default_factory=Terms)
    rules: list[dict[str, Any]] = field(default_factory=lambda: list(RULES))

    @property
    def desk(self) -> Desk:
        return Desk(store=self.store, directory=self.directory, terms=self.terms)

    def ask(self, who: str = "ben", **changes: Any) -> Record:
        """Ask for an exception."""
        document = {key: value for key, value in {**ASKED, **changes}.items() if value is not None}
        content = self.desk.draft(document, who)
        return self.desk.request(content, self._said(who, "request", content["id"], content))

    def say(self, act: str, record: Record | str, who: str = "ana", **more: Any) -> Record:
        """Approve, reject, withdraw, revalidate or revoke an exception as it is now."""
        id = record if isinstance(record, str) else record.id
        kind = "grant" if id.startswith("GR-") else "exception"
        body = self.store.record("default", kind, id).body
        content = body.get("pending") if act in ("approve", "reject", "withdraw") else None
        said = self._said(who, act, id, content or body["content"], kind=kind, **more)
        done: Record = getattr(self.desk, act)(id, said)
        return done

    def renew(self, record: Record, expires: str, who: str = "ben", **more: Any) -> Record:
        """Ask for a later expiry."""
        now = self.store.record("default", "exception", record.id)
        content = self.desk.draft_renewal(now, expires, who, **more)
        return self.desk.renew(content, self._said(who, "renew", record.id, content))

    def granted(self, **changes: Any) -> Record:
        """An exception in force."""
        return self.say("approve", self.ask(**changes))

    def _said(
        self, who: str, act: str, id: str, content: Any, *, kind: str = "exception", **more: Any
    ) -> Word:
        digest = content_digest(content)
        if who == "local":
            return local(digest, self.store.now())
        return word(who, act, kind, id, digest, self.store.now(), **more)

    @property
    def register(self) -> Register:
        return in_force(
            *self.store.register("default"), tenant="default", directory=self.directory, terms=self.terms
        )

    @property
    def snapshot(self) -> Snapshot:
        return Snapshot.from_documents([policy(*self.rules)], register=self.register)

    def decide(self, at: dt.datetime | None = None, **changes: Any) -> Decision:
        """Decide the transfer of 500 at a time, by default now."""
        return self.snapshot.decide(request(now=(at or self.store.now()).isoformat(), **changes))

    def events(self, *types: str) -> list[dict[str, Any]]:
        return [json.loads(event.leaf) for event in self.store.events("default", types=types)]
