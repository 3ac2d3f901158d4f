"""Deciding recorded calls again under a candidate set of policies, and what would have been different."""

from agentguard.policy.replay.accepting import Accepted, read_accepted, written
from agentguard.policy.replay.changes import Change, Direction, Side, compare
from agentguard.policy.replay.counts import Affected, Example, Group, Questions
from agentguard.policy.replay.recorded import PROBLEMS, Opened, Problem, Recorded
from agentguard.policy.replay.replaying import Replay
from agentguard.policy.replay.report import Report

__all__ = [
    "PROBLEMS",
    "Accepted",
    "Affected",
    "Change",
    "Direction",
    "Example",
    "Group",
    "Opened",
    "Problem",
    "Questions",
    "Recorded",
    "Replay",
    "Report",
    "Side",
    "compare",
    "read_accepted",
    "written",
]
