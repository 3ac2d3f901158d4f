"""Events of the ledger in the Open Cybersecurity Schema Framework, version 1.8.

What is about a call (decision, claim, outcome) is an API Activity with the profile `security_control`;
everything else changes a record that somebody manages (an approval, a flag, an exception, the policies) and
is an Entity Management. What the schema has no place for stands in `unmapped`, under the names of the event,
with `leaf_hash`, by which the event can be found in a proof.
"""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from agentguard.ledger.events import some

__all__ = ["VERSION", "ocsf_event"]

VERSION: Final = "1.8.0"

_CALLS: Final = {"decision": "Decide", "claimed": "Start", "outcome": "End"}
_OTHER: Final = 99
_INFORMATIONAL, _LOW, _MEDIUM, _HIGH = 1, 2, 3, 4
_SUCCESS, _FAILURE = 1, 2
_ALLOWED, _DENIED = 1, 2
_STATUSES: Final = {0: "Unknown", _SUCCESS: "Success", _FAILURE: "Failure", _OTHER: "Other"}
_SEVERITIES: Final = {_INFORMATIONAL: "Informational", _LOW: "Low", _MEDIUM: "Medium", _HIGH: "High"}
_ACTIONS: Final = {0: "Unknown", _ALLOWED: "Allowed", _DENIED: "Denied"}
_DISPOSITIONS: Final = {1: "Allowed", 2: "Blocked", 8: "Approved", 14: "Delayed", 17: "Logged"}

# The activities of Entity Management that fit the last word of an event's type; any other is an update.
_ACTIVITIES: Final = {
    "opened": (1, "Create"),
    "raised": (1, "Create"),
    "requested": (1, "Create"),
    "registered": (1, "Create"),
    "given": (1, "Create"),
    "loaded": (10, "Activate"),
    "restored": (13, "Resume"),
    "revoked": (11, "Deactivate"),
    "expired": (11, "Deactivate"),
    "withdrawn": (11, "Deactivate"),
    "superseded": (11, "Deactivate"),
    "offboarded": (11, "Deactivate"),
    "suspended": (12, "Suspend"),
}
_UPDATE: Final = (3, "Update")
_FAILED: Final = frozenset({"denied", "expired", "refused", "overdue"})
_ENTITIES: Final = {"vote": "approval", "segment": "recording window", "register": "register"}
_POLICY: Final = 5
_ALWAYS: Final = frozenset({"v", "id", "type", "tenant", "at"})
_OF_CALLS: Final = _ALWAYS | {"agent", "principal", "session", "tool", "tool_digest", "call_id", "status"}
"""What of an event has a place in the schema, exactly as it is."""


def ocsf_event(seq: int, event: Mapping[str, Any], leaf_hash: bytes) -> dict[str, Any]:
    """An event as OCSF; `seq` is its number and `leaf_hash` that of its leaf in the tree.

    Raises:
        KeyError, TypeError, ValueError: it is no event; the record is damaged.
    """
    kind = event["type"]
    body = _call(kind, event) if kind in _CALLS else _entity(kind, event)
    at = dt.datetime.fromisoformat(event["at"])
    mapped = _OF_CALLS if kind in _CALLS else _ALWAYS
    unmapped = {key: value for key, value in event.items() if key not in mapped}
    return {
        **_classified(*body.pop("class")),
        **_captioned(body),
        "time": int(at.timestamp() * 1000),
        "metadata": _metadata(seq, event),
        "actor": _actor(kind, event),
        "unmapped": {**unmapped, "leaf_hash": leaf_hash.hex()},
    }


def _call(kind: str, event: Mapping[str, Any]) -> dict[str, Any]:
    """An API Activity: what an agent wanted of a tool, and what became of it."""
    tool = str(event["tool"])
    found: dict[str, Any] = {
        "class": (6, 3, "Application Activity", "API Activity", _OTHER, _CALLS[kind]),
        "api": some(
            operation=tool,
            request=some(uid=event.get("call_id")),
            response=some(error=event.get("error")) if kind == "outcome" else None,
        ),
        "resources": [some(name=tool, type="tool", version=event.get("tool_digest"))],
        "src_endpoint": {"name": str(event.get("agent") or "agentguard")},
    }
    if kind == "decision":
        return {**found, **_decided(event)}
    if kind == "claimed":
        return {**found, "status_id": _SUCCESS, "severity_id": _INFORMATIONAL, "action_id": _ALLOWED,
                "disposition_id": 8, "message": f"{tool} begins on its approval"}  # fmt: skip
    status = event["status"]
    known = {"succeeded": (_SUCCESS, _INFORMATIONAL), "failed": (_FAILURE, _LOW)}
    status_id, severity = known.get(status, (0, _MEDIUM))
    return {
        **found,
        **some(duration=_milliseconds(event.get("duration_us"))),
        "status_id": status_id,
        "status_code": status,
        "severity_id": severity,
        "action_id": _ALLOWED,
        "disposition_id": 1,
        "message": f"{tool} ended: {status}",
    }


def _decided(event: Mapping[str, Any]) -> dict[str, Any]:
    decision = event["decision"]
    effect, runs = decision["effect"], event["runs"] is True
    matched = decision.get("matched", [])
    by = next((match for match in matched if match["effect"] == effect), None)
    found: dict[str, Any] = {
        "authorizations": [_authorization(match) for match in matched],
        "policy": _policy(by, decision),
        "status_code": effect,
        "message": f"{event['tool']}: {effect}" + ("" if by is None else f" by {_rule(by)}"),
    }
    if runs:
        flagged = effect == "flag"
        outcome = (_SUCCESS, _LOW if flagged else _INFORMATIONAL, _ALLOWED, 17 if flagged else 1)
    elif effect == "step_up":
        outcome = (_OTHER, _LOW, 0, 14)
    else:
        outcome = (_FAILURE, _MEDIUM, _DENIED, 2)
    status, severity, action, disposition = outcome
    if status == _OTHER:
        found["status"] = "Pending"
    return {
        **{key: value for key, value in found.items() if value},
        "status_id": status,
        "severity_id": severity,
        "action_id": action,
        "disposition_id": disposition,
    }


def _entity(kind: str, event: Mapping[str, Any]) -> dict[str, Any]:
    """An Entity Management: what became of a record."""
    word = kind.rpartition(".")[2]
    about = _ENTITIES.get(kind, kind.partition(".")[0])
    number, name = _ACTIVITIES.get(word, _UPDATE)
    uid = event.get(about) or event.get("snapshot") or event.get("writer") or event["id"]
    if kind == "vote":
        failed = event.get("verdict") == "deny"
    else:
        failed = word in _FAILED
    severity = _MEDIUM if kind == "flag.raised" or failed else _INFORMATIONAL
    said = event.get("reason")
    return {
        "class": (3, 4, "Identity & Access Management", "Entity Management", number, name),
        "entity": _managed(about, str(uid)),
        "status_id": _FAILURE if failed else _SUCCESS,
        "severity_id": severity,
        "message": f"{about} {event.get('verdict') or word}",
        **some(comment=said if isinstance(said, str) else None),
    }


def _managed(about: str, uid: str) -> dict[str, Any]:
    if about == "policy":
        policy = {"name": "policies", "uid": uid}
        return {**policy, "type": "Policy", "type_id": _POLICY, "policy": policy}
    return {"name": about, "type": about, "type_id": _OTHER, "uid": uid}


def _classified(
    category: int, number: int, category_name: str, class_name: str, activity: int, activity_name: str
) -> dict[str, Any]:
    class_uid = category * 1000 + number
    return {
        "category_uid": category,
        "category_name": category_name,
        "class_uid": class_uid,
        "class_name": class_name,
        "activity_id": activity,
        "activity_name": activity_name,
        "type_uid": class_uid * 100 + activity,
        "type_name": f"{class_name}: {activity_name if activity != _OTHER else 'Other'}",
    }


def _captioned(body: dict[str, Any]) -> dict[str, Any]:
    """The same with the captions of its enumerations."""
    found = {"status": _STATUSES[body["status_id"]], "severity": _SEVERITIES[body["severity_id"]], **body}
    if "action_id" in body:
        found["action"] = _ACTIONS[body["action_id"]]
        found["disposition"] = _DISPOSITIONS[body["disposition_id"]]
    return found


def _metadata(seq: int, event: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "version": VERSION,
        "product": {"name": "agentguard", "vendor_name": "agentguard", "version": _product()},
        **({"profiles": ["security_control"]} if event["type"] in _CALLS else {}),
        "uid": event["id"],
        "original_event_uid": event["id"],
        "event_code": event["type"],
        "sequence": seq,
        "tenant_uid": event["tenant"],
        "log_name": "ledger",
        "original_time": event["at"],
        **some(correlation_uid=event.get("approval") or event.get("call_id")),
    }


def _actor(kind: str, event: Mapping[str, Any]) -> dict[str, Any]:
    """Who did it: the voter of a vote, otherwise the agent, with its session and on whose behalf."""
    agent = str(event.get("agent") or "agentguard")
    if kind == "vote":
        who = str(event["subject"])
        return {"user": {"name": who, "uid": who, "type_id": 1}}
    by = event.get("by") or event.get("principal")
    found: dict[str, Any] = {"app_name": agent, "app_uid": agent}
    if by:
        found["user"] = {"name": str(by), "uid": str(by)}
    if event.get("session"):
        found["session"] = {"uid": str(event["session"])}
    return found


def _policy(by: Mapping[str, Any] | None, decision: Mapping[str, Any]) -> dict[str, Any]:
    return some(
        name=by["policy"] if by is not None else None,
        uid=decision.get("snapshot"),
        desc=by.get("reason") if by is not None else None,
    )


def _authorization(match: Mapping[str, Any]) -> dict[str, Any]:
    policy = some(name=match["policy"], uid=_rule(match), desc=match.get("reason"))
    return {"decision": match["effect"], "policy": policy}


def _rule(match: Mapping[str, Any]) -> str:
    return f"{match['policy']}/{match['rule_id']}"


def _milliseconds(microseconds: object) -> int | None:
    return microseconds // 1000 if isinstance(microseconds, int) else None


@functools.cache
def _product() -> str:
    try:
        return version("agentguard")
    except PackageNotFoundError:  # pragma: no cover - run from a folder
        return "0"
