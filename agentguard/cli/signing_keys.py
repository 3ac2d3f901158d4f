"""Where a reviewer's private key lies, and an answer made with it."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import typer

from agentguard.errors import ConfigurationError

if TYPE_CHECKING:
    from agentguard.stepup.ballot import Answer
    from agentguard.stepup.model import Approval, Verdict

__all__ = ["default_key", "signed_answer"]


def default_key(subject: str) -> Path:
    """The file of a reviewer's key in the user's own configuration folder."""
    from agentguard.stepup.eligibility import fold

    name = quote(fold(subject), safe="@+")
    return Path(typer.get_app_dir("agentguard"), "keys", f"{name}.jwk")


def signed_answer(
    approval: Approval, verdict: Verdict, subject: str, key: Path | None, reason: str, at: dt.datetime
) -> Answer:
    """An answer signed with the reviewer's key, on exactly the approval that was shown.

    Raises:
        ConfigurationError: there is no key, or others may read it.
    """
    from agentguard.stepup import signing
    from agentguard.stepup.ballot import Answer
    from agentguard.stepup.enrolment import load_private_key

    path = key or default_key(subject)
    if not path.exists():
        raise ConfigurationError(
            f"there is no key `{path}` to sign as `{subject}`; name it with `--key FILE`, "
            f"or make one with `agentguard reviewers enroll {subject}`"
        )
    private = load_private_key(path)
    signature = signing.sign(
        private, approval=approval, verdict=verdict, subject=subject, reason=reason, at=at
    )
    return Answer(
        subject=subject,
        verdict=verdict,
        digest=approval.digest,
        reason=reason,
        assurance="signed",
        signature=signature,
    )
