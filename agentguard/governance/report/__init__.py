"""The report on governance over a period: what deviated, who was asked, what is overdue, what is evidence."""

from agentguard.governance.report.making import make
from agentguard.governance.report.model import Report
from agentguard.governance.report.tally import Limits

__all__ = ["Limits", "Report", "make"]
