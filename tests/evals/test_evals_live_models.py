"""Functions as live models: turns that cannot be played, failures, awaiting, time."""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agentguard_evals import Setup, load_prompts, play_suite
from agentguard_evals.report import SuiteReport, suite_report
from tests.evals.endpoint import turn
from tests.evals.live import HIJACKED, NO_SENDING, READ_1, Playing, case, file, honest, report
from tests.evals.support import ALLOW, DENY, READ, policies


def test_without_a_model_a_case_is_an_error(tmp_path: Path) -> None:
    """Never a pass, and never left out."""
    suite = load_prompts(file(tmp_path, case()))
    (one,) = suite_report(play_suite(setup := Setup(snapshot=policies(DENY)), suite), setup).cases
    assert one.error is not None
    assert "name one with `--model NAME`" in one.error


def altered(**changes: Any) -> dict[str, Any]:
    """A turn whose one call was changed."""
    found = turn(("read", {}))
    found["choices"][0]["message"]["tool_calls"][0]["function"].update(changes)
    return found


BROKEN: list[tuple[Any, str]] = [
    (turn(("read", "{not json")), "call of `read` cannot be read: `arguments`: not valid JSON"),
    (turn(("read", '{"id": 1, "id": 2}')), "cannot be read"),
    (turn(("read", "[1]")), "they are no JSON object"),
    (turn(("raed", {})), "the model called `raed`, which is none of the case's tools (did you mean `read`?)"),
    (turn(("read", {}), finish="length"), "cut off"),
    (turn(text="I will", finish="length"), "the model's turn was cut off"),
    (turn(text="", finish="content_filter"), "content filter"),
    (turn(), "neither words nor a call"),
    ({**turn(), "choices": []}, "no message of an assistant"),
    (turn(("read", {}), finish="aborted"), "`read` cannot be played: the model's turn was cut off"),
    (altered(arguments={"id": 1}), "`read` cannot be played: its arguments are not a text of JSON"),
    (turn(("read", {}), ("read", {}), id="same"), "two calls of one turn have the same id"),
    ("<html>", "is not a model's turn"),
    ([], "no message of an assistant"),
    ({"output": []}, "no message of an assistant"),
    ({**turn(), "choices": [{"message": "hi", "finish_reason": "stop"}]}, "no message of an assistant"),
    (turn(("send", {"to": "x" * 1_100_000})), "more than 1048576"),
    (turn(("s" * 1_000_000, {})), "none of the case's tools"),
    (turn(*[("read", {})] * 65), "65 calls in one turn; 64 are played"),
    ({**turn(("read", {})), "choices": turn(("read", {}))["choices"] * 2}, "2 choices"),
]  # fmt: skip


@pytest.mark.parametrize(("answer", "said"), BROKEN, ids=[said[:30] for _, said in BROKEN])
def test_a_turn_that_cannot_be_played_is_an_error_of_the_case(tmp_path: Path, answer: Any, said: str) -> None:
    """It says what to do, and nothing of the case is in a figure."""
    found = report(file(tmp_path, case()), Playing(answer), DENY)
    assert said in str(found.cases[0].error)
    assert found.metrics["attack_success"].n == 0
    assert found.counts.errors == 1


def test_an_error_in_the_middle_keeps_the_tokens(tmp_path: Path) -> None:
    """They were paid for."""
    (one,) = report(file(tmp_path, case()), Playing(READ_1, turn(("nope", {}))), ALLOW).cases
    assert one.error is not None
    assert one.live is not None
    assert (one.live.turns, one.live.prompt_tokens) == (2, 10)


def test_a_model_may_be_awaited_and_is_bounded_in_time(tmp_path: Path) -> None:
    """Every conversation on one event loop, outside of the guard's calls, also where one runs already."""
    loops: list[Any] = []

    async def model(*, messages: list[dict[str, Any]], tools: list[dict[str, Any]]) -> Any:
        loops.append(asyncio.get_running_loop())
        return Playing(*HIJACKED)(messages=messages, tools=tools)

    async def hanging(**_: Any) -> Any:
        await asyncio.Event().wait()

    async def inside() -> SuiteReport:
        return report(file(tmp_path, case()), model, READ, NO_SENDING, times=2)

    assert [one.calls[1].outcome for one in asyncio.run(inside()).cases] == ["denied", "denied"]
    assert len(set(loops)) == 1
    (one,) = report(file(tmp_path, case()), hanging, ALLOW, timeout_s=0.05).cases
    assert "has not answered in time" in str(one.error)


def test_a_function_that_takes_too_long_is_an_error_too(tmp_path: Path) -> None:
    """It cannot be stopped; its answer is not used."""

    def slow(**given: Any) -> Any:
        begin = time.monotonic()
        while time.monotonic() - begin < 0.02:
            pass
        return HIJACKED[0]

    (one,) = report(file(tmp_path, case()), slow, ALLOW, timeout_s=0.01).cases
    assert "has not answered in time" in str(one.error)


@pytest.mark.parametrize("raised", [KeyError("no"), TimeoutError(), asyncio.CancelledError()])
def test_a_model_that_raises_is_an_error_of_the_case(tmp_path: Path, raised: BaseException) -> None:
    """Awaited, as any other."""

    async def failing(**_: Any) -> Any:
        raise raised

    (one,) = report(file(tmp_path, case()), failing, ALLOW).cases
    assert one.error is not None


def test_what_a_clients_error_says_stays_out_of_the_report_T37(tmp_path: Path) -> None:
    """Its words may hold the key; its kind is said."""

    def failing(**_: Any) -> Any:
        raise ConnectionError("Incorrect API key provided: sk-secret-1")

    (one,) = report(file(tmp_path, case()), failing, ALLOW).cases
    assert "the model failed (ConnectionError)" in str(one.error)
    assert "secret" not in one.model_dump_json()


def test_the_clients_own_method_is_a_model(tmp_path: Path) -> None:
    """With what is fixed of it beforehand."""

    def create(*, model: str, messages: Any, tools: Any) -> Any:
        assert model == "small"
        return turn(text="ok")

    chat: Callable[..., Any] = functools.partial(create, model="small")
    assert report(file(tmp_path, honest()), chat, ALLOW).cases[0].error is None
