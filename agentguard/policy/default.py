"""The default effect: what joins a decision when nothing grants permission."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from agentguard.decision import Effect, Flag, Matched
from agentguard.errors import ConfigurationError
from agentguard.policy.scalars import instant

__all__ = ["DEFAULT_NAME", "Default"]

DEFAULT_NAME: Final = "agentguard/default"
_DENIED: Final = Matched(
    rule_id="default", policy="agentguard", effect=Effect.DENY, reason="no rule permits this call"
)


@dataclass(frozen=True, slots=True)
class Default:
    """Deny; or, for a first rollout, flag, with an owner and an end, after which it is deny again."""

    effect: Effect = Effect.DENY
    owner: str | None = None
    until: dt.datetime | None = None
    _flagged: Matched = field(init=False, repr=False, compare=False)
    _flag: Flag | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        set_ = object.__setattr__
        try:
            effect = Effect(self.effect)
            until = None if self.until is None else instant(self.until)
        except ValueError as error:
            raise ConfigurationError(f"the default effect: {error}") from None
        if effect not in (Effect.DENY, Effect.FLAG):
            raise ConfigurationError(f"the default effect is `deny` or `flag`, not `{effect}`")
        if effect is Effect.FLAG and (until is None or not self.owner or not self.owner.strip()):
            raise ConfigurationError("a default of `flag` needs an `owner` and a date `until` which it lasts")
        set_(self, "effect", effect)
        set_(self, "until", until)
        reason = "no rule permits this call; recorded and let through"
        set_(
            self,
            "_flagged",
            Matched(rule_id="default", policy="agentguard", effect=Effect.FLAG, reason=reason),
        )
        flag = None
        if effect is Effect.FLAG and until is not None and self.owner:
            flag = Flag(
                rule=DEFAULT_NAME,
                owner=self.owner,
                reason=reason,
                converts_on=until.date().isoformat(),
                converts_to=Effect.DENY,
            )
        set_(self, "_flag", flag)

    @classmethod
    def from_mapping(cls, data: Mapping[str, Any]) -> Default:
        """From a configuration: `{"effect": "flag", "owner": "secops", "until": "2027-01-31"}`.

        Raises:
            ConfigurationError: an unknown key, or a default that permits without owner and end.
        """
        unknown = sorted(set(data) - {"effect", "owner", "until"})
        if unknown:
            raise ConfigurationError(f"the default effect: unknown key `{unknown[0]}`")
        return cls(**data)

    def at(self, now: dt.datetime) -> tuple[Matched, Flag | None]:
        """What the default says at a time."""
        if self._flag is not None and self.until is not None and now < self.until:
            return self._flagged, self._flag
        return _DENIED, None

    def to_json(self) -> dict[str, Any]:
        return {
            "effect": self.effect.value,
            "owner": self.owner,
            "until": self.until.isoformat() if self.until is not None else None,
        }
