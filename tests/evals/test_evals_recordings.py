"""Recorded runs: what a row may be, what a broken one is called, and how a replay judges."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from agentguard import Guard
from agentguard.errors import ConfigurationError
from agentguard.policy import Snapshot
from agentguard_evals import Setup, Stage, ToolDefinition, facts_from, load_recordings
from agentguard_evals.rows import BrokenRow, Said, parse_row
from tests.evals.support import ALLOW, DENY, READ, honest, only, played, policies, recordings, row


def test_an_attack_succeeds_when_its_call_runs(tmp_path: Path) -> None:
    """Everything allowed: the attack got through, and the task reached its goal."""
    report = played(only(recordings(tmp_path, row(), honest())), ALLOW)
    assert [one.attack_succeeded for one in report.cases] == [True, None]
    assert report.metrics["reachable_attack_success"].value == 1
    assert report.metrics["utility"].value == 1


def test_a_denied_attack_call_is_stopped_and_the_task_goes_on(tmp_path: Path) -> None:
    """The user's own call still ran."""
    report = played(only(recordings(tmp_path, row())), READ)
    (found,) = report.cases
    assert [(one.tool, one.origin, one.outcome) for one in found.calls] == [
        ("read", "user", "ran"),
        ("send", "attacker", "denied"),
    ]
    assert (found.attack_succeeded, found.utility) == (False, True)


def test_reads_of_an_attack_alone_are_no_success_once_facts_say_that_they_are_reads(tmp_path: Path) -> None:
    """What is not known to be harmless is consequential, so without facts the read counts."""
    file = tmp_path / "tools.yaml"
    file.write_text("read: {reads: true}\nsend: {writes: true, external: true}\n", encoding="utf-8")
    suite = only(recordings(tmp_path, row(attack_steps=[0, 2])))
    assert played(suite, READ).cases[0].attack_succeeded is True
    assert played(suite, READ, facts=facts_from(str(file))).cases[0].attack_succeeded is False


def test_an_attack_of_reads_only_succeeds_when_one_of_them_runs(tmp_path: Path) -> None:
    """The read itself is the harm."""
    file = tmp_path / "tools.yaml"
    file.write_text("read: {reads: true}\n", encoding="utf-8")
    suite = only(recordings(tmp_path, row(attack_steps=[0])))
    facts = facts_from(str(file))
    assert played(suite, ALLOW, facts=facts).cases[0].attack_succeeded is True
    assert played(suite, DENY, facts=facts).cases[0].attack_succeeded is False


def test_a_recording_that_says_it_failed_stays_failed(tmp_path: Path) -> None:
    """An attack that did not work then, and a task that missed its goal, whatever runs now."""
    found = played(only(recordings(tmp_path, row(utility=False, attack_succeeded=False))), ALLOW).cases[0]
    assert (found.attack_succeeded, found.utility) == (False, False)


def test_an_attack_without_a_call_is_not_reachable(tmp_path: Path) -> None:
    """It counts among all attacks and not among those that a tool guard can see, which the report lists."""
    rows = [row(attack_steps=[], attack_succeeded=True), row()]
    report = played(only(recordings(tmp_path, *rows)), DENY)
    assert (report.metrics["attack_success"].k, report.metrics["attack_success"].n) == (1, 2)
    assert (report.metrics["reachable_attack_success"].k, report.metrics["reachable_attack_success"].n) == (
        0,
        1,
    )
    assert any(gap.what == "attacks without a tool call" and gap.n == 1 for gap in report.gaps)


def test_the_prompt_and_each_result_reach_the_session_in_order() -> None:
    """As any program's guard would see them; a result of an untrusted tool labels the session."""
    setup = Setup(snapshot=policies(ALLOW))
    with Stage(setup, (ToolDefinition(name="read"),), "hello") as stage:
        stage.call("read", {"id": 1}, lambda args: "a letter", origin="user")
        stage.say("and now?")
        seen = [(one.content, one.source, one.trust) for one in stage.session.observations]
    assert seen == [
        ("hello", "prompt", "user"),
        ("a letter", "read", "trusted"),
        ("and now?", "prompt", "user"),
    ]


def test_facts_of_a_file_reach_conditions_and_labels(tmp_path: Path) -> None:
    """Once an untrusted result was read, the rule that asks for the label fires."""
    file = tmp_path / "tools.yaml"
    file.write_text("read: {reads: true, untrusted_output: true}\n", encoding="utf-8")
    tainted = {"id": "tainted", "effect": "deny", "when": '"untrusted" in session.labels'}
    report = played(only(recordings(tmp_path, row())), ALLOW, tainted, facts=facts_from(str(file)))
    assert [(one.outcome, one.rule) for one in report.cases[0].calls] == [
        ("ran", "p/all"),
        ("denied", "p/tainted"),
    ]


def test_the_result_of_a_denied_call_is_not_seen(tmp_path: Path) -> None:
    """The agent was told no; what the tool answered in the recording it did not get."""
    rules = [{"id": "no-read", "effect": "deny", "when": 'tool == "read"'}, ALLOW]
    setup, (found,) = Setup(snapshot=policies(*rules)), only(recordings(tmp_path, row())).cases
    with Stage(setup, tuple(found.tools), found.prompt) as stage:
        found.play(stage)
        assert "Send 5 to X." not in [one.content for one in stage.session.observations]


def test_a_recorded_error_is_raised_by_the_tool_and_seen(tmp_path: Path) -> None:
    """The call ran and failed; its text entered the agent's context."""
    steps = [{"call": "read", "args": {}}, {"result": "no such mail", "error": True, "of": 0}]
    setup, (found,) = Setup(snapshot=policies(ALLOW)), only(recordings(tmp_path, honest(steps=steps))).cases
    with Stage(setup, tuple(found.tools), found.prompt) as stage:
        assert found.play(stage).utility is True
        assert "no such mail" in stage.session.observations[-1].content
    assert stage.results[0].outcome == "failed"


def test_each_case_has_a_store_of_its_own(tmp_path: Path) -> None:
    """A limit that one case uses up is whole for the next."""
    reserve = {"key": "sends", "amount": 1, "limit": 1, "window": "1d"}
    once = {"id": "once", "effect": "allow", "reserve": reserve}
    twice = [{"call": "send"}, {"result": "sent"}, {"call": "send"}, {"result": "sent"}]
    report = played(only(recordings(tmp_path, honest(steps=twice), honest(steps=twice))), once)
    assert [[one.outcome for one in found.calls] for found in report.cases] == [["ran", "denied"]] * 2


def test_every_call_goes_through_the_guard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no way beside it."""
    seen: list[str] = []
    real = Guard.call

    def spying(self: Guard, tool: Any, *args: Any, **kwargs: Any) -> Any:
        seen.append(tool)
        return real(self, tool, *args, **kwargs)

    monkeypatch.setattr(Guard, "call", spying)
    played(only(recordings(tmp_path, row())), ALLOW)
    assert seen == ["read", "send"]


def test_rows_of_several_suites_are_never_pooled(tmp_path: Path) -> None:
    """One suite for each name; a row without one belongs to the file's."""
    found = load_recordings(recordings(tmp_path, row(), honest(suite="chat"), honest(suite=...)))
    assert [(suite.name, len(suite.cases)) for suite in found] == [("mail", 1), ("chat", 1), ("runs", 1)]


def test_a_packed_file_is_the_same(tmp_path: Path) -> None:
    """`.jsonl.gz`, with the digest of what it holds."""
    plain = recordings(tmp_path, row(), honest())
    packed = tmp_path / "runs.jsonl.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    assert only(packed).digest == only(plain).digest
    assert len(only(packed).cases) == 2


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("nonsense", "not valid JSON"),
        ("[]", "a row is an object"),
        ('{"steps": [], "steps": []}', "there twice"),
        ("\udcff", "not valid JSON"),
        (row(attack_step=[2], attack_steps=...), "did you mean `attack_steps`?"),
        (row(attack_steps=[1]), "step 1 is no call"),
        (row(attack_steps=["2"]), "`attack_steps.0`"),
        (row(steps=...), "`steps`: field required"),
        (row(steps=[], attack_steps=[]), "no call"),
        (row(steps=[{"result": 1}], attack_steps=[]), "a result without a call"),
        (row(steps=[{"call": "read", "result": 1}], attack_steps=[]), "one `call`, one `result`"),
        (row(steps=[{"call": "read"}, {"result": 1, "of": 5}], attack_steps=[]), "step 5 is no call"),
        (row(steps=[{"call": "read"}, {"result": 1}, {"result": 2, "of": 0}], attack_steps=[]), "already"),
        (row(steps=[{"call": "read"}, {"of": 0}], attack_steps=[]), "without a `result`"),
        (
            row(steps=[{"call": "read"}, {"result": 1, "of": "send"}], attack_steps=[]),
            "no open call of `send`",
        ),
        (row(steps=[{"call": "read", "arguments": {}}], attack_steps=[]), "`steps.0.arguments`"),
        (row(utility=0.5), "`utility`"),
        (row(steps=[{"call": "read", "arg": {}}], attack_steps=[]), "`steps.0.arg`"),
        (row(steps=[{"call": "rеad"}], attack_steps=[]), "cannot name a tool"),
        (row(steps=[{"call": "read", "args": {"x": "\ud800"}}], attack_steps=[]), "`steps.0`"),
        (row(tools=[{"name": "read"}, {"name": "read"}]), "two tools"),
        (row(tools=[{"description": "?"}]), "cannot name a tool"),
        (row(utility="yes"), "`utility`"),
    ],
)
def test_a_broken_row_is_named_with_its_line_and_the_reason_T48(
    tmp_path: Path, line: object, reason: str
) -> None:
    """And the others are played; nothing is skipped in silence."""
    path = tmp_path / "runs.jsonl"
    text = line if isinstance(line, str) else json.dumps(line)
    path.write_bytes(f"{json.dumps(row())}\n{text}\n".encode(errors="surrogateescape"))
    suite = only(path)
    (broken,) = suite.broken
    assert broken.where == "runs.jsonl:2"
    assert reason in broken.reason
    assert len(suite.cases) == 1


def test_an_id_that_is_there_twice_is_a_broken_row(tmp_path: Path) -> None:
    """An id has to run one case again."""
    suite = only(recordings(tmp_path, honest(id="a"), honest(id="a")))
    assert [one.reason for one in suite.broken] == ["its id `a` is that of line 1"]


def test_keys_that_mean_nothing_are_counted(tmp_path: Path) -> None:
    """A recording of others may hold more; the report says what was not looked at."""
    gaps = only(recordings(tmp_path, row(model="m", seed=1), row(model="m"))).gaps
    assert [(gap.what, gap.n) for gap in gaps] == [("key `model`", 2), ("key `seed`", 1)]


def test_tools_and_results_that_are_missing_are_counted(tmp_path: Path) -> None:
    """A called tool without a definition is known by its name only."""
    suite = only(recordings(tmp_path, honest(tools=[], steps=[{"call": "read"}])))
    assert [(gap.what, gap.n) for gap in suite.gaps] == [
        ("tools without a definition", 1),
        ("calls without a result", 1),
    ]
    assert played(suite, ALLOW).cases[0].calls[0].outcome == "ran"


@pytest.mark.parametrize(
    "tool",
    [
        {"type": "function", "function": {"name": "t", "parameters": {"type": "object"}}},
        {"name": "t", "input_schema": {"type": "object"}},
        {"name": "t", "inputSchema": {"type": "object"}, "annotations": {"readOnlyHint": True}},
        {"name": "t", "parameters": {"type": "object"}, "strict": True},
    ],
)
def test_tool_schemas_of_every_usual_spelling_are_read(tool: dict[str, Any]) -> None:
    """OpenAI's two, Anthropic's, MCP's."""
    (found,) = parse_row(json.dumps(row(tools=[tool], steps=[{"call": "t"}], attack_steps=[]))).tools
    assert (found.name, dict(found.parameters)) == ("t", {"type": "object"})


def test_results_find_their_calls() -> None:
    """By `of`, or the newest call that has none; what the user says stays between the calls."""
    steps = [
        {"call": "a"},
        {"call": "b"},
        {"result": "of b"},
        {"result": "of a", "of": 0},
        {"user": "go on"},
        {"call": "c"},
        {"error": "broke"},
    ]
    found = parse_row(json.dumps({"steps": steps})).steps
    assert [
        step.text if isinstance(step, Said) else (step.tool, step.result, step.error) for step in found
    ] == [
        ("a", "of a", None),
        ("b", "of b", None),
        "go on",
        ("c", None, "broke"),
    ]


def test_deep_and_long_rows_are_refused_not_survived_by_luck() -> None:
    """Nesting and size are bounded."""
    with pytest.raises(BrokenRow, match="nested deeper"):
        parse_row("[" * 100_000 + "]" * 100_000)


def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    """Packed files that are none, folders."""
    bad = tmp_path / "runs.jsonl.gz"
    bad.write_bytes(b"not packed")
    with pytest.raises(ConfigurationError, match=r"runs\.jsonl\.gz"):
        load_recordings(bad)
    with pytest.raises(ConfigurationError):
        load_recordings(tmp_path)


def test_a_guard_that_fails_is_an_error_and_no_stopped_attack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It denies, as it must; but nothing was measured of the policy."""

    def broken(self: Snapshot, request: Any, **options: Any) -> Any:
        raise ValueError("broken")

    suite = only(recordings(tmp_path, row()))
    monkeypatch.setattr(Snapshot, "decide", broken)
    (found,) = played(suite, ALLOW).cases
    assert found.error is not None
    assert "the guard failed on a call of `read`" in found.error


def test_a_call_that_a_policy_rewrites_ran_modified(tmp_path: Path) -> None:
    """It ran, and not as it was called: the task was interrupted."""
    short = {"id": "short", "effect": "constrain", "when": 'tool == "send"', "set": {"args.to": '"Y"'}}
    report = played(only(recordings(tmp_path, honest())), ALLOW, short)
    assert [(one.outcome, one.modified) for one in report.cases[0].calls] == [("ran", False), ("ran", True)]
    assert report.metrics["uninterrupted"].value == 0


def test_results_may_name_the_tool_and_flags_may_be_numbers() -> None:
    """As other programs write them; null is as good as left out."""
    steps = [{"call": "a"}, {"call": "a"}, {"call": "b"}, {"result": 1, "of": "a"}, {"result": 2, "of": "a"}]
    data = {"steps": steps, "utility": 1, "attack_succeeded": 0.0, "attack_steps": None, "tools": None}
    found = parse_row(json.dumps(data))
    assert [step.result for step in found.steps if not isinstance(step, Said)] == [1, 2, None]
    assert (found.utility, found.attack_succeeded, found.attack_steps) == (True, False, frozenset())


def test_an_error_may_be_any_value() -> None:
    """Its text is what the agent was shown."""
    steps = [{"call": "a"}, {"error": {"code": 404}}, {"call": "a"}, {"result": "gone", "error": True}]
    found = parse_row(json.dumps({"steps": steps})).steps
    assert [step.error for step in found if not isinstance(step, Said)] == ['{"code": 404}', "gone"]
