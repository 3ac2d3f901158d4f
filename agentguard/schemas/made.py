"""Making the JSON Schemas by which editors complete and check policies, tests, configuration, tool facts.

They are as strict as the models: unknown keys are errors, and nothing may be explicitly nothing. What depends
on several keys, and whether a condition means anything, only `agentguard check` and `agentguard test` see.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, get_args

from pydantic import BaseModel, RootModel

__all__ = ["KINDS", "Kind", "header", "made", "render"]

Kind = Literal["policy", "test", "proofs", "config", "tools", "eval-report", "report"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_TITLES: Final[Mapping[Kind, str]] = {
    "policy": "agentguard policy",
    "test": "agentguard policy tests",
    "proofs": "agentguard policy proofs",
    "config": "agentguard configuration",
    "tools": "agentguard tool facts",
    "eval-report": "agentguard evaluation report",
    "report": "agentguard governance report",
}


def made(kind: Kind) -> dict[str, Any]:
    """The schema of one kind of file, as data."""
    return {"$schema": _DIALECT, **_MAKERS[kind](), "title": _TITLES[kind]}


def render(kind: Kind) -> str:
    """The schema as the text of a file."""
    return json.dumps(made(kind), indent=1, ensure_ascii=True) + "\n"


def header(path: str) -> str:
    """The first line of a YAML file by which editors find its schema."""
    return f"# yaml-language-server: $schema={path}\n"


def _policy() -> dict[str, Any]:
    from agentguard.policy.document import PolicyDocument

    return _of(PolicyDocument)


def _test() -> dict[str, Any]:
    from agentguard.policy.testing.document import TestDocument

    return _of(TestDocument)


def _proofs() -> dict[str, Any]:
    from agentguard.policy.proving.document import ProofsDocument

    return _of(ProofsDocument)


def _config() -> dict[str, Any]:
    from agentguard.config import ConfigDocument

    return _of(ConfigDocument)


def _tools() -> dict[str, Any]:
    from agentguard.config import ToolDocument

    class Tools(RootModel[dict[str, ToolDocument]]):
        """Every tool by its name, with what is known of it."""

    return _of(Tools)


def _eval_report() -> dict[str, Any]:
    """Written by `agentguard eval run --out report.json`, and read by other programs: null is a value."""
    from agentguard_evals.report import Report

    return Report.model_json_schema(mode="serialization")


def _report() -> dict[str, Any]:
    """Printed by `agentguard report --json`: null is a value."""
    from agentguard.governance.report.model import Report

    return Report.model_json_schema(mode="serialization")


_MAKERS: Final[Mapping[Kind, Callable[[], dict[str, Any]]]] = {
    "policy": _policy,
    "test": _test,
    "proofs": _proofs,
    "config": _config,
    "tools": _tools,
    "eval-report": _eval_report,
    "report": _report,
}


def _of(model: type[BaseModel]) -> dict[str, Any]:
    found: dict[str, Any] = _without_null(model.model_json_schema())
    return found


def _without_null(node: Any) -> Any:
    """The same schema without null: a key that is there has a value."""
    if isinstance(node, list):
        return [_without_null(item) for item in node]
    if not isinstance(node, dict):
        return node
    kept = {
        key: _without_null(value)
        for key, value in node.items()
        if not (key == "default" and value is None) and not (key == "title" and isinstance(value, str))
    }
    options = kept.get("anyOf")
    if isinstance(options, list):
        options = [option for option in options if option != {"type": "null"}]
        if len(options) == 1:
            del kept["anyOf"]
            return {**options[0], **kept}
        kept["anyOf"] = options
    return kept
