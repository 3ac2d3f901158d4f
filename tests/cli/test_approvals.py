"""`agentguard approvals`: what is shown is what is voted on, and a vote counts for whoever signed it."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
import typer

from agentguard.cli.signing_keys import default_key
from agentguard.decision import Stage
from agentguard.stepup.model import Approval, Requirement, State
from tests.cli.support import HOSTILE, RAW, open_question, records, run, stored
from tests.store.support import FakeClock, answer


def enroll(name: str = "ana", *more: str) -> None:
    run("reviewers", "enroll", name, *more)


def test_the_list_shows_what_waits(project: Path) -> None:
    first = open_question(project)
    second = open_question(project, call_id="call-2", args={"amount": 6000, "iban": "DE99SECRET"})
    out = run("approvals", "list").stdout
    assert first.id[:9] in out
    assert second.id[:9] in out
    assert "pay/large" in out
    assert "in 10 min" in out
    assert "2 approvals" in out
    data = json.loads(run("approvals", "list", "--json").stdout)
    assert [one["id"] for one in data] == [first.id, second.id]
    assert "DE99SECRET" not in json.dumps(data)


def test_states_are_filtered_and_misspelt_ones_refused(project: Path) -> None:
    one, two = open_question(project, local=True), open_question(project, call_id="call-2")
    run("approvals", "deny", one.id)
    ids = [x["id"] for x in json.loads(run("approvals", "list", "--state", "denied", "--json").stdout)]
    assert ids == [one.id]
    assert len(json.loads(run("approvals", "list", "--all", "--json").stdout)) == 2
    assert [x["id"] for x in json.loads(run("approvals", "list", "--json").stdout)] == [two.id]
    assert "did you mean `denied`?" in run("approvals", "list", "--state", "denyed", code=2).stderr


def test_an_overdue_question_is_not_waiting(project: Path) -> None:
    from agentguard.store.opening import open_store
    from tests.store.support import ask

    store = open_store(f"sqlite:///{project / 'records.db'}", clock=FakeClock())
    ask(store)
    store.close()
    assert "Nothing waits" in run("approvals", "list").stdout
    assert "expired" in run("approvals", "list", "--all").stdout


def test_show_has_every_argument_with_its_type_and_who_may_answer(project: Path) -> None:
    asked = open_question(project, args={"amount": 5000, "iban": "DE99SECRET", "note": "n" * 5000})
    out = " ".join(run("approvals", "show", asked.id[:8]).stdout.split())
    for words in (
        asked.id, "amount int 5000", "iban str *** <10 characters, masked>", "<5,000 characters, sha256",
        "billing (owner owen) for ben", "more than 100 (pay/large, pay.yaml:7)", "UNTRUSTED",
        "uses pay:write", "environment prod", "1 of group:finance (ana)",
        "only signed or logged-in answers count",
        "ben: the principal: the call is on their behalf", "owen: the agent's owner",
        "billing: the agent that asks",
        "votes none yet", f"agentguard approvals approve {asked.id[:9]} --as NAME", asked.digest,
    ):  # fmt: skip
        assert words in out, words
    assert "DE99SECRET" not in out


def test_T56_full_shows_every_character_behind_a_bar(project: Path) -> None:
    note = "line one\n" + "\n" * 10_000 + "APPROVAL faked\n" + "x" * 300 + "tail"
    asked = open_question(project, args={"note": note, "iban": "DE99SECRET"})
    out = run("approvals", "show", asked.id, "--full").stdout
    body = out[out.index("note") : out.index("agent ")]
    assert "│ line one" in body
    assert "│ APPROVAL faked" in body
    assert "more empty lines>" in body
    assert "tail" in body
    assert len(body.splitlines()) < 30
    assert "DE99SECRET" in out
    cut = run("approvals", "show", asked.id).stdout
    assert "tail" in cut, "the end of a long argument is always seen"
    data = json.loads(run("approvals", "show", asked.id, "--full", "--json").stdout)
    assert data["arguments"]["note"] == note
    assert json.loads(run("approvals", "show", asked.id, "--json").stdout)["arguments"]["iban"][
        "value"
    ].startswith("***")


def test_T08_an_id_is_named_by_a_unique_beginning(project: Path) -> None:
    one = open_question(project)
    assert "at least 6" in run("approvals", "show", one.id[:5], code=2).stderr
    assert "no approval begins" in run("approvals", "show", "affffffff", code=2).stderr
    assert "at least 6" in run("approvals", "show", "a_____%%%", code=2).stderr
    twin = "a" + "1" * 31
    open_question(project, call_id="c1", id=twin + "2")
    open_question(project, call_id="c2", id=twin + "3")
    assert "several approvals" in run("approvals", "show", twin, code=2).stderr


def test_T62_another_tenants_approval_is_not_found(project: Path) -> None:
    one = open_question(project, tenant="eu")
    assert one.digest not in run("approvals", "show", one.id, code=2).output
    assert one.digest in run("approvals", "show", one.id, "--tenant", "eu").stdout


def test_a_signed_vote_counts(project: Path) -> None:
    asked = open_question(project)
    enroll()
    out = run("approvals", "approve", asked.id[:7], "--as", "ana", "--reason", "known", "--yes").stdout
    assert "Approved: exactly this call may run, once." in out
    assert "recorded as ana's `approve`" in out
    after = stored(project, asked)
    assert after.state is State.APPROVED
    assert [(v.subject, v.assurance, v.reason) for v in after.votes] == [("ana", "signed", "known")]
    assert after.votes[0].digest == asked.digest
    assert out.index("5000") < out.index("Approved:"), "the call is shown before the vote"
    assert after.last_event in out
    assert "no problems" in run("ledger", "verify").stdout


def test_a_signed_denial_ends_it(project: Path) -> None:
    asked = open_question(project)
    enroll("ana", "--key", "ana.jwk")
    run("approvals", "deny", asked.id, "--as", "ana", "--key", "ana.jwk", "--reason", "wrong payee")
    assert stored(project, asked).state is State.DENIED


def test_a_refused_vote_says_who_could(project: Path) -> None:
    asked = open_question(project)
    for name in ("ben", "eve"):
        enroll(name)
        found = run("approvals", "approve", asked.id, "--as", name, "--yes", code=1)
        assert "the vote was refused" in found.stderr
        assert "could answer: 1 of group:finance (ana)" in found.stderr
    assert "does not count" in run("approvals", "approve", asked.id, "--yes", code=1).stderr
    assert stored(project, asked).votes == ()


def test_an_unverified_vote_counts_where_the_rule_allows_it(project: Path) -> None:
    asked = open_question(project, local=True)
    assert "counts as one person" in " ".join(run("approvals", "show", asked.id).stdout.split())
    run("approvals", "approve", asked.id, "--yes")
    after = stored(project, asked)
    assert (after.state, after.votes[0].subject, after.votes[0].assurance) == (
        State.APPROVED,
        "local",
        "local",
    )


def test_nobody_confirms_by_accident(project: Path) -> None:
    """Without a terminal an approval needs `--yes`; a piped `y` is no confirmation."""
    asked = open_question(project, local=True)
    assert "--yes" in run("approvals", "approve", asked.id, input="y\n", code=2).stderr
    assert stored(project, asked).state is State.REQUESTED


@pytest.mark.parametrize(
    ("typed", "state"),
    [
        ("approve\n", "approved"),
        ("yes\n", "approved"),
        ("\n", "requested"),
        ("", "requested"),
        ("q\n", "requested"),
    ],
)
def test_the_confirmation_defaults_to_no(
    project: Path, monkeypatch: pytest.MonkeyPatch, typed: str, state: str
) -> None:
    import io

    import agentguard.cli.approvals as module

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    asked = open_question(project, local=True)
    monkeypatch.setattr(module.sys, "stdin", Terminal(typed))
    from agentguard.cli.approvals import _confirm

    if state == "approved":
        _confirm(False)
    else:
        with pytest.raises(typer.Exit):
            _confirm(False)
    assert stored(project, asked).state is State.REQUESTED


def test_a_key_that_others_may_read_is_refused(project: Path) -> None:
    asked = open_question(project)
    enroll()
    path = default_key("ana")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    path.chmod(0o644)
    found = run("approvals", "approve", asked.id, "--as", "ana", "--yes", code=2)
    assert "chmod 600" in found.stderr
    assert (
        "reviewers enroll bob" in run("approvals", "approve", asked.id, "--as", "bob", "--yes", code=2).stderr
    )
    assert "--as SUBJECT" in run("approvals", "approve", asked.id, "--key", path, "--yes", code=2).stderr


def test_erased_arguments_cannot_be_approved(project: Path) -> None:
    asked = open_question(project, local=True)
    store = records(project)
    store.erase("default", "ben")
    store.close()
    assert "erased" in run("approvals", "show", asked.id).stdout
    assert "erased" in run("approvals", "approve", asked.id, "--yes", code=1).stderr
    run("approvals", "deny", asked.id)


def test_votes_and_stages_are_shown(project: Path) -> None:
    stages = (Stage(("group:finance",), 1), Stage(("eve",), 1))
    asked = open_question(
        project,
        requirement=Requirement(stages=stages, expires_in_s=600, rules=("pay/large",)),
        excluded=frozenset(),
    )
    enroll()
    out = run("approvals", "approve", asked.id, "--as", "ana", "--yes").stdout
    assert "more answers are needed" in out
    shown = " ".join(run("approvals", "show", asked.id).stdout.split())
    assert "stage 2 (now): 1 of eve" in shown
    assert "ana approve (signed" in shown


def test_the_same_person_counts_once_and_is_told_so(project: Path) -> None:
    requirement = Requirement(stages=(Stage(("group:finance",), 2),), expires_in_s=600, rules=("pay/large",))
    asked = open_question(project, requirement=requirement, excluded=frozenset())
    enroll()
    assert "more answers are needed" in run("approvals", "approve", asked.id, "--as", "ana", "--yes").stdout
    again = run("approvals", "approve", asked.id, "--as", "ana", "--yes").stdout
    assert "counted before" in again
    assert "more answers" not in again
    assert stored(project, asked).state is State.REQUESTED


def test_a_second_answer_comes_late(project: Path) -> None:
    asked = open_question(project, local=True)
    run("approvals", "deny", asked.id)
    assert (
        "Too late: the approval is denied." in run("approvals", "approve", asked.id, "--yes", code=1).stdout
    )
    assert stored(project, asked).state is State.DENIED


def test_T57_nothing_raw_is_printed(project: Path) -> None:
    shown = {
        "rules": [{"rule": HOSTILE, "reason": HOSTILE, "at": HOSTILE, "error": HOSTILE}],
        "agent": {"owner": HOSTILE}, "session": {"labels": [HOSTILE]}, "facts": {}, "environment": HOSTILE,
    }  # fmt: skip
    asked: Approval = open_question(
        project, args={HOSTILE: HOSTILE, "x": {HOSTILE: [HOSTILE]}}, shown=shown, agent=HOSTILE,
        principal=HOSTILE, tool=HOSTILE, excluded=frozenset({HOSTILE}), chain=(HOSTILE,),
    )  # fmt: skip
    store = records(project)
    answer_args = ("approvals", "show", asked.id)
    store.close()
    for args in (answer_args, (*answer_args, "--full"), (*answer_args, "--json"), ("approvals", "list")):
        found = run(*args)
        assert not any(raw in found.output for raw in RAW), args
    found = run("approvals", "approve", asked.id, "--yes", code=1)
    assert not any(raw in found.output for raw in RAW)


@pytest.mark.parametrize(
    "command", [("list",), ("show", "a12345678"), ("approve", "a12345678"), ("deny", "a12345678")]
)
def test_a_store_that_is_not_there_is_said(project: Path, command: tuple[str, ...]) -> None:
    assert "there is no store `records.db`" in run("approvals", *command, code=2).stderr
    assert not (project / "records.db").exists()


def test_without_a_configuration_the_store_here_is_used(work: Path) -> None:
    """As the README's `Guard("policies/", store="sqlite:///agentguard.db")` makes it."""
    asked = open_question(work)
    (work / "records.db").rename(work / "agentguard.db")
    assert asked.id[:9] in run("approvals", "list").stdout
    assert asked.id[:9] in run("approvals", "list", "--store", "sqlite:///agentguard.db").stdout
    (work / "people.yaml").write_text("people: {ana: {groups: [finance]}}\n")
    (work / "people.yaml").chmod(0o644)
    out = run("approvals", "show", asked.id, "--directory", "people.yaml").stdout
    assert "group:finance (ana)" in out
    assert "memory:" in run("approvals", "list", "--store", "memory:", code=2).stderr


def test_a_principal_who_may_confirm_is_not_listed_as_excluded(project: Path) -> None:
    needs = Requirement(stages=(Stage(("principal",), 1),), expires_in_s=600, rules=("pay/large",))
    asked = open_question(project, requirement=needs)
    out = " ".join(run("approvals", "show", asked.id).stdout.split())
    assert "1 of ben (the principal, to confirm)" in out
    assert "on their behalf" not in out


def test_answer_of_login_is_shown(project: Path) -> None:
    asked = open_question(project)
    store = records(project)
    answer(store, asked, "ana")
    store.close()
    assert "ana approve (login" in run("approvals", "show", asked.id).stdout
