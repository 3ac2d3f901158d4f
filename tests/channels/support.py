"""What the tests of channels have in common: a store with questions, channels to loopback, signed answers."""

from __future__ import annotations

import base64
import datetime as dt
import json
from typing import Any
from urllib.parse import urlencode, urlsplit

from agentguard.canonical import digest, freeze
from agentguard.channels.answering import AnswerDesk
from agentguard.channels.channel import Notice, OutboxChannel
from agentguard.channels.configured import AnswersFrom, Configured
from agentguard.channels.delivering import Delivering
from agentguard.channels.outbox import KIND, Item, item_of
from agentguard.channels.posting import Host, Undelivered
from agentguard.channels.rendering import Shown
from agentguard.channels.signing import slack_signature, webhook_headers
from agentguard.channels.slack import SlackChannel
from agentguard.channels.slack_blocks import APPROVE, REASON
from agentguard.channels.told import Interest
from agentguard.channels.webhook import WebhookChannel
from agentguard.decision import Stage
from agentguard.ids import uuid7
from agentguard.stepup.ballot import Answer, cast
from agentguard.stepup.model import Approval, Requirement
from agentguard.store import open_store
from agentguard.store.protocol import Event, Store
from tests.channels.hearing import Listener
from tests.store.support import PEOPLE, START, FakeClock, ask

KEY = bytes(range(32))
ANSWER_KEY = bytes(range(32, 64))
SLACK_KEY = b"8f742231b10e8888abcd99yyyzzz85a5"
TOKEN = "xoxb-canary-000000000000"
TEAM = "T0FINANCE"
USERS = {"U0ANA": "ana", "U0BOB": "bob", "U0BEN": "ben", "U0OWEN": "owen", "U0CAI": "cai"}
EVERYTHING = Interest.of(["approval.*", "flag.*", "exception.*", "agent.*"], ["pay/critical"], ends=True)


class Memory:
    """A channel that keeps what it is told; `refuse` says how often it first does not take it."""

    def __init__(self, name: str = "mem", *, refuse: int = 0, attempts: int = 3, **changes: Any) -> None:
        self.name, self.refuse, self.attempts = name, refuse, attempts
        self.interest: Interest = changes.get("interest", EVERYTHING)
        self.lane_limit: int = changes.get("lane_limit", 20)
        self.told: list[Notice] = []

    def send(self, notice: Notice) -> dict[str, Any]:
        if self.refuse:
            self.refuse -= 1
            raise Undelivered("it answered HTTP 503")
        self.told.append(notice)
        return {"seen": len(self.told)}

    @property
    def types(self) -> list[str]:
        return [notice.type for notice in self.told]


class Scene:
    """A store of a tenant with a clock that is moved by hand."""

    def __init__(self, url: str = "memory:", clock: FakeClock | None = None) -> None:
        self.clock = clock or FakeClock()
        self.store: Store = open_store(url, clock=self.clock)
        self.tenant = "default"

    def delivering(self, channel: OutboxChannel) -> Delivering:
        return Delivering(self.store, self.tenant, channel)

    def ask(self, args: dict[str, Any] | None = None, **changes: Any) -> Approval:
        """A question in the store, as the guard opens it."""
        arguments = freeze(args if args is not None else {"payee": "ACME", "amount": 5000})
        rules = changes.pop("rules", ("pay/large",))
        requirement = Requirement(
            stages=(Stage(("group:finance",), changes.pop("quorum", 1)),),
            expires_in_s=1800,
            rules=rules,
            reason_required=changes.pop("reason_required", False),
        )
        return ask(
            self.store,
            arguments=arguments.canonical,
            call_id=changes.pop("call_id", uuid7()),
            digest=digest(arguments.canonical + uuid7().encode()),
            requirement=requirement,
            **changes,
        )

    def vote(self, approval: Approval, verdict: Any = "approve", subject: str = "ana") -> Approval:
        answer = Answer(subject=subject, verdict=verdict, digest=approval.digest, assurance="login")
        return cast(self.store, PEOPLE, self.tenant, approval.id, answer)

    def tell(self, type: str, **fields: Any) -> Event:
        """An event of a flag, an exception or an agent, appended as it is."""
        event = {
            "v": 1,
            "id": uuid7(),
            "type": type,
            "tenant": self.tenant,
            "at": self.clock().isoformat(timespec="microseconds").replace("+00:00", "Z"),
            **fields,
        }
        self.store.append(self.tenant, [event])
        return event

    def items(self) -> list[Item]:
        return [item_of(record) for record in self.store.records(self.tenant, KIND)]


def breach(scene: Scene, flag: str = "FL-AAAA1111", move: str = "breached", **changes: Any) -> Event:
    """A flag that moved."""
    data = {
        "flag": flag, "rule": "pay/night", "agent": "billing", "tool": "payments.transfer", "owner": "ops",
        "stake": "flag", "count": 3, "level": 1, "due": "2026-11-21T10:00:00.000000Z", "to": "ciso",
    }  # fmt: skip
    return scene.tell(f"flag.{move}", **{**data, **changes})


def webhook(to: Listener | str, name: str = "ops", **changes: Any) -> WebhookChannel:
    """A webhook to a listener on loopback, which is a private address and has to be meant."""
    url = to if isinstance(to, str) else f"{to.url}/hook"
    host = Host(
        names=frozenset({urlsplit(url).hostname or ""}),
        private=changes.pop("private", True),
        tls=changes.pop("tls", True),
        timeout_s=changes.pop("timeout_s", 60),
    )
    defaults: dict[str, Any] = {"keys": (KEY,), "interest": EVERYTHING, "shown": Shown(True, (TOKEN,))}
    return WebhookChannel(name=name, url=url, host=host, **{**defaults, **changes})


def slack(to: Listener, name: str = "slack", **changes: Any) -> SlackChannel:
    url = f"{to.url}/api"
    host = Host(names=frozenset({"127.0.0.1"}), private=True, timeout_s=60)
    defaults: dict[str, Any] = {
        "token": TOKEN, "channel": "C0FINANCE", "interest": EVERYTHING, "buttons": True,
        "shown": Shown(True, (TOKEN,)),
    }  # fmt: skip
    return SlackChannel(name=name, url=url, host=host, **{**defaults, **changes})


def desk(scene: Scene, directory: Any = PEOPLE, **changes: Any) -> AnswerDesk:
    """A desk with one webhook and one Slack channel that may answer."""
    people = changes.get("people", USERS)
    channels = {
        "ops": Configured(Memory("ops"), "webhook", AnswersFrom(keys=(ANSWER_KEY,), people=people)),
        "slack": Configured(
            Memory("slack"), "slack", AnswersFrom(keys=(SLACK_KEY,), people=people, team=TEAM)
        ),
        "mute": Configured(Memory("mute"), "webhook", None),
    }
    return AnswerDesk(scene.store, scene.tenant, directory, channels)


def answer_body(approval: Approval, verdict: str = "approve", **changes: Any) -> bytes:
    said = {"approval": approval.id, "digest": approval.digest, "verdict": verdict, "user": "U0ANA"}
    return json.dumps({**said, **changes}).encode()


def signed(body: bytes, *, id: str = "", at: dt.datetime = START, key: bytes = ANSWER_KEY) -> dict[str, str]:
    """The headers of a webhook answer."""
    return webhook_headers((key,), id or f"msg_{uuid7()}", int(at.timestamp()), body)


def click_body(approval: Approval, action: str = APPROVE, **changes: Any) -> bytes:
    """What Slack sends when a button of the message `1700000000.000001` was pressed."""
    value = {"a": approval.id, "d": changes.pop("digest", approval.digest)}
    user = {"id": changes.pop("user", "U0ANA"), "team_id": changes.pop("user_team", TEAM)}
    reason = changes.pop("reason", None)
    payload = {
        "type": "block_actions",
        "team": {"id": changes.pop("team", TEAM)},
        "user": {**user, "name": "ana", "email": "ana@example.com"},
        "container": {
            "message_ts": changes.pop("ts", "1700000000.000001"),
            "channel_id": changes.pop("channel", "C0FINANCE"),
        },
        "actions": [{"action_id": action, "value": json.dumps(value)}],
        "state": {"values": {REASON: {REASON: {"value": reason}}}},
        **changes,
    }
    return urlencode({"payload": json.dumps(payload)}).encode()


def slack_headers(body: bytes, *, at: dt.datetime = START, key: bytes = SLACK_KEY) -> dict[str, str]:
    stamp = str(int(at.timestamp()))
    return {"x-slack-request-timestamp": stamp, "x-slack-signature": slack_signature(key, stamp, body)}


def independently_signed(key: bytes, id: str, at: str, body: bytes) -> str:
    """The signature of Standard Webhooks, written down a second time from its text."""
    import hashlib
    import hmac

    return (
        "v1,"
        + base64.b64encode(hmac.new(key, f"{id}.{at}.".encode() + body, hashlib.sha256).digest()).decode()
    )
