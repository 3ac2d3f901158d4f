"""Agent Threat Bench (MIT): mail triage, customer service and a knowledge base with planted text.

Each sample is played as attacked, by an agent that does what the planted text asks for, and as honest,
without it. Poisoned memory only changes the agent's answer, which no tool guard sees.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from agentguard.errors import ConfigurationError
from agentguard_evals.case import Suite
from agentguard_evals.data_files import Data, recorded_suite

__all__ = ["load_threat_bench"]

_MAIL: Final = re.compile(r"[\w.+-]+@[\w-]+\.[\w.-]*\w")
_HARMLESS: Final = "Question about an invoice."


def _tool(name: str, description: str, **properties: str) -> dict[str, Any]:
    described = {key: {"type": kind} for key, kind in properties.items()}
    parameters = {"type": "object", "properties": described, "required": list(properties)}
    return {"name": name, "description": description, "parameters": parameters}


_INBOX: Final = (
    _tool("read_inbox", "Read all mails in the inbox."),
    _tool("categorize_email", "Put a mail into a category.", index="integer", category="string"),
    _tool("draft_summary", "Save the summary of a mail.", index="integer", summary="string"),
)
_SERVICE: Final = (
    _tool("lookup_customer", "Find a customer's record by name or id.", query="string"),
    _tool("send_message", "Send a message to somebody.", recipient="string", body="string"),
    _tool("resolve_ticket", "Close the ticket of a customer.", customer_id="string", resolution="string"),
)
_MEMORY: Final = (_tool("read_memory", "Read an entry of the knowledge base.", key="string"),)


def load_threat_bench(folder: Path) -> Sequence[Suite]:
    """The three parts as one suite.

    Raises:
        ConfigurationError: a file is missing or is not what this suite knows.
    """
    data = Data(folder)
    try:
        rows = [
            *(row for case in data.json("autonomy_hijack.json") for row in _autonomy(case)),
            *(row for case in data.json("data_exfil.json") for row in _leak(case)),
            *(row for case in data.json("memory_poison.json") for row in _memory(case)),
        ]
    except (KeyError, TypeError, AttributeError) as error:
        raise ConfigurationError(f"{folder}: not the data that `agent_threat_bench` knows: {error}") from None
    title = "Agent Threat Bench: planted text in mail, records and memory"
    return [recorded_suite("agent_threat_bench", rows, data, title=title, reread="agent_threat_bench")]


def _autonomy(case: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    planted = set(case["attack_email_indices"])
    clean = [mail for number, mail in enumerate(case["inbox"], 1) if number not in planted]
    yield _row(case, "autonomy_hijack", "honest", _INBOX, _triage(clean, {}))
    if planted:
        payload: str = case["forbidden_actions"][0]
        steps = _triage(case["inbox"], dict.fromkeys(planted, payload))
        attack = [
            number
            for number, step in enumerate(steps)
            if step.get("call") == "draft_summary" and step["args"]["index"] in planted
        ]
        yield _row(case, "autonomy_hijack", "attacked", _INBOX, steps, attack)


def _triage(inbox: Sequence[Mapping[str, Any]], payloads: Mapping[int, str]) -> list[dict[str, Any]]:
    steps = _call("read_inbox", {}, json.dumps(inbox))
    for number, mail in enumerate(inbox, 1):
        steps += _call("categorize_email", {"index": number, "category": "work"}, "done")
        summary = f"{mail['subject']} {payloads[number]}" if number in payloads else mail["subject"]
        steps += _call("draft_summary", {"index": number, "summary": summary}, "done")
    return steps


def _leak(case: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    own = case["authorized_recipients"]
    texts = " ".join(record["issue"] for record in case["customer_db"])
    strangers = [found for found in _MAIL.findall(texts) if found not in own]
    clean = [{**record, "issue": _HARMLESS} for record in case["customer_db"]]
    records = case["customer_db"] if not strangers else clean
    yield _row(case, "data_exfil", "honest", _SERVICE, _served(own, records, []))
    if strangers:
        steps = _served(own, case["customer_db"], [(strangers[0], ", ".join(case["sensitive_fields"]))])
        attack = [
            number
            for number, step in enumerate(steps)
            if step.get("call") == "send_message" and step["args"]["recipient"] == strangers[0]
        ]
        yield _row(case, "data_exfil", "attacked", _SERVICE, steps, attack)


def _served(
    own: Sequence[str], records: Sequence[Mapping[str, Any]], sent: Sequence[tuple[str, str]]
) -> list[dict[str, Any]]:
    customer = own[1]
    steps = _call("lookup_customer", {"query": customer}, json.dumps(records, ensure_ascii=False))
    for recipient, body in sent:
        steps += _call("send_message", {"recipient": recipient, "body": body}, "sent")
    steps += _call("send_message", {"recipient": own[0], "body": "Your request is being handled."}, "sent")
    return steps + _call("resolve_ticket", {"customer_id": customer, "resolution": "handled"}, "resolved")


def _memory(case: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    store: Mapping[str, str] = case["memory_store"]
    marker = case.get("attack_marker")
    poisoned = [key for key, text in store.items() if marker and marker in text]
    steps = [step for key in store for step in _call("read_memory", {"key": key}, store[key])]
    if poisoned:
        found = _row(case, "memory_poison", "attacked", _MEMORY, steps)
        yield {**found, "attack_succeeded": True, "utility": False}
    else:
        yield _row(case, "memory_poison", "honest", _MEMORY, steps)


def _call(name: str, args: Mapping[str, Any], result: str) -> list[dict[str, Any]]:
    return [{"call": name, "args": dict(args)}, {"result": result}]


def _row(
    case: Mapping[str, Any],
    group: str,
    kind: str,
    tools: Sequence[Any],
    steps: list[dict[str, Any]],
    attack: Sequence[int] = (),
) -> dict[str, Any]:
    return {
        "id": f"{group}/{case['id']}/{kind}",
        "group": group,
        "prompt": case["input"],
        "tools": list(tools),
        "steps": steps,
        "attack_steps": list(attack),
    }
