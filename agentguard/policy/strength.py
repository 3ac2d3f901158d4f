"""What one set of policies permits that another did not, as far as it shows in the rules themselves.

Whether a changed condition is wider nobody can tell by looking; such rules are named as changed, and
`agentguard prove` and `agentguard replay` say more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from agentguard.canonical import digest, encode
from agentguard.decision import Effect

if TYPE_CHECKING:
    from agentguard.policy.rules import Rule
    from agentguard.policy.snapshot import Snapshot

__all__ = ["DEFAULT", "Loosened", "compare", "strengths"]

DEFAULT: Final = "agentguard/default"
"""The name under which the default effect is compared."""
MOST: Final = 5000
"""Rules that are compared; a larger set is not."""
_NAMES: Final = 100
_EFFECTS: Final = {effect.value: effect.rank for effect in Effect}

Strengths = Mapping[str, tuple[str, bool, str]]
"""Of each rule its effect, whether it is only observed, and a digest of the rest."""


@dataclass(frozen=True, slots=True)
class Loosened:
    """Names of rules that restrict less: gone, weaker or only observed; that permit anew; that changed."""

    removed: tuple[str, ...] = ()
    loosened: tuple[str, ...] = ()
    permits: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()

    def to_json(self) -> dict[str, list[str]]:
        """What there is; of each at most a hundred names, and `...` for the others."""
        found = {name: list(getattr(self, name)) for name in self.__slots__}
        return {
            name: [*names[:_NAMES], "..."] if len(names) > _NAMES else names
            for name, names in found.items()
            if names
        }


def strengths(snapshot: Snapshot) -> dict[str, tuple[str, bool, str]] | None:
    """The rules and the default of a set; None where they are too many to keep."""
    rules = snapshot.rules
    if len(rules) > MOST:
        return None
    found = {rule.name: (rule.effect.value, rule.observed_flag is not None, _rest(rule)) for rule in rules}
    return {**found, DEFAULT: (str(snapshot.default.to_json()["effect"]), False, "")}


def compare(before: Strengths, after: Strengths) -> Loosened:
    """What the later set permits that the earlier one did not."""
    removed = [name for name, (effect, _, _) in before.items() if name not in after and effect != "allow"]
    permits = [name for name, (effect, _, _) in after.items() if name not in before and effect == "allow"]
    both = [(name, before[name], after[name]) for name in after if name in before]
    loosened = [name for name, old, new in both if _rank(new) < _rank(old)]
    weaker = set(loosened)
    changed = [name for name, old, new in both if name not in weaker and tuple(old) != tuple(new)]
    return Loosened(*(tuple(sorted(names)) for names in (removed, loosened, permits, changed)))


def _rank(one: tuple[str, bool, str]) -> int:
    """How much a rule restricts; one that is only observed restricts nothing."""
    effect, observed, _ = one
    return 0 if observed else _EFFECTS.get(effect, 0)


def _rest(rule: Rule) -> str:
    rest: dict[str, Any] = {
        "text": rule.text,
        "tools": list(rule.tools),
        "non_waivable": rule.non_waivable,
        "max_exception": rule.max_exception_s,
        "approve": None if rule.approve is None else [stage.to_json() for stage in rule.approve.stages],
    }
    return digest(encode(rest))[7:23]
