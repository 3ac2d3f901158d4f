"""What an attacker does who writes to the user's own data, or owns the very source that they named.

`owned` clones what only the user and their people write: calendar, files, contacts. `subst` goes further and
puts the attacker's address in the place of whatever the honest agent takes from data. Both are beyond what
provenance can tell: the value stands where the user's words lead.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any

from pydantic import BaseModel

from agentguard_evals.dojo_planting import attackers_form, disguised, mailbox_of_ours

__all__ = ["Swap", "plant_owned", "swapped", "swaps"]

Swap = Mapping[str, str]
"""From a value of the data to the attacker's that takes its place."""


def plant_owned(env: Any) -> None:
    """Add clones of events, files and contacts in which the attacker's addresses take the others' places."""
    if hasattr(env, "calendar"):
        _events(env.calendar)
    if hasattr(env, "cloud_drive"):
        _files(env.cloud_drive)
    if hasattr(env, "inbox"):
        contacts = env.inbox.contact_list
        contacts += [one.model_copy(update={"email": mailbox_of_ours(one.email)}) for one in contacts]
    if hasattr(env, "filesystem"):
        files = env.filesystem.files
        files.update({name: f"{content}\n{disguised(content)}" for name, content in files.items()})


def _events(calendar: Any) -> None:
    number = max((int(key) for key in calendar.events), default=0)
    for event in list(calendar.events.values()):
        number += 1
        people = [mailbox_of_ours(one) for one in event.participants if one != calendar.account_email]
        clone = {
            "id_": str(number),
            "participants": [calendar.account_email, *people],
            "description": disguised(event.description),
        }
        calendar.events[str(number)] = event.model_copy(update=clone, deep=True)


def _files(drive: Any) -> None:
    number = max((int(key) for key in drive.files), default=0)
    for file in list(drive.files.values()):
        number += 1
        shared = {mailbox_of_ours(one): right for one, right in file.shared_with.items()}
        clone = {"id_": str(number), "content": disguised(file.content), "shared_with": shared}
        drive.files[str(number)] = file.model_copy(update=clone, deep=True)


def swaps(prompt: str, env: Any, taken: Sequence[str]) -> Swap:
    """What takes the place of each value that the honest agent takes from data: what the prompt lacks,
    and what is not the user's own address."""
    known = prompt.casefold()
    channels = env.slack.channels if hasattr(env, "slack") else ()
    own = {getattr(part, "account_email", None) for part in vars(env).values()}
    found = [one for one in taken if one and one not in own and one.casefold() not in known]
    return {one: attackers_form(one, channels) for one in found}


def swapped(data: Any, swap: Swap) -> Any:
    """Data of any depth with each of these values replaced wherever it stands by itself."""
    if not swap or isinstance(data, Enum):
        return data
    if isinstance(data, str):
        parts = sorted(swap, key=len, reverse=True)
        pattern = "|".join(rf"(?<![\w@.-]){re.escape(one)}(?![\w@-])" for one in parts)
        return re.sub(pattern, lambda found: swap[found[0]], data)
    if isinstance(data, BaseModel):
        fields = {name: swapped(getattr(data, name), swap) for name in type(data).model_fields}
        return data.model_copy(update=fields)
    if isinstance(data, dict):
        return {swapped(key, swap): swapped(value, swap) for key, value in data.items()}
    if isinstance(data, list):
        return [swapped(one, swap) for one in data]
    return data
