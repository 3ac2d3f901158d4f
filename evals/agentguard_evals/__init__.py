"""Evaluation suites: how many attacks a policy stops, and how much honest work it disturbs."""

from agentguard_evals.case import Broken, Case, Gap, Suite, ToolDefinition, Verdict
from agentguard_evals.facts import Facts, FactsOf, facts_from
from agentguard_evals.live import repeated
from agentguard_evals.metrics import METRICS, Metric, measure
from agentguard_evals.prompts import load_prompts
from agentguard_evals.recordings import load_recordings
from agentguard_evals.report import Report, SuiteReport
from agentguard_evals.results import CallResult, CaseResult
from agentguard_evals.running import Played, play, play_suite
from agentguard_evals.stage import Answer, Setup, Stage, ToolError

__all__ = [
    "METRICS",
    "Answer",
    "Broken",
    "CallResult",
    "Case",
    "CaseResult",
    "Facts",
    "FactsOf",
    "Gap",
    "Metric",
    "Played",
    "Report",
    "Setup",
    "Stage",
    "Suite",
    "SuiteReport",
    "ToolDefinition",
    "ToolError",
    "Verdict",
    "facts_from",
    "load_prompts",
    "load_recordings",
    "measure",
    "play",
    "play_suite",
    "repeated",
]
