"""The demo with a live model: an OpenAI-compatible server on loopback instead of the recording."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from agentguard.demo.recorded import BILLS, LETTER, responder
from tests.demo.support import ATTACKER, SECONDS, data, demo, environment


class Server:
    """Plays the model for whichever prompt it is asked; `status` other than 200 refuses everything."""

    def __init__(self, status: int = 200) -> None:
        self.asked: list[dict[str, Any]] = []
        asked = self.asked

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                asked.append({**request, "key": self.headers["Authorization"], "path": self.path})
                prompt = next(one["content"] for one in request["messages"] if one["role"] == "user")
                recording = BILLS if prompt == BILLS.prompt else LETTER
                refused = {"error": {"message": "no such key", "type": "invalid_request_error"}}
                answer = responder(recording)(request) if status == 200 else refused
                body = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                """Quiet."""

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True

    @property
    def environment(self) -> dict[str, str]:
        return {
            "OPENAI_API_KEY": "sk-test",
            "OPENAI_BASE_URL": f"http://127.0.0.1:{self.http.server_port}/v1",
            "NO_PROXY": "127.0.0.1",
        }


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    found = Server(getattr(request, "param", 200))
    thread = threading.Thread(target=found.http.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield found
    found.http.shutdown()
    found.http.server_close()
    thread.join()


def test_a_live_model_is_asked_and_guarded(server: Server) -> None:
    """Its calls take the same path: the same verdicts, and nothing for the attacker."""
    found = data("--model", "small-model", "--approve", "yes", env=server.environment)
    assert found["acts"][1]["model"] == "small-model"
    assert "small-model" in found["models"]
    assert found["verdicts"]["step_up"] == found["verdicts"]["deny"] == 1
    assert ATTACKER not in found["world"]["posts"]
    asked = [request for request in server.asked if request["messages"][1]["content"] == LETTER.prompt]
    assert {request["model"] for request in asked} == {"small-model"}
    assert {request["key"] for request in asked} == {"Bearer sk-test"}
    assert len(asked) == len(LETTER.calls) + 1


def test_the_model_is_told_what_was_denied(server: Server) -> None:
    """The last request holds the guard's answer to the denied call, with the rule, not its condition."""
    demo("--model", "small-model", "--approve", "yes", env=server.environment)
    last = server.asked[-1]["messages"][-1]
    assert last["role"] == "tool"
    assert "egress/no-exfiltration" in last["content"]
    assert "session.labels" not in last["content"]


def test_its_last_words_are_shown_as_its_own(server: Server) -> None:
    """On the screen a live model's answer stands in quotes."""
    found = demo("--model", "small-model", "--approve", "yes", env=server.environment)
    assert found.returncode == 0
    assert f'agent  "{LETTER.answer}"' in found.stdout


@pytest.mark.parametrize("server", [401], indirect=True)
def test_a_model_that_refuses_ends_with_a_message(server: Server) -> None:
    """No traceback; exit code 2."""
    found = demo("--model", "small-model", "--approve", "yes", env=server.environment)
    assert found.returncode == 2
    assert "the live model `small-model` could not be asked" in found.stderr
    assert "Traceback" not in found.stderr


def test_without_a_key_it_says_what_is_missing() -> None:
    """`--model` alone names the two variables, and runs nothing."""
    found = demo("--model", "small-model")
    assert found.returncode == 2
    assert "OPENAI_API_KEY" in found.stderr
    assert "OPENAI_BASE_URL" in found.stderr
    assert found.stdout == ""


@pytest.mark.parametrize("name", ["langchain", "openai"])
def test_a_missing_framework_is_named_with_the_command_to_run(name: str) -> None:
    """Exit code 2 and one line, before anything is made."""
    script = (
        "import importlib.util as util, sys\n"
        "find = util.find_spec\n"
        f"util.find_spec = lambda name, *more: None if name == {name!r} else find(name, *more)\n"
        "sys.argv = ['agentguard', 'demo', '--approve', 'yes']\n"
        "from agentguard.cli import main\n"
        "main()\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", script],
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert found.returncode == 2
    assert f"the demo needs {name}; run `pip install 'agentguard[all]'`" in found.stderr
    assert found.stdout == ""
