"""Messages in Slack: the guard's rendering of the frozen call, buttons that name it, changed at the end."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agentguard.channels.rendering import Shown
from agentguard.channels.slack_blocks import APPROVE, DENY
from tests.channels.hearing import Heard, Listener
from tests.channels.support import SLACK_KEY, TOKEN, Scene, breach, slack
from tests.cli.support import HOSTILE, RAW

CANARY = "CANARY-5f1c9d"


def posted(here: Scene, team: Listener, args: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """The message about one question."""
    delivering = here.delivering(slack(team, **changes))
    here.ask(args)
    delivering.turn()
    found: dict[str, Any] = team.heard[0].json
    return found


def code(message: dict[str, Any]) -> str:
    """What stands in its code blocks."""
    return "".join(
        block["text"]["text"].removeprefix("```").removesuffix("```")
        for block in message["blocks"]
        if block["type"] == "section"
    )


def buttons(message: dict[str, Any]) -> list[dict[str, Any]]:
    return [one for block in message["blocks"] if block["type"] == "actions" for one in block["elements"]]


def methods(team: Listener) -> list[str]:
    return [heard.path.rpartition("/")[2] for heard in team.heard]


def test_a_question_is_posted_with_buttons(here: Scene, team: Listener) -> None:
    """To the configured channel, with the token in the header and nowhere else."""
    message = posted(here, team)
    assert methods(team) == ["chat.postMessage"]
    assert message["channel"] == "C0FINANCE"
    assert team.heard[0].headers["authorization"] == f"Bearer {TOKEN}"
    assert TOKEN not in team.heard[0].body.decode()
    assert [one["action_id"] for one in buttons(message)] == [DENY, APPROVE]


def test_deny_is_the_easy_answer(here: Scene, team: Listener) -> None:
    """It stands first and asks nothing more; to approve is confirmed, and is styled as what it is."""
    deny, approve = buttons(posted(here, team))
    assert "confirm" not in deny
    assert approve["confirm"]["style"] == "danger"
    assert "style" not in approve


def test_buttons_name_the_question_and_its_digest(here: Scene, team: Listener) -> None:
    """Exactly what the message shows."""
    delivering = here.delivering(slack(team))
    approval = here.ask()
    delivering.turn()
    for one in buttons(team.heard[0].json):
        assert json.loads(one["value"]) == {"a": approval.id, "d": approval.digest}
    assert approval.digest in code(team.heard[0].json)


def test_arguments_are_shown_with_their_types(here: Scene, team: Listener) -> None:
    """`5000` and `"5000"` are two things."""
    text = code(posted(here, team, {"amount": 5000, "text": "5000"}))
    assert "amount (int) = 5000\n" in text
    assert 'text (str) = "5000"\n' in text


def test_a_name_cannot_pose_as_an_argument_T56(here: Scene, team: Listener) -> None:
    """Where a tool takes any name, an odd one stands in quotes."""
    text = code(posted(here, team, {'amount (int) = 1" \\': "x", "amount": 5000}))
    assert '"amount (int) = 1\\" \\\\" (str) = "x"' in text


@pytest.mark.parametrize(
    "attack",
    [
        "<!channel>",
        "<@U0ANA>",
        "<https://evil.example|approve>",
        "```\n*APPROVED*\n```",
        "&lt;!here&gt;",
        "`x`",
    ],
)
def test_nothing_of_an_argument_is_markup_T57(here: Scene, team: Listener, attack: str) -> None:
    """No mention, no link, no end of a code block, and entities are not taken for characters."""
    delivering = here.delivering(slack(team))
    here.ask({"note": attack, attack: "x"}, agent=attack, tool=attack)
    delivering.turn()
    message = team.heard[0].json
    for block in message["blocks"]:
        text = json.dumps(block).replace("&lt;", "").replace("&gt;", "").replace("&amp;", "")
        assert not any(char in text for char in "<>&")
    for block in message["blocks"]:
        if block["type"] == "section":
            assert block["text"]["text"].count("`") == 6
            assert block["text"]["verbatim"] is True
    assert "<" not in message["text"]
    assert (message["parse"], message["link_names"], message["unfurl_links"]) == ("none", False, False)


def test_an_entity_is_shown_as_what_was_written_T56(here: Scene, team: Listener) -> None:
    """`&lt;` and `<` are two things to whoever approves."""
    assert '"&amp;lt; &lt;"' in code(posted(here, team, {"note": "&lt; <"}))


def test_hidden_characters_are_written_out_T56_T57(here: Scene, team: Listener) -> None:
    """Also in the text of the notification."""
    delivering = here.delivering(slack(team))
    here.ask({"note": HOSTILE}, agent=HOSTILE)
    delivering.turn()
    text = json.dumps(team.heard[0].json, ensure_ascii=False)
    assert not any(raw in text for raw in RAW)


def test_the_tail_of_a_long_value_is_seen_T56(here: Scene, team: Listener) -> None:
    """With length, digest and the mark that it is cut."""
    message = posted(here, team, {"note": "read-only " * 3000 + "; rm -rf /"})
    text = code(message)
    assert "; rm -rf /" in text
    assert "is too long to be shown in full here" in text
    assert [one["action_id"] for one in buttons(message)] == [DENY]
    assert "&lt;30,010 characters, sha256 " in text
    assert "[cut]" in text


def test_a_value_of_some_length_is_shown_whole_and_can_be_approved_T56(here: Scene, team: Listener) -> None:
    """Its middle too, where something could be hidden."""
    note = "please " * 60 + "HIDDEN" + " thanks" * 60
    message = posted(here, team, {"note": note})
    assert "please HIDDEN thanks" in code(message).replace("\n", "")
    assert len(buttons(message)) == 2


def test_what_does_not_fit_cannot_be_approved_there_T56(here: Scene, team: Listener) -> None:
    """Only denied; and it is said that not all is shown."""
    message = posted(here, team, {f"a{number}": "x" for number in range(100)})
    assert [one["action_id"] for one in buttons(message)] == [DENY]
    assert "NOT ALL OF IT IS SHOWN: 60 of 100 arguments" in code(message)


def test_what_was_erased_cannot_be_approved_T56(here: Scene, team: Listener) -> None:
    """Nobody can see what would run."""
    delivering = here.delivering(slack(team))
    approval = here.ask()
    here.store.erase(here.tenant, "ben")
    assert here.store.approval(here.tenant, approval.id).arguments is None
    delivering.turn()
    assert [one["action_id"] for one in buttons(team.heard[0].json)] == [DENY]


def test_a_message_keeps_slacks_bounds(here: Scene, team: Listener) -> None:
    """Fifty blocks of three thousand characters, whatever the call holds."""
    message = posted(here, team, {f"{'<&>' * 60}{number}": "<&>😀" * 400 for number in range(40)})
    assert len(message["blocks"]) <= 50
    for block in message["blocks"]:
        if block["type"] == "section":
            assert len(block["text"]["text"]) <= 3000
    assert len(message["text"]) <= 4000


def test_many_reasons_leave_room_for_the_call(here: Scene, team: Listener) -> None:
    """Forty rules that ask, each with a long reason: the message keeps its bounds, and its buttons."""
    rules = [{"rule": f"pay/{number}", "effect": "step_up", "reason": "&" * 600} for number in range(40)]
    delivering = here.delivering(slack(team))
    here.ask(shown={"rules": rules})
    delivering.turn()
    message = team.heard[0].json
    assert len(message["blocks"]) <= 50
    assert [one["action_id"] for one in buttons(message)] == [DENY, APPROVE]
    assert "… and 32 more" in code(message)


def test_secrets_are_masked_T59(here: Scene, team: Listener) -> None:
    """Declared ones, suspicious ones, and the token itself."""
    delivering = here.delivering(slack(team, shown=Shown(True, (TOKEN, SLACK_KEY.decode()))))
    here.ask(
        {"iban": CANARY, "password": CANARY, "echo": SLACK_KEY.decode(), "plain": "seen"},
        shown={"facts": {"sensitive": ["iban"]}},
    )
    delivering.turn()
    body = team.heard[0].body.decode()
    assert not any(secret in body for secret in (CANARY, TOKEN, SLACK_KEY.decode()))
    assert "seen" in body


@pytest.mark.parametrize("verdict", ["approve", "deny"])
def test_the_message_changes_when_the_question_ends(here: Scene, team: Listener, verdict: str) -> None:
    """The same message, without buttons, with who decided."""
    delivering = here.delivering(slack(team))
    approval = here.ask()
    delivering.turn()
    here.vote(approval, verdict)
    delivering.turn()
    assert methods(team) == ["chat.postMessage", "chat.update"]
    changed = team.heard[1].json
    assert changed["ts"] == "1700000000.000001"
    assert buttons(changed) == []
    assert "by: ana" in code(changed)


def test_an_escalated_question_is_posted_anew(here: Scene, team: Listener) -> None:
    """People hear of it, the message before loses its buttons, and only the new one is answered."""
    delivering = here.delivering(slack(team))
    approval = here.ask()
    delivering.turn()
    here.tell(
        "approval.escalated", approval=approval.id, agent="billing", tool="t", after_s=60, reviewers=["x"]
    )
    delivering.turn()
    assert methods(team) == ["chat.postMessage", "chat.update", "chat.postMessage"]
    assert buttons(team.heard[1].json) == []
    assert len(buttons(team.heard[2].json)) == 2
    assert here.items()[0].memory["ts"] == "1700000000.000003"


def test_a_question_that_ended_before_is_not_posted(here: Scene, team: Listener) -> None:
    """Nobody is asked what was answered already."""
    delivering = here.delivering(slack(team))
    here.vote(here.ask())
    delivering.turn()
    assert team.heard == []
    assert here.items()[0].record.state == "told"


def test_a_breach_is_posted_without_buttons(here: Scene, team: Listener) -> None:
    """With rule, owner and whose turn it is."""
    delivering = here.delivering(slack(team))
    breach(here)
    delivering.turn()
    assert "GOVERNANCE BREACH" in team.heard[0].json["text"]
    assert "to: ciso" in code(team.heard[0].json)
    assert buttons(team.heard[0].json) == []


def test_a_channel_without_answers_shows_no_buttons(here: Scene, team: Listener) -> None:
    """Nobody presses what nobody hears."""
    assert buttons(posted(here, team, buttons=False)) == []


@pytest.mark.parametrize(
    ("answer", "problem", "state"),
    [
        ({"ok": False, "error": "ratelimited"}, "Slack refused it: ratelimited", "waiting"),
        ({"ok": False, "error": "invalid_auth"}, "Slack refused it: invalid_auth", "dead"),
        (
            {"ok": False, "error": "x\nforged"},
            "Slack refused it: an error that is none of Slack's",
            "waiting",
        ),
        ({"ok": True}, "Slack did not say where the message stands", "waiting"),
        ({"ok": True, "ts": "<x>"}, "Slack did not say where the message stands", "waiting"),
        ([], "Slack did not answer with JSON", "waiting"),
    ],
)
def test_what_slack_refuses_is_not_told(
    here: Scene, team: Listener, answer: Any, problem: str, state: str
) -> None:
    """HTTP 200 says nothing; what can never work is given up at once."""
    team.answer = lambda heard: (200, json.dumps(answer).encode(), {})
    delivering = here.delivering(slack(team))
    here.ask()
    assert delivering.turn() == 0
    (item,) = here.items()
    assert (item.error, item.record.state) == (problem, state)


def test_a_rate_limit_of_slack_is_kept(here: Scene, team: Listener) -> None:
    """HTTP 429 with `Retry-After`."""

    def busy(heard: Heard) -> tuple[int, bytes, dict[str, str]]:
        return 429, b"", {"retry-after": "30"}

    team.answer = busy
    delivering = here.delivering(slack(team))
    here.ask()
    delivering.turn()
    due = here.items()[0].record.due
    assert due is not None
    assert (due - here.clock()).total_seconds() >= 30
