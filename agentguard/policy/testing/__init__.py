"""Tests of policies: cases beside them, coverage of their conditions, and mutants that no case notices."""

from agentguard.policy.testing.coverage import Coverage, PartCoverage, RuleCoverage, cover
from agentguard.policy.testing.document import TestDocument
from agentguard.policy.testing.files import EXPLANATIONS, Case, TestFile, read_test
from agentguard.policy.testing.mutants import Mutant, mutants_of
from agentguard.policy.testing.mutating import Mutation, Survivor, mutate
from agentguard.policy.testing.report import Report, render_json, render_junit
from agentguard.policy.testing.run import Result, run
from agentguard.policy.testing.suite import Suite, Suites, load_suites, suites_of
from agentguard.policy.testing.wanted import Difference, differences

__all__ = [
    "EXPLANATIONS",
    "Case",
    "Coverage",
    "Difference",
    "Mutant",
    "Mutation",
    "PartCoverage",
    "Report",
    "Result",
    "RuleCoverage",
    "Suite",
    "Suites",
    "Survivor",
    "TestDocument",
    "TestFile",
    "cover",
    "differences",
    "load_suites",
    "mutants_of",
    "mutate",
    "read_test",
    "render_json",
    "render_junit",
    "run",
    "suites_of",
]
