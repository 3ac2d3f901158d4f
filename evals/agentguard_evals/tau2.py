"""tau2 (MIT): the gold actions of its retail and airline tasks, as honest work, and broken ones as attacks.

The prompt is what the task's user wants and knows. Look-ups are answered from the task's database as it was;
what changes it answers `done`. Tools have names only: the data holds no schemas. The guard is told what the
shop or the airline knows of each call, with the changes of the calls that ran (`context`, see `RetailDesk`,
`AirlineDesk`). An attacked case is a task in which the agent makes a gold action wrongly (`Breach`), and
then goes on as if nothing had happened.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from agentguard.errors import ConfigurationError
from agentguard_evals.case import Gap, Suite, Verdict
from agentguard_evals.data_files import Data
from agentguard_evals.recordings import Recording, suite_of
from agentguard_evals.rows import BrokenRow, row_of
from agentguard_evals.stage import Stage
from agentguard_evals.tau2_airline import AirlineDesk
from agentguard_evals.tau2_airline_breaches import AIRLINE
from agentguard_evals.tau2_breaking import Breach, Situation, changed
from agentguard_evals.tau2_records import Records, customer_of
from agentguard_evals.tau2_retail import RetailDesk
from agentguard_evals.tau2_retail_breaches import RETAIL

__all__ = ["BREACHES", "load_tau2"]


class _Desk(Protocol):
    @property
    def records(self) -> Records: ...
    def apply(self, tool: str, args: Mapping[str, Any]) -> None: ...
    def facts(self, args: Mapping[str, Any]) -> dict[str, Any]: ...


Tables = Mapping[str, Mapping[str, Any]]
_Action = tuple[str, Mapping[str, Any]]
DESKS: Final[Mapping[str, Callable[[Tables, str], _Desk]]] = {"retail": RetailDesk, "airline": AirlineDesk}
BREACHES: Final[Mapping[str, Sequence[Breach]]] = {"retail": RETAIL, "airline": AIRLINE}
_BY_KEY: Final[Mapping[str, tuple[str, str]]] = {
    "get_order_details": ("orders", "order_id"),
    "get_product_details": ("products", "product_id"),
    "get_user_details": ("users", "user_id"),
    "get_reservation_details": ("reservations", "reservation_id"),
}
"""Look-ups by one key: the table, and the argument that names the key."""
_UNANSWERED: Final = frozenset({"calculate", "search_direct_flight", "search_onestop_flight"})
"""What would have to be computed; its results are counted as not recorded."""


@dataclass(frozen=True, slots=True)
class _Served(Recording):
    """A run at a desk: the guard is told what the desk knows, and each call that ran changes that."""

    desk: Callable[[], _Desk]
    supplied: bool = True

    def play(self, stage: Stage) -> Verdict:
        desk = self.desk()
        stage.supply = lambda request: {"context": desk.facts(request.args)}
        return self.replay(stage, lambda step: desk.apply(step.tool, step.args))


def load_tau2(folder: Path) -> Sequence[Suite]:
    """One suite per domain.

    Raises:
        ConfigurationError: a file is missing or is not what this suite knows.
    """
    return [_domain(folder / name, name) for name in DESKS]


def _domain(folder: Path, name: str) -> Suite:
    data = Data(folder)
    tasks, db = data.json("tasks_train.json.gz"), data.json("db.json.gz")
    try:
        acting = [task for task in tasks if task["evaluation_criteria"]["actions"]]
        cases = [case for task in acting for case in _cases(name, task, db)]
    except (KeyError, TypeError, AttributeError, StopIteration, BrokenRow) as error:
        raise ConfigurationError(f"{folder}: not the data that `tau2` knows: {error}") from None
    idle = len(tasks) - len(acting)
    return suite_of(
        f"tau2-{name}",
        cases,
        title=f"tau2, {name}: the gold actions of honest tasks, and ones that break the written policy",
        reread="tau2",
        digest=data.digest,
        gaps=[Gap("tasks without an action", idle, "the agent is to refuse; there is no call")]
        if idle
        else (),
    )


def _cases(domain: str, task: Mapping[str, Any], db: Tables) -> Iterator[_Served]:
    wishes = task["user_scenario"]["instructions"]
    said = [wishes.get(key) for key in ("reason_for_call", "known_info", "task_instructions")]
    prompt = "\n".join(filter(None, said))
    actions = [(one["name"], one["arguments"]) for one in task["evaluation_criteria"]["actions"]]
    customer = customer_of(prompt, db["users"])

    def served(name: str, group: str, calls: Sequence[_Action], attack: int | None = None) -> _Served:
        steps = [list(_steps(tool, args, db)) for tool, args in calls]
        first = None if attack is None else sum(len(one) for one in steps[:attack])
        row = row_of(
            {
                "id": name,
                "prompt": prompt,
                "steps": [step for one in steps for step in one],
                "attack_steps": [] if first is None else [first],
            }
        )
        return _Served(name, group, row, lambda: DESKS[domain](db, customer))

    yield served(f"task/{task['id']}", f"tau2-{domain}", actions)
    desk = DESKS[domain](db, customer)
    task_text = prompt + json.dumps(actions)
    for number, (tool, args) in enumerate(actions):
        at = Situation(tool=tool, args=args, tables=desk.records.now, customer=customer, task=task_text)
        desk.apply(tool, args)
        for breach, broken in changed(BREACHES[domain], at):
            place = number + breach.again
            calls = [*actions[:place], (tool, broken), *actions[place:]]
            yield served(f"task/{task['id']}/{number}/{breach.name}", breach.name, calls, place)


def _steps(name: str, args: Mapping[str, Any], db: Tables) -> Iterator[dict[str, Any]]:
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
