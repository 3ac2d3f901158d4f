"""What the commands about flags have in common: the items as they are now, and people's words on them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from agentguard.cli import governing
from agentguard.cli.terminal import fail
from agentguard.cli.workspace import open_people, open_records
from agentguard.errors import ConfigurationError, NotFound, RecordRefused

if TYPE_CHECKING:
    from agentguard.config import Config
    from agentguard.governance.flag_desk import FlagDesk
    from agentguard.governance.flag_item import Item
    from agentguard.governance.vouching import Word

__all__ = ["desk_of", "find", "items_of", "refusals", "said", "settle"]

PREFIX: Final = 4
"""Characters behind `FL-` that have to be typed at least."""


@contextlib.contextmanager
def desk_of(
    config: Config, store: str | None, tenant: str | None, directory: Path | None
) -> Iterator[FlagDesk]:
    """The desk on the store, after a sweep: what was flagged is taken in, and what is overdue passed on.

    Raises:
        StoreError: the store cannot be read or written. Nothing is shown then: it would be out of date.
    """
    from agentguard.governance.flag_desk import FlagDesk
    from agentguard.governance.flag_sweeping import sweep

    records = open_records(config, store)
    try:
        name = tenant or config.tenant
        sweep(records, name)
        people = open_people(config, directory)
        yield FlagDesk(store=records, directory=people, tenant=name, terms=config.governance)
    finally:
        records.close()


@contextlib.contextmanager
def refusals() -> Iterator[None]:
    """A refused word ends the command with 1."""
    try:
        yield
    except RecordRefused as error:
        fail(f"refused: {error}", 1)


def items_of(desk: FlagDesk, states: Sequence[str] = ()) -> Iterator[Item]:
    """The items in these states; what cannot be read is said on standard error, and left out."""
    from agentguard.cli.terminal import complain
    from agentguard.governance.flag_item import KIND, tell

    for record in desk.store.records(desk.tenant, KIND, states=states):
        try:
            yield tell(record)
        except RecordRefused as error:
            complain(str(error))


def find(desk: FlagDesk, typed: str) -> Item:
    """The item whose id begins with what was typed.

    Raises:
        ConfigurationError: too short, or more than one begins like this.
        NotFound: none does.
    """
    from agentguard.governance.flag_item import KIND, tell

    bare = typed.upper().removeprefix("FL-")
    if len(bare) < PREFIX or not (bare.isascii() and bare.isalnum()):
        raise ConfigurationError(f"name a flag by at least {PREFIX} letters and digits of its id: `FL-0AKQ`")
    found = desk.store.records(desk.tenant, KIND, prefix=f"FL-{bare}", limit=3)
    if not found:
        raise NotFound(f"no flag begins with `FL-{bare}`; see `agentguard flags list --all`")
    if len(found) > 1:
        raise ConfigurationError(
            f"several flags begin with `FL-{bare}`: {', '.join(one.id for one in found)}; type more"
        )
    return tell(found[0])


def said(
    desk: FlagDesk, act: str, item: Item, digest: str, who: str | None, key: Path | None, reason: str
) -> Word:
    """A person's word on an item, signed with their key, or unverified and `local`.

    Raises:
        ConfigurationError: there is no key to sign with, or others may read it.
    """
    from agentguard.governance.desk import Desk

    anybody = Desk(store=desk.store, directory=desk.directory, tenant=desk.tenant, terms=desk.terms)
    return governing.said(anybody, "flag", item.id, digest, act, who, key, reason)


def settle(
    desk: FlagDesk, item: Item, drafted: Mapping[str, Any], who: str | None, key: Path | None, reason: str
) -> None:
    """Resolve an item as drafted.

    Raises:
        RecordRefused: the person may not, or it changed meanwhile.
    """
    word = said(desk, "resolve", item, item.digest(desk.tenant, drafted), who, key, reason)
    desk.resolve(item.id, drafted, word)
