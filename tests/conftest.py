"""What holds for every test: what counts is what happens, not how fast the machine is.

A search of Hypothesis has no deadline, and a store or a provider of facts has a minute where it would have
seconds, so that nothing fails because the machine stood still. A test of what comes when the time is up says
how long that is.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from agentguard.store import open_store

settings.register_profile(
    "agentguard",
    settings(),  # what Hypothesis itself chooses where it runs, for example in CI
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    print_blob=True,
)
settings.load_profile("agentguard")


@pytest.fixture(scope="session", autouse=True)
def patience() -> Iterator[None]:
    """A minute for stores that say nothing of it, also those of a guard, and for the facts of a call."""
    with pytest.MonkeyPatch.context() as patch:
        defaults = open_store.__kwdefaults__
        assert "timeout_s" in defaults
        patch.setitem(defaults, "timeout_s", 60.0)
        patch.setattr("agentguard.providers.FACTS_SECONDS", 60.0)
        yield
