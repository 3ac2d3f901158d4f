"""Channels as a configuration file describes them: the section `channels:`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field

from agentguard.channels.secrets import SecretEntry
from agentguard.errors import ConfigurationError
from agentguard.outbound import checked_url

__all__ = ["ChannelEntry", "EventName", "SlackEntry", "WebhookEntry", "entry_keys", "files_of", "problems_of"]

Text = Annotated[str, Field(min_length=1, max_length=4096)]
Secrets = Annotated[list[SecretEntry], Field(min_length=1, max_length=4)]
People = Annotated[dict[Text, Text], Field(max_length=10_000)]

EventName = Literal[
    "approval.*",
    "approval.opened",
    "approval.escalated",
    "approval.approved",
    "approval.denied",
    "approval.expired",
    "approval.withdrawn",
    "approval.superseded",
    "approval.revoked",
    "flag.*",
    "flag.opened",
    "flag.reopened",
    "flag.escalated",
    "flag.breached",
    "exception.*",
    "exception.expiring",
    "exception.expired",
    "exception.revoked",
    "agent.*",
    "agent.suspended",
]
"""What people can be told of; `approval.*` is everything about approvals."""

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
_SLACK_CHANNEL: Final = re.compile(r"[A-Z0-9]{2,32}")


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class _Answers(_Model):
    secrets: Secrets = Field(description="what signs answers; another one than what signs messages")
    people: People = Field(
        default={}, description="who is who: the other side's user to our directory's subject"
    )


class WebhookAnswers(_Answers):
    """Whose word counts that comes in through a webhook."""


class SlackAnswers(_Answers):
    """Whose button counts: the signing secret of the Slack app, the workspace, and its users."""

    team: Text = Field(description="the id of the workspace, T…")


class _Channel(_Model):
    name: Text = Field(description="lower case, as it stands in commands and addresses")
    events: Annotated[list[EventName], Field(min_length=1)] = [
        "approval.*",
        "flag.*",
        "exception.*",
        "agent.*",
    ]
    critical: list[Text] = Field(
        default=[], description="rules whose questions and flags go first, as `pay/*`"
    )
    arguments: Literal["masked", "names"] = Field(
        default="masked",
        description="whether values of arguments leave, sensitive ones masked, or only names",
    )
    hosts: list[Text] = Field(default=[], description="the only hosts that may be called; default: the URL's")
    private: bool = Field(default=False, description="whether the host may have a private address")
    ca: Text | None = Field(default=None, description="certificates trusted instead of the public ones")
    timeout_s: float = Field(default=10.0, gt=0, le=30, strict=False, description="for one delivery")
    attempts: int = Field(default=12, ge=1, le=30, description="after so many a delivery is dead")
    lane_limit: int = Field(
        default=20,
        ge=1,
        le=1000,
        description="told singly in ten minutes for one agent and rule; then summed up",
    )


class WebhookEntry(_Channel):
    """Signed CloudEvents to a URL."""

    kind: Literal["webhook"]
    url: Text
    secrets: Secrets
    answers: WebhookAnswers | None = None


class SlackEntry(_Channel):
    """Messages with buttons in a channel of Slack."""

    kind: Literal["slack"]
    url: Text = "https://slack.com/api"
    token: SecretEntry = Field(description="the bot token, with the right chat:write")
    channel: Text = Field(description="the id of the Slack channel, C…")
    answers: SlackAnswers | None = None


ChannelEntry = Annotated[WebhookEntry | SlackEntry, Field(discriminator="kind")]


def entry_keys(kind: object, section: object = None) -> list[str]:
    """The keys that an entry of a kind may have, for suggestions; `section` is one inside it."""
    slack = kind == "slack"
    answers: type[BaseModel] = SlackAnswers if slack else WebhookAnswers
    entry: type[BaseModel] = SlackEntry if slack else WebhookEntry
    if section == "answers":
        return list(answers.model_fields)
    return list((SecretEntry if section in ("secrets", "token") else entry).model_fields)


def files_of(entry: WebhookEntry | SlackEntry, base: Path) -> list[Path]:
    """Files that decide whom we trust: nobody else may change them."""
    return [] if entry.ca is None else [base / entry.ca]


def problems_of(entries: Sequence[WebhookEntry | SlackEntry]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """What contradicts itself in the section: where, and why."""
    seen: set[str] = set()
    for number, entry in enumerate(entries):
        if not _NAME.fullmatch(entry.name):
            yield (
                (number, "name"),
                f"`{entry.name[:40]}` is no name of a channel: lower case, digits, `-` and `_`",
            )
        if entry.name in seen:
            yield (number, "name"), f"two channels are called `{entry.name}`"
        seen.add(entry.name)
        yield from (((number, *place), why) for place, why in _problems(entry))


def _problems(entry: WebhookEntry | SlackEntry) -> Iterator[tuple[tuple[str | int, ...], str]]:
    try:
        checked_url(entry.url, f"channel `{entry.name}`", None)
    except ConfigurationError as error:
        yield ("url",), str(error)
        return
    host = urlsplit(entry.url).hostname or ""
    if entry.hosts and host not in [one.lower() for one in entry.hosts]:
        yield ("url",), f"`{host}` is not among the `hosts` that may be called"
    for place, secret in _secrets(entry):
        if secret.problem:
            yield place, f"a secret {secret.problem}"
    if isinstance(entry, SlackEntry) and not _SLACK_CHANNEL.fullmatch(entry.channel):
        yield ("channel",), "a channel of Slack is named by its id, such as `C0123ABCD`: names can change"
    answers = entry.answers if isinstance(entry, WebhookEntry) else None
    if isinstance(entry, WebhookEntry) and answers is not None and set(entry.secrets) & set(answers.secrets):
        message = "the secret that signs messages cannot sign answers: whoever reads messages could answer"
        yield ("answers", "secrets"), message


def _secrets(entry: WebhookEntry | SlackEntry) -> Iterator[tuple[tuple[str | int, ...], SecretEntry]]:
    if isinstance(entry, SlackEntry):
        yield ("token",), entry.token
    else:
        yield from ((("secrets", i), one) for i, one in enumerate(entry.secrets))
    if entry.answers is not None:
        yield from ((("answers", "secrets", i), one) for i, one in enumerate(entry.answers.secrets))
