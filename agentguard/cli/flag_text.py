"""Flags as a person reads them, and as programs do: the gravest first."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from agentguard.cli.safe_text import visible
from agentguard.cli.terminal import ago, columns, console, fields, say, width
from agentguard.ledger.events import instant

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentguard.governance.flag_item import Item

__all__ = ["SHORT", "counted", "gravest_first", "item_json", "kinds_text", "screen", "standing", "table"]

SHORT: Final = 11
"""Characters of an id in a list: enough to type."""
WIDE: Final = 110
"""Columns of a terminal in which everything stands by itself."""
_STYLES: Final = {"breach": "bold red", "overdue": "yellow"}
Row = tuple[str, str, str]


def standing(item: Item, now: dt.datetime) -> str:
    """One word for where it stands; of a resolved one, how."""
    if not item.unresolved:
        return item.resolution.value if item.resolution is not None else "resolved"
    if item.breached is not None:
        return "breach"
    return "overdue" if item.overdue(now) else item.state.value


def gravest_first(item: Item) -> tuple[Any, ...]:
    """Breaches, then by what is at stake, how far it was passed on, and when it is due: a flood of one kind
    is one line, and never before a graver one."""
    return (
        not item.unresolved, item.breached is None, -item.stake.rank, -item.level, item.due, item.id,
    )  # fmt: skip


def table(items: Sequence[Item], now: dt.datetime) -> None:
    """The list; in a narrow terminal rule, agent and tool share a column."""
    wide = width() >= WIDE
    what = ("rule", "agent", "tool") if wide else ("what",)
    columns(
        ("id", "state", "stake", "calls", "due", "has it", *what),
        [
            (
                item.id[:SHORT],
                standing(item, now),
                item.stake.value,
                f"{item.count:,}",
                ago(item.due, now) if item.unresolved else "",
                item.holder if item.unresolved else "",
                *(_what(item) if wide else (" ".join(_what(item)),)),
            )
            for item in items
        ],
        keep=(0, 1, 3),
    )


def _what(item: Item) -> tuple[str, str, str]:
    return item.rule, item.agent or "(all others)", item.tool or "(others)"


def counted(items: Sequence[Item], now: dt.datetime) -> str:
    """The last line."""
    if not items:
        return "No flags wait for anybody."
    breaches = sum(item.breached is not None and item.unresolved for item in items)
    overdue = sum(item.overdue(now) for item in items)
    flags = f"{len(items)} flag{'' if len(items) == 1 else 's'}"
    total = sum(item.count for item in items)
    calls = f"{total:,} call{'' if total == 1 else 's'}"
    many = "es" if breaches != 1 else ""
    return f"{flags} of {calls}, {overdue} overdue, {breaches} breach{many}; `agentguard flags show ID`"


def kinds_text(item: Item) -> str:
    """The class of its arguments."""
    if item.rest:
        return "of many kinds"
    if item.kinds is None:
        return "not known: the arguments were erased"
    return ", ".join(f"{name}: {kind}" for name, kind in item.kinds) or "none"


def screen(item: Item, now: dt.datetime) -> None:
    """Everything about one item."""
    out = console()
    out.width = width()
    word = standing(item, now)
    say(f"FLAG  {visible(item.id)}   {word}", _STYLES.get(word, "bold"))
    fields(out, [(label, visible(text), style) for label, text, style in _rows(item, now, word)])
    if item.history:
        say("history", "dim")
        fields(out, [(_day(one.get("at")), visible(_told(one)), "") for one in item.history])


def _rows(item: Item, now: dt.datetime, word: str) -> Iterator[Row]:
    policy = item.policy
    yield "rule", item.rule, "bold"
    yield "agent", item.agent or "all agents that have no item of their own", ""
    yield "tool", item.tool or _listed(item, "tools"), ""
    if item.rest and item.agent is None:
        yield "agents", _listed(item, "agents"), ""
    yield "args", kinds_text(item), ""
    yield "stake", f"would be `{item.stake.value}` if it were enforced", ""
    yield "calls", f"{item.count:,}, first {_at(item.first)}, last {_at(item.last)}", ""
    if policy.exception is not None:
        yield "excepted", f"let through by exception {policy.exception}", ""
    assumed = ", since the rule does not say by when" if policy.assumed else ""
    yield "owner", policy.owner, ""
    if item.unresolved:
        yield "due", f"{_at(item.due)} ({ago(item.due, now)}){assumed}", _STYLES.get(word, "")
        yield "has it", item.holder + (f", level {item.level}" if item.level else ""), ""
        yield from _next(item)
    else:
        until = "" if item.until is None else f" until {_at(item.until)}"
        by = f" by exception {item.exception}" if item.exception else ""
        yield "resolved", f"{word}{by}{until}; a later call opens it again", "green"
    if policy.converts_on is not None and policy.exception is None:
        yield "converts", f"{policy.converts_on[:10]} to `{(policy.converts_to or item.stake).value}`", ""


def _next(item: Item) -> Iterator[Row]:
    if item.breached is not None:
        yield "breach", f"since {_at(item.breached)}: nobody resolved it in time", "bold red"
        return
    levels = item.policy.levels[item.level :]
    steps = [
        f"to {one.to} on {_at(item.policy.step(item.level + i, item.due))}" for i, one in enumerate(levels)
    ]
    last = item.policy.step(len(item.policy.levels), item.due)
    yield "next", ", ".join([*steps, f"a breach on {_at(last)}"]), ""


def item_json(item: Item, now: dt.datetime) -> dict[str, Any]:
    """The same for programs."""
    body = item.record.body
    return {
        "id": item.id,
        "state": item.state.value,
        "overdue": item.overdue(now),
        "breached": None if item.breached is None else instant(item.breached),
        "rule": item.rule,
        "agent": item.agent,
        "tool": item.tool,
        "arguments": None if item.kinds is None else dict(item.kinds),
        "rest": item.rest,
        **({key: body.get(key, []) for key in ("tools", "agents")} if item.rest else {}),
        "stake": item.stake.value,
        "count": item.count,
        "first": instant(item.first),
        "last": instant(item.last),
        "latest_decision": body.get("latest"),
        "owner": item.policy.owner,
        "has_it": item.holder if item.unresolved else None,
        "level": item.level,
        "due": instant(item.due),
        "next": instant(item.step) if item.unresolved and item.breached is None else None,
        "policy": item.policy.to_json(),
        "resolution": None if item.resolution is None else item.resolution.value,
        "until": None if item.until is None else instant(item.until),
        "exception": item.exception,
        "opened": item.episode,
        "history": [dict(one) for one in item.history],
    }


def _listed(item: Item, key: str) -> str:
    found = item.record.body.get(key)
    return f"{', '.join(map(str, found))} and maybe others" if isinstance(found, list) else "many"


def _told(one: Mapping[str, Any]) -> str:
    move = str(one.get("move", ""))
    parts = [move]
    with_ = "with" if move == "breached" else "to"
    for key, word in (("to", with_), ("resolution", "as"), ("exception", "by"), ("by", "by")):
        parts += [f"{word} {one[key]}"] if one.get(key) else []
    parts += [f"until {_day(one['until'])}"] if one.get("until") else []
    reason = one.get("reason")
    return " ".join(parts) + (f": {reason}" if reason else "")


def _at(at: dt.datetime) -> str:
    return at.strftime("%Y-%m-%d %H:%M")


def _day(at: object) -> str:
    return at[:10] if isinstance(at, str) else ""
