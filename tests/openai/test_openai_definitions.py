"""What a function of the tool runner consists of, and what of its arguments is checked before it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from openai.lib._tools import pydantic_responses_function_tool
from openai.lib.responses_tool_runner import (
    AsyncRegisteredFunction,
    RegisteredFunction,
    ResponsesToolRunner,
    ToolRunnerError,
)
from pydantic import BaseModel, field_validator

from agentguard import Guard
from agentguard_openai import (
    guard_runner_tools,
    run_tool_calls_sync,
)
from tests.openai.support import (
    acting,
    bank,
    client,
    content,
    item,
    responses_turn,
    said,
)

REFUND: Any = {
    "type": "function",
    "name": "refund",
    "description": "Send money back",
    "strict": True,
    "parameters": {
        "type": "object",
        "properties": {
            "payee": {"type": "string"},
            "amount": {"type": "integer"},
            "note": {"type": "string"},
        },
        "required": ["payee", "amount", "note"],
        "additionalProperties": False,
    },
}
PARAMS: Any = {"model": "test", "input": "go"}


def turn(*calls: tuple[str, int], start: int = 1, **more: Any) -> dict[str, Any]:
    """A turn with these refunds."""
    made = [
        item("refund", {"payee": payee, "amount": amount, "note": "", **more}, f"call_{start + index}")
        for index, (payee, amount) in enumerate(calls)
    ]
    return {**responses_turn(*made), "id": f"resp_{start}"}


END = {**responses_turn(said("done")), "id": "resp_end"}


@pytest.fixture
def guard() -> Iterator[Guard]:
    with bank() as found:
        yield found


@pytest.fixture
def done() -> list[Any]:
    return []


@pytest.fixture
def plain(done: list[Any]) -> RegisteredFunction:
    def refund(arguments: dict[str, Any]) -> str:
        done.append((arguments["payee"], arguments["amount"], arguments["note"]))
        return f"refunded {arguments['amount']}"

    return RegisteredFunction(tool=REFUND, execute=refund)


@pytest.fixture
def asynchronous(done: list[Any]) -> AsyncRegisteredFunction:
    async def refund(arguments: dict[str, Any]) -> str:
        done.append((arguments["payee"], arguments["amount"], arguments["note"]))
        return f"refunded {arguments['amount']}"

    return AsyncRegisteredFunction(tool=REFUND, execute=refund)


NAMES = {"refund": "payments.refund"}


def test_T06_a_definition_covers_code_and_declaration(plain: RegisteredFunction) -> None:
    """Other code, another description or schema: another tool, for which no approval of before counts."""

    def other(arguments: dict[str, Any]) -> str:
        return "something else"

    declared: Any = {**REFUND, "description": "Send money anywhere"}
    digests = set()
    for function in (
        plain,
        plain,
        RegisteredFunction(tool=REFUND, execute=other),
        RegisteredFunction(tool=declared, execute=plain.execute),
    ):
        with bank() as guard:
            guard_runner_tools(guard, [function], names=NAMES)
            digests.add(guard.tools["payments.refund"].digest)
    assert len(digests) == 3


def test_T39_a_model_that_fails_to_validate_is_a_denial(guard: Guard) -> None:
    """A validator of the user's may raise anything; its siblings are answered all the same."""

    class Picky(BaseModel):
        payee: str
        amount: int
        note: str

        @field_validator("payee")
        @classmethod
        def known(cls, value: str) -> str:
            if value == "B":
                raise RuntimeError("secret-8")
            return value

    tool = pydantic_responses_function_tool(Picky, name="refund")
    function = RegisteredFunction.from_tool(tool, execute=lambda asked: asked.payee)
    functions = guard_runner_tools(guard, [function], names=NAMES)
    calls = [item("refund", {"payee": who, "amount": 1, "note": ""}, who) for who in ("A", "B")]
    with acting(guard):
        first, second = run_tool_calls_sync(guard, responses_turn(*calls), functions)
    assert first["output"] == "A"
    assert content(second)["error"] == "invalid_arguments"
    assert "secret-8" not in second["output"]


def test_T29_what_is_no_object_of_arguments_is_denied(
    guard: Guard, plain: RegisteredFunction, done: list[Any]
) -> None:
    """However the executor is called."""

    class Lying(dict[str, Any]):
        def keys(self) -> Any:
            return {"payee": 1, "amount": 1, "note": 1}.keys()

    [function] = guard_runner_tools(guard, [plain], names=NAMES)
    wrongs: list[Any] = [["A", 1, ""], "A", None, Lying(payee="A", amount=1, note="", force=True)]
    with acting(guard):
        for wrong in wrongs:
            answer = json.loads(str(function.execute(wrong)))
            assert answer["rule"] == "agentguard/arguments"
            assert "must be a JSON object" in answer["reason"]
    assert not done


def test_T37_an_error_of_a_redacted_function_shows_nothing(guard: Guard) -> None:
    """It ends the run as any error does, without its text anywhere in the chain."""

    def broken(arguments: dict[str, Any]) -> str:
        raise ValueError("DE89")

    function = RegisteredFunction(tool=REFUND, execute=broken)
    functions = guard_runner_tools(guard, [function], names={"refund": "accounts.read"})
    with client(turn(("A", 1))) as model, acting(guard), pytest.raises(ToolRunnerError) as raised:
        ResponsesToolRunner(functions=functions).run(model, PARAMS)
    link: BaseException | None = raised.value
    while link is not None:
        assert "DE89" not in str(link)
        link = link.__cause__ or link.__context__
