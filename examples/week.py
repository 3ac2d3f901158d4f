"""A week of governance, by the commands that people type.

python examples/week.py             # in a new temporary folder, about half a minute
python examples/week.py DIR         # in DIR, which then holds the store, the policy and report.html

Agents work while their rules only observe; flags are reviewed, one becomes a rule that denies, one agent gets
an exception, the exception expires, its call is denied, and the report shows all of it. A day is a step: the
only thing that is waited for is the end of the exception, which lasts some seconds here.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from agentguard import AgentIdentity, Guard, ToolCallDenied

EXCEPTION_S = 10

CONFIG = """\
policies: policies/
store: sqlite:///agentguard.db
directory: directory.yaml
replayable: true            # keeps what a candidate policy needs to decide the recorded calls again
default: {effect: flag, owner: ana, until: 2099-01-01}      # observing: what no rule permits runs, flagged
"""
POLICY = """\
policy: crm
owner: ana
controls: [PR.AA-05, DE.AE-02]
tools: ["crm.*"]
rules:
  - id: use
    effect: allow
  - id: bulk-export
    effect: flag
    when: args.rows > 500
    reason: more rows than anybody reads
    flag: {owner: ana, review_in: 3d, escalate_to: bob, converts: {on: 2099-01-01, to: deny}}
"""
EXCEPTION = """\
agent: backup
rules: [crm/bulk-export]
tools: [crm.export]
when: args.to == "s3://backup"
control: {reserve: {key: "nightly-backup", limit: 2, window: 1d}, description: two exports a day}
reason: the nightly backup needs every row
risk: a copy of all customers leaves the CRM
remediate_by: 2099-01-01
evidence: []
owner: bob
"""


def agents() -> None:
    """What the agents do each day: the same calls, whatever the rules say by now."""
    with Guard.from_config("agentguard.yaml") as guard:

        @guard.tool("crm.export")
        def export(rows: int, to: str) -> str:
            return f"{rows} rows sent to {to}"

        @guard.tool("mail.send")
        def send(to: str) -> str:
            return f"sent to {to}"

        calls: list[tuple[str, str, Callable[[], str]]] = [
            ("reporting", "crm.export", lambda: export(rows=20, to="ana@example.com")),
            ("reporting", "crm.export", lambda: export(rows=900, to="ana@example.com")),
            ("reporting", "mail.send", lambda: send(to="ana@example.com")),
            ("backup", "crm.export", lambda: export(rows=80_000, to="s3://backup")),
        ]
        for agent, tool, call in calls:
            with guard.session(agent=AgentIdentity(agent, owner="ben"), principal="ben"):
                try:
                    print(f"  {agent:9}  {call()}")
                except ToolCallDenied as denied:
                    print(f"  {agent:9}  {tool} denied by {denied.rule}")


def command(line: str, *, ok: tuple[int, ...] = (0,), quiet: bool = False) -> str:
    """Run an `agentguard` command as it would be typed, and show it."""
    if not quiet:
        print(f"\n$ agentguard {line}")
    words = [sys.executable, "-m", "agentguard", *shlex.split(line)]
    environment = {**os.environ, "XDG_CONFIG_HOME": str(Path("keys").resolve())}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=120, check=False)
    if not quiet:
        print(done.stdout, end="")
    if done.returncode not in ok:
        raise SystemExit(f"`agentguard {line}` ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def flag(rule: str, agent: str) -> str:
    """The id of an open flag."""
    found = json.loads(command("flags list --json", quiet=True))
    return next(str(item["id"]) for item in found if (item["rule"], item["agent"]) == (rule, agent))


def day(text: str) -> None:
    print(f"\n== {text}")


def week() -> None:
    """From Monday to Sunday."""
    for name in ("ana", "bob", "ben"):
        command(f"reviewers enroll {name} --group security", quiet=True)
    command("check")

    day("Monday: the agents work, the rules observe")
    agents()

    day("Tuesday: the flags are reviewed")
    command("flags list")
    mail = flag("agentguard/default", "reporting")
    month = dt.date.today() + dt.timedelta(days=30)
    why = "mails inside the company; a rule that allows them is on its way"
    command(f"flags resolve {mail} accepted --until {month} --as ana --reason {shlex.quote(why)}")

    day("Wednesday: one flag becomes a rule that denies")
    bulk = flag("crm/bulk-export", "reporting")
    command(f"flags convert {bulk} --to deny --dry-run")
    command(f"flags convert {bulk} --to deny --yes --as ana --reason 'nobody reads so many rows'")
    agents()

    day("Thursday: the backup gets an exception, asked for by ben and approved by ana")
    asked = command(
        f"exceptions request --file exception.yaml --expires {EXCEPTION_S}s --as ben --json", quiet=True
    )
    granted_at = time.monotonic()
    id = str(json.loads(asked)["id"])
    command(f"exceptions approve {id} --yes --as ana --reason 'until the backup has a path of its own'")
    agents()

    day("Saturday: the exception has expired")
    time.sleep(max(0.0, EXCEPTION_S + 1 - (time.monotonic() - granted_at)))
    agents()
    command("exceptions list --still-matching")

    day("Sunday: what the week came to")
    command("report")
    command("report --html report.html")
    command("ledger verify")


def main() -> None:
    if len(sys.argv) > 2:
        raise SystemExit(__doc__)
    folder = Path(sys.argv[1] if len(sys.argv) == 2 else tempfile.mkdtemp(prefix="agentguard-week-"))
    (folder / "policies").mkdir(parents=True, exist_ok=True)
    os.chdir(folder)
    if Path("agentguard.db").exists():
        raise SystemExit(f"{folder} already holds a week; name a new folder")
    Path("agentguard.yaml").write_text(CONFIG)
    Path("policies/crm.yaml").write_text(POLICY)
    Path("exception.yaml").write_text(EXCEPTION)
    week()
    print(f"\nAll of it is in {folder}; look at report.html.")


if __name__ == "__main__":
    main()
