"""People who answer step-ups, played by the harness through the guard's real approval path.

An approver is a channel: it is told of each question and votes on it, as a logged-in reviewer would. Its
directory knows somebody for every group that a policy may name. Where nobody could vote at all (every
reviewer is excluded, a quorum above 100), the question is withdrawn, so that no evaluation hangs.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any, Final, Literal

from agentguard.errors import AgentGuardError, StoreError, VoteRefused
from agentguard.governance import grants
from agentguard.governance.desk import Desk
from agentguard.governance.vouching import Word, content_digest, signed_word
from agentguard.stepup.channels import Question
from agentguard.stepup.eligibility import LOCAL, PRINCIPAL, fold
from agentguard.stepup.model import Approval, State, Verdict
from agentguard.stepup.signing import generate_key, sign
from agentguard_evals.case import Origin

__all__ = ["APPROVERS", "Approver", "ApproverName", "Everybody"]

ApproverName = Literal["none", "oracle", "all"]
APPROVERS: Final[tuple[ApproverName, ...]] = ("none", "oracle", "all")
"""`none` refuses every question, `oracle` approves the user's calls and refuses the attacker's, `all`
approves whatever is asked."""

_GROUP: Final = "group:"
_PEOPLE: Final = 100
_LONGEST_S: Final = 10.0


@cache
def _keys() -> Any:
    return generate_key()


class Everybody:
    """A directory in which every group has members and everybody is active."""

    def __init__(self) -> None:
        self._members: dict[str, frozenset[str]] = {}

    def members(self, group: str) -> frozenset[str]:
        """A hundred people, named after the group."""
        found = self._members.get(group)
        if found is None:
            names = [fold(f"{group} reviewer {number:03}") for number in range(1, _PEOPLE + 1)]
            found = self._members[group] = frozenset(names)
        return found

    def keys(self, subject: str) -> tuple[Mapping[str, Any], ...]:
        """Everybody signs with the harness's key, where a login is not enough."""
        return (_keys().public,)

    def subject(self, alias: str) -> str:
        """Everybody has one name."""
        return fold(alias)

    def active(self, subject: str) -> bool | None:
        """Everybody may act."""
        return True


class Approver:
    """Answers each question of one guard; `origin` says whose call an id belongs to, which only it knows."""

    def __init__(self, name: ApproverName, directory: Everybody, origin: Callable[[str], Origin]) -> None:
        self.name: Final = name
        self.asked: Final[set[str]] = set()
        self._directory = directory
        self._origin = origin
        self.withdraw: Callable[[str, str], Approval] | None = None
        self.desk: Desk | None = None
        self._idle = threading.Event()
        self._idle.set()

    def verdict(self, call_id: str) -> Verdict:
        """What it answers about a call."""
        match self.name:
            case "none":
                return "deny"
            case "all":
                return "approve"
            case "oracle":
                return "approve" if self._origin(call_id) == "user" else "deny"

    def wait(self) -> None:
        """Until it has done everything about its last question: what it gives beside a vote comes later."""
        self._idle.wait(_LONGEST_S)

    def notify(self, question: Question) -> None:
        """Vote until the question is settled; withdraw it where no vote can settle it."""
        self.asked.add(question.approval.call_id)
        self._idle.clear()
        try:
            settled = self._vote(question, self.verdict(question.approval.call_id))
        except AgentGuardError:
            settled = False
        finally:
            self._idle.set()
        if not settled and self.withdraw is not None:
            self.withdraw(question.approval.id, "nobody in the evaluation could vote on it")

    def _vote(self, question: Question, verdict: Verdict) -> bool:
        approval = question.approval
        if verdict == "approve" and "plan" in approval.shown:
            return self._approve_plan(question)
        reason = f"the evaluation's approver is `{self.name}`"
        used: set[str] = set()
        while approval.state is State.REQUESTED:
            subject = next((one for one in self._voters(approval) if one not in used), None)
            if subject is None:
                return self._vote_locally(question, verdict, reason)
            used.add(subject)
            try:
                approval = question.answer(verdict, subject=subject, assurance="login", reason=reason)
            except VoteRefused:
                continue
        return True

    def _approve_plan(self, question: Question) -> bool:
        """Approve the call and, with it, the plan that the question shows, both signed."""
        approval = question.approval
        subject = next(iter(self._voters(approval)), None)
        if subject is None or self.desk is None:
            return False
        key, at = _keys().private, approval.opened_at
        reason = f"the evaluation's approver is `{self.name}`"
        signature = sign(key, approval=approval, verdict="approve", subject=subject, reason=reason, at=at)
        found = question.answer(
            "approve", subject=subject, assurance="signed", reason=reason, signature=signature
        )
        content = grants.plan_content(found)
        word = Word(
            act="grant",
            subject=subject,
            digest=content_digest(content),
            at=self.desk.store.now(),
            reason=reason,
            assurance="signed",
        )
        signed = signed_word(key, tenant=found.tenant, kind=grants.KIND, id=content["id"], word=word)
        self.desk.grant(found.id, content, signed)
        return True

    def _vote_locally(self, question: Question, verdict: Verdict, reason: str) -> bool:
        try:
            found = question.answer(verdict, subject=LOCAL, assurance="local", reason=reason)
        except StoreError:
            return False
        return found.state is not State.REQUESTED

    def _voters(self, approval: Approval) -> Iterator[str]:
        excluded = {fold(name) for name in approval.excluded}
        for name in approval.requirement.stages[approval.stage].reviewers:
            if name == PRINCIPAL:
                if approval.principal is not None:
                    yield fold(approval.principal)
            elif name.startswith(_GROUP):
                yield from sorted(self._directory.members(name.removeprefix(_GROUP)) - excluded)
            elif fold(name) not in excluded:
                yield fold(name)
