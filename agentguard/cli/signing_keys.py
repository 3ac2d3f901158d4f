"""Where a reviewer's private key lies, and an answer made with it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import typer

from agentguard.errors import ConfigurationError

if TYPE_CHECKING:
    from agentguard.stepup.ballot import Answer
    from agentguard.stepup.model import Approval, Verdict
    from agentguard.stepup.proposing import Edit

__all__ = ["default_key", "signed_answer", "signed_edit"]


def default_key(subject: str) -> Path:
    """The file of a reviewer's key in the user's own configuration folder."""
    from agentguard.stepup.eligibility import fold

    name = quote(fold(subject), safe="@+")
    return Path(typer.get_app_dir("agentguard"), "keys", f"{name}.jwk")


def signed_edit(
    approval: Approval, arguments: bytes, subject: str, key: Path | None, reason: str, at: dt.datetime
) -> Edit:
    """An edit signed with the reviewer's key: of exactly this approval, to exactly these arguments.

    Raises:
        ConfigurationError: there is no key, or others may read it.
    """
    from agentguard.canonical import digest
    from agentguard.stepup import signing
    from agentguard.stepup.proposing import Edit

    signature = signing.sign(
        _private(subject, key),
        approval=approval,
        verdict="edit",
        subject=subject,
        reason=reason,
        at=at,
        proposal=digest(arguments),
    )
    return Edit(
        subject=subject,
        arguments=arguments,
        digest=approval.digest,
        reason=reason,
        assurance="signed",
        signature=signature,
    )


def signed_answer(
    approval: Approval, verdict: Verdict, subject: str, key: Path | None, reason: str, at: dt.datetime
) -> Answer:
    """An answer signed with the reviewer's key, on exactly the approval that was shown.

    Raises:
        ConfigurationError: there is no key, or others may read it.
    """
    from agentguard.stepup import signing
    from agentguard.stepup.ballot import Answer

    signature = signing.sign(
        _private(subject, key), approval=approval, verdict=verdict, subject=subject, reason=reason, at=at
    )
    return Answer(
        subject=subject,
        verdict=verdict,
        digest=approval.digest,
        reason=reason,
        assurance="signed",
        signature=signature,
    )


def _private(subject: str, key: Path | None) -> Mapping[str, Any]:
    from agentguard.stepup.enrolment import load_private_key

    path = key or default_key(subject)
    if not path.exists():
        raise ConfigurationError(
            f"there is no key `{path}` to sign as `{subject}`; name it with `--key FILE`, "
            f"or make one with `agentguard reviewers enroll {subject}`"
        )
    return load_private_key(path)
