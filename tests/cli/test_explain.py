"""`agentguard explain`: a call in, the decision with its reasons out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agentguard.ledger import events
from agentguard.store.protocol import Payload
from tests.cli.support import HOSTILE, RAW, records, run
from tests.store.support import decided, make_decision, make_request

ASK = {"tool": "pay", "agent": "billing", "args": {"amount": 500, "iban": "DE99SECRET"}}


def test_the_verdict_comes_first_with_rule_and_place(project: Path) -> None:
    out = run("explain", "-", input=json.dumps(ASK)).stdout
    assert out.splitlines()[0] == 'STEP_UP  pay(amount=500, iban="DE99SECRET")'
    assert 'by  pay/large  policies/pay.yaml:7  "more than 100"' in out
    assert "true -> step_up" in out
    assert "args.amount = 500" in out
    assert "runs when approved by 1 of group:finance" in out


def test_the_default_is_named_and_what_would_change_it(project: Path) -> None:
    out = run("explain", "-", input=json.dumps({**ASK, "tool": "other"})).stdout
    assert out.startswith("DENY  other(")
    assert "agentguard/default" in out
    assert "no allow rule or step-up concerns this tool: write one" in out


def test_T59_sensitive_values_are_masked_in_both_forms(project: Path) -> None:
    asked = json.dumps({**ASK, "facts": {"sensitive": ["iban"]}})
    for args in (["explain", "-"], ["explain", "-", "--json"]):
        out = run(*args, input=asked).stdout
        assert "DE99" not in out
        assert "***" in out


def test_the_same_as_data_and_one_rule_only(project: Path) -> None:
    (project / "request.json").write_text(json.dumps(ASK))
    data = json.loads(run("explain", "request.json", "--json").stdout)
    assert (data["effect"], [one["rule"] for one in data["rules"]]) == ("step_up", ["pay/large", "pay/small"])
    one = json.loads(run("explain", "request.json", "--json", "--rule", "pay/small").stdout)
    assert [rule["rule"] for rule in one["rules"]] == ["pay/small"]
    assert "rules that do: `pay/large`" in run("explain", "request.json", "--rule", "x", code=2).stderr


def test_other_policies_can_be_asked(project: Path) -> None:
    (project / "q.yaml").write_text("policy: q\nrules: [{id: no, effect: deny, tools: [pay]}]\n")
    (project / "q.yaml").chmod(0o644)
    assert run("explain", "-", "--policies", "q.yaml", input=json.dumps(ASK)).stdout.startswith("DENY  pay(")
    (project / "q.yaml").chmod(0o666)
    assert "AG301" in run("explain", "-", "--policies", "q.yaml", input=json.dumps(ASK), code=2).stderr


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"tool": "a", "tool": "b", "agent": "x"}', "is there twice"),
        ('{"tool": "a", "agent": "x", "arg": {}}', "unknown key `arg`"),
        ('{"tool": "a"}', "needs `agent`"),
        ('{"tool": "a", "agent": "x", "args": {"n": NaN}}', "NaN is not a JSON number"),
        ("[1]", "is a JSON object"),
        ("{", "not valid JSON"),
        ("[" * 100_000, "nested deeper"),
        ("\xff", "not valid JSON"),
    ],
)
def test_T48_a_request_that_is_wrong_is_refused(project: Path, text: str, words: str) -> None:
    assert words in run("explain", "-", input=text.encode("latin-1"), code=2).stderr


def test_usage_errors_say_what_to_do(project: Path) -> None:
    assert "--help" in run("explain", code=2).stderr
    assert "cannot be read" in run("explain", "no.json", code=2).stderr
    assert "not both" in run("explain", "-", "--decision", "abcdef", code=2).stderr


def test_broken_policies_are_reported_with_their_place(project: Path) -> None:
    (project / "policies/pay.yaml").write_text("policy: p\nrules: [{id: a, efect: deny}]\n")
    found = run("explain", "-", input=json.dumps(ASK), code=2).stderr
    assert "policies/pay.yaml:2:17: AG102" in found


def test_a_recorded_decision_is_shown_again(project: Path) -> None:
    """By its id or the end of it; arguments come from the payload and are masked, since nobody says which may
    be shown."""
    store = records(project)
    event = events.decision(
        id="01990000-0000-7000-8000-abcdefabcdef", tenant="default", at=store.now(), request=make_request(),
        decision=make_decision(), args_hmac="hmac-sha256:" + "5" * 64, runs=True,
    )  # fmt: skip
    content = b'{"payee":"ACME"}'
    store.append("default", [event], payloads={"hmac-sha256:" + "5" * 64: Payload("ben", content)})
    store.append("default", [decided()])
    store.close()
    for typed in ("01990000", "abcdefabcdef"):
        out = run("explain", "--decision", typed).stdout
        assert out.startswith("ALLOW  payments.transfer(payee=*** <4 characters, masked>)")
        assert "payments/small" in out
        assert "ACME" not in out
    assert json.loads(run("explain", "--decision", "01990000", "--json").stdout)["type"] == "decision"
    assert "at least 6" in run("explain", "--decision", "0199", code=2).stderr
    assert "no decision `ffffffff`" in run("explain", "--decision", "ffffffff", code=2).stderr


def test_T57_nothing_raw_is_printed(project: Path) -> None:
    asked = json.dumps({**ASK, "agent": HOSTILE, "args": {"amount": 500, HOSTILE: HOSTILE}})
    for args in (["explain", "-"], ["explain", "-", "--json"]):
        found = run(*args, input=asked)
        assert not any(raw in found.output for raw in RAW)
