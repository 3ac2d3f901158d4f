"""`agentguard schema`: the JSON Schemas by which editors complete and check files."""

from __future__ import annotations

import sys
from typing import Annotated, Literal

import typer

__all__ = ["schema"]


def schema(
    kind: Annotated[
        Literal["policy", "test", "proofs", "config", "tools", "eval-report", "report"],
        typer.Argument(metavar="policy|test|proofs|config|tools|eval-report|report", help="Of which files."),
    ],
) -> None:
    """Print the JSON Schema of policy files, of tests, of proofs, of the configuration, of tool facts, or of
    the reports of `agentguard eval run --out report.json` (`eval-report`) and `agentguard report --json`
    (`report`).

    Editors with a YAML language server read it when a file begins with the line that the examples show;
    `agentguard init` writes schemas and lines.

    \b
    Examples:
      agentguard schema policy > policies/.policy.schema.json
      # in a policy: # yaml-language-server: $schema=.policy.schema.json
      agentguard schema test > policies/.test.schema.json
      agentguard schema config > .agentguard.schema.json
      agentguard schema tools > .tools.schema.json
    """
    from agentguard.schemas import render

    sys.stdout.write(render(kind))
