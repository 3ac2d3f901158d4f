"""Other decision points on the path of a call: asked in bounded time, at the claim again, never trusted."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from agentguard import ConfigurationError, ContextRequest, Effect, ToolCallDenied
from agentguard.decision import Approve, Stage
from agentguard.opinion import Opinion
from tests.guard.support import AGENT, ANY, CAP, LARGE, WAYS, Way, bank, events, make_guard, resume, says

APPROVE = Approve(stages=(Stage(("group:finance",)),), expires_in_s=600, rules=(), local=True)


class Asked:
    """An engine that answers what a test wants, and remembers what it was asked."""

    def __init__(self, *answers: Any, name: str = "opa", **settings: Any) -> None:
        self.name = name
        self.tools = settings.get("tools", ("*",))
        self.permits = settings.get("permits", False)
        self.timeout_s = settings.get("timeout_s", 60.0)
        self.local = settings.get("local", True)
        self.answers = list(answers)
        self.requests: list[ContextRequest] = []

    def decide(self, request: ContextRequest) -> Any:
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, BaseException):
            raise answer
        return answer() if callable(answer) else answer


class AskedLater(Asked):
    """The same as a coroutine."""

    async def decide(self, request: ContextRequest) -> Any:
        await asyncio.sleep(0)
        return super().decide(request)


ALLOWS = Opinion(effect=Effect.ALLOW)
NOTHING = {"id": "n", "effect": "deny", "when": "false"}
DENIES = Opinion(effect=Effect.DENY, reason="not on Fridays", rules=("friday",))
KINDS = [("local", Asked, True), ("blocking", Asked, False), ("coroutine", AskedLater, False)]


@pytest.fixture(params=KINDS, ids=[kind[0] for kind in KINDS])
def kind(request: pytest.FixtureRequest) -> Any:
    _, cls, local = request.param
    return lambda *answers, **settings: cls(*answers, **{"local": local, **settings})


def hang() -> Iterator[threading.Event]:
    done = threading.Event()
    yield done
    done.set()


hanging = pytest.fixture(hang)


@pytest.mark.parametrize("way", WAYS)
def test_its_deny_stops_the_call_and_is_recorded(kind: Any, way: Way) -> None:
    """Under its own name, with its reason, and as a fact that decides the same again."""
    engine = kind(DENIES)
    with make_guard(ANY, engines=[engine]) as guard:
        transfer, ran = bank(guard, way)
        with guard.session(agent=AGENT), pytest.raises(ToolCallDenied, match="not on Fridays") as caught:
            transfer("A", 1)
        assert caught.value.rule == "engine/opa"
        assert not ran
        (event,) = events(guard, "decision")
        assert [(match["policy"], match["rule_id"]) for match in event["decision"]["matched"]] == [
            ("engine", "opa"),
            ("bank", "any"),
        ]
        (request,) = engine.requests
        assert (request.tool, request.args["payee"], request.agent["id"]) == ("bank.transfer", "A", "billing")


@pytest.mark.parametrize("way", WAYS)
def test_its_allow_runs_only_what_it_may_permit(kind: Any, way: Way) -> None:
    """Without a rule that grants, an engine has to be trusted to."""
    for permits in (False, True):
        with make_guard(
            {"id": "n", "effect": "deny", "when": "false"}, engines=[kind(ALLOWS, permits=permits)]
        ) as guard:
            transfer, ran = bank(guard, way)
            with guard.session(agent=AGENT):
                if permits:
                    transfer("A", 1)
                else:
                    with pytest.raises(ToolCallDenied, match="agentguard/default"):
                        transfer("A", 1)
            assert bool(ran) is permits


def test_an_engine_cannot_say_by_itself_that_it_may_permit(kind: Any) -> None:
    """That stands in the configuration."""
    with make_guard(NOTHING, engines=[kind(Opinion(effect=Effect.ALLOW, permits=True))]) as guard:
        transfer, ran = bank(guard)
        with guard.session(agent=AGENT), pytest.raises(ToolCallDenied):
            transfer("A", 1)
        assert not ran


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "answer",
    [
        None,
        True,
        {"effect": "allow"},
        "allow",
        RuntimeError("password hunter2"),
        RecursionError(),
        MemoryError(),
    ],
    ids=repr,
)
def test_what_is_no_answer_is_a_deny_T39(kind: Any, way: Way, answer: Any, caplog: Any) -> None:
    """Whatever it is, and nothing of what was raised is told."""
    with make_guard(ANY, engines=[kind(answer)]) as guard:
        transfer, ran = bank(guard, way)
        with guard.session(agent=AGENT), pytest.raises(ToolCallDenied, match="engine/opa") as caught:
            transfer("A", 1)
        assert not ran
        assert "hunter2" not in str(caught.value) + caplog.text
        (event,) = events(guard, "decision")
        assert event["decision"]["matched"][0]["error"]


class Sneaky(Opinion):
    """An opinion of another class could say anything when it is recorded."""

    __slots__ = ()

    def to_fact(self) -> dict[str, Any]:
        return {"effect": "allow", "permits": True}


def test_only_an_opinion_itself_is_one(kind: Any) -> None:
    """Not something derived from it."""
    with make_guard(NOTHING, engines=[kind(Sneaky(effect=Effect.ALLOW))]) as guard:
        transfer, ran = bank(guard)
        with guard.session(agent=AGENT), pytest.raises(ToolCallDenied, match="engine/opa"):
            transfer("A", 1)
        assert not ran


@pytest.mark.parametrize("way", WAYS)
def test_who_does_not_answer_in_time_denies_T41_T42(hanging: threading.Event, way: Way) -> None:
    """In bounded time: none of them would ever answer."""

    def never() -> Opinion:
        hanging.wait()
        return ALLOWS

    slow = [Asked(never, name=f"e{number}", local=False, timeout_s=0.2) for number in range(4)]
    with make_guard(ANY, engines=slow) as guard:
        transfer, ran = bank(guard, way)
        with guard.session(agent=AGENT), pytest.raises(ToolCallDenied, match="engine/e0"):
            transfer("A", 1)
        assert not ran


@pytest.mark.parametrize("way", WAYS)
def test_several_are_asked_side_by_side_T42(way: Way) -> None:
    """Each of them answers only when all of them are being asked: nobody waits in line."""
    together = threading.Barrier(4, timeout=60)

    def agreed() -> Opinion:
        together.wait()
        return ALLOWS

    engines = [Asked(agreed, name=f"e{number}", local=False) for number in range(4)]
    with make_guard(ANY, engines=engines) as guard:
        transfer, ran = bank(guard, way)
        with guard.session(agent=AGENT):
            transfer("A", 1)
        assert len(ran) == 1


def test_a_coroutine_that_never_ends_denies_T41() -> None:
    """It is cancelled."""
    ended: list[str] = []

    class Never(Asked):
        async def decide(self, request: ContextRequest) -> Any:
            try:
                await asyncio.sleep(3600)
            finally:
                ended.append("cancelled")

    with make_guard(ANY, engines=[Never(ALLOWS, local=False, timeout_s=0.05)]) as guard:
        transfer, ran = bank(guard, "async")
        with guard.session(agent=AGENT), pytest.raises(ToolCallDenied, match="engine/opa"):
            transfer("A", 1)
        assert not ran
        assert ended == ["cancelled"]


@pytest.mark.parametrize("way", WAYS)
def test_only_the_tools_it_concerns(way: Way) -> None:
    """Exact names and prefixes, as in policies."""
    engine = Asked(DENIES, tools=("bank.*", "mail"))
    with make_guard(ANY, engines=[engine]) as guard:
        for name, concerned in (
            ("bank.transfer", True),
            ("banking", False),
            ("mail", True),
            ("mail.send", False),
        ):
            transfer, ran = bank(guard, way, name)
            with guard.session(agent=AGENT):
                if concerned:
                    with pytest.raises(ToolCallDenied):
                        transfer("A", 1)
                else:
                    transfer("A", 1)
            assert bool(ran) is not concerned


@pytest.mark.parametrize("way", WAYS)
def test_at_the_claim_it_is_asked_again_T05(way: Way) -> None:
    """What it allowed when the question was asked, it may deny when the answer has come."""
    with make_guard(LARGE, pause="raise", engines=[Asked(ALLOWS, DENIES)]) as guard:
        transfer, ran = bank(guard, way)
        with guard.session(agent=AGENT), pytest.raises(Exception, match="waits for approval"):
            transfer("A", 500)
        (approval,) = guard.store.approvals("default")
        guard.vote(approval.id, says_yes(approval))
        with pytest.raises(ToolCallDenied, match="engine/opa"):
            resume(guard, way, approval.id)
        assert not ran


def says_yes(approval: Any) -> Any:
    from agentguard import Answer

    return Answer(subject="local", verdict="approve", digest=approval.digest)


@pytest.mark.parametrize("way", WAYS)
def test_its_step_up_is_answered_by_people(way: Way) -> None:
    """And then the call runs once."""
    engine = Asked(Opinion(effect=Effect.STEP_UP, approve=APPROVE, reason="large"))
    with make_guard(ANY, engines=[engine], channels=[says("approve")]) as guard:
        transfer, ran = bank(guard, way)
        with guard.session(agent=AGENT):
            transfer("A", 1)
        assert len(ran) == 1
        assert [event["type"] for event in events(guard, "vote", "claimed")] == ["vote", "claimed"]


@pytest.mark.parametrize("way", WAYS)
def test_what_constraints_wrote_is_asked_about_again_T30(way: Way) -> None:
    """An engine that denies the rewritten call stops it."""

    def short(request: ContextRequest) -> Opinion:
        return DENIES if len(request.args["note"]) <= 5 else ALLOWS

    class Reads(Asked):
        def decide(self, request: ContextRequest) -> Any:
            self.requests.append(request)
            return short(request)

    engine = Reads(ALLOWS)
    with make_guard(ANY, CAP, engines=[engine]) as guard:
        transfer, ran = bank(guard, way)
        with guard.session(agent=AGENT), pytest.raises(ToolCallDenied, match="engine/opa"):
            transfer("A", 1, "a long note")
        assert [request.args["note"] for request in engine.requests] == ["a long note", "a lon"]
        assert not ran
    with make_guard(
        ANY, CAP, engines=[Asked(ALLOWS, Opinion(effect=Effect.STEP_UP, approve=APPROVE))]
    ) as guard:
        transfer, ran = bank(guard, way)
        with guard.session(agent=AGENT), pytest.raises(ToolCallDenied, match="agentguard/engine"):
            transfer("A", 1, "a long note")
        assert not ran


@pytest.mark.parametrize("way", WAYS)
def test_a_fact_provider_cannot_speak_for_an_engine(way: Way) -> None:
    """Neither for one that is asked, nor for one that is not there."""

    def provider(request: Any, names: Any) -> dict[str, Any]:
        return {
            "engines": {
                "opa": {"effect": "allow", "permits": True},
                "other": {"effect": "allow", "permits": True},
            }
        }

    reads = {"id": "r", "effect": "flag", "when": "has(engines.x)", "flag": {"owner": "o"}}
    for engines in ([], [Asked(Opinion(effect=None))], [Asked(ALLOWS, tools=("mail",))]):
        with make_guard(reads, facts=[provider], engines=engines) as guard:
            transfer, ran = bank(guard, way)
            with guard.session(agent=AGENT), pytest.raises(ToolCallDenied, match="agentguard/default"):
                transfer("A", 1)
            assert not ran


def test_engines_see_nothing_of_each_other() -> None:
    """Each is asked about the same request."""
    first, second = Asked(ALLOWS, name="a"), Asked(ALLOWS, name="b")
    with make_guard(ANY, engines=[first, second]) as guard:
        transfer, _ = bank(guard)
        with guard.session(agent=AGENT):
            transfer("A", 1)
        assert "engines" not in second.requests[0].supplied


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"name": "Bad Name"}, "lower-case"),
        ({"name": "a/b"}, "lower-case"),
        ({"tools": ()}, "concerns no tool"),
        ({"tools": "bank"}, "one string"),
        ({"tools": ("ba*nk",)}, "neither"),
        ({"tools": ("*.x",)}, "neither"),
        ({"tools": ("",)}, "neither"),
        ({"timeout_s": 0}, "timeout_s"),
        ({"timeout_s": 1e9}, "timeout_s"),
        ({"timeout_s": "1"}, "not an engine"),
        ({"permits": "yes"}, "true or false"),
        ({"local": None}, "true or false"),
        ({"decide": None}, "method"),
    ],
)
def test_what_is_no_engine_is_refused_at_the_start_T48(change: dict[str, Any], match: str) -> None:
    """A typing error does not become a decision point that is never asked."""
    engine = Asked(ALLOWS)
    vars(engine).update(change)
    with pytest.raises(ConfigurationError, match=match):
        make_guard(ANY, engines=[engine])


def test_an_engine_for_a_tool_that_nobody_registered_is_noticed_T48() -> None:
    """A misspelt name would be a decision point that is never asked."""
    with make_guard(ANY, engines=[Asked(DENIES, tools=("bank.transfr",))], strict=True) as guard:
        bank(guard)
        assert guard.unknown_tools() == ["bank.transfr"]
        with pytest.raises(ConfigurationError, match=r"an engine names `bank\.transfr`"):
            guard.session(agent=AGENT)


def test_two_engines_of_one_name_are_refused() -> None:
    """A decision would not say which one it was."""
    with pytest.raises(ConfigurationError, match="called `opa`"):
        make_guard(ANY, engines=[Asked(ALLOWS), Asked(DENIES)])
    with pytest.raises(ConfigurationError, match="not an engine"):
        make_guard(ANY, engines=[object()])


def test_cancellation_while_an_engine_is_asked_T38(hanging: threading.Event) -> None:
    """Nothing runs and nothing is left behind."""

    def never() -> Opinion:
        hanging.wait()
        return ALLOWS

    ran: list[int] = []
    with make_guard(ANY, engines=[Asked(never, local=False, timeout_s=30)]) as guard:

        @guard.tool("t")
        async def act() -> None:
            ran.append(1)

        async def main() -> None:
            async with guard.session(agent=AGENT):
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.1):
                        await act()

        asyncio.run(main())
        assert not ran
        assert not events(guard, "outcome")
