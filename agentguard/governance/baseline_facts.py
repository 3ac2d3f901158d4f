"""How a call differs from what is normal for its agent: a pure function from baseline and call to facts.

Without a baseline in force only `known` is there. What cannot be told is absent, and an absent fact is an
error: a rule that reads it fires, and no allow rule does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from agentguard.governance.baseline_shape import Digest, Shape, shape_of, word_digest
from agentguard.policy.functions import BASELINE_FACTS

if TYPE_CHECKING:
    from agentguard.call import ContextRequest
    from agentguard.governance.baseline_content import ArgumentRange, ToolBaseline
    from agentguard.governance.baselines import Baseline

__all__ = ["FACTS", "facts_of"]

FACTS: Final[Mapping[str, str]] = BASELINE_FACTS
"""Every fact under `baseline`, and what it says."""


def facts_of(
    baseline: Baseline | None,
    request: ContextRequest,
    arguments: bytes,
    *,
    calls: int | None,
    digest: Digest,
) -> dict[str, Any]:
    """The facts of one call; `arguments` are canonical, `calls` those of the last hour with this one."""
    now = request.now
    if baseline is None or now is None or not baseline.holds_at(now):
        return {"known": False}
    content = baseline.content
    found: dict[str, Any] = {
        "known": True,
        "new_tool": request.tool not in content.tools,
        "new_scope": any(scope not in content.scopes for scope in request.secrets),
        "new_environment": (request.environment or "") not in content.environments,
        "unusual_hour": not content.usual(now),
        "age_days": max(0, (now - baseline.approved).days),
    }
    tool = content.tools.get(request.tool)
    if tool is None:
        return {**found, "new_argument_shape": True}  # how often is normal, nobody can tell
    shape = shape_of(arguments)
    if shape is not None and tool.shapes:
        found["new_argument_shape"] = _differs(tool, request.tool, shape, digest)
    if calls is not None and tool.rate.p95:
        found["rate_ratio"] = calls / tool.rate.p95
    return found


def _differs(tool: ToolBaseline, name: str, shape: Shape, digest: Digest) -> bool:
    kinds = dict(shape.kinds)
    if not any(known.kinds == kinds for known in tool.shapes):
        return True
    return any(_outside(tool.arguments.get(argument), name, argument, shape, digest) for argument in kinds)


def _outside(known: ArgumentRange | None, tool: str, argument: str, shape: Shape, digest: Digest) -> bool:
    """Whether a value is longer, of another magnitude, or another word than ever before."""
    length, number = shape.lengths.get(argument), shape.numbers.get(argument)
    if known is None:
        return length is not None or number is not None
    if length is not None and (known.length is None or length > known.length):
        return True
    if number is not None and (known.number is None or not known.number[0] <= number <= known.number[1]):
        return True
    if known.words is None:
        return False
    text = shape.words.get(argument)
    return length is not None and (
        text is None or word_digest(digest, tool, argument, text) not in known.words
    )
