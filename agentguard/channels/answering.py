"""Answers that come in over HTTP: who signed them, who it is, and then the ordinary vote.

A signature comes first: nothing of a body is read before it. Then the time, then that it was not taken
before. Who votes is said by the configured mapping from the other side's user to a subject of our directory,
or by a vote signed with that person's own key; no header and no e-mail address is anybody. What is voted on
is the digest in the answer, so a message about another proposal counts for nothing.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Literal
from urllib.parse import parse_qs

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agentguard.canonical import loads
from agentguard.channels import replays
from agentguard.channels.configured import AnswersFrom, Configured
from agentguard.channels.outbox import KIND
from agentguard.channels.signing import Forged, check_slack, check_webhook
from agentguard.channels.slack_blocks import APPROVE, DENY, REASON
from agentguard.channels.told import subject_id
from agentguard.errors import AgentGuardError, ArgumentsError, NotFound, StoreError, VoteRefused
from agentguard.stepup.ballot import Answer, cast
from agentguard.stepup.directory import Directory
from agentguard.stepup.eligibility import MAX_REASON
from agentguard.stepup.model import Approval
from agentguard.store.protocol import Store

__all__ = ["AnswerDesk", "Outcome"]

log = logging.getLogger("agentguard")

Id = Annotated[str, Field(min_length=1, max_length=128)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class WebhookAnswer(_Model):
    """The body of an answer by webhook. `signature` is a vote signed as `agentguard approvals` signs it."""

    approval: Id
    digest: Id
    verdict: Literal["approve", "deny"]
    user: Annotated[str, Field(min_length=1, max_length=256)]
    reason: Annotated[str, Field(max_length=MAX_REASON)] = ""
    signature: Annotated[str, Field(max_length=32 * 1024)] | None = None


class _ButtonValue(_Model):
    a: Id
    d: Id


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an answer: a status of HTTP, and a word and a text for whoever sent it.

    `user` is whom the other side named, for a reply to them alone, once the message was proved to be theirs.
    """

    status: int
    result: str
    message: str = ""
    user: str = field(default="", repr=False)

    def to_json(self) -> dict[str, Any]:
        """As it is answered."""
        return {"result": self.result, **({"message": self.message} if self.message else {})}


_UNSIGNED: Final = Outcome(401, "unsigned", "the signature or its time does not hold")
_AGAIN: Final = Outcome(409, "replayed", "this answer was taken before")
_UNREADABLE: Final = Outcome(400, "unreadable", "the body is not an answer")
_NOBODY: Final = Outcome(403, "refused", "this user is nobody's: an operator maps users to subjects")
_AWAY: Final = Outcome(503, "unavailable", "the store could not count it; send it again")


class AnswerDesk:
    """Takes the answers of the channels that may answer; any thread, one call at a time is enough."""

    def __init__(
        self, store: Store, tenant: str, directory: Directory, channels: Mapping[str, Configured]
    ) -> None:
        self._store, self._tenant, self._directory = store, tenant, directory
        self._channels = {name: one for name, one in channels.items() if one.answers is not None}

    def kind(self, channel: str) -> str | None:
        """What kind of channel it is, where it may answer."""
        found = self._channels.get(channel)
        return None if found is None else found.kind

    def take(self, channel: str, headers: Mapping[str, str], body: bytes) -> Outcome:
        """Count an answer; names of headers are in lower case. Nothing is raised."""
        found = self._channels.get(channel)
        answers = None if found is None else found.answers
        if found is None or answers is None:
            return Outcome(404, "unknown")
        slack = found.kind == "slack"
        try:
            now = self._store.now().timestamp()
            check = check_slack if slack else check_webhook
            id = check(answers.keys, headers, body, now)
            read = self._slack if slack else self._webhook
            return self._once(channel, id, lambda: read(channel, answers, body))
        except Forged as error:
            log.warning("channel `%s`: an answer was refused: %s", channel, error)
            return _UNSIGNED
        except StoreError as error:
            log.error("channel `%s`: an answer could not be counted: %s", channel, type(error).__name__)
            return _AWAY

    def _once(self, channel: str, id: str, act: Callable[[], Outcome]) -> Outcome:
        if not replays.take(self._store, self._tenant, channel, id):
            log.warning("channel `%s`: an answer came again", channel)
            return _AGAIN
        try:
            return act()
        except StoreError:
            replays.forget(self._store, self._tenant, channel, id)
            raise

    def _webhook(self, channel: str, answers: AnswersFrom, body: bytes) -> Outcome:
        try:
            said = WebhookAnswer.model_validate(loads(body, what="an answer"))  # no key twice
        except (ValidationError, ArgumentsError):
            return _UNREADABLE
        signed = said.signature is not None
        subject = said.user if signed else answers.people.get(said.user)
        if subject is None:
            return _refused(channel, _NOBODY)
        answer = Answer(
            subject=subject,
            verdict=said.verdict,
            digest=said.digest,
            reason=said.reason,
            assurance="signed" if signed else "resolver",
            signature=said.signature,
        )
        return self._vote(channel, said.approval, answer)

    def _slack(self, channel: str, answers: AnswersFrom, body: bytes) -> Outcome:
        click = _click(body)
        if click is None:
            return _UNREADABLE
        if click.teams != {answers.team}:
            return _refused(channel, Outcome(403, "refused", "this is another workspace"))
        subject = answers.people.get(click.user)
        if subject is None:
            return _refused(channel, Outcome(403, "refused", _NOBODY.message, click.user))
        if not self._ours(channel, click):
            message = "this is not the message that the guard posted last; answer that one"
            return _refused(channel, Outcome(403, "refused", message, click.user))
        answer = Answer(
            subject=subject,
            verdict=click.verdict,
            digest=click.value.d,
            reason=click.reason,
            assurance="resolver",
        )
        found = self._vote(channel, click.value.a, answer)
        return Outcome(found.status, found.result, found.message, click.user)

    def _ours(self, channel: str, click: _Click) -> bool:
        """Whether the button stands in the message that the guard posted about this question.

        Whoever holds the bot's token can post other words above the same buttons.
        """
        try:
            record = self._store.record(self._tenant, KIND, subject_id(channel, "approval", click.value.a))
        except NotFound:
            return False
        memory = record.body.get("memory")
        if not isinstance(memory, Mapping) or memory.get("ts") is None:
            return False
        return (memory.get("ts"), memory.get("channel")) == click.message

    def _vote(self, channel: str, approval: str, answer: Answer) -> Outcome:
        try:
            found = cast(self._store, self._directory, self._tenant, approval, answer)
        except VoteRefused as error:
            return _refused(channel, Outcome(403, "refused", str(error)))
        except NotFound:
            return Outcome(404, "unknown", "there is no such question")
        return _counted(found, answer)


def _counted(approval: Approval, answer: Answer) -> Outcome:
    state = approval.state.value
    counted = {"requested": "counted", "approved": "approve", "denied": "deny"}.get(state, "late")
    if counted == "counted":
        return Outcome(200, "counted", "more answers are needed")
    if counted != answer.verdict:
        return Outcome(200, "late", f"the question is {state} already")
    return Outcome(200, state)


def _refused(channel: str, outcome: Outcome) -> Outcome:
    log.warning("channel `%s`: a vote was refused", channel)
    return outcome


@dataclass(frozen=True, slots=True)
class _Click:
    """One button that one user pressed: `message` is where it stands, as time stamp and channel."""

    user: str
    teams: frozenset[str | None]
    verdict: Literal["approve", "deny"]
    value: _ButtonValue
    reason: str
    message: tuple[str, str]


def _click(body: bytes) -> _Click | None:
    """What Slack says of a button (https://api.slack.com/reference/interaction-payloads/block-actions)."""
    try:
        (text,) = parse_qs(body.decode("ascii"), strict_parsing=True, max_num_fields=4)["payload"]
        data = json.loads(text)
        (action,) = data["actions"]
        verdict: dict[str, Literal["approve", "deny"]] = {APPROVE: "approve", DENY: "deny"}
        if data["type"] != "block_actions":
            return None
        reason = ((data.get("state") or {}).get("values") or {}).get(REASON, {}).get(REASON, {}).get("value")
        return _Click(
            user=_text(data["user"]["id"]),
            teams=frozenset({_text(data["team"]["id"]), data["user"].get("team_id", data["team"]["id"])}),
            verdict=verdict[action["action_id"]],
            value=_ButtonValue.model_validate_json(action["value"]),
            reason=_text(reason or ""),
            message=(_text(data["container"]["message_ts"]), _text(data["container"]["channel_id"])),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, AgentGuardError):
        return None


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("text is wanted")
    return value
