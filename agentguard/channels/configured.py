"""Channels made from what a configuration says, with their secrets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from agentguard.access import refuse_file
from agentguard.channels.channel import OutboxChannel
from agentguard.channels.options import SlackEntry, WebhookEntry
from agentguard.channels.posting import Host
from agentguard.channels.rendering import Shown
from agentguard.channels.secrets import secret_text, webhook_key
from agentguard.channels.slack import SlackChannel
from agentguard.channels.told import Interest
from agentguard.channels.webhook import WebhookChannel
from agentguard.errors import ConfigurationError
from agentguard.outbound import needed, trusting

__all__ = ["AnswersFrom", "Configured", "channels_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswersFrom:
    """Whose answers count that come in by a channel: what signs them, and who is who.

    `people` maps the other side's user to our directory's subject; `team` is the workspace of Slack.
    """

    keys: tuple[bytes, ...] = field(repr=False)
    people: Mapping[str, str]
    team: str | None = None


@dataclass(frozen=True, slots=True)
class Configured:
    """A channel that is told, and what may come back by it."""

    channel: OutboxChannel
    kind: str
    answers: AnswersFrom | None


def channels_of(
    entries: Sequence[WebhookEntry | SlackEntry], base: Path, environ: Mapping[str, str] | None = None
) -> list[Configured]:
    """The channels that a section describes; paths are relative to `base`.

    No channel shows a secret of any of them.

    Raises:
        ConfigurationError: the extra is missing, a secret is missing or none, certificates are refused.
    """
    needed("a channel")
    read = [_Secrets.of(entry, base, environ) for entry in entries]
    sending = {text for one in read for text in one.sending}
    for entry, one in zip(entries, read, strict=True):
        if sending & set(one.answering):
            raise ConfigurationError(f"{_what(entry)}: what signs or opens messages cannot sign answers")
    known = tuple(text for one in read for text in (*one.sending, *one.answering))
    return [_made(entry, one, base, known) for entry, one in zip(entries, read, strict=True)]


@dataclass(frozen=True, slots=True)
class _Secrets:
    """What signs or opens messages, and what signs answers, as they were written down."""

    sending: list[str] = field(repr=False)
    answering: list[str] = field(repr=False)

    @classmethod
    def of(cls, entry: WebhookEntry | SlackEntry, base: Path, environ: Mapping[str, str] | None) -> _Secrets:
        what = _what(entry)
        named = [entry.token] if isinstance(entry, SlackEntry) else entry.secrets
        coming = [] if entry.answers is None else entry.answers.secrets
        return cls(
            [secret_text(one, base, what, environ) for one in named],
            [secret_text(one, base, what, environ) for one in coming],
        )


def _made(
    entry: WebhookEntry | SlackEntry, secrets: _Secrets, base: Path, known: tuple[str, ...]
) -> Configured:
    what = _what(entry)
    common: dict[str, Any] = {
        "name": entry.name,
        "url": entry.url.rstrip("/"),
        "host": _host(entry, base, what),
        "attempts": entry.attempts,
        "lane_limit": entry.lane_limit,
        "shown": Shown(entry.arguments == "masked", known),
        "interest": Interest.of(entry.events, entry.critical, ends=isinstance(entry, SlackEntry)),
    }
    if isinstance(entry, SlackEntry):
        buttons = entry.answers is not None
        slack = SlackChannel(**common, token=secrets.sending[0], channel=entry.channel, buttons=buttons)
        keys = tuple(text.encode() for text in secrets.answering)
        team = None if entry.answers is None else entry.answers.team
        return Configured(slack, entry.kind, _answers(entry, keys, team))
    webhook = WebhookChannel(**common, keys=tuple(webhook_key(one, what) for one in secrets.sending))
    keys = tuple(webhook_key(one, what) for one in secrets.answering)
    return Configured(webhook, entry.kind, _answers(entry, keys, None))


def _answers(
    entry: WebhookEntry | SlackEntry, keys: tuple[bytes, ...], team: str | None
) -> AnswersFrom | None:
    if entry.answers is None:
        return None
    return AnswersFrom(keys=keys, people=dict(entry.answers.people), team=team)


def _what(entry: WebhookEntry | SlackEntry) -> str:
    return f"channel `{entry.name}`"


def _host(entry: WebhookEntry | SlackEntry, base: Path, what: str) -> Host:
    name = urlsplit(entry.url).hostname or ""
    names = frozenset(one.lower() for one in entry.hosts) or frozenset({name})
    if name not in names:
        raise ConfigurationError(f"{what}: `{name}` is not among the `hosts` that may be called")
    if entry.ca is not None:
        refuse_file(base / entry.ca, what)
    tls = True if entry.ca is None else trusting(base / entry.ca)
    return Host(names=names, private=entry.private, tls=tls, timeout_s=entry.timeout_s)
