"""Honest requests in other words: what changes, what stays, and who judges."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from agentguard.errors import ConfigurationError
from agentguard_evals.rewording import Variant, literals, read_variants, reworded

DATA = Path(__file__).parents[2] / "evals" / "agentguard_evals" / "data" / "paraphrased"


def variant(**changes: object) -> Variant:
    return Variant(name="v", description="", **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "literal",
    [
        "'Send the plan'",
        '"create it"',
        "send@post.example",
        "www.send-it.example/create",
        "send.txt",
        "12:30",
    ],
)
def test_literals_stay_as_they_are(literal: str) -> None:
    """Even where they hold words of the list."""
    verbs = {"send": "dispatch", "create": "draw up", "plan": "scheme", "it": "that"}
    said = reworded(f"Please send {literal} and create a copy", variant(words=verbs))
    assert said == f"Please dispatch {literal} and draw up a copy"


def test_names_stay_as_they_are() -> None:
    """A capital inside a sentence is a name."""
    assert literals("Ask Will Post whether Mark comes") == ["Will Post", "Mark"]


def test_words_are_replaced_whole_and_the_longest_first() -> None:
    """`make sure` before `make`, and never a part of a word."""
    words = {"make": "produce", "make sure": "see to it"}
    assert reworded("make sure to make it", variant(words=words)) == "see to it to produce it"
    assert reworded("remake it", variant(words=words)) == "remake it"


def test_a_verb_after_an_article_is_a_noun_and_stays() -> None:
    """Otherwise the wish would mean something else."""
    assert reworded("rent my rent", variant(verbs={"rent": "hire"})) == "hire my rent"


def test_the_last_sentence_comes_first() -> None:
    """And no sentence is lost."""
    assert reworded("One. Two? Three.", variant(order="last_first")) == "Three. One. Two?"


def test_a_command_becomes_passive() -> None:
    """Without the word that made it a command."""
    passive = variant(passive={"send": "sent"})
    assert reworded("Can you please send a note to Bo?", passive) == "A note to Bo - this is to be sent."
    assert reworded("What is new?", passive) == "What is new?"


@pytest.mark.parametrize("half", ["dev", "held_out"])
def test_variants_are_read(half: str) -> None:
    """Each with a name of its own, and each changes something."""
    found = read_variants(DATA / f"{half}.yaml")
    assert len({one.name for one in found}) == len(found) >= 6
    assert all(one.agent or reworded("Can you create the. Please send it.", one) for one in found)


def test_the_halves_use_other_words() -> None:
    """A verb list that was tuned on one half does not know the other."""
    dev, held_out = (
        next(one.verbs for one in read_variants(DATA / f"{half}.yaml") if one.name == "synonyms")
        for half in ("dev", "held_out")
    )
    shared = {word for word in dev if dev[word] == held_out.get(word)}
    assert not shared


def test_a_broken_file_of_variants_is_named(tmp_path: Path) -> None:
    """With the place."""
    path = tmp_path / "v.yaml"
    path.write_text("variants:\n  - {name: x, description: y, wrods: {a: b}}\n", encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"v\.yaml:2:.*wrods"):
        read_variants(path)


def test_the_suite_of_each_half() -> None:
    """Every case differs from AgentDojo's in words or calls, keeps every literal, and reaches its goal."""
    pytest.importorskip("agentdojo", reason="the package agentdojo is not installed")
    from agentguard_evals.running import chosen
    from agentguard_evals.suites import load_suites
    from tests.evals.support import ALLOW, DENY, played

    for suite in load_suites("paraphrased", None, "all"):
        for case in suite.cases:
            original = case.original  # type: ignore[attr-defined]
            assert (case.prompt != original) == (case.variant.agent is None), case.id  # type: ignore[attr-defined]
            assert all(literal in str(case.prompt) for literal in literals(original)), case.id
        few = chosen(suite, [], 24)
        open_, closed = played(few, ALLOW), played(few, DENY)
        assert open_.counts.errors == closed.counts.errors == 0
        assert (open_.metrics["uninterrupted"].value, open_.metrics["utility"].value) == (1, 1)
        assert (closed.metrics["uninterrupted"].value, closed.metrics["utility"].value) == (0, 0)


def test_agents_look_up_otherwise_and_find_the_same() -> None:
    """The listing agent calls another tool; the other one searches with a word that the user did not say."""
    pytest.importorskip("agentdojo", reason="the package agentdojo is not installed")
    from agentguard_evals.dojo_reworded import load_paraphrased
    from tests.evals.support import ALLOW, played

    (suite,) = load_paraphrased("dev")
    cases = [case for case in suite.cases if case.group in ("listing", "own-words")]
    assert {case.group for case in cases} == {"listing", "own-words"}
    report = played(replace(suite, cases=cases), ALLOW)
    assert report.metrics["utility"].value == 1
    listed = [call.tool for case in report.cases if case.group == "listing" for call in case.calls]
    assert {"get_received_emails", "get_day_calendar_events", "list_files"} <= set(listed)
    assert not [tool for tool in listed if tool in ("search_emails", "search_files")]


def test_own_words_are_none_of_the_users() -> None:
    """And they find the record that the honest agent found."""
    pytest.importorskip("agentdojo", reason="the package agentdojo is not installed")
    from agentguard_evals.dojo_reworded import own_words

    found = "title: Climbing evening\nplace: Old quarry"
    assert list(own_words(found, "When do I go climbing?", last=False)) == [
        "title",
        "evening",
        "place",
        "quarry",
    ]
    assert next(own_words(found, "When do I go climbing?", last=True)) == "quarry"
