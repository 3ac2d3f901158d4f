"""Every example runs, offline, as its first lines say."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def run(cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join((str(ROOT), str(ROOT / "adapters")))
    environment = {
        **os.environ,
        "PYTHONPATH": path,
        "NO_COLOR": "1",
        "COLUMNS": "120",
        "LANGSMITH_TRACING": "false",
    }
    environment.pop("OPENAI_API_KEY", None)
    done = [sys.executable, *arguments]
    return subprocess.run(
        done, cwd=cwd, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("decorator.py", ["sent 500 to ACME", "sent 5000 to ACME", "never above 100000"]),
        ("openai_loop.py", ["mail stays inside the company", "sent to ana@example.com"]),
        (
            "langchain_agent.py",
            ["success: sent 500 to ACME", "this payee is blocked", "success: sent 5000 to ACME"],
        ),
    ],
)
def test_the_example_runs(tmp_path: Path, name: str, said: list[str]) -> None:
    """It ends well and says what happened."""
    done = run(tmp_path, str(ROOT / "examples" / name))
    assert done.returncode == 0, done.stderr
    assert all(text in done.stdout for text in said), done.stdout


def test_a_week_of_governance_by_its_commands(tmp_path: Path) -> None:
    """What was flagged is denied, is excepted, and is denied again; the report and the ledger say so."""
    done = run(tmp_path, str(ROOT / "examples" / "week.py"), "week")
    assert done.returncode == 0, done.stdout + done.stderr
    days = re.split(r"^== ", done.stdout, flags=re.MULTILINE)
    ran = ["backup     80000 rows sent" in day for day in days[1:]]
    assert ran == [True, False, False, True, False, False]
    assert "crm.export denied by crm/bulk-export" in days[5]
    page = (tmp_path / "week" / "report.html").read_text()
    exception = re.search(r"EX-[0-9A-Z]{8}", done.stdout)
    assert exception
    assert exception[0] in page
    assert "crm/bulk-export" in page
    assert "no problems" in days[6]


def test_pause_today_and_resume_tomorrow_in_another_process(tmp_path: Path) -> None:
    """Asked in one process, approved in a second, run in a third, and in a fourth nothing runs."""
    script = str(ROOT / "examples" / "pause_and_resume.py")
    asked = run(tmp_path, script, "ask")
    found = re.search(r"\ba[0-9a-f]{32}\b", asked.stdout)
    assert found, asked.stderr
    assert run(tmp_path, script, "resume", found[0]).stdout == "nobody has answered yet\n"
    url = "sqlite:///pause-and-resume.db"
    voted = run(tmp_path, "-m", "agentguard", "approvals", "approve", found[0], "--store", url, "--yes")
    assert voted.returncode == 0, voted.stderr
    assert run(tmp_path, script, "resume", found[0]).stdout == "ran: sent 4800 to Hansa Properties\n"
    assert "nothing was run" in run(tmp_path, script, "resume", found[0]).stdout
