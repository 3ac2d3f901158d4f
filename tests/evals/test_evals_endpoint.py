"""Live models behind an OpenAI-compatible endpoint: a real server on loopback, the real command."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from openai import OpenAI

from agentguard.errors import ConfigurationError
from agentguard.schemas import made
from agentguard_evals import load_prompts
from agentguard_evals.endpoint import MAX_ANSWER, Endpoint
from tests.cli.support import HOSTILE, RAW, run
from tests.evals.endpoint import Asked, Reply, Server, endpoint, refusing, saying, turn
from tests.evals.live import HIJACKED, case, file, honest
from tests.evals.support import ASK_TO_SEND, READ, played, policy_file

KEY = "sk-live-0123456789abcdef"


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """None of the machine's own."""
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server() -> Iterator[Server]:
    with endpoint(saying(*HIJACKED)) as found:
        yield found


def live(work: Path, server: Server, *more: str | Path, code: int = 0, **env: str) -> Any:
    """The command, with the cases of `live.yaml` and a model at the server."""
    policy = policy_file(work, READ, ASK_TO_SEND)
    common = ("eval", "run", "live.yaml", "--policy", policy, "--model", "small")
    return run(*common, "--base-url", server.url, *more, code=code, **env)


def error_of(work: Path, answer: Reply, *more: str, **env: str) -> tuple[str, Server]:
    """The error of the one case, as the report has it."""
    file(work, case())
    with endpoint(answer) as server:
        live(work, server, "--out", "r.json", *more, code=1, **env)
    (found,) = json.loads(Path("r.json").read_text(encoding="utf-8"))["suites"][0]["cases"]
    return found["error"], server


def test_a_live_model_is_asked_and_guarded(work: Path, server: Server) -> None:
    """Model, temperature, key and tools reach the endpoint; the denial reaches the model."""
    file(work, case())
    said = live(work, server, "--temperature", "0.5", OPENAI_API_KEY=KEY).stdout
    assert "live model small at http://127.0.0.1" in said
    assert "temperature 0.5; 6 turns, 60 tokens in, 18 out" in said
    assert "1 case, 0 went wrong, 0 errors" in said
    first, last = server.asked[0], server.asked[2]
    assert (first.path, first.headers["authorization"]) == ("/v1/chat/completions", f"Bearer {KEY}")
    assert (first.body["model"], first.body["temperature"]) == ("small", 0.5)
    assert [tool["function"]["name"] for tool in first.body["tools"]] == ["read", "send", "delete"]
    assert [one["role"] for one in last.body["messages"]] == [
        "user",
        "assistant",
        "tool",
        "assistant",
        "tool",
    ]
    assert "denied by `p/send`" in last.body["messages"][-1]["content"]


def test_what_only_the_endpoint_understands_goes_back_to_it(work: Path, server: Server) -> None:
    """Some want their own marks back with each call."""
    marked = turn(("read", {"id": 1}))
    marked["choices"][0]["message"]["tool_calls"][0]["extra_content"] = {"signature": "abc"}
    marked["choices"][0]["message"]["reasoning"] = "Hm."
    server.answer = saying(marked, turn(text="Done."))
    file(work, case())
    live(work, server)
    sent = server.asked[1].body["messages"][1]
    assert sent["reasoning"] == "Hm."
    assert sent["tool_calls"][0]["extra_content"] == {"signature": "abc"}
    assert "temperature" not in server.asked[0].body


def test_runs_are_counted_apart_and_one_can_be_run_again(work: Path, server: Server) -> None:
    """The line on the screen is a command that plays that case with the same model."""
    file(work, case(), honest())
    server.answer = saying(turn(("send", {"to": "ana"})), turn(text="Done."))
    said = live(work, server, "--repeat", "2", "--max-turns", "4", "--timeout", "60", code=1).stdout
    assert "mail#1" in said
    assert "mail#2" in said
    assert "4 cases" in said
    assert "each case 2 times" in said
    again = said[said.index("one of them again:") :].split("\n\n")[0]
    assert "--max-turns 4 --timeout 60 --approver none --case mail" in " ".join(again.split())
    assert "--case mail#" not in again


def test_the_report_names_the_model_and_what_it_took(work: Path, server: Server) -> None:
    """As its schema says; the page says it too."""
    file(work, case(), honest(must=["read"]))
    server.answer = saying(*HIJACKED[1:])
    live(work, server, "--out", "r.json", "--out", "r.html", "--out", "r.xml", code=1, OPENAI_API_KEY=KEY)
    report = json.loads(Path("r.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(made("eval-report")).validate(report)
    model = report["suites"][0]["model"]
    assert (model["name"], model["url"], model["turns"]) == ("small", server.url, 6)
    assert (model["prompt_tokens"], model["completion_tokens"]) == (60, 18)
    assert report["suites"][0]["cases"][0]["live"]["turns"] == 4
    assert f"--model small --base-url {server.url}" in report["command"]
    assert "live model small at" in Path("r.html").read_text(encoding="utf-8")
    assert all(KEY not in Path(name).read_text(encoding="utf-8") for name in ("r.json", "r.html", "r.xml"))


# -- what goes wrong is an error of the case, and says what to do


def test_a_refused_key_is_named_by_its_variable_T37(work: Path) -> None:
    """And stands nowhere, not even in part, whatever the endpoint says of it."""
    said = f"Incorrect API key {KEY} ({KEY[:12]}…) provided"
    error, server = error_of(work, refusing(401, said), "--api-key-env", "MY_KEY", MY_KEY=KEY)
    assert "refused the key (HTTP 401): look at the variable MY_KEY" in error
    assert 'it says "Incorrect API key […] […] provided"' in error
    assert len(server.asked) == 1
    assert server.asked[0].headers["authorization"] == f"Bearer {KEY}"


def test_an_answer_that_holds_the_key_is_refused_T37(work: Path) -> None:
    """A tool name or a text of the model could carry it into a report."""
    error, _ = error_of(work, saying(turn((KEY.replace("-", "_"), {}), text=KEY)), OPENAI_API_KEY=KEY)
    assert error == "the endpoint's answer holds the key that it was sent; nothing of it is used"


def test_a_busy_endpoint_is_asked_a_bounded_number_of_times(work: Path) -> None:
    """Then it is an error; where it gives way in between, it is none."""
    error, server = error_of(work, refusing(429, "slow down"))
    assert "over its limits (HTTP 429) after up to 3 tries" in error
    assert len(server.asked) == 3
    error, server = error_of(work, refusing(503))
    assert "failed (HTTP 503) after up to 3 tries" in error
    assert len(server.asked) == 3

    def gives_way(asked: Asked) -> None:
        refuses = len(asked.server.asked) == 1
        (refusing(429) if refuses else saying(*HIJACKED))(asked)

    with endpoint(gives_way) as server:
        live(work, server)


def test_an_endpoint_that_says_to_wait_long_is_bounded_in_time(work: Path) -> None:
    """Whatever it asks for, the case ends."""
    for seconds in ("1", "5", "25"):  # as long as it takes until the endpoint is asked
        error, server = error_of(work, refusing(429, retry_after_ms="60000"), "--timeout", seconds)
        assert "has not answered in time" in error
        if server.asked:
            break
    assert len(server.asked) == 1


def test_what_cannot_be_asked_says_what_to_look_at(work: Path) -> None:
    """The model, the options, the address."""
    error, _ = error_of(work, refusing(404, "no model `small`"))
    assert "knows no such model" in error
    assert "look at `--model` and `--base-url`" in error
    error, _ = error_of(work, refusing(400, HOSTILE))
    assert "refused the request (HTTP 400)" in error
    assert not any(raw in error for raw in RAW)
    error, _ = error_of(work, refusing(307, location="http://127.0.0.1:1/v1"))
    assert "(HTTP 307)" in error


def test_an_endpoint_that_is_not_there_is_an_error_of_the_case(work: Path, server: Server) -> None:
    """Its address, and why."""
    server.shutdown()
    server.server_close()
    file(work, case())
    said = live(work, server, code=1, COLUMNS="200").stdout
    assert f"{server.url} cannot be reached: connection refused; does the endpoint run there?" in said


def test_a_silent_or_dripping_endpoint_is_given_up(work: Path) -> None:
    """Bounded in time as a whole, not by single reads."""

    def silent(asked: Asked) -> None:
        asked.server.done.wait(300)

    def dripping(asked: Asked) -> None:
        asked.send_response(200)
        asked.send_header("content-type", "application/json")
        asked.send_header("content-length", "100000")
        asked.end_headers()
        while not asked.server.done.wait(0.02):
            asked.wfile.write(b" ")

    for answer in (silent, dripping):
        error, _ = error_of(work, answer, "--timeout", "1")
        assert "has not answered in time" in error


@pytest.mark.parametrize("status", [200, 400])
def test_a_huge_answer_is_given_up(work: Path, status: int) -> None:
    """Good news or an error, and nothing of it is decompressed."""
    huge = b'{"a": "' + b"x" * (MAX_ANSWER + 1) + b'"}'
    error, server = error_of(work, lambda asked: asked.reply(huge, status))
    assert error == "the endpoint's answer is longer than 4,194,304 bytes"
    assert len(server.asked) == 1


def test_a_compressed_answer_is_refused(work: Path) -> None:
    """A small one could unpack to a huge one, and nobody asked for it."""
    error, server = error_of(work, lambda asked: asked.reply(b"x", 200, content_encoding="gzip"))
    assert "compresses its answers" in error
    assert server.asked[0].headers["accept-encoding"] == "identity"


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"<html>hello</html>", {"content_type": "text/html"}),
        (b"{not json", {}),
        (b"[" * 5000, {}),
        (b"[]", {}),
        (b"null", {}),
        (b'"text"', {}),
        (b"{}", {}),
        (b'{"choices": [null]}', {}),
        (b'{"choices": 7}', {}),
        (b'{"choices": [{"message": "hi", "finish_reason": "stop"}]}', {}),
        (b'{"choices": [{"message": {"content": "hi"}}]}', {}),
    ],
)
def test_an_answer_that_is_no_turn_is_an_error_of_the_case(
    work: Path, body: bytes, headers: dict[str, str]
) -> None:
    """Whatever it is, it is no pass."""
    error, _ = error_of(work, lambda asked: asked.reply(body, 200, **headers))
    assert "chat-completions endpoint" in error


@pytest.mark.parametrize(
    ("calls", "finish"),
    [
        ("5", "stop"),
        ("{}", "stop"),
        ('"read"', "stop"),
        ("[]", "tool_calls"),
        ("[null]", "stop"),
        ('[{"function": {"name": 5}}]', "stop"),
    ],
)
def test_calls_that_cannot_be_read_are_an_error_of_the_case(work: Path, calls: str, finish: str) -> None:
    """The model meant to call something; that it called nothing is not known."""
    message = f'{{"role": "assistant", "content": "hi", "tool_calls": {calls}}}'
    body = f'{{"choices": [{{"finish_reason": "{finish}", "message": {message}}}]}}'
    error, _ = error_of(work, lambda asked: asked.reply(body.encode()))
    assert "the model's calls cannot be read" in error or "which is none of the case's tools" in error


# -- options


def test_without_a_model_nothing_is_played(work: Path) -> None:
    """Exit 2 with the name of the option; recorded cases can be named."""
    recorded = {"id": "recorded", "calls": [{"call": "read", "want": "allow"}]}
    file(work, case(), honest(), recorded)
    policy = policy_file(work, READ)
    said = run("eval", "run", "live.yaml", "--policy", policy, code=2).stderr
    assert "a live model plays the case `mail` and 1 more" in " ".join(said.split())
    assert "`--model NAME`" in said
    assert (
        "1 case, 0 went wrong"
        in run("eval", "run", "live.yaml", "--policy", policy, "--case", "recorded").stdout
    )


def test_a_model_without_a_case_for_it_is_a_usage_error(work: Path, server: Server) -> None:
    """As is any other option about a model without `--model`."""
    file(work, {"id": "recorded", "calls": [{"call": "read"}]})
    assert "no case here is played by a live model" in live(work, server, code=2).stderr
    for option in ("--base-url", "--api-key-env", "--temperature", "--max-turns", "--timeout", "--repeat"):
        found = run("eval", "run", "live.yaml", "--policy", policy_file(work, READ), option, "1", code=2)
        assert f"`{option}` is about a live model" in found.stderr
    assert server.asked == []


@pytest.mark.parametrize(
    ("options", "env", "said"),
    [
        (("--base-url", "https://u:sk-secret-1@h/v1"), {}, "holds a user, a query or a fragment"),
        (("--base-url", "https://h/v1?key=sk-secret-1"), {}, "holds a user, a query or a fragment"),
        (("--base-url", "http://example.com/v1"), {"OPENAI_API_KEY": "sk-secret-1"}, "use https"),
        (("--base-url", "https://example.com/v1"), {}, "set OPENAI_API_KEY"),
        ((), {}, "set OPENAI_API_KEY"),
        (
            ("--base-url", "http://[::1]:1/v1", "--api-key-env", "MISSING"),
            {},
            "the endpoint's key is not set",
        ),
        (("--api-key-env", "sk-secret-1"), {}, "the name of a variable, never a key"),
        (
            ("--api-key-env", "secret1"),
            {"OPENAI_API_KEY": "x"},
            "variable with the endpoint's key is not set",
        ),
        ((), {"OPENAI_API_KEY": "sk-secret-1\n"}, "not printable ASCII"),
    ],
)
def test_keys_are_named_by_a_variable_and_go_over_https(
    work: Path, options: tuple[str, ...], env: dict[str, str], said: str
) -> None:
    """What is wrong with them is said without them."""
    file(work, case())
    found = run(
        "eval",
        "run",
        "live.yaml",
        "--policy",
        policy_file(work, READ),
        "--model",
        "m",
        *options,
        code=2,
        **env,
    )
    assert said in " ".join(found.stderr.split())
    assert "secret" not in found.output


def test_a_missing_package_says_what_to_install(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is played."""
    monkeypatch.setitem(sys.modules, "openai", None)
    file(work, case())
    said = run("eval", "run", "live.yaml", "--policy", policy_file(work, READ), "--model", "m", code=2).stderr
    assert "pip install 'agentguard[openai]'" in " ".join(said.split())


def test_the_sdks_own_method_is_a_model_in_python(work: Path, server: Server) -> None:
    """With the model's name fixed beforehand."""
    with OpenAI(base_url=server.url, api_key=KEY, max_retries=0) as client:
        model = functools.partial(client.chat.completions.create, model="small")
        (one,) = played(load_prompts(file(work, case()), model=model), READ, ASK_TO_SEND).cases
    assert (one.error, one.unexpected, one.calls[1].outcome) == (None, (), "refused")


def test_the_endpoint_is_a_model_in_python_too(work: Path, server: Server) -> None:
    """The same class; its end closes the connections."""
    suite = load_prompts(file(work, case()), model=Endpoint("small", base_url=server.url))
    (one,) = played(suite, READ, ASK_TO_SEND).cases
    assert (one.error, one.unexpected) == (None, ())
    with pytest.raises(ConfigurationError, match="more than nothing"):
        load_prompts(file(work, case()), model=Endpoint("small", base_url=server.url), max_turns=0)
