"""tau2 (MIT): the gold actions of its retail and airline tasks, as honest work.

The prompt is what the task's user wants and knows. Look-ups are answered from the task's database; what
changes it answers `done`, and the database stays as it was. Tools have names only: the data holds no schemas.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from agentguard.errors import ConfigurationError
from agentguard_evals.case import Gap, Suite
from agentguard_evals.data_files import Data, recorded_suite

__all__ = ["load_tau2"]

DOMAINS: Final = ("retail", "airline")
_BY_KEY: Final[Mapping[str, tuple[str, str]]] = {
    "get_order_details": ("orders", "order_id"),
    "get_product_details": ("products", "product_id"),
    "get_user_details": ("users", "user_id"),
    "get_reservation_details": ("reservations", "reservation_id"),
}
"""Look-ups by one key: the table, and the argument that names the key."""
_UNANSWERED: Final = frozenset({"calculate", "search_direct_flight", "search_onestop_flight"})
"""What would have to be computed; its results are counted as not recorded."""


def load_tau2(folder: Path) -> Sequence[Suite]:
    """One suite per domain.

    Raises:
        ConfigurationError: a file is missing or is not what this suite knows.
    """
    return [_domain(folder / name, name) for name in DOMAINS]


def _domain(folder: Path, name: str) -> Suite:
    data = Data(folder)
    tasks, db = data.json("tasks_train.json.gz"), data.json("db.json.gz")
    try:
        rows = list(_rows(tasks, db))
    except (KeyError, TypeError, AttributeError) as error:
        raise ConfigurationError(f"{folder}: not the data that `tau2` knows: {error}") from None
    idle = len(tasks) - len(rows)
    gaps = [Gap("tasks without an action", idle, "the agent is to refuse; there is no call")] if idle else []
    title = f"tau2, {name}: the gold actions of honest tasks"
    return recorded_suite(f"tau2-{name}", rows, data, title=title, reread="tau2", gaps=gaps)


def _rows(tasks: Sequence[Mapping[str, Any]], db: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for task in tasks:
        actions = task["evaluation_criteria"]["actions"] or []
        if actions:
            wishes = task["user_scenario"]["instructions"]
            said = [wishes.get(key) for key in ("reason_for_call", "known_info", "task_instructions")]
            yield {
                "id": f"task/{task['id']}",
                "prompt": "\n".join(filter(None, said)),
                "steps": [step for action in actions for step in _steps(action, db)],
            }


def _steps(action: Mapping[str, Any], db: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    name, args = action["name"], action["arguments"]
    yield {"call": name, "args": args}
    if name not in _UNANSWERED:
        yield {"result": _answer(name, args, db)}


def _answer(name: str, args: Mapping[str, Any], db: Mapping[str, Any]) -> str:
    if name in _BY_KEY:
        table, key = _BY_KEY[name]
        return json.dumps(db[table].get(args.get(key), "not found"))
    if name == "find_user_id_by_email":
        return _found(user for user in db["users"].values() if user["email"] == args["email"])
    if name == "find_user_id_by_name_zip":
        return _found(user for user in db["users"].values() if _is(user, args))
    if name == "get_item_details":
        items = {
            item: found for product in db["products"].values() for item, found in product["variants"].items()
        }
        return json.dumps(items.get(args["item_id"], "not found"))
    return "done"


def _is(user: Mapping[str, Any], args: Mapping[str, Any]) -> bool:
    name = (user["name"]["first_name"].lower(), user["name"]["last_name"].lower())
    wanted = (args["first_name"].lower(), args["last_name"].lower())
    return name == wanted and user["address"]["zip"] == args["zip"]


def _found(users: Iterator[Mapping[str, Any]]) -> str:
    return next((str(user["user_id"]) for user in users), "not found")
