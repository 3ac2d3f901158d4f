"""What the commands for exceptions, grants and agents have in common: the desk, and a person's word."""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from agentguard.cli.terminal import complain, fail
from agentguard.cli.workspace import configuration, open_people, open_records
from agentguard.errors import ConfigurationError, NotFound

if TYPE_CHECKING:
    from agentguard.config import Config
    from agentguard.governance.desk import Desk
    from agentguard.governance.vouching import Word
    from agentguard.store.protocol import Record

__all__ = [
    "KeyOption",
    "ReasonOption",
    "WhoOption",
    "YesOption",
    "back",
    "confirm",
    "desk_of",
    "find_record",
    "moment",
    "open_desk",
    "said",
    "swept",
    "word_text",
]

WhoOption = Annotated[
    str | None,
    typer.Option("--as", metavar="SUBJECT", help="Say it as this person, signed; else unverified `local`."),
]
KeyOption = Annotated[
    Path | None,
    typer.Option("--key", metavar="FILE", help="The person's private key; default: your own settings."),
]
ReasonOption = Annotated[str, typer.Option("--reason", help="Why; it stands in the ledger.")]
YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")]

_TYPED: Final = 3
"""Characters behind the dash of an id that have to be typed at least."""


@contextmanager
def open_desk(
    ctx: typer.Context,
    config: Path | None,
    store: str | None,
    directory: Path | None,
    tenant: str | None,
) -> Iterator[tuple[Desk, Config]]:
    """The desk of the configured store, closed at the end."""
    found = configuration(ctx, config)
    desk = desk_of(found, store, directory, tenant)
    try:
        yield desk, found
    finally:
        desk.store.close()


def desk_of(found: Config, store: str | None, directory: Path | None, tenant: str | None) -> Desk:
    """The desk on a store that has to exist."""
    from agentguard.governance.desk import Desk

    people = open_people(found, directory)
    records = open_records(found, store)
    return Desk(store=records, directory=people, tenant=tenant or found.tenant, terms=found.governance)


def said(
    desk: Desk, kind: str, id: str, digest: str, act: str, who: str | None, key: Path | None, reason: str = ""
) -> Word:
    """A word on what was shown, signed where somebody is named.

    Raises:
        ConfigurationError: there is no key to sign with.
    """
    from agentguard.governance.vouching import Word, signed_word
    from agentguard.stepup.eligibility import LOCAL

    if key is not None and who is None:
        fail("`--key` signs for somebody: say who with `--as SUBJECT`")
    word = Word(act=act, subject=who or LOCAL, digest=digest, at=desk.store.now(), reason=reason)
    if who is None:
        return word
    from agentguard.cli.signing_keys import default_key
    from agentguard.stepup.enrolment import load_private_key

    path = key or default_key(who)
    if not path.exists():
        raise ConfigurationError(
            f"there is no key `{path}` to sign as `{who}`; name it with `--key FILE`, "
            f"or make one with `agentguard reviewers enroll {who}`"
        )
    return signed_word(load_private_key(path), tenant=desk.tenant, kind=kind, id=id, word=word)


def find_record(desk: Desk, kind: str, typed: str) -> Record:
    """The exception or grant whose id begins with what was typed, with or without `EX-` or `GR-`.

    Raises:
        ConfigurationError: too short, or more than one begins like this.
        NotFound: none does.
    """
    begin = {"exception": "EX-", "grant": "GR-"}[kind]
    bare = typed.upper().removeprefix(begin)
    if len(bare) < _TYPED or not (bare.isascii() and bare.isalnum()):
        raise ConfigurationError(
            f"name the {kind} by at least {_TYPED} characters of its id, such as `{begin}7K2`"
        )
    found = desk.store.records(desk.tenant, kind, prefix=begin + bare, limit=3)
    if not found:
        raise NotFound(f"no {kind} begins with `{typed}`; see `agentguard {kind}s list --all`")
    if len(found) > 1:
        raise ConfigurationError(
            f"several {kind}s begin with `{typed}`: {', '.join(one.id for one in found)}; type more"
        )
    return found[0]


def swept(desk: Desk) -> None:
    """Take in what the ledger says since; where the store cannot be written, say that figures are older."""
    from agentguard.errors import StoreError
    from agentguard.governance.sweeping import sweep

    try:
        sweep(desk.store, desk.tenant)
    except StoreError as error:
        complain(f"figures are as of the last look at the ledger: {error}")


def moment(text: str, now: dt.datetime) -> dt.datetime:
    """A point in time: a date, an ISO time with a zone, or a duration from now such as `14d`.

    Raises:
        ConfigurationError: it is neither.
    """
    from agentguard.policy.scalars import duration, instant

    try:
        return now + dt.timedelta(seconds=duration(text))
    except ValueError:
        pass
    try:
        return instant(text)
    except ValueError:
        raise ConfigurationError(
            f"`{text[:40]}` is no time; write `14d`, `2027-03-01` or `2027-03-01T10:00:00Z`"
        ) from None


def back(text: str, now: dt.datetime) -> dt.datetime:
    """A point in time that has been: a date, an ISO time with a zone, or a span before now such as `14d`.

    Raises:
        ConfigurationError: it is neither.
    """
    at = moment(text, now)
    return at if text[:4].isdigit() and "-" in text else now - (at - now)


def confirm(question: str, yes: bool) -> None:
    """Ask; anything but a clear yes is no."""
    if yes:
        return
    if not sys.stdin.isatty():
        fail("nobody is at a terminal to confirm; add `--yes` if you have seen it")
    sys.stdout.write(f"{question} [yes/no, Enter = no]: ")
    sys.stdout.flush()
    try:
        typed = sys.stdin.readline().strip().lower()
    except (KeyboardInterrupt, OSError, ValueError):
        typed = ""
    if typed not in ("approve", "yes", "y"):
        fail("not confirmed; nothing was changed", 1)


def word_text(word: Mapping[str, Any] | None) -> str:
    """Who said something, and how we know."""
    from agentguard.cli.safe_text import visible

    if word is None:
        return ""
    reason = f': "{word["reason"]}"' if word.get("reason") else ""
    return visible(f"{word.get('subject')} ({word.get('assurance')}, {str(word.get('at'))[:16]}Z){reason}")
