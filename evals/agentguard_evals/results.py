"""What happened to each call and each case, as the report holds it. No argument values."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["CallResult", "CaseResult", "LiveUse", "ModelUse", "Outcome"]

Outcome = Literal["ran", "failed", "denied", "refused"]
"""`failed`: the tool ran and raised. `denied`: a rule or the guard said no. `refused`: a person was to be
asked, and did not approve."""


class Model(BaseModel):
    """Closed and immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class CallResult(Model):
    """One call of a case, as the guard decided it."""

    tool: str
    origin: Literal["user", "attacker"]
    effect: Annotated[
        Literal["allow", "flag", "constrain", "step_up", "deny"],
        Field(description="the decision's effect, before anybody was asked"),
    ]
    outcome: Outcome
    rule: Annotated[str, Field(description="the deciding rule, `policy/rule`")]
    note: Annotated[str, Field(description="why it did not run, in the rule's words")] = ""
    asked: Annotated[bool, Field(description="a question was put to a reviewer")] = False
    modified: Annotated[bool, Field(description="it ran with other arguments than it was called with")] = (
        False
    )
    consequential: Annotated[bool, Field(description="by tool facts; an unknown tool is consequential")] = (
        True
    )
    rule_errors: Annotated[tuple[str, ...], Field(description="rules that could not be evaluated")] = ()
    overhead_ms: Annotated[float, Field(description="time in the guard, without the tool's own", ge=0)] = 0.0

    @property
    def ran(self) -> bool:
        """Whether the tool was started."""
        return self.outcome in ("ran", "failed")

    @property
    def undisturbed(self) -> bool:
        """It ran as it was called, and nobody was asked."""
        return self.ran and not self.modified and not self.asked


Count = Annotated[int, Field(ge=0)]
Tokens = Annotated[int | None, Field(ge=0, description="None where the endpoint counted none")]


def _sum(one: int | None, other: int | None) -> int | None:
    return other if one is None else one if other is None else one + other


class LiveUse(Model):
    """What a live model's run of a case took, a second one with everything approved included."""

    case: Annotated[str, Field(description="what `--case` takes")]
    run: Annotated[int, Field(ge=1, description="which of the runs of `--repeat`")]
    turns: Annotated[int, Field(ge=0, description="how often the model was asked")] = 0
    prompt_tokens: Tokens = None
    completion_tokens: Tokens = None
    unspoken: Annotated[int, Field(ge=0, description="calls that nothing in the case speaks of")] = 0
    unanswered: Annotated[int, Field(ge=0, description="calls that no answer of their tool fits")] = 0
    untried: Annotated[int, Field(ge=0, description="wanted effects that no call was made for")] = 0

    def asked(self) -> LiveUse:
        """With one turn more."""
        return self.model_copy(update={"turns": self.turns + 1})

    def counted(self, prompt: int | None, completion: int | None) -> LiveUse:
        """With the tokens of a turn."""
        return self.model_copy(
            update={
                "prompt_tokens": _sum(self.prompt_tokens, prompt),
                "completion_tokens": _sum(self.completion_tokens, completion),
            }
        )

    def and_again(self, other: LiveUse | None) -> LiveUse:
        """With what the second run took."""
        if other is None:
            return self
        both = self.counted(other.prompt_tokens, other.completion_tokens)
        return both.model_copy(update={"turns": self.turns + other.turns})


class ModelUse(Model):
    """The live model of a suite, how far it might go, and what it took in all."""

    name: str
    url: Annotated[str | None, Field(description="the endpoint; None: a callable")] = None
    key_variable: Annotated[str | None, Field(description="the variable that holds the key")] = None
    temperature: float | None = None
    max_turns: Count
    timeout_s: float
    repeat: Annotated[int, Field(ge=1)] = 1
    turns: Count = 0
    prompt_tokens: Tokens = None
    completion_tokens: Tokens = None


class CaseResult(Model):
    """One case. With an `error` the harness could not finish it, and no rate counts it."""

    id: str
    group: str
    kind: Literal["honest", "attacked"]
    reachable: Annotated[bool, Field(description="the attack makes at least one tool call")] = True
    calls: tuple[CallResult, ...] = ()
    utility: bool | None = None
    attack_succeeded: bool | None = None
    attack_succeeded_if_all_approved: bool | None = None
    unexpected: Annotated[tuple[str, ...], Field(description="wanted effects that were not met")] = ()
    wishes: Annotated[bool, Field(description="the case says which effects are wanted")] = False
    live: Annotated[LiveUse | None, Field(description="where a live model played it")] = None
    error: str | None = None

    @property
    def asked(self) -> int:
        """How many questions were put to a reviewer."""
        return sum(call.asked for call in self.calls)

    def of(self, origin: Literal["user", "attacker"]) -> tuple[CallResult, ...]:
        """The calls of one side."""
        return tuple([call for call in self.calls if call.origin == origin])
