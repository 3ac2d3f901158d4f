"""What goes wrong in policies, providers, channels and tools: a denial, never a crash, never a leak."""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from agentguard import ApprovalPending, Decision, Effect, Guard, ToolCallDenied
from agentguard.decision import Approve, RedactResult, Stage
from agentguard.redact import MASK, redact
from agentguard.store import open_store
from tests.guard.support import (
    AGENT,
    ANY,
    RULES,
    WAYS,
    Way,
    answer,
    bank,
    events,
    is_whole,
    make_guard,
    rules,
    says,
)
from tests.store.postgres_support import until

CANARY = "CANARY-4711"

# T39: deciding


class Broken:
    """A snapshot whose decision is whatever a test wants."""

    def __init__(self, decide: Any) -> None:
        self._decide = decide
        self._real = rules(ANY)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def decide(self, request: Any, **_: Any) -> Any:
        if isinstance(self._decide, BaseException):
            raise self._decide
        return self._decide


async def verdict() -> Decision:
    return Decision(effect=Effect.ALLOW)


class Pretender(Decision):
    """Not what the core makes."""


WRONG: dict[str, Any] = {
    "an exception": ValueError(CANARY),
    "RecursionError": RecursionError(CANARY),
    "MemoryError": MemoryError(CANARY),
    "StopIteration": StopIteration(CANARY),
    "None": None,
    "True": True,
    "a word": "allow",
    "a word as effect": Decision(effect="allow"),  # type: ignore[arg-type]
    "deny as a word": Decision(effect="deny"),  # type: ignore[arg-type]
    "a subclass": Pretender(effect=Effect.ALLOW),
    "an unknown obligation": Decision(effect=Effect.ALLOW, obligations=("dance",)),  # type: ignore[arg-type]
    "a step-up without reviewers": Decision(effect=Effect.STEP_UP),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("wrong", WRONG)
def test_whatever_a_policy_does_wrong_is_a_denial_T39(
    way: Way, wrong: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Recorded, with the kind of the failure and none of its text."""
    with make_guard(snapshot=Broken(WRONG[wrong])) as guard, guard.session(agent=AGENT):
        transfer, ran = bank(guard, way)
        with pytest.raises(ToolCallDenied, match="agentguard/") as caught:
            transfer("A", 1)
        assert not ran
        (event,) = events(guard)
        assert event["runs"] is False
        assert CANARY not in f"{caught.value}{event}{caplog.text}"


def test_a_coroutine_is_no_verdict_T39() -> None:
    """Nobody awaits it, and nothing runs."""
    found = verdict()
    with make_guard(snapshot=Broken(found)) as guard, guard.session(agent=AGENT):
        transfer, ran = bank(guard)
        with pytest.raises(ToolCallDenied):
            transfer("A", 1)
        assert not ran
    found.close()


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_in_a_policy_runs_nothing_T39(error: type[BaseException]) -> None:
    """It goes on as it came."""
    with make_guard(snapshot=Broken(error())) as guard, guard.session(agent=AGENT):
        transfer, ran = bank(guard)
        with pytest.raises(error):
            transfer("A", 1)
        assert not ran


@pytest.mark.parametrize("effect", [Effect.ALLOW, Effect.FLAG, Effect.CONSTRAIN])
def test_an_approval_that_is_owed_is_asked_for_whatever_the_effect(effect: Effect) -> None:
    """An obligation is never skipped."""
    owed = Approve(stages=(Stage(("group:finance",)),), expires_in_s=60, rules=("bank/x",))
    decision = Decision(effect=effect, obligations=(owed,))
    with make_guard(snapshot=Broken(decision), pause="raise") as guard, guard.session(agent=AGENT):
        transfer, ran = bank(guard)
        with pytest.raises(ApprovalPending):
            transfer("A", 1)
        assert not ran


# T39: facts

ON_FACT = ({"id": "ok", "effect": "allow", "when": "context.ok == true"},)


class LyingMapping(Mapping[str, Any]):
    def __getitem__(self, key: str) -> Any:
        raise RuntimeError(CANARY)

    def __iter__(self) -> Iterator[str]:
        while True:
            yield "context"

    def __len__(self) -> int:
        return 1


def raising(error: BaseException) -> Any:
    def provider(request: Any, names: Any) -> Any:
        raise error

    return provider


async def araising(request: Any, names: Any) -> Any:
    raise ValueError(CANARY)


PROVIDERS: dict[str, Any] = {
    "raises": raising(ValueError(CANARY)),
    "raises in a coroutine": araising,
    "recursion": raising(RecursionError(CANARY)),
    "none": lambda request, names: None,
    "text": lambda request, names: "context",
    "a list": lambda request, names: [("context", {"ok": True})],
    "no mapping inside": lambda request, names: {"context": True},
    "names that are none": lambda request, names: {1: {"ok": True}},
    "what cannot be frozen": lambda request, names: {"context": {"ok": object()}},
    "a cycle": lambda request, names: {"context": {"ok": True, "more": cycle()}},
    "keys that are numbers": lambda request, names: {"context": {1: True, "ok": True}},
    "a mapping that lies": lambda request, names: {"context": LyingMapping()},
    "a mapping that never ends": lambda request, names: LyingMapping(),
    "the wrong type": lambda request, names: {"context": {"ok": "true"}},
}


def cycle() -> Any:
    value: list[Any] = []
    value.append(value)
    return value


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("provider", PROVIDERS)
def test_what_a_provider_gets_wrong_is_an_absent_fact_T39(
    way: Way, provider: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The rule that would permit does not, and its text is nowhere."""
    with make_guard(*ON_FACT, facts=[PROVIDERS[provider]]) as guard, guard.session(agent=AGENT):
        transfer, ran = bank(guard, way)
        with pytest.raises(ToolCallDenied) as caught:
            transfer("A", 1)
        assert not ran
        assert len(events(guard, "decision")) == 1
        assert CANARY not in f"{caught.value}{events(guard)}{caplog.text}"


@pytest.mark.parametrize("way", WAYS)
def test_a_provider_that_never_answers_is_left_behind_T39(way: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    """In bounded time for all of them together; neither the loop's end nor the guard's waits for it."""
    monkeypatch.setattr("agentguard.providers.FACTS_SECONDS", 0.05)
    never = threading.Event()

    async def patient(request: Any, names: Any) -> Any:
        await asyncio.sleep(60)

    def stubborn(request: Any, names: Any) -> Any:
        never.wait(60)

    try:
        with make_guard(*ON_FACT, facts=[stubborn, patient, stubborn]) as guard, guard.session(agent=AGENT):
            transfer, ran = bank(guard, way)
            for _ in range(3):
                with pytest.raises(ToolCallDenied):
                    transfer("A", 1)
            assert not ran
    finally:
        never.set()


@pytest.mark.parametrize("way", WAYS)
def test_providers_of_both_kinds_are_merged(way: Way) -> None:
    """One that fails does not hide another; they are asked only for facts that a rule reads."""

    async def second(request: Any, names: Any) -> Any:
        return {"context": {"there": True}}

    asked: list[Any] = []

    def first(request: Any, names: Any) -> Any:
        asked.append(names)
        return {"context": {"ok": True}}

    both = {"id": "ok", "effect": "allow", "when": "context.ok && context.there"}
    with make_guard(both, facts=[first, araising, second]) as guard, guard.session(agent=AGENT):
        transfer, ran = bank(guard, way)
        transfer("A", 1)
        assert len(ran) == 1
        assert asked == [frozenset({"context"})]


def test_a_resource_function_that_fails_is_an_absent_fact_T39() -> None:
    """The rule that reads it fires."""
    guarded = {"id": "no", "effect": "deny", "when": 'resource.type == "x"'}
    for resource in (
        lambda args: 1 / 0,
        lambda args: None,
        lambda args: object(),
        lambda args: {"type": object()},
    ):
        with make_guard(ANY, guarded) as guard, guard.session(agent=AGENT):
            transfer, ran = bank(guard, resource=resource)
            with pytest.raises(ToolCallDenied):
                transfer("A", 1)
            assert not ran


@pytest.mark.parametrize("way", WAYS)
def test_a_channel_that_fails_is_no_answer_T39(way: Way, caplog: pytest.LogCaptureFixture) -> None:
    """The next one is still told."""

    def broken(question: Any) -> None:
        raise ValueError(CANARY)

    with make_guard(channels=[broken, says("approve")]) as guard, guard.session(agent=AGENT):
        transfer, _ = bank(guard, way)
        assert transfer("A", 500)
        assert transfer("A", 501)
    assert CANARY not in caplog.text


def test_a_constraint_that_does_not_fit_the_tool_is_a_denial() -> None:
    """Another type, and an argument that the tool does not have."""
    for write in ({"args.amount": "'many'"}, {"args.bogus": "1"}):
        cap = {"id": "cap", "effect": "constrain", "set": write}
        with make_guard(ANY, cap) as guard, guard.session(agent=AGENT):
            transfer, ran = bank(guard)
            with pytest.raises(ToolCallDenied, match="agentguard/constraint"):
                transfer("A", 1)
            assert not ran


@pytest.mark.parametrize("way", WAYS)
def test_a_limit_that_is_used_up_is_a_denial(way: Way) -> None:
    """And what was only reserved runs nothing."""
    count = ANY | {"reserve": {"key": "n", "limit": 2}}
    with make_guard(count) as guard, guard.session(agent=AGENT):
        transfer, ran = bank(guard, way)
        transfer("A", 1)
        transfer("B", 1)
        with pytest.raises(ToolCallDenied):
            transfer("C", 1)
        assert len(ran) == 2


@pytest.mark.parametrize("way", WAYS)
def test_a_tools_own_error_comes_through_and_is_recorded_by_its_class_T37(
    way: Way, caplog: pytest.LogCaptureFixture
) -> None:
    """The same object; its text is in no event and no log."""
    error = KeyError(CANARY)
    guard = make_guard(ANY)

    @guard.tool("t")
    def tool() -> None:
        raise error

    @guard.tool("a")
    async def atool() -> None:
        raise error

    caplog.set_level(logging.DEBUG)
    with guard, guard.session(agent=AGENT):
        with pytest.raises(KeyError) as caught:
            tool() if way == "sync" else asyncio.run(atool())
        assert caught.value is error
        (event,) = events(guard, "outcome")
        assert (event["status"], event["error"]) == ("failed", "KeyError")
        assert CANARY not in f"{events(guard)}{caplog.text}"


# T37: results


@pytest.mark.parametrize("way", WAYS)
def test_what_a_rule_masks_is_never_handed_out_T37(way: Way) -> None:
    """Neither to the caller nor to what the session observed."""
    guard = make_guard(ANY | {"redact_result": ["$.iban", "$.rows[*].iban"]})
    result = {"iban": CANARY, "rows": [{"iban": CANARY, "x": 1}], "none": None}

    @guard.tool("t")
    def tool() -> Any:
        return result

    @guard.tool("a")
    async def atool() -> Any:
        return result

    with guard, guard.session(agent=AGENT) as session:
        found = tool() if way == "sync" else asyncio.run(atool())
        assert found == {"iban": MASK, "rows": [{"iban": MASK, "x": 1}], "none": None}
        assert [item.content for item in session.observations] == [found]
        assert result["iban"] == CANARY


class Sneaky(dict[str, Any]):
    def items(self) -> Any:
        raise RuntimeError(CANARY)


@pytest.mark.parametrize(
    ("result", "path"),
    [
        (CANARY, "$.iban"), (f'{{"iban": "{CANARY}"}}', "$.iban"), ([CANARY], "$.iban"), ((CANARY,), "$[0]"),
        ({0: CANARY}, "$[0]"), ({"a": CANARY.encode()}, "$.a.b"),
        ({"a": object()}, "$.a.b"), (Sneaky(iban=CANARY), "$.iban"),
        ({"iban": CANARY}, "iban"), ({"iban": CANARY}, "$..iban"),
        ({"a": {"b": CANARY}}, "$.*.b"), (CANARY, "$"),
        ({"a": [[{"b": CANARY}]]}, "$.a.b"),
    ],
)  # fmt: skip
def test_a_mask_errs_on_the_side_of_masking_T37(result: Any, path: str) -> None:
    """Text, objects and paths that nobody understands are masked as a whole."""
    assert CANARY not in repr(redact(result, [path]))


def test_a_stream_that_would_have_to_be_masked_is_denied_T37() -> None:
    """Nothing of it is seen; also when it is resumed."""
    mask = RedactResult(paths=("$",), rule="bank/x")
    with make_guard(snapshot=Broken(Decision(effect=Effect.ALLOW, obligations=(mask,)))) as guard:

        @guard.tool("s")
        def stream() -> Any:
            yield CANARY

        with guard.session(agent=AGENT), pytest.raises(ToolCallDenied, match="agentguard/redaction"):
            next(stream())


# T59: secrets


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "args", [(1,), (50,), (500,), (-1,), (float("nan"),), ("x", "too", "many", "arguments")]
)
def test_a_secret_in_an_argument_is_in_no_record_message_or_log_T59(
    way: Way, args: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """For every effect and for a call that does not fit: events, errors, reprs and logs."""
    caplog.set_level(logging.DEBUG)
    deny = {"id": "no", "effect": "deny", "when": "args.amount < 0"}
    cap = {"id": "cut", "effect": "constrain", "when": "args.amount == 1", "set": {"args.note": '"x"'}}
    seen: list[str] = []
    with make_guard(*RULES, deny, cap, pause="raise") as guard:
        transfer, _ = bank(guard, way)
        with guard.session(agent=AGENT, prompt="hello") as session:
            try:
                transfer(CANARY, *args)
            except (ToolCallDenied, ApprovalPending) as error:
                seen += [str(error), repr(error), str(error.__cause__), str(error.__dict__.get("reason"))]
                if isinstance(error, ApprovalPending):
                    answer(guard, error.approval_id)
                    found = guard.resume_sync(error.approval_id) if way == "sync" else None
                    seen.append(str(found and found.state))
            seen += [repr(session), repr(guard), repr(guard.tools), str(guard.bypasses())]
        assert events(guard)
        seen += [str(events(guard)), caplog.text]
    assert not [text for text in seen if CANARY in text]


def test_a_failing_store_puts_no_argument_into_logs_T59(caplog: pytest.LogCaptureFixture) -> None:
    """Whatever its error says."""
    with make_guard(ANY) as guard, guard.session(agent=AGENT):
        transfer, ran = bank(guard)
        store: Any = guard.store

        def append(*_: Any, **__: Any) -> None:
            raise RuntimeError(f"cannot insert {CANARY}")

        store.append = append
        with pytest.raises(ToolCallDenied) as caught:
            transfer(CANARY, 1)
        assert CANARY not in f"{caught.value}{caplog.text}"
        del store.append
        assert not ran


# Sessions: breaker, counting, labels


@pytest.mark.parametrize("way", WAYS)
def test_the_same_denied_call_trips_the_breaker(way: Way) -> None:
    """After three; other arguments and other sessions are not touched."""
    with make_guard() as guard:
        transfer, _ = bank(guard, way)
        with guard.session(agent=AGENT):
            denied = []
            for payee in ("EVIL", "EVIL", "EVIL", "EVIL"):
                with pytest.raises(ToolCallDenied) as caught:
                    transfer(payee, 1)
                denied.append(caught.value.rule)
            assert denied == ["bank/evil"] * 3 + ["agentguard/breaker"]
            with pytest.raises(ToolCallDenied, match="bank/evil"):
                transfer("EVIL", 2)
            transfer("fine", 1)
        with guard.session(agent=AGENT), pytest.raises(ToolCallDenied, match="bank/evil"):
            transfer("EVIL", 1)


def test_nobody_is_asked_a_fourth_time_after_three_rejections() -> None:
    """Also where a constraint changes the arguments before the question."""
    asked: list[Any] = []

    def reject(question: Any) -> None:
        asked.append(question)
        question.answer("deny", subject="ana", assurance="login")

    with make_guard(channels=[reject]) as guard, guard.session(agent=AGENT):
        transfer, _ = bank(guard)
        for number in range(5):
            with pytest.raises(ToolCallDenied, match="rejected" if number < 3 else "agentguard/breaker"):
                transfer("A", 500, "a note that is too long")
        assert len(asked) == 3


def test_a_flood_of_denials_does_not_disarm_the_breaker() -> None:
    """What is remembered is bounded and the newest."""
    with make_guard() as guard, guard.session(agent=AGENT) as session:
        for number in range(10_000):
            session.denied("t", str(number))
        assert len(session._denied) <= 4096
        for _ in range(3):
            session.denied("t", "x")
        assert session.tripped("t", "x")


def test_a_call_is_counted_once_however_often_it_comes_back() -> None:
    """`session.calls` is what conditions see; it forgets old ids in bounded memory."""
    with make_guard(pause="raise") as guard, guard.session(agent=AGENT) as session:
        bank(guard)
        for _ in range(3):
            with pytest.raises(ApprovalPending):
                guard.call("bank.transfer", {"payee": "A", "amount": 500, "note": ""}, print, call_id="c-1")
        assert session.calls == 1
        guard.call("bank.transfer", {"payee": "A", "amount": 1, "note": ""}, lambda arguments: None)
        assert session.calls == 2
        for number in range(10_000):
            session.count(str(number))
        assert len(session._seen) <= 4096


def test_the_number_of_calls_is_a_fact() -> None:
    """The third is denied."""
    limit = {"id": "limit", "effect": "deny", "when": "session.calls >= 2"}
    with make_guard(ANY, limit) as guard, guard.session(agent=AGENT):
        transfer, ran = bank(guard)
        transfer("A", 1)
        transfer("A", 2)
        with pytest.raises(ToolCallDenied):
            transfer("A", 3)
        assert len(ran) == 2


def readers(guard: Guard) -> dict[str, Any]:
    """A reader of other people's words of every kind."""
    facts = {"untrusted_output": True}

    @guard.tool("plain", facts=facts)
    def plain() -> str:
        return "words"

    @guard.tool("async", facts=facts)
    async def coroutine() -> str:
        return "words"

    @guard.tool("failing", facts=facts)
    def failing() -> str:
        raise ValueError("words")

    @guard.tool("stream", facts=facts)
    def stream() -> Any:
        yield "words"

    @guard.tool("astream", facts=facts)
    async def astream() -> Any:
        yield "words"

    async def first() -> None:
        async for _ in astream():
            break

    return {
        "plain": plain,
        "async": lambda: asyncio.run(coroutine()),
        "failing": failing,
        "stream": lambda: next(stream()),
        "astream": lambda: asyncio.run(first()),
    }


@pytest.mark.parametrize("kind", ["plain", "async", "failing", "stream", "astream"])
def test_other_peoples_words_label_the_session(kind: str) -> None:
    """From then on a rule may ask; a failing reader and the first item of a stream do so too."""
    no = {"id": "no", "effect": "deny", "when": '"untrusted" in session.labels', "tools": ["send"]}
    guard = make_guard(ANY, no)

    @guard.tool("send")
    def send() -> None: ...

    with guard, guard.session(agent=AGENT) as session:
        send()
        try:
            readers(guard)[kind]()
        except ValueError:
            pass
        assert session.labels == ("untrusted",)
        with pytest.raises(ToolCallDenied, match="bank/no"):
            send()


# The batched recorder


def batched(guard: Guard) -> Any:
    @guard.tool("read", facts={"read_only": True})
    def read(x: int) -> int:
        return x

    return read


def test_a_window_is_opened_before_the_first_record_and_closed_after_the_last() -> None:
    """Its count says that nothing was lost."""
    store = open_store("memory:")
    with make_guard(ANY, store=store, record="batched") as guard, guard.session(agent=AGENT):
        read = batched(guard)
        assert not events(guard, "segment")
        for number in range(5):
            read(number)
        assert [event["state"] for event in events(guard, "segment")] == ["open"]
    with make_guard(ANY, store=store) as other:
        opened, closed = events(other, "segment")
        assert (opened["state"], closed["state"], closed["count"]) == ("open", "closed", 10)
        assert opened["writer"] == closed["writer"]
        assert is_whole(other)


def test_a_window_ends_by_itself() -> None:
    """Within its time the records are durable though nobody asks."""
    with make_guard(ANY, record="batched") as guard, guard.session(agent=AGENT):
        batched(guard)(1)
        until(lambda: list(guard.store.events("default", types=("outcome",))))


def _reading(url: str) -> None:
    guard = make_guard(ANY, store=url, record="batched")
    with guard.session(agent=AGENT):
        batched(guard)(7)


def test_a_worker_that_ends_loses_no_batched_record(tmp_path: Path) -> None:
    """Neither a forked one, which skips the interpreter's end, nor one that forgets to close its guard."""
    url = f"sqlite:///{tmp_path}/guard.db"
    for method in ("fork", "spawn"):
        worker = multiprocessing.get_context(method).Process(target=_reading, args=(url,))
        worker.start()
        worker.join(300)
        assert worker.exitcode == 0
    with make_guard(ANY, store=url) as guard:
        assert len(events(guard, "outcome")) == 2
        assert [event["state"] for event in events(guard, "segment")] == ["open", "closed"] * 2
        assert is_whole(guard)


def test_a_forked_child_leaves_batched_records_to_its_parent_T43() -> None:
    """They are written once."""
    with make_guard(ANY, record="batched") as guard, guard.session(agent=AGENT):
        guard.recorder._window_ms = 10**6
        batched(guard)(1)
        worker = multiprocessing.get_context("fork").Process(target=guard.flush)
        worker.start()
        worker.join(300)
        assert worker.exitcode == 0
        assert len(guard.recorder._pending) == 2
        guard.flush()
        assert len(events(guard, "decision")) == 1


def test_a_full_buffer_is_written_at_once() -> None:
    """Memory is bounded."""
    with make_guard(ANY, record="batched") as guard, guard.session(agent=AGENT):
        guard.recorder._window_ms = 10**6
        read = batched(guard)
        for number in range(1500):
            read(number)
            assert len(guard.recorder._pending) <= 1024


@pytest.mark.parametrize("effect", ["flag", "step_up", "constrain", "write"])
def test_only_read_only_calls_without_obligations_are_batched(effect: str) -> None:
    """Everything else is durable before it runs."""
    seen: list[int] = []
    extra: dict[str, Any] = {
        "flag": [{"id": "f", "effect": "flag", "flag": {"owner": "ops"}}],
        "constrain": [{"id": "c", "effect": "constrain", "set": {"args.x": "2"}}],
        "step_up": [{"id": "s", "effect": "step_up", "approval": {"reviewers": ["ana"]}}],
        "write": [],
    }[effect]
    with make_guard(ANY, *extra, record="batched", channels=[says("approve")]) as guard:
        guard.recorder._window_ms = 10**6

        @guard.tool("t", facts={} if effect == "write" else {"read_only": True})
        def tool(x: int) -> None:
            seen.append(len(list(guard.store.events("default", types=("decision",)))))

        with guard.session(agent=AGENT):
            tool(1)
        assert seen[0] >= 1
