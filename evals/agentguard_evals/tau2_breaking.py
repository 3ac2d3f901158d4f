"""Gold actions of tau2 turned into ones that break the written policy, by rule.

A `Breach` says which actions it changes, which rule the changed action breaks and why, and makes the changed
arguments; None where the data of a task gives no such change (a customer without a second card).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Breach", "Change", "Situation", "changed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """A gold action, the database of its domain right before it, and the customer whose task it is of.

    `task` is all that the task says: the text, and every gold action.
    """

    tool: str
    args: Mapping[str, Any]
    tables: Mapping[str, Mapping[str, Any]]
    customer: str
    task: str

    @property
    def methods(self) -> Mapping[str, Mapping[str, Any]]:
        """The customer's payment methods by id."""
        found: Mapping[str, Mapping[str, Any]] = self.tables["users"][self.customer]["payment_methods"]
        return found

    def foreign_method(self) -> str:
        """A payment method of the first other customer who has one."""
        others = (user for key, user in self.tables["users"].items() if key != self.customer)
        return next(str(method) for user in others for method in user["payment_methods"])

    def other_customer(self) -> str:
        """Somebody else."""
        return next(key for key in self.tables["users"] if key != self.customer)


Change = Callable[[Situation], Mapping[str, Any] | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Breach:
    """`breaks` is the rule of `examples/tau2` that is to stop it, or several of which any may.

    Without any, no call shows a guard that the written policy is broken. `again` plays the changed action
    after the gold one, otherwise it comes before.
    """

    name: str
    tools: tuple[str, ...]
    breaks: tuple[str, ...]
    why: str
    make: Change
    again: bool = False


def changed(breaches: Sequence[Breach], situation: Situation) -> Iterator[tuple[Breach, Mapping[str, Any]]]:
    """Every breach that this action can be turned into, with the arguments."""
    for breach in breaches:
        if situation.tool in breach.tools:
            args = breach.make(situation)
            if args is not None:
                yield breach, args
