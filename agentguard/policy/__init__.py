"""Policies: what a file may say, the compiled set, deciding, checking and explaining."""

from agentguard.policy.check import Checked, ToolArguments, check_documents, check_files, check_prepared
from agentguard.policy.default import Default
from agentguard.policy.explain import Considered, Explanation, Part, explain
from agentguard.policy.files import Files, PolicyPaths, read_files
from agentguard.policy.findings import EXPLANATIONS, Finding
from agentguard.policy.functions import FUNCTIONS, VARIABLES
from agentguard.policy.reader import read
from agentguard.policy.register import ExceptionRecord, Grant, Register
from agentguard.policy.report import render_github, render_json, render_sarif, render_text
from agentguard.policy.rules import Rule
from agentguard.policy.snapshot import Snapshot
from agentguard.policy.source import Source

__all__ = [
    "EXPLANATIONS",
    "FUNCTIONS",
    "VARIABLES",
    "Checked",
    "Considered",
    "Default",
    "ExceptionRecord",
    "Explanation",
    "Files",
    "Finding",
    "Grant",
    "Part",
    "PolicyPaths",
    "Register",
    "Rule",
    "Snapshot",
    "Source",
    "ToolArguments",
    "check_documents",
    "check_files",
    "check_prepared",
    "explain",
    "read",
    "read_files",
    "render_github",
    "render_json",
    "render_sarif",
    "render_text",
]
