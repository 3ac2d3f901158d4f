"""What a question offers to approve beside its call: what the user handed over, and calls like this one."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from agentguard.canonical import encode
from agentguard.provenance.pages import Page
from agentguard.provenance.plans import Plan
from agentguard.provenance.series import Series

__all__ = ["Offer", "Shown", "offer_condition", "offer_of"]

Shown = tuple[str, str]
"""A text that a person is shown, after the tool that returned it."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A plan, a series, a page or several of them. `id` is a digest of all that a person is shown of it."""

    id: str
    plan: Plan | None
    series: Series | None
    page: Page | None
    texts: tuple[Shown, ...]

    @property
    def items(self) -> int:
        """How many things the texts may ask for."""
        return max(0 if one is None else one.items for one in (self.plan, self.series))

    def said(self) -> tuple[str, ...]:
        """What a person is told of the calls like the one that is asked about."""
        return _told(self.series, self.page)


def offer_of(plan: Plan | None, series: Series | None, page: Page | None = None) -> Offer | None:
    """All of it as one offer; None where there is nothing."""
    texts: dict[int, Shown] = {}
    if plan is not None:
        texts[plan.number] = (plan.tool, plan.text)
    if series is not None:
        texts.update({number: shown for number, shown in series.texts.items() if number not in texts})
    if not texts and page is None:
        return None
    shown = tuple(texts.values())
    return Offer(_id(shown, _told(series, page)), plan, series, page, shown)


def _told(series: Series | None, page: Page | None) -> tuple[str, ...]:
    return (*(() if page is None else page.said()), *(() if series is None else series.said()))


def offer_condition(texts: Sequence[Shown], series: Sequence[str]) -> str:
    """The condition of a grant for what is shown here, and for nothing else."""
    return f'asked.plans.exists(p, p.id == "{_id(texts, series)}" && p.covers)'


def _id(texts: Sequence[Shown], series: Sequence[str]) -> str:
    """96 bits of the SHA-256 of what is shown, so that nothing else passes for it."""
    held = encode({"texts": [list(one) for one in texts], "series": list(series)})
    return "plan-" + hashlib.sha256(held).hexdigest()[:24]
