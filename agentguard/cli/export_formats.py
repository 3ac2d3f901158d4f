"""How `agentguard ledger export` writes events: one line each."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal

from agentguard.cli.csv_cells import row

if TYPE_CHECKING:
    from agentguard.ledger.exporting import Exported

__all__ = ["COLUMNS", "Format", "csv_lines", "event_lines", "lines_of", "ocsf_lines"]

Format = Literal["jsonl", "events", "ocsf", "csv"]

COLUMNS: Final = (
    "seq", "at", "type", "id", "tenant", "agent", "principal", "chain", "session", "call_id", "tool",
    "tool_digest", "effect", "rules", "exceptions", "runs", "snapshot", "approval", "decision_id", "subject",
    "verdict", "counted", "reviewers", "status", "duration_us", "error", "by", "reason", "args_hmac", "more",
)  # fmt: skip
"""The columns of a CSV export; `more` holds as JSON what has none of its own."""

_FORMULA: Final = re.compile(r'"([=+\-@])')
_APART: Final = frozenset({"v", "decision", *COLUMNS})


def lines_of(format: Format, events: Iterator[Exported], damaged: Callable[[int], object]) -> Iterator[str]:
    """Every event as a line, or several; `damaged` is told the number of each that does not read back."""
    if format == "csv":
        return csv_lines(events, damaged)
    if format == "ocsf":
        return ocsf_lines(events, damaged)
    return event_lines(events, damaged)


def event_lines(events: Iterator[Exported], damaged: Callable[[int], object]) -> Iterator[str]:
    """As JSON, with its number; ASCII, so that nothing in it reaches a terminal as a command."""
    for one in events:
        if one.event is None:
            damaged(one.seq)
            yield _json({"seq": one.seq, "damaged": True})
        else:
            yield _json({"seq": one.seq, **one.event})


def ocsf_lines(events: Iterator[Exported], damaged: Callable[[int], object]) -> Iterator[str]:
    """As OCSF; one that does not read back is left out here and told."""
    from agentguard.ledger.log import leaf_hash
    from agentguard.ledger.ocsf import ocsf_event

    for one in events:
        try:
            if one.event is None:
                raise ValueError("damaged")
            yield _json(ocsf_event(one.seq, one.event, leaf_hash(one.leaf)))
        except (KeyError, TypeError, ValueError, AttributeError):
            damaged(one.seq)


def csv_lines(events: Iterator[Exported], damaged: Callable[[int], object]) -> Iterator[str]:
    """As CSV, the names of the columns first."""
    yield row(COLUMNS)
    for one in events:
        try:
            if one.event is None:
                raise ValueError("damaged")
            yield row(_cells(one.seq, one.event))
        except (KeyError, TypeError, ValueError, AttributeError):
            damaged(one.seq)
            yield row([one.seq, "", "damaged", *[""] * (len(COLUMNS) - 3)])


def _cells(seq: int, event: Mapping[str, Any]) -> Sequence[object]:
    decision = event.get("decision", {})
    found: dict[str, Any] = {
        **event,
        "seq": seq,
        "effect": decision.get("effect"),
        "rules": "; ".join(
            [f"{m['policy']}/{m['rule_id']} {m['effect']}" for m in decision.get("matched", ())]
        ),
        "exceptions": _list([one["id"] for one in decision.get("exceptions", ())]),
        "snapshot": decision.get("snapshot") or event.get("snapshot"),
        "chain": _list(event.get("chain", ())),
        "reviewers": _list(event.get("reviewers", ())),
    }
    more = {key: value for key, value in event.items() if key not in _APART}
    rest = {key: value for key, value in decision.items() if key in ("obligations", "observed", "granted_by")}
    found["reason"] = event.get("reason") or _reason(decision)
    found["more"] = {**more, **rest} or None
    return [_plain(found.get(name)) for name in COLUMNS]


def _plain(value: object) -> object:
    """A value that a cell can hold."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (dict, list)):
        # A text in it that begins as a formula does is spelled otherwise, so that it stays JSON.
        return _FORMULA.sub(lambda found: f'"\\u{ord(found[1]):04x}', json.dumps(value, sort_keys=True))
    return value


def _reason(decision: Mapping[str, Any]) -> str | None:
    """Why it was decided so, in the words of the first rule that has this effect."""
    told = [m.get("reason") for m in decision.get("matched", ()) if m["effect"] == decision["effect"]]
    return next((reason for reason in told if reason), None)


def _list(values: Sequence[object]) -> str:
    return "; ".join([str(value) for value in values])


def _json(data: Mapping[str, Any]) -> str:
    return json.dumps(data, ensure_ascii=True, separators=(",", ":")) + "\n"
