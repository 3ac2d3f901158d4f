"""`agentguard approvals edit`: a signed proposal of other arguments."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from agentguard.cli.signing_keys import default_key, signed_edit
from agentguard.errors import VoteRefused
from agentguard.stepup.directory import open_directory
from agentguard.stepup.model import State
from agentguard.stepup.proposing import edited_arguments, propose
from tests.cli.support import HOSTILE, RAW, open_question, records, run, stored


def test_a_reviewer_proposes_other_arguments_signed(project: Path) -> None:
    """The question is over, and what is proposed is kept beside it under the editor's signature."""
    run("reviewers", "enroll", "ana")
    asked = open_question(project)
    out = run(
        "approvals", "edit", asked.id[:8], "--set", "amount=900", "--as", "ana", "--reason", "less"
    ).stdout
    assert "args.amount" in out
    assert "900" in out
    assert "DE99SECRET" not in out
    after = stored(project, asked)
    assert after.state is State.SUPERSEDED
    assert after.proposal is not None
    assert json.loads(after.proposal.arguments or b"") == {"amount": 900, "iban": "DE99SECRET", "note": "hi"}
    assert (after.proposal.editor, after.proposal.assurance, after.note) == ("ana", "signed", "less")
    assert run("ledger", "verify").exit_code == 0


def test_text_is_text_and_json_is_json(project: Path) -> None:
    """Anything that is no JSON is taken as it is typed, and shown without its controls."""
    asked = open_question(project, local=True)
    out = run("approvals", "edit", asked.id, "--set", f"note={HOSTILE}", "--set", 'iban="7"').stdout
    assert not any(raw in out for raw in RAW)
    found = stored(project, asked).proposal
    assert found is not None
    assert json.loads(found.arguments or b"") == {"amount": 5000, "iban": "7", "note": HOSTILE}


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["--set", "amount"], 2, "NAME=VALUE"),
        (["--set", "amuont=1"], 1, "cannot be edited"),
        (["--set", "amount=5000"], 1, "changes nothing"),
        (["--set", "amount=1"], 1, "signed or logged in"),
        (["--set", "amount=1", "--key", "k.jwk"], 2, "--as"),
        (["--set", "amount=1", "--as", "ana"], 2, "enroll"),
    ],
)
def test_what_does_not_count_says_why(project: Path, words: list[str], code: int, told: str) -> None:
    """And the question stands as it was."""
    asked = open_question(project)
    found = run("approvals", "edit", asked.id, *words, code=code)
    assert told in found.stderr
    assert stored(project, asked) == asked


def test_a_signature_for_another_proposal_or_for_a_vote_is_no_edit_T02(project: Path) -> None:
    """It is good for exactly these arguments."""
    run("reviewers", "enroll", "ana")
    asked = open_question(project)
    store, people = records(project), open_directory(project / "directory.yaml")
    arguments = edited_arguments(asked, {"args.amount": 900})
    good = signed_edit(asked, arguments, "ana", default_key("ana"), "", store.now())
    other = replace(good, arguments=edited_arguments(asked, {"args.amount": 901}))
    from agentguard.cli.signing_keys import signed_answer

    vote = signed_answer(asked, "deny", "ana", default_key("ana"), "", store.now())
    for bad in (other, replace(good, signature=vote.signature), replace(good, signature=None)):
        with pytest.raises(VoteRefused):
            propose(store, people, "default", asked.id, bad)
    from agentguard.stepup.ballot import cast

    with pytest.raises(VoteRefused):
        cast(store, people, "default", asked.id, replace(vote, signature=good.signature))
    assert propose(store, people, "default", asked.id, good).proposal is not None
    store.close()
