"""An approval does not fit a tool whose implementation changed, however it is put together (T06, T07)."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest

from agentguard import AgentIdentity, ApprovalPending, ConfigurationError, Guard, Snapshot, ToolCallDenied
from agentguard.implementation import implementation

APPROVAL = {"reviewers": ["leo"], "expires_in": "1h", "local": True}
POLICY: dict[str, Any] = {
    "policy": "bank",
    "owner": "ops",
    "tools": ["pay"],
    "rules": [
        {
            "id": "ask",
            "effect": "step_up",
            "approval": {"reviewers": ["leo"], "expires_in": "1h", "local": True},
        }
    ],
}


def safe(amount: int) -> str:
    return "safe"


def danger(amount: int) -> str:
    return "danger"


class Safe:
    def __init__(self, account: str) -> None:
        self.account = account

    def __call__(self, amount: int) -> str:
        return self.account


class Danger(Safe):
    def __call__(self, amount: int) -> str:
        return "danger"


def make(account: str) -> Callable[..., str]:
    def pay(amount: int) -> str:
        return account

    return pay


def loud(function: Callable[..., str]) -> Callable[..., str]:
    @functools.wraps(function)
    def pay(*args: Any, **kwargs: Any) -> str:
        return function(*args, **kwargs)

    return pay


CHANGES: dict[str, tuple[Any, Any]] = {
    "a partial of another function": (functools.partial(safe), functools.partial(danger)),
    "a partial with another argument": (functools.partial(make("ACME")), functools.partial(make("EVIL"))),
    "an object with another state": (Safe("ACME"), Safe("EVIL")),
    "an object of another class": (Safe("ACME"), Danger("ACME")),
    "a closure over another account": (make("ACME"), make("EVIL")),
    "a decorator around another body": (loud(safe), loud(danger)),
    "a method of another object": (Safe("ACME").__call__, Safe("EVIL").__call__),
}


@pytest.mark.parametrize("change", CHANGES)
def test_T06_T07_another_implementation_is_not_what_was_approved(change: str) -> None:
    """Asked for one implementation and registered again with another, the call is refused at the claim."""
    before, after = CHANGES[change]
    assert implementation(before) == implementation(before)
    assert implementation(before) != implementation(after)
    with Guard(snapshot=Snapshot.from_documents([POLICY]), store="memory:", pause="raise") as guard:
        tool = guard.register("pay", before)
        with guard.session(agent=AgentIdentity("a")), pytest.raises(ApprovalPending) as pending:
            guard.call(tool, {"amount": 5}, lambda arguments: None)
        name = pending.value.approval_id
        guard.vote(name, _yes(guard, name))
        # Where they do not even have one place, two tools of one name are refused at once.
        with pytest.raises((ToolCallDenied, ConfigurationError), match=r"definition|two tools"):
            guard.register("pay", after)
            guard.resume_sync(name)


def test_T06_a_class_patched_in_place_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also without registering again."""
    with Guard(snapshot=Snapshot.from_documents([POLICY]), store="memory:", pause="raise") as guard:
        tool = guard.register("pay", Safe("ACME"))
        with guard.session(agent=AgentIdentity("a")), pytest.raises(ApprovalPending) as pending:
            guard.call(tool, {"amount": 5}, lambda arguments: None)
        name = pending.value.approval_id
        guard.vote(name, _yes(guard, name))
        monkeypatch.setattr(Safe, "__call__", Danger.__call__)
        with pytest.raises(ToolCallDenied):
            guard.resume_sync(name)


def _yes(guard: Guard, name: str) -> Any:
    from agentguard import Answer

    return Answer(subject="local", verdict="approve", digest=guard.approval(name).digest)
