"""`docs/flags.md` says what is so."""

from __future__ import annotations

import re
from pathlib import Path

from agentguard.governance.flag_fingerprint import MAX_NAMES
from agentguard.governance.flag_item import Resolution
from agentguard.governance.flag_joining import PER_AGENT, PER_RULE
from agentguard.governance.flag_policy import REVIEW_S
from agentguard.governance.flags import FALSE_POSITIVE_FOR
from agentguard.policy import Snapshot, read
from tests.governance.flag_support import DAY, Shop
from tests.store.support import FakeClock

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "flags.md").read_text(encoding="utf-8")


def test_the_code_runs() -> None:
    """Each block of Python by itself."""
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert blocks
    for block in blocks:
        exec(compile(block, "docs/flags.md", "exec"), {})  # noqa: S102


def test_the_days_of_the_table_are_those_of_its_policy(store: object, clock: FakeClock) -> None:
    """Day by day."""
    (text,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    source, findings = read(text, "crm.yaml")
    assert source is not None
    assert not findings
    assert Snapshot.from_sources([source]).rules
    rules = [{**rule, "when": "true"} if "when" in rule else rule for rule in source.data["rules"]]
    shop = Shop(store=store, rules=rules)  # type: ignore[arg-type]
    shop.pay({"amount": 1})
    days = [int(day) for day in re.findall(r"^\| (\d+) \|", PAGE, re.MULTILINE)]
    found = []
    for day, before in zip(days, [0, *days], strict=False):
        clock.advance((day - before) * DAY)
        shop.sweep()
        found.append((day, shop.item.holder, shop.item.breached is not None))
    assert found == [(0, "privacy-team", False), (3, "dpo", False), (5, "ciso", False), (8, "ciso", True)]


def test_the_figures_are_those_of_the_code() -> None:
    """Where a bound is named, it is the one that is enforced."""
    for text in (
        f"at most {PER_AGENT} open items under one rule",
        f"a rule has at most {PER_RULE}",
        f"after {REVIEW_S // 86_400} days where",
        f"or {FALSE_POSITIVE_FOR.days} days",
        f"behind {MAX_NAMES} arguments",
    ):
        assert text in PAGE
    for one in Resolution:
        assert f"| `{one.value}` |" in PAGE


def test_the_links_lead_somewhere() -> None:
    """Inside the documentation."""
    for link in re.findall(r"\]\(([a-z]+\.md)", PAGE):
        assert (DOCS / link).exists(), link


def test_the_commands_of_the_page_exist() -> None:
    """With their options."""
    from tests.cli.test_app import LEAVES

    for line in re.findall(r"^agentguard (.+)$", PAGE, re.MULTILINE):
        words = line.split()
        known = {name for option in LEAVES[tuple(words[:2])].params for name in option.opts}
        assert {word for word in words if word.startswith("--")} <= known, line
