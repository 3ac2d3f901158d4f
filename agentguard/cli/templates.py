"""What `agentguard init` writes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from agentguard.schemas import header, render

__all__ = ["DENY", "EXAMPLE", "files", "flag"]

DENY: Final = """\
# What joins in when no rule permits a call. `deny` is the safe one and needs nothing else; `flag` lets such
# calls run and records them, and needs an owner and an end: {effect: flag, owner: ana, until: "2027-01-31"}
default: {effect: deny}
"""


def flag(owner: str, until: str) -> str:
    """The block of a first rollout."""
    return f"""\
# First rollout: what no rule permits runs and is recorded as a flag, until the date; afterwards it is denied.
# `agentguard ledger show` lists what happened. Set `effect: deny` as soon as your rules permit what is right.
default:
  effect: flag
  owner: {json.dumps(owner, ensure_ascii=False)}
  until: {json.dumps(until)}
"""


_CONFIG: Final = """\
# The root configuration of agentguard. Paths are relative to this file; unknown keys are errors.

# A policy file or folder, or a list of them.
policies: policies/

# Where decisions, approvals and the ledger are kept. An agent that can write to it can rewrite it.
store: sqlite:///agentguard.db

# People who answer approvals: `agentguard reviewers enroll NAME --group GROUP` adds one.
directory: directory.yaml

# What each tool does; also the list of names that policies may use.
tools: tools.yaml
{infer}
{default}
# environment: prod       # conditions read it as `environment`
# tenant: default         # one store may hold several
# record: before          # `batched` only for calls declared read-only
# pause: wait             # `raise`: a step-up raises ApprovalPending instead of waiting
# strict: false           # true: refuse to start when a tool cannot be covered
"""

_POLICY: Final = """\
# One policy is one file. The order of rules does not matter: the strongest effect that matches wins
# (allow < flag < constrain < step_up < deny), and what no allow rule permits is denied by default.

policy: starter
description: A first policy for a small assistant; change it.
tools: [notes.read, notes.write, mail.send, files.delete]
rules:
  - id: read-notes
    effect: allow
    tools: [notes.read]

  - id: write-notes
    effect: allow
    tools: [notes.write]
    flag: {owner: operations, review_in: 7d, escalate_to: security}  # runs, and somebody looks
    reason: writing is fine, and we want to know how often

  - id: short-mails
    effect: constrain
    tools: [mail.send]
    when: size(args.text) > 140
    set: {args.text: 'args.text.substring(0, 140)'}

  - id: ask-before-mail
    effect: step_up
    tools: [mail.send]
    when: '!args.to.endsWith("@example.com")'
    reason: this mail leaves the company
    # The person for whom the agent works confirms; `local: true` accepts an answer from this machine.
    approval: {reviewers: [principal], expires_in: 10m, local: true}

  - id: internal-mail
    effect: allow
    tools: [mail.send]
    when: args.to.endsWith("@example.com")

  - id: never-delete
    effect: deny
    tools: [files.delete]
    reason: this assistant deletes nothing
    non_waivable: true
"""

_TESTS: Final = """\
# What starter.yaml has to decide: `agentguard test` runs these cases. Whoever changes a rule sees here which
# calls it changes; `agentguard test --mutate` says which changes of a rule nobody would see.

now: 2026-11-20T10:00:00Z      # the clock of every case
defaults:
  agent: helper
  principal: ben
requests:
  mail: {tool: mail.send, args: {to: ana@example.com, text: hello}}
cases:
  - name: notes are read
    request: {tool: notes.read, args: {name: shopping}}
    want: {effect: allow, rules: [starter/read-notes]}

  - name: writing a note is recorded
    request: {tool: notes.write, args: {name: shopping, text: milk}}
    want:
      effect: flag
      granted_by: [starter/write-notes]
      obligations: [{kind: flag, owner: operations, review_in_s: 604800}]

  - name: mail inside of the company is sent
    request: mail
    want: {effect: allow, rules: [starter/internal-mail]}

  - name: mail to others is confirmed by the person it is sent for
    request: {extends: mail, args: {to: eve@example.org}}
    want:
      effect: step_up
      rules: [starter/ask-before-mail]
      obligations: [{kind: approve, stages: [{reviewers: [principal], quorum: 1}], local: true}]

  - name: mail to nobody is asked about, since the rule cannot be evaluated
    request: {extends: mail, without: [args.to]}
    want: {effect: step_up, errors: [starter/ask-before-mail]}

  - name: a text of 140 characters stays
    request:
      extends: mail
      args:
        text: "Dear Ana, the minutes of Monday are in the shared folder. Please read them by Friday
          and write to me what is missing or wrong. Yours, Benno."
    want: allow

  - name: a longer one is cut
    request:
      extends: mail
      args:
        text: "Dear Ana, the minutes of Monday are in the shared folder. Please read them by Friday
          and write to me what is missing or wrong. Yours, Benno.!"
    want:
      effect: constrain
      rules: [starter/internal-mail, starter/short-mails]
      obligations:
        - kind: set
          path: args.text
          value: "Dear Ana, the minutes of Monday are in the shared folder. Please read them by Friday
            and write to me what is missing or wrong. Yours, Benno."

  - name: nothing is deleted
    request: {tool: files.delete, args: {path: /etc/passwd}}
    want: {effect: deny, rules: {contains: [starter/never-delete]}}

  - name: a tool that no rule names is denied
    request: {tool: shell.run, args: {command: ls}}
    want: {effect: deny, rules: [agentguard/default]}
"""

_TOOLS: Final = """\
# Facts about tools. A policy that names a tool which is not here is reported by `agentguard check`.
# Facts: reads, writes, destructive, external, read_only, idempotent, untrusted_output (true or false),
# sensitive (arguments that are masked), labels. Besides: secrets (scopes the tool needs), injected
# (parameters that the framework fills in), and arguments (their names) or schema (their JSON Schema).

notes.read:
  reads: true
  read_only: true
  arguments: [name]

notes.write:
  writes: true
  arguments: [name, text]

mail.send:
  writes: true
  external: true
  secrets: ["mail:send"]
  arguments: [to, text]

files.delete:
  writes: true
  destructive: true
  arguments: [path]
"""

_DIRECTORY: Final = """\
# People who answer approvals, their groups and their public keys.
# `agentguard reviewers enroll ana --group operations` makes a key for ana and writes it here.
#
# people:
#   ana: {name: Ana Alba, aliases: [ana@example.com], groups: [operations]}
# groups:
#   everybody: {includes: [operations]}

people: {}
"""

EXAMPLE: Final = """\
from agentguard import AgentIdentity, Guard, ToolCallDenied

guard = Guard.from_config("agentguard.yaml")

@guard.tool("notes.read")
def read_note(name: str) -> str:
    return f"the note {name}"

@guard.tool("files.delete")
def delete_file(path: str) -> None:
    raise SystemExit("this never runs")

with guard.session(agent=AgentIdentity("helper", owner="ana"), principal="ben"):
    print(read_note("shopping"))
    try:
        delete_file("/etc/passwd")
    except ToolCallDenied as denied:
        print(denied)
"""


_INFER: Final = """
# What nobody declared about a tool is inferred from its definition: `agentguard tools classify` shows it.
infer_facts: true
"""


def files(default: str, packs: Mapping[str, str] | None = None) -> dict[str, str]:
    """Every file by its path, with the block of the default effect. With `packs`, the files of packs by their
    paths, these are the policies and tool facts are inferred."""
    config = _CONFIG.replace("{default}", default, 1).replace("{infer}", _INFER if packs else "", 1)
    starter = {
        "policies/starter.yaml": header(".policy.schema.json") + _POLICY,
        "policies/starter_test.yaml": header(".test.schema.json") + _TESTS,
    }
    return {
        "agentguard.yaml": header(".agentguard.schema.json") + config,
        ".agentguard.schema.json": render("config"),
        **(starter if packs is None else packs),
        "policies/.policy.schema.json": render("policy"),
        "policies/.test.schema.json": render("test"),
        "tools.yaml": header(".tools.schema.json") + _TOOLS,
        ".tools.schema.json": render("tools"),
        "directory.yaml": _DIRECTORY,
    }
