"""Messages in Slack: posted once for each subject, and changed when something new is to be said of it.

Methods of the Web API: `chat.postMessage` and `chat.update` (https://api.slack.com/methods). The token goes
into the header only. What Slack answers is trusted for one thing: where the message stands.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from agentguard.channels.channel import Notice
from agentguard.channels.posting import Host, Undelivered, post
from agentguard.channels.rendering import Shown
from agentguard.channels.slack_blocks import message_of
from agentguard.channels.told import ENDS, Interest
from agentguard.stepup.model import State

__all__ = ["SlackChannel"]

_WORD: Final = re.compile(r"[a-z_]{1,60}")
_STAMP: Final = re.compile(r"[0-9]{1,16}\.[0-9]{1,12}")
_BROKEN: Final = frozenset(
    {"invalid_auth", "account_inactive", "token_revoked", "not_authed", "channel_not_found", "is_archived"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SlackChannel:
    """One channel of Slack; `buttons` where answers are taken."""

    name: str
    url: str
    token: str = field(repr=False)
    channel: str
    host: Host
    interest: Interest
    buttons: bool = False
    shown: Shown = field(default=Shown(), repr=False)
    attempts: int = 12
    lane_limit: int = 20

    def send(self, notice: Notice) -> Mapping[str, Any]:
        stamp = notice.memory.get("ts")
        if notice.family == "approval" and stamp is None and self._over(notice):
            return notice.memory  # nobody was asked, and there is nothing to answer any more
        message = {**message_of(notice, self.shown, buttons=self.buttons), "channel": self.channel}
        if stamp is not None and notice.type in ENDS:
            self._call("chat.update", {**message, "ts": stamp})
            return notice.memory
        if stamp is not None and notice.approval is not None:
            self._replaced(notice, str(stamp))
        quiet = {"unfurl_links": False, "unfurl_media": False, "link_names": False, "parse": "none"}
        answer = self._call("chat.postMessage", {**message, **quiet})
        found, place = answer.get("ts"), answer.get("channel")
        if not (isinstance(found, str) and _STAMP.fullmatch(found)):
            raise Undelivered("Slack did not say where the message stands")
        return {**notice.memory, "ts": found, "channel": place if isinstance(place, str) else self.channel}

    def ephemeral(self, user: str, text: str) -> None:
        """Tell one user something that only they see.

        Raises:
            Undelivered: they were not told.
        """
        self._call("chat.postEphemeral", {"channel": self.channel, "user": user, "text": text})

    def _over(self, notice: Notice) -> bool:
        return notice.type in ENDS or (
            notice.approval is not None and notice.approval.state is not State.REQUESTED
        )

    def _replaced(self, notice: Notice, stamp: str) -> None:
        """Take the buttons from the message before: only the newest one is answered."""
        message = message_of(notice, self.shown, buttons=False)
        self._call("chat.update", {**message, "channel": self.channel, "ts": stamp})

    def _call(self, method: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        headers = {
            "content-type": "application/json; charset=utf-8",
            "authorization": f"Bearer {self.token}",
        }
        reply = post(self.host, f"{self.url}/{method}", json.dumps(arguments).encode(), headers)
        if reply.status != 200:
            raise Undelivered(f"Slack answered HTTP {reply.status}", after_s=reply.after_s)
        try:
            answer = json.loads(reply.content)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise Undelivered("Slack did not answer with JSON")
        if answer.get("ok") is not True:
            word = str(answer.get("error"))
            told = word if _WORD.fullmatch(word) else "an error that is none of Slack's"
            raise Undelivered(f"Slack refused it: {told}", final=word in _BROKEN)
        return answer
