"""Answers over HTTP: only who signed, only once, only on what they saw, and then the ordinary vote."""

from __future__ import annotations

import datetime as dt
import json
import logging
from typing import Any

import pytest

from agentguard.channels.signing import Forged, check_slack
from agentguard.channels.slack_blocks import DENY
from agentguard.errors import StoreError
from agentguard.stepup.directory import StaticDirectory
from agentguard.stepup.model import Approval, State
from agentguard.stepup.signing import generate_key, sign
from tests.channels.hearing import Listener
from tests.channels.support import (
    ANSWER_KEY,
    KEY,
    SLACK_KEY,
    START,
    Scene,
    answer_body,
    click_body,
    desk,
    signed,
    slack,
    slack_headers,
)

LATE = dt.timedelta(seconds=301)


def state(scene: Scene, approval: Approval) -> State:
    return scene.store.approval(scene.tenant, approval.id).state


def unchanged(scene: Scene, approval: Approval) -> bool:
    """Whether the question waits as it did, without a vote."""
    found = scene.store.approval(scene.tenant, approval.id)
    return found.state is State.REQUESTED and not found.votes


def answered(scene: Scene, body: bytes, **changes: Any) -> tuple[int, str]:
    found = desk(scene).take("ops", signed(body, **changes), body)
    return found.status, found.result


@pytest.fixture
def posted(here: Scene, team: Listener) -> Approval:
    """A question whose message stands in Slack."""
    delivering = here.delivering(slack(team))
    approval = here.ask()
    delivering.turn()
    return approval


def clicked(scene: Scene, body: bytes, **changes: Any) -> tuple[int, str]:
    found = desk(scene).take("slack", slack_headers(body, **changes), body)
    return found.status, found.result


# -- webhooks


def test_a_signed_answer_is_a_vote(scene: Scene) -> None:
    """Of the subject that the operator mapped the user to, as `resolver`."""
    approval = scene.ask()
    assert answered(scene, answer_body(approval, reason="known payee")) == (200, "approved")
    (vote,) = scene.store.approval(scene.tenant, approval.id).votes
    assert (vote.subject, vote.assurance, vote.reason) == ("ana", "resolver", "known payee")


def test_a_deny_is_a_vote_too(scene: Scene) -> None:
    """It ends the question."""
    approval = scene.ask()
    assert answered(scene, answer_body(approval, "deny")) == (200, "denied")


def test_quorum_holds(scene: Scene) -> None:
    """Two people, and one of them cannot be both."""
    approval = scene.ask(quorum=2)
    assert answered(scene, answer_body(approval)) == (200, "counted")
    assert answered(scene, answer_body(approval)) == (200, "counted")
    assert state(scene, approval) is State.REQUESTED
    assert answered(scene, answer_body(approval, user="U0BOB")) == (200, "approved")


def test_an_answer_that_is_too_late_changes_nothing(scene: Scene) -> None:
    """And says so."""
    approval = scene.ask()
    scene.vote(approval, "deny", "bob")
    assert answered(scene, answer_body(approval)) == (200, "late")
    assert state(scene, approval) is State.DENIED


def test_a_forged_answer_is_no_vote_T55(here: Scene) -> None:
    """Signed with another secret, or with the one that signs our own messages, or not at all."""
    approval = here.ask()
    body = answer_body(approval)
    for key in (b"\0" * 32, KEY, SLACK_KEY):
        assert answered(here, body, key=key) == (401, "unsigned")
    assert desk(here).take("ops", {}, body).status == 401
    assert unchanged(here, approval)


@pytest.mark.parametrize("header", ["webhook-id", "webhook-timestamp", "webhook-signature"])
@pytest.mark.parametrize("value", [None, "", "x\ny", "v1,", "v2,AAAA", "-1", "1e9", "٣", "9" * 400])
def test_a_damaged_header_is_no_signature_T55(here: Scene, header: str, value: str | None) -> None:
    """Missing, empty, of another version, not a number."""
    approval = here.ask()
    body = answer_body(approval)
    headers = signed(body)
    if value is None:
        del headers[header]
    else:
        headers[header] = value
    assert desk(here).take("ops", headers, body).status == 401
    assert unchanged(here, approval)


def test_an_altered_body_is_no_answer_T55(here: Scene) -> None:
    """One byte is enough; so is another verdict."""
    approval = here.ask()
    headers = signed(answer_body(approval, "deny"))
    assert desk(here).take("ops", headers, answer_body(approval, "approve")).status == 401
    assert unchanged(here, approval)


def test_the_id_and_the_time_are_signed_too_T55(here: Scene) -> None:
    """A message that was heard cannot be sent again under another id, or later under another time."""
    approval = here.ask()
    body = answer_body(approval)
    for header, value in (("webhook-id", "other"), ("webhook-timestamp", str(int(START.timestamp()) + 1))):
        assert desk(here).take("ops", {**signed(body), header: value}, body).status == 401
    assert unchanged(here, approval)


def test_one_right_signature_among_a_few_is_enough_and_among_many_is_not_T55(here: Scene) -> None:
    """While secrets change there are two; nobody has to be compared with thousands."""
    body = answer_body(here.ask(quorum=2))
    for others, status in ((7, 200), (8, 401)):
        headers = signed(body)
        headers["webhook-signature"] = "v1,AAAA " * others + headers["webhook-signature"]
        assert desk(here).take("ops", headers, body).status == status


def test_an_id_with_a_dot_is_none_T55(here: Scene) -> None:
    """It could be read as an id and a time, of another message."""
    approval = here.ask()
    assert answered(here, answer_body(approval), id="msg.1795168800") == (401, "unsigned")
    assert unchanged(here, approval)


@pytest.mark.parametrize("by", [LATE, -LATE])
def test_an_old_timestamp_is_refused_T55(here: Scene, by: dt.timedelta) -> None:
    """And one of the future: five minutes, in both directions."""
    approval = here.ask()
    assert answered(here, answer_body(approval), at=START + by) == (401, "unsigned")
    assert unchanged(here, approval)


def test_a_replayed_answer_is_refused_T55(scene: Scene) -> None:
    """By its id, by every process that shares the store."""
    first = scene.ask(quorum=2)
    body = answer_body(first)
    headers = signed(body, id="msg_1")
    assert desk(scene).take("ops", headers, body).status == 200
    assert desk(scene).take("ops", headers, body).status == 409


def test_an_answer_that_could_not_be_counted_may_come_again(here: Scene) -> None:
    """The store failed: the sender is told to try again, and the same message counts then."""
    approval = here.ask()
    body = answer_body(approval)
    headers = signed(body)
    real = here.store.update_approval

    def failing(*_: Any) -> Approval:
        raise StoreError("the disk is full")

    here.store.update_approval = failing  # type: ignore[method-assign]
    assert desk(here).take("ops", headers, body).status == 503
    here.store.update_approval = real  # type: ignore[method-assign]
    assert desk(here).take("ops", headers, body).status == 200


def test_an_unmapped_user_has_no_vote_T55(here: Scene) -> None:
    """Also one who is called like a subject, or has a subject's e-mail address."""
    approval = here.ask()
    for user in ("U0EVE", "ana", "ana@example.com", "u0ana", "U0ANA "):
        assert answered(here, answer_body(approval, user=user)) == (403, "refused")
    assert unchanged(here, approval)


def test_no_header_is_an_identity_T55(here: Scene) -> None:
    """Whatever a proxy may have put there."""
    approval = here.ask()
    body = answer_body(approval, user="U0EVE")
    headers = {**signed(body), "x-forwarded-user": "ana", "remote-user": "ana", "authorization": "Bearer ana"}
    assert desk(here).take("ops", headers, body).status == 403
    assert unchanged(here, approval)


@pytest.mark.parametrize("user", ["U0BEN", "U0OWEN", "U0CAI"])
def test_who_is_excluded_or_no_reviewer_has_no_vote_T55(here: Scene, user: str) -> None:
    """The principal, the agent's owner, somebody of another group."""
    approval = here.ask(excluded=frozenset({"ben", "owen", "billing"}))
    assert answered(here, answer_body(approval, user=user)) == (403, "refused")
    assert unchanged(here, approval)


def test_the_digest_of_another_proposal_is_refused_T55(here: Scene) -> None:
    """What was seen is not what would run."""
    approval, other = here.ask(), here.ask()
    assert answered(here, answer_body(approval, digest=other.digest)) == (403, "refused")
    assert answered(here, answer_body(approval, digest="")) == (400, "unreadable")
    assert unchanged(here, approval)


def test_a_signed_vote_needs_no_mapping(here: Scene) -> None:
    """The person's own key says who it is; the channel only carries it."""
    key = generate_key()
    people = StaticDirectory({"ana": {"groups": ["finance"], "keys": [key.public]}}, {"finance": {}})
    approval = here.ask()
    jws = sign(key.private, approval=approval, verdict="approve", subject="ana", reason="", at=here.clock())
    body = answer_body(approval, user="ana", signature=jws)
    found = desk(here, people, people={}).take("ops", signed(body), body)
    assert (found.status, found.result) == (200, "approved")
    assert here.store.approval(here.tenant, approval.id).votes[0].assurance == "signed"


def test_a_vote_signed_by_somebody_else_is_refused_T55(here: Scene) -> None:
    """Whatever the channel says, and although its user is mapped."""
    key, mallory = generate_key(), generate_key()
    people = StaticDirectory({"ana": {"groups": ["finance"], "keys": [key.public]}}, {"finance": {}})
    approval = here.ask()
    jws = sign(
        mallory.private, approval=approval, verdict="approve", subject="ana", reason="", at=here.clock()
    )
    for user in ("ana", "U0ANA"):
        body = answer_body(approval, user=user, signature=jws)
        assert desk(here, people).take("ops", signed(body), body).status == 403
    assert unchanged(here, approval)


@pytest.mark.parametrize(
    "body",
    [
        b"", b"[]", b"null", b"{", b"\xff", b"[" * 10_000, b'{"approval": "a"}',
        json.dumps({"approval": "a", "digest": "d", "verdict": "approve", "user": "u", "more": 1}).encode(),
        json.dumps({"approval": "a", "digest": "d", "verdict": "edit", "user": "u"}).encode(),
        json.dumps({"approval": ["a"], "digest": "d", "verdict": "deny", "user": "u"}).encode(),
    ],
)  # fmt: skip
def test_a_body_that_is_no_answer_is_refused(here: Scene, body: bytes) -> None:
    """Although it is signed: nothing is guessed."""
    assert answered(here, body) == (400, "unreadable")


def test_an_answer_that_says_something_twice_is_refused_T55(here: Scene) -> None:
    """Whoever passed it on may have read the other one."""
    approval = here.ask()
    body = answer_body(approval, user="U0BEN")
    twice = body.rstrip()[:-1] + b', "user": "U0ANA"}'
    assert answered(here, twice) == (400, "unreadable")
    assert unchanged(here, approval)


def test_a_channel_without_answers_takes_none(here: Scene) -> None:
    """Nor does one that is not configured."""
    body = answer_body(here.ask())
    for name in ("mute", "other", ""):
        assert desk(here).take(name, signed(body), body).status == 404


def test_a_question_of_another_tenant_is_not_there_T62(here: Scene) -> None:
    """A channel speaks for one tenant."""
    approval = here.ask(tenant="other")
    assert answered(here, answer_body(approval)) == (404, "unknown")


def test_an_unreadable_directory_means_nobody_votes(here: Scene) -> None:
    """And not that the last one is used."""

    class Broken(StaticDirectory):
        def subject(self, name: str) -> str:
            from agentguard.errors import ConfigurationError

            raise ConfigurationError("the directory is gone")

    approval = here.ask()
    body = answer_body(approval)
    assert desk(here, Broken({}, {})).take("ops", signed(body), body).status == 403
    assert unchanged(here, approval)


def test_refusals_leave_nothing_of_the_message_in_the_log_T58(
    here: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither forged nor signed ones can write lines there."""
    body = answer_body(here.ask(), user="eve\nERROR forged", reason="CANARY\x1b[31m")
    with caplog.at_level(logging.DEBUG, logger="agentguard"):
        answered(here, body)
        answered(here, body, key=b"\0" * 32)
    assert caplog.records
    assert not any(word in caplog.text for word in ("forged", "CANARY", "\x1b"))


# -- Slack


def test_a_button_is_a_vote(here: Scene, posted: Approval) -> None:
    """Of the subject that the operator mapped the Slack user to."""
    assert clicked(here, click_body(posted, reason="known payee")) == (200, "approved")
    (vote,) = here.store.approval(here.tenant, posted.id).votes
    assert (vote.subject, vote.assurance, vote.reason) == ("ana", "resolver", "known payee")


def test_the_button_deny_denies(here: Scene, posted: Approval) -> None:
    """By its action, whatever it is called."""
    assert clicked(here, click_body(posted, DENY)) == (200, "denied")


def test_a_forged_click_is_no_vote_T55(here: Scene, posted: Approval) -> None:
    """Of another secret, altered, unsigned, or signed as webhooks are."""
    body = click_body(posted)
    assert clicked(here, body, key=b"other") == (401, "unsigned")
    assert clicked(here, body, key=ANSWER_KEY) == (401, "unsigned")
    altered = body.replace(b"U0ANA", b"U0BOB")
    assert desk(here).take("slack", slack_headers(body), altered).status == 401
    assert desk(here).take("slack", {}, body).status == 401
    assert desk(here).take("slack", signed(body), body).status == 401
    assert unchanged(here, posted)


def test_slacks_signature_is_the_one_of_its_documentation_T55() -> None:
    """The example that Slack publishes; another time under it is forged."""
    body = (
        b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V"
        b"&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text="
        b"&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554"
        b"%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
    )
    signature = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"
    key, at = b"8f742231b10e8888abcd99yyyzzz85a5", 1531420618
    headers = {"x-slack-request-timestamp": str(at), "x-slack-signature": signature}
    assert check_slack((b"other", key), headers, body, at) == signature
    with pytest.raises(Forged):
        check_slack((key,), {**headers, "x-slack-request-timestamp": str(at + 1)}, body, at)


@pytest.mark.parametrize("by", [LATE, -LATE])
def test_an_old_click_is_refused_T55(here: Scene, posted: Approval, by: dt.timedelta) -> None:
    """`X-Slack-Request-Timestamp` within five minutes."""
    assert clicked(here, click_body(posted), at=START + by) == (401, "unsigned")
    assert unchanged(here, posted)


def test_a_replayed_click_is_refused_T55(here: Scene, posted: Approval) -> None:
    """The same time and body under the same signature."""
    body = click_body(posted)
    assert clicked(here, body) == (200, "approved")
    assert clicked(here, body) == (409, "replayed")


@pytest.mark.parametrize("changes", [{"team": "T0EVIL"}, {"user_team": "T0EVIL"}, {"team": ""}])
def test_another_workspace_has_no_vote_T55(here: Scene, posted: Approval, changes: dict[str, str]) -> None:
    """Neither as the place of the message nor as the home of a guest."""
    assert clicked(here, click_body(posted, **changes)) == (403, "refused")
    assert unchanged(here, posted)


@pytest.mark.parametrize("user", ["U0EVE", "ana", "ana@example.com"])
def test_an_unmapped_slack_user_has_no_vote_T55(here: Scene, posted: Approval, user: str) -> None:
    """Slack's names and e-mail addresses are nobody."""
    assert clicked(here, click_body(posted, user=user)) == (403, "refused")
    assert unchanged(here, posted)


def test_an_excluded_slack_user_has_no_vote_T55(here: Scene, posted: Approval) -> None:
    """The ordinary rules of a vote hold."""
    assert clicked(here, click_body(posted, user="U0BEN")) == (403, "refused")
    assert unchanged(here, posted)


def test_a_button_with_the_digest_of_another_proposal_is_refused_T55(here: Scene, posted: Approval) -> None:
    """What the message showed is not what would run."""
    other = here.ask()
    assert clicked(here, click_body(posted, digest=other.digest)) == (403, "refused")
    assert unchanged(here, posted)


@pytest.mark.parametrize("changes", [{"ts": "1700000000.999999"}, {"channel": "C0EVIL"}])
def test_a_button_of_a_message_that_the_guard_did_not_post_is_refused_T55_T56(
    here: Scene, posted: Approval, changes: dict[str, str]
) -> None:
    """Whoever has the bot's token could put other words above the same button."""
    assert clicked(here, click_body(posted, **changes)) == (403, "refused")
    assert unchanged(here, posted)


def test_a_question_that_was_never_posted_has_no_buttons_T55(here: Scene) -> None:
    """So none of them counts."""
    approval = here.ask()
    assert clicked(here, click_body(approval)) == (403, "refused")
    assert unchanged(here, approval)


def test_a_rule_that_wants_a_reason_gets_one(here: Scene, team: Listener) -> None:
    """From the message's own field; without it the button counts for nothing."""
    delivering = here.delivering(slack(team))
    approval = here.ask(reason_required=True)
    delivering.turn()
    assert clicked(here, click_body(approval)) == (403, "refused")
    assert clicked(here, click_body(approval, reason="checked the invoice")) == (200, "approved")


@pytest.mark.parametrize(
    "body",
    [
        b"", b"payload=", b"payload={}", b"payload=[]", b"payload=" + b"[" * 5000, b"a=1&b=2", b"\xff=1",
        b"payload=%7B%22type%22%3A%22block_actions%22%7D", b"payload={}&payload={}",
    ],
)  # fmt: skip
def test_what_is_no_click_is_refused(here: Scene, body: bytes) -> None:
    """Although it is signed."""
    assert clicked(here, body) == (400, "unreadable")


@pytest.mark.parametrize(
    "changes",
    [
        {"type": "view_submission"},
        {"actions": []},
        {"actions": [{"action_id": "other", "value": "{}"}]},
        {"actions": [{"action_id": "agentguard_approve", "value": "[]"}] * 2},
        {"user": {"id": ["U0ANA"]}},
        {"state": {"values": {"agentguard_reason": {"agentguard_reason": {"value": ["x"]}}}}},
    ],
)
def test_a_click_of_another_shape_is_refused(here: Scene, posted: Approval, changes: dict[str, Any]) -> None:
    """One action, of ours, with texts where texts belong."""
    import urllib.parse

    payload = json.loads(urllib.parse.parse_qs(click_body(posted).decode())["payload"][0])
    body = urllib.parse.urlencode({"payload": json.dumps({**payload, **changes})}).encode()
    assert clicked(here, body) == (400, "unreadable")
    assert unchanged(here, posted)
