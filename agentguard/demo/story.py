"""What became of each call, told from the guard's own records: the ledger and its payloads, nothing else."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from agentguard import Effect, Snapshot
from agentguard.canonical import Frozen
from agentguard.ledger.records import (
    ApprovalOpened,
    ApprovalState,
    DecisionRecord,
    FlagRaised,
    MatchedRule,
    Outcome,
    Record,
    VoteRecord,
    parse,
)
from agentguard.store import Store

__all__ = ["CallStory", "Chronicle", "WorkItem"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkItem:
    """A flag that was raised: who looks at it, and by when."""

    rule: str
    owner: str
    reason: str
    due: dt.datetime | None
    escalate_to: str | None


@dataclass(slots=True, kw_only=True)
class CallStory:
    """One call. `canonical` are the bytes of the arguments that the agent wanted; `wanted` and `ran` are
    arguments before the decision and as they ran; `when` is the deciding rule's condition."""

    decision_id: str
    tool: str
    effect: Effect
    rule: MatchedRule | None
    when: str
    granted_by: tuple[str, ...]
    canonical: bytes | None
    wanted: Mapping[str, Any] | None
    ran: Mapping[str, Any] | None = None
    items: list[WorkItem] = field(default_factory=list)
    asked: ApprovalOpened | None = None
    votes: list[VoteRecord] = field(default_factory=list)
    answered: ApprovalState | None = None
    outcome: Outcome | None = None

    @property
    def name(self) -> str:
        """The deciding rule as `policy/rule`."""
        return f"{self.rule.policy}/{self.rule.rule_id}" if self.rule is not None else "agentguard"

    @property
    def changed(self) -> list[tuple[str, Any, Any]]:
        """Arguments that ran with another value: name, before, after."""
        if self.wanted is None or self.ran is None:
            return []
        names = [*self.wanted, *(name for name in self.ran if name not in self.wanted)]
        pairs = ((name, self.wanted.get(name), self.ran.get(name)) for name in names)
        return [(name, before, after) for name, before, after in pairs if before != after]


class Chronicle:
    """Reads the ledger as it grows."""

    def __init__(self, store: Store, tenant: str, snapshot: Snapshot) -> None:
        self._store = store
        self._tenant = tenant
        self._conditions = {rule.name: rule.text for rule in snapshot.rules}
        # The guard has just recorded which policies are in force; the demo begins there.
        self._seq = max(0, store.head(tenant)[0] - 1)
        self.types: Counter[str] = Counter()
        self.items: list[WorkItem] = []

    def new(self) -> list[CallStory]:
        """The calls that were decided since the last look, in their order."""
        calls: dict[str, CallStory] = {}
        for row in self._store.events(self._tenant, after=self._seq):
            self._seq = row.seq
            self.types[row.type] += 1
            self._tell(calls, parse(row.leaf))
        return list(calls.values())

    def _tell(self, calls: dict[str, CallStory], event: Record) -> None:
        if isinstance(event, DecisionRecord) and event.phase == "decide":
            calls.setdefault(event.call_id or event.id, self._begin(event))
            return
        story = calls.get(getattr(event, "call_id", ""))
        if story is None:
            return
        match event:
            case FlagRaised():
                flag = event.flag
                item = WorkItem(
                    rule=str(flag.get("rule", "")),
                    owner=str(flag.get("owner", "")),
                    reason=str(flag.get("reason") or ""),
                    due=event.due,
                    escalate_to=flag.get("escalate_to"),
                )
                story.items.append(item)
                self.items.append(item)
            case ApprovalOpened():
                story.asked = event
            case VoteRecord():
                story.votes.append(event)
            case ApprovalState():
                story.answered = event
            case Outcome():
                story.outcome = event
                story.ran = self._arguments(self._payload(event.args_hmac))
            case _:
                pass

    def _begin(self, event: DecisionRecord) -> CallStory:
        decided = event.decision
        rule = next((match for match in decided.matched if match.effect is decided.effect), None)
        canonical = self._payload(event.args_hmac)
        story = CallStory(
            decision_id=event.id,
            tool=event.tool,
            effect=decided.effect,
            rule=rule,
            when="",
            granted_by=decided.granted_by,
            canonical=canonical,
            wanted=self._arguments(canonical),
        )
        story.when = self._conditions.get(story.name, "")
        return story

    def _payload(self, key: str) -> bytes | None:
        found = self._store.payload(self._tenant, key) if key else None
        return found.content if found is not None else None

    @staticmethod
    def _arguments(canonical: bytes | None) -> Mapping[str, Any] | None:
        return None if canonical is None else Frozen.from_canonical(canonical, {}).thaw()
