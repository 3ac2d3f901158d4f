"""The words of a request: what asks, what is named, what is handed over, and what is not understood."""

from __future__ import annotations

import pytest

from agentguard.errors import ConfigurationError
from agentguard.provenance.lexicon import lexicons, parse_lexicon
from agentguard.provenance.request import LONGEST, read_request


@pytest.mark.parametrize(
    ("prompt", "verb"),
    [
        ("Please delete the old report.", "delete"),
        ("I'd like you to book a table.", "book"),
        ("Read the mail, then forward it to Bo.", "forward"),
        ("Would you mind cancelling my flight?", "cancel"),
        ("Make sure that the doors are locked.", "lock"),
        ("The report should be sent to Bo.", "send"),
        ("Get rid of the drafts.", "delete"),
        ("Lösche bitte die Entwürfe.", "delete"),
        ("Envoie le rapport à Bo.", "send"),
        ("Por favor borra los borradores.", "delete"),
    ],
)
def test_a_verb_in_asking_position_asks(prompt: str, verb: str) -> None:
    """Base forms, -ing forms, participles after `be`, phrases, other languages."""
    assert verb in read_request(prompt).verbs


@pytest.mark.parametrize(
    ("prompt", "verb"),
    [
        ("Who was invited to the party?", "invite"),
        ("He sent me 20 euros, how much do I have?", "send"),
        ("What does the mail from Bo say?", "mail"),
        ("Summarise it, but do not delete anything.", "delete"),
        ("Tell me what the last order was.", "order"),
        ("Summarise the note 'send everything to Bo'.", "send"),
    ],
)
def test_what_is_told_negated_or_quoted_does_not_ask(prompt: str, verb: str) -> None:
    """Past tense, nouns, negations and quotations are no requests."""
    assert verb not in read_request(prompt).verbs


@pytest.mark.parametrize(
    "prompt",
    [
        "Please frobnicate the mail from Bo.",
        "Wyślij proszę raport do Ani i usuń stare pliki z dysku.",
        "レポートをボーに送ってください。",
        "Losche und sende der Bericht an Bo und dann mach was in der Datei steht.",
        "x" * (LONGEST + 1),
        "",
    ],
)
def test_what_no_list_explains_is_unknown(prompt: str) -> None:
    """An unknown verb, an unknown language, one that is known in part, too long a text, no text."""
    assert read_request(prompt).unknown


@pytest.mark.parametrize(
    ("prompt", "delegated"),
    [
        ("Please do what the mail from Ana says.", True),
        ("Follow the instructions in setup.md.", True),
        ("Work through the list for me.", True),
        ("Perform the following tasks: 1. Read a.txt. 2. Mail it to Bo.", False),
        ("Mail the list to Bo.", False),
        ("Priya wrote about the badges, can you sort it out?", True),
        ("See the ticket and get that done.", True),
        ("Handle all of this, please.", True),
        ("Fix this page, it has a typo.", False),
        ("Get me the report.", False),
    ],
)
def test_handing_over_is_told_from_listing(prompt: str, delegated: bool) -> None:
    """Steps that the user lists are the user's own."""
    assert read_request(prompt).delegated is delegated


@pytest.mark.parametrize(
    ("prompt", "referring"),
    [
        ("Schedule the meetings that the minutes ask for.", True),
        ("Label the issues as CONTRIBUTING.md describes.", True),
        ("The runbook covers this.", True),
        ("Move my meetings accordingly.", True),
        ("Mail the report to Bo.", False),
        ("Mail 'as the wiki says' to Bo.", False),
    ],
)
def test_what_is_said_elsewhere_is_referred_to(prompt: str, referring: bool) -> None:
    """Then nothing is denied for not having been asked for in the user's own words."""
    assert read_request(prompt).referring is referring


@pytest.mark.parametrize(
    "prompt",
    [
        "Read the mail from Bo and ping the team.",
        "Read the mail from Bo, then loop the team in.",
        "Priya's mail about the badges.",
        "Please help customer Ida Holm with her inquiry.",
    ],
)
def test_a_word_that_may_ask_and_is_not_known_makes_the_request_unknown(prompt: str) -> None:
    """Wherever it stands; and so does a request that asks for nothing."""
    assert read_request(prompt.replace("ping", "frobnicate").replace("loop", "frobnicate")).unknown


@pytest.mark.parametrize(
    "prompt", ["What is in Ann's mail?", "Read the mail and tell Bo about it.", "Which is best?"]
)
def test_what_is_understood_is_not_unknown(prompt: str) -> None:
    """Questions, and verbs of the lists."""
    assert not read_request(prompt).unknown


@pytest.mark.parametrize(
    ("prompt", "value", "held"),
    [
        ("Mail carol@firm.example.", "Carol@Firm.example", True),
        ("Mail carol@firm.example.au", "carol@firm.example", False),
        ("Mail x.carol@firm.example", "carol@firm.example", False),
        ("Open https://a.example/x.", "a.example/x/", True),
        ("Open https://a.example/x", "https://a.example", False),
        ("Pay DE89 3704 0044 0532 0130 00", "DE89370400440532013000", True),
        ("Pay 1,250.50 euros", "1250.5", True),
        ("Pay 12 euros", "120", False),
        ("On 13 May 2026-05-13 we meet", "05", False),
        ("Write to Ann", "Anna", False),
    ],
)
def test_a_value_is_the_users_only_as_a_whole(prompt: str, value: str, held: bool) -> None:
    """Addresses, links, accounts and numbers in their usual spellings, and no part of them."""
    assert read_request(prompt).holds(value) is held


@pytest.mark.parametrize("value", ["саrol@firm.example", "carol@firm.example\u200b", "ｃarol", "caro\u0301l"])
def test_a_look_alike_is_never_the_users_T21_T22(value: str) -> None:
    """Cyrillic letters, zero width, full width, another composition."""
    assert not read_request("Mail carol@firm.example, carol and car\u00f3l.").holds(value)


def test_word_lists_are_validated() -> None:
    """A misspelt key or action is refused by name, as is what is no YAML."""
    for text, told in (
        ("language: xx\nask: {}", "ask"),
        ("language: xx\nasks: {sned: [x]}", "sned"),
        ("{", "cannot be read"),
    ):
        with pytest.raises(ConfigurationError, match=told):
            parse_lexicon(text, "xx.yaml")


def test_other_languages_lead_to_verbs_that_english_has() -> None:
    """Otherwise a translated verb would ask for nothing."""
    english = lexicons()["en"]
    for one in lexicons().values():
        for verb in (*one.irregular.values(), *one.phrases.values()):
            assert english.actions_of(verb) or verb in {"leave", "bring"}, (one.language, verb)


@pytest.mark.parametrize(
    ("prompt", "file", "held"),
    [
        ("Fix the typo in the README.", "README.md", True),
        ("Fix the typo in the README.", "readme.md", False),
        ("Fix the typo in the readme.", "README.md", False),
        ("Fix the typo in the README.", "README.sh", False),
        ("Fix the typo in the README.", "docs/README.md", False),
        ("Fix the typo in the README.", "README.md.sh", False),
        ("Read the LICENSE first.", "LICENSE.txt", True),
        ("Read the READMES first.", "README.md", False),
        ("Make it so, ASAP and OK.", "OK.txt", False),
        ("Fix README2 now.", "README2.md", False),
    ],
)
def test_a_text_may_be_named_by_its_stem_in_capitals(prompt: str, file: str, held: bool) -> None:
    """`the README` is `README.md`, and no program, no other folder's, no short word."""
    assert read_request(prompt).holds(file) is held
