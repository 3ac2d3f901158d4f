"""A flagged rule rewritten to be enforced: that rule, and nothing else of its file."""

from __future__ import annotations

import pytest

from agentguard.errors import ConfigurationError
from agentguard.policy import Snapshot, Source, read
from agentguard.policy.converting import convert, enforce

FILE = """\
# Payments.
policy: p   # the name
tools: [pay]

rules:
  - id: a
    effect: allow

  # The large ones.
  - id: block
    effect: flag   # for now
    # Finance asked for this.
    when: args.amount > 10
    flag:
      owner: ops   # who
      # goes on to
      escalate_to:
      - to: lead
        # and no further
    # Said to the agent.
    reason: "too much"
  - {id: flow, effect: "flag", approval: {reviewers: [a]},
     flag: {owner: o, converts: {on: 2027-01-01, to: step_up}}}  # l
  - flag: {owner: x}
    id: dashed
    effect: 'flag'
    redact_result: ["$.x"]
  - id: granting
    effect: allow
    when: args.amount < 5
    flag: {owner: ops,
      review_in: 3d}

  - id: watched
    effect: deny
    mode: observe
    observe:
      owner: ops
      until: 2027-01-01
    when: args.amount == 7
  # The end.
"""


def source(text: str = FILE) -> Source:
    found, findings = read(text, "p.yaml")
    assert found is not None
    assert not findings
    return found


def test_only_what_has_to_change_changes() -> None:
    """The effect in its place, the flag gone with the comments inside it, everything else as it was."""
    done = convert(source(), "block")
    flag = FILE[FILE.index("    flag:\n      owner") : FILE.index("    # Said to the agent.")]
    assert done.source.text == FILE.replace(flag, "").replace(
        "effect: flag   # for now", "effect: deny   # for now"
    )
    assert (done.before, done.after, done.line) == ("flag", "deny", 10)


@pytest.mark.parametrize(
    ("rule", "to", "line"),
    [
        ("flow", None, "  - {id: flow, effect: step_up, approval: {reviewers: [a]}}  # l\n"),
        ("flow", "deny", "  - {id: flow, effect: deny}  # l\n"),
        ("dashed", None, "  - id: dashed\n    effect: deny\n  - id: granting\n"),
        ("granting", None, "    effect: deny\n    when: args.amount < 5\n\n  - id: watched\n"),
    ],
)
def test_each_layout_is_rewritten(rule: str, to: None, line: str) -> None:
    """On one line, behind a dash, over several lines; with what a denied call has no use for."""
    assert line in convert(source(), rule, to).source.text


def test_an_observed_rule_is_enforced_as_it_is() -> None:
    """What observed it is taken out."""
    done = enforce(source(), "watched")
    assert "  - id: watched\n    effect: deny\n    when: args.amount == 7\n  # The end.\n" in done.source.text
    assert (done.before, done.after) == ("observed", "deny")


@pytest.mark.parametrize(
    ("rule", "line"),
    [
        ("block", "    effect: flag   # for now\n    mode: enforce\n"),
        ("flow", 'effect: "flag", mode: enforce, approval'),
        ("watched", "    effect: deny\n    mode: enforce\n    when"),
    ],
)
def test_a_rule_of_an_observed_policy_says_that_it_is_enforced(rule: str, line: str) -> None:
    """The others stay observed."""
    text = FILE.replace("tools: [pay]", "tools: [pay]\nobserve: {owner: o, until: 2027-01-01}")
    assert line in enforce(source(text), rule).source.text


def test_line_ends_stay_as_they_are() -> None:
    """Also those of another system."""
    text = FILE.replace("\n", "\r\n")
    for done in (convert(source(text), "block"), enforce(source(text), "watched")):
        assert done.source.text.count("\n") == done.source.text.count("\r\n")
        assert done.source.text != text


@pytest.mark.parametrize("rule", ["block", "flow", "dashed", "granting"])
def test_what_comes_out_is_a_policy(rule: str) -> None:
    """It loads."""
    assert Snapshot.from_sources([convert(source(), rule).source]).rules


def test_a_file_without_a_last_line_end_is_rewritten() -> None:
    """Nothing before the rule is touched."""
    text = "policy: p\ntools: [pay]\nrules:\n  - id: x\n    effect: flag\n    flag: {owner: o}"
    assert convert(source(text), "x").source.text == text.replace(
        "effect: flag\n    flag: {owner: o}", "effect: deny\n"
    )


@pytest.mark.parametrize(
    ("rule", "to", "said"),
    [
        ("nothing", None, "no rule `nothing`"),
        ("a", None, "is no flag"),
        ("block", "step_up", "no `approval`"),
    ],
)
def test_what_cannot_be_converted_is_refused(rule: str, to: None, said: str) -> None:
    """With what to do."""
    with pytest.raises(ConfigurationError, match=said):
        convert(source(), rule, to)
    with pytest.raises(ConfigurationError, match=r"not observed|no rule"):
        enforce(source(), "a" if rule == "block" else rule)


@pytest.mark.parametrize("cut", [(0, 0), (0, 40)])
def test_a_text_that_would_read_otherwise_is_refused(
    monkeypatch: pytest.MonkeyPatch, cut: tuple[int, int]
) -> None:
    """Whatever goes wrong with it: the flag left in, or cut too far."""
    from agentguard.policy import converting

    monkeypatch.setattr(converting._Text, "_block", lambda self, index: cut)
    with pytest.raises(ConfigurationError, match="cannot be rewritten safely"):
        convert(source(), "block")
