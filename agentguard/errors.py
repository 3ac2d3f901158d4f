"""Every error agentguard raises.

::

    AgentGuardError
    ├── ConfigurationError          refused at load: configuration, tool facts, directory
    │   └── PolicyError             policy documents; carries every finding
    ├── ArgumentsError              arguments that cannot be frozen; the flow turns it into a denial
    ├── ToolCallDenied              the call did not run
    │   └── InvalidArguments        ... because its arguments do not fit the tool (also a TypeError)
    ├── ApprovalPending             the call did not run yet; `guard.resume(error.approval_id)` runs it
    ├── OutcomeUnknown              the call was claimed and its outcome is not known; it is never run again
    ├── ToolFailed                  the tool ran and raised, and its own error may not be shown
    └── StoreError                  the store could not do it; the flow turns it into a denial
        ├── StoreUnavailable        locked, full, read-only, missing, damaged
        ├── SchemaMismatch          written by a newer agentguard, or not ours
        ├── NotFound                no such approval, payload or event in this tenant
        ├── VoteRefused             the vote does not count: who, why
        ├── TooManyPending          too many questions of one agent wait already under one rule
        ├── ClaimRefused            the approval cannot be claimed: state, digest, expiry or epoch
        ├── RegisterChanged         exceptions, grants or agents changed since the decision: decide again
        ├── RecordRefused           a governance record cannot become this: who, why
        └── CheckpointRefused       a checkpoint or proof is damaged, not signed by that key, or contradicted
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from agentguard.decision import Decision

__all__ = [
    "AgentGuardError",
    "ApprovalPending",
    "ArgumentsError",
    "CheckpointRefused",
    "ClaimRefused",
    "ConfigurationError",
    "InvalidArguments",
    "NotFound",
    "OutcomeUnknown",
    "PolicyError",
    "RecordRefused",
    "RegisterChanged",
    "Remedy",
    "SchemaMismatch",
    "StoreError",
    "StoreUnavailable",
    "TooManyPending",
    "ToolCallDenied",
    "ToolFailed",
    "VoteRefused",
]

Remedy = Literal["never", "rejected", "with_approval", "by_exception", "fix_call", "ask_operator"]
"""What would have to happen for a denied call to run."""


class AgentGuardError(Exception):
    """Root of everything agentguard raises on purpose.

    It can be pickled, as queues and process pools do, and arrives with its fields; what another process
    cannot take (a `decision` that holds a tool's own objects) arrives as None.
    """

    def __reduce__(self) -> tuple[Callable[..., AgentGuardError], tuple[object, ...]]:
        return _again, (type(self), self.args, {name: _portable(value) for name, value in vars(self).items()})


def _again(
    kind: type[AgentGuardError], args: tuple[object, ...], fields: dict[str, object]
) -> AgentGuardError:
    error = kind.__new__(kind)
    error.args = args
    vars(error).update(fields)
    return error


def _portable(value: object) -> object:
    import pickle  # here: few errors travel

    try:
        pickle.dumps(value)
    except Exception:
        return None
    return value


class ConfigurationError(AgentGuardError):
    """A configuration, tool-facts or directory file was refused; the message names file and line."""


class PolicyError(ConfigurationError):
    """Policies were refused; `findings` holds every problem of every file, in the order of the files."""

    def __init__(self, message: str, findings: Sequence[object] = ()) -> None:
        super().__init__(message)
        self.findings = tuple(findings)


class ArgumentsError(AgentGuardError):
    """An argument cannot be frozen; `path` says which one, such as `args.rows[3]`."""

    def __init__(self, message: str, path: str = "args") -> None:
        super().__init__(f"`{path}`: {message}")
        self.path = path


class ToolCallDenied(AgentGuardError):
    """A tool call that did not run; the message is safe to show to the model.

    `rule` is `policy/rule`, or `agentguard/...` when the guard itself refused; `reason` is the rule's own
    text. `remedy` says what would let the call run. `decision_id` finds the record in the ledger; it is None
    when the record itself could not be written. `decision` is the whole decision where one was made: it
    may hold values, so do not show it to the model.
    """

    def __init__(
        self,
        tool: str,
        rule: str,
        reason: str,
        *,
        remedy: Remedy = "never",
        decision_id: str | None = None,
        decision: Decision | None = None,
    ) -> None:
        self.tool = tool
        self.rule = rule
        self.reason = reason
        self.remedy: Remedy = remedy
        self.decision_id = decision_id
        self.decision = decision
        super().__init__(self.message())

    def message(self) -> str:
        """One line for a model or a person, without policy internals or argument values."""
        advice = {
            "never": "this will never be allowed; do not retry it",
            "rejected": "do not retry it, and do not look for another way to do the same",
            "with_approval": "a person has to approve it; do not retry it unless you are told to",
            "by_exception": "only an approved exception would allow it; do not retry it",
            "fix_call": "correct the arguments before calling again",
            "ask_operator": "nothing was run; ask the operator, and do not retry in a loop",
        }[self.remedy]
        found = f" [decision {self.decision_id}]" if self.decision_id else ""
        return f"`{self.tool}` was denied by `{self.rule}`: {self.reason}; {advice}{found}"


class InvalidArguments(ToolCallDenied, TypeError):
    """The arguments do not fit the tool's signature or cannot be frozen; nothing was run."""


class ApprovalPending(AgentGuardError):
    """A person has to approve this call; it has not run, and `guard.resume(approval_id)` runs it once."""

    def __init__(self, approval_id: str, tool: str, expires_at: str, reason: str = "") -> None:
        self.approval_id = approval_id
        self.tool = tool
        self.expires_at = expires_at
        self.reason = reason
        super().__init__(
            f"`{tool}` waits for approval `{approval_id}` until {expires_at}"
            f"{': ' + reason if reason else ''}; answer with `agentguard approvals approve {approval_id}`"
        )


class OutcomeUnknown(AgentGuardError):
    """An approved call was started and nobody recorded how it ended; a person must look.

    `state` is `claimed` while it may still be running elsewhere, and `unknown` once that is ruled out.
    """

    def __init__(self, approval_id: str, tool: str, state: Literal["claimed", "unknown"] = "unknown") -> None:
        self.approval_id = approval_id
        self.tool = tool
        self.state = state
        told = "its outcome is unknown" if state == "unknown" else "runs still, or was interrupted"
        super().__init__(
            f"`{tool}` was started under approval `{approval_id}` and {told}; "
            "check its effect by hand, it is not run again"
        )


class ToolFailed(AgentGuardError):
    """The tool ran and raised an error that is not shown, because its result has to be redacted.

    `kind` is the class of what it raised. The text of an error can hold what redaction would take out.
    """

    def __init__(self, tool: str, kind: str) -> None:
        self.tool = tool
        self.kind = kind
        super().__init__(f"`{tool}` failed with {kind}; its text is withheld, as its result is redacted")


class StoreError(AgentGuardError):
    """The store could not do what it was asked; nothing half-done remains."""


class StoreUnavailable(StoreError):
    """The store is locked, full, read-only, missing or damaged; the cause is chained."""


class SchemaMismatch(StoreError):
    """The store was written by a newer agentguard, or is not an agentguard store; nothing was changed."""


class NotFound(StoreError):
    """There is no such record in this tenant."""


class VoteRefused(StoreError):
    """A vote that does not count; the message says why and who could vote."""


class TooManyPending(StoreError):
    """A question that is not asked, because too many of the same agent wait already under the same rule."""


class ClaimRefused(StoreError):
    """An approval that cannot be claimed; `state` is its state now."""

    def __init__(self, message: str, state: str) -> None:
        super().__init__(message)
        self.state = state


class CheckpointRefused(StoreError):
    """A checkpoint or proof is damaged, not signed by that key, of another log, or contradicted."""


class RegisterChanged(StoreError):
    """The register has another version than the decision was made with: it was not recorded, decide again."""


class RecordRefused(StoreError):
    """A governance record (exception, grant, flag, agent) that cannot become this; the message says why."""
