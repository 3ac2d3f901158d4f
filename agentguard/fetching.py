"""A signed bundle that is fetched over HTTPS: asked for again, judged by its signature and its version.

Nothing that a server says is trusted but what a trusted key has signed; what cannot be fetched, or is
refused, changes nothing. Whoever calls does so on a thread of its own: a fetch waits.
"""

from __future__ import annotations

import datetime as dt
import logging
import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from agentguard.access import refuse_writable
from agentguard.canonical import digest, encode
from agentguard.errors import ConfigurationError, PolicyError
from agentguard.kept import KeptBundle
from agentguard.outbound import (
    BUSY,
    Again,
    Alarm,
    RemoteError,
    body,
    cause,
    checked_url,
    client,
    needed,
    trusting,
)
from agentguard.policy.bundle import LARGEST, Bundle, trusted_keys
from agentguard.policy.default import Default

if TYPE_CHECKING:
    import httpx

    from agentguard.policy.snapshot import Snapshot

__all__ = ["Candidate", "RemoteBundle", "Unreachable"]

_LONGEST_ETAG: Final = 512
_DENY: Final = Default()
log = logging.getLogger("agentguard")

Trust = str | os.PathLike[str] | Iterable[Mapping[str, Any]]
"""Public keys, or the file that holds them: it is read again for every bundle, so that keys can change."""


class Unreachable(PolicyError):
    """The server did not answer in time, or not with a bundle."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A bundle that was fetched, verified and compiled; `accepted` is told when it is in force."""

    snapshot: Snapshot
    content: bytes
    etag: str | None


class RemoteBundle:
    """A bundle behind a URL, for `Guard(snapshot=bundle.snapshot())` and `guard.watch(bundle, every_s=60)`.

    `keep` is where a copy of what was in force is kept, for a start without the server. `timeout_s` bounds a
    whole fetch with its retries. `ca` is a file of certificates that are trusted instead of the public ones.

    Raises:
        ConfigurationError: the URL is none that may be asked, no key is trusted, or the extra is missing.
    """

    def __init__(
        self,
        url: str,
        *,
        trust: Trust,
        keep: str | os.PathLike[str] | None = None,
        default: Default = _DENY,
        token: str | None = None,
        ca: str | os.PathLike[str] | None = None,
        timeout_s: float = 30.0,
        clock: Callable[[], dt.datetime] | None = None,
    ) -> None:
        needed("a fetched bundle")
        self.url: Final = checked_url(url, "the bundle", token)
        if not 0 < timeout_s <= 600:
            raise ConfigurationError(
                f"the bundle: timeout_s is more than 0 and at most 600, not {timeout_s!r}"
            )
        self._keys = _reader(trust)
        self.kept: Final = None if keep is None else KeptBundle(keep)
        self._default = default
        self._headers = {"accept-encoding": "identity", "connection": "close"}
        if token:
            self._headers["authorization"] = f"Bearer {token}"
        self._tls = True if ca is None else trusting(ca)
        self._timeout_s = timeout_s
        self._clock = clock or (lambda: dt.datetime.now(dt.UTC))
        self._etag: str | None = None
        self._asked_under = ""
        self._seen = ""
        self._refused: PolicyError | None = None
        self.confirmed_at: dt.datetime | None = None

    @property
    def stale_s(self) -> float | None:
        """Seconds since the server last answered with what is in force; None where it never did."""
        return None if self.confirmed_at is None else (self._clock() - self.confirmed_at).total_seconds()

    def snapshot(self) -> Snapshot:
        """The policies to start with: the server's, or the kept copy where it has none that is usable.

        Raises:
            PolicyError: neither is.
        """
        self._forget()
        try:
            found = self.fetch()
        except PolicyError as error:
            return self._start_from_kept(error)
        assert found is not None  # INVARIANT: nothing was seen, so nothing is unchanged
        self.accepted(found)
        return found.snapshot

    def opened(self) -> Bundle:
        """The server's bundle, verified and no more.

        Raises:
            PolicyError: it does not answer, or not with what a trusted key has signed.
        """
        keys = self._keys()
        self._forget()
        answer = self._ask()
        assert answer is not None  # INVARIANT: nothing was seen, so nothing is unchanged
        return Bundle.verify(answer[0], keys, name=self.url)

    def fetch(self) -> Candidate | None:
        """What the server has now; None where that was seen before and is in force.

        Raises:
            Unreachable: it does not answer in time, or not with a bundle.
            PolicyError: what it has is refused; also when it was refused before and is there still.
        """
        keys = self._keys()
        under = digest(encode(keys))
        if under != self._asked_under:  # what was refused may be trusted now, or the other way round
            self._forget()
            self._asked_under = under
        answer = self._ask()
        if answer is not None and digest(answer[0]) != self._seen:
            return self._judged(*answer, keys)
        if self._refused is not None:
            raise self._refused
        self._confirmed(None)
        return None

    def accepted(self, candidate: Candidate) -> None:
        """It is in force: it is kept, and not asked for again until it changes."""
        self._seen, self._etag, self._refused = digest(candidate.content), candidate.etag, None
        self._confirmed(candidate.content)

    def refused(self, content: bytes, etag: str | None, error: PolicyError) -> None:
        """It will not come in force, and is not judged again until it changes."""
        self._seen, self._etag, self._refused = digest(content), etag, error

    def _forget(self) -> None:
        self._seen, self._etag, self._refused = "", None, None

    def _judged(self, content: bytes, etag: str | None, keys: list[dict[str, Any]]) -> Candidate:
        try:
            opened = Bundle.verify(content, keys, name=self.url)
            self._not_older(opened, keys)
            return Candidate(opened.snapshot(default=self._default), content, etag)
        except PolicyError as error:
            self.refused(content, etag, error)
            raise

    def _not_older(self, opened: Bundle, keys: list[dict[str, Any]]) -> None:
        """The kept copy remembers a version, as the ledger does; one that no key of today signed does not."""
        try:
            kept = self._kept(keys)
        except PolicyError:
            return
        if kept is None or kept.version < opened.version or kept.digest == opened.digest:
            return
        raise PolicyError(
            f"the bundle has version {opened.version}, and version {kept.version} was in force already"
            + (" with other policies" if kept.version == opened.version else "")
            + "; sign a higher one"
        )

    def _kept(self, keys: list[dict[str, Any]]) -> Bundle | None:
        if self.kept is None:
            return None
        content = self.kept.read(LARGEST)
        return None if content is None else Bundle.verify(content, keys, name=str(self.kept.path))

    def _start_from_kept(self, error: PolicyError) -> Snapshot:
        try:
            kept = self._kept(self._keys())
        except PolicyError as second:
            raise PolicyError(f"{error}; and {second}") from None
        if kept is None or self.kept is None:
            where = "" if self.kept is None else f" at `{self.kept.path}`"
            raise PolicyError(f"{error}; and no copy was kept{where} to start with") from None
        snapshot = kept.snapshot(default=self._default)
        self.confirmed_at = self.kept.confirmed_at()
        log.error(
            "%s; the copy that was kept is in force: version %d, last confirmed %s",
            error,
            kept.version,
            self.confirmed_at.isoformat(timespec="seconds") if self.confirmed_at else "never",
        )
        return snapshot

    def _confirmed(self, content: bytes | None) -> None:
        self.confirmed_at = self._clock()
        if self.kept is None:
            return
        try:
            if content is not None:
                self.kept.write(content, self.confirmed_at)
            else:
                self.kept.touch(self.confirmed_at)
        except OSError as error:
            log.warning("the bundle could not be kept at `%s`: %s", self.kept.path, error.strerror)

    def _ask(self) -> tuple[bytes, str | None] | None:
        """The bytes and their tag; None where the server says that they are those of `_etag`."""
        import httpx
        import tenacity

        deadline = time.monotonic() + self._timeout_s
        tries = tenacity.Retrying(
            stop=tenacity.stop_before_delay(self._timeout_s) | tenacity.stop_after_attempt(3),
            wait=tenacity.wait_random_exponential(multiplier=0.1, max=5),
            retry=tenacity.retry_if_exception_type((Again, httpx.TransportError)),
            reraise=True,
        )
        try:
            return tries(self._once, deadline)
        except RemoteError as error:
            told = str(error)
        except (Again, httpx.HTTPError, httpx.InvalidURL) as error:
            told = str(error) if isinstance(error, Again) else f"no answer: {cause(error)}"
        raise Unreachable(f"the bundle could not be fetched from {self.url}: {told}") from None

    def _once(self, deadline: float) -> tuple[bytes, str | None] | None:
        import httpx

        left = deadline - time.monotonic()
        if left <= 0:
            raise Again(f"no answer within {self._timeout_s:g} s")
        headers = dict(self._headers)
        if self._etag is not None:
            headers["if-none-match"] = self._etag
        with Alarm(left) as alarm, client(self._tls) as http:
            try:
                with http.stream(
                    "GET", self.url, headers=headers, timeout=left, extensions={"trace": alarm.trace}
                ) as answer:
                    found = self._answered(answer, deadline)
            except httpx.TransportError:
                if alarm.rang:
                    raise Again(f"no answer within {self._timeout_s:g} s") from None
                raise
            if alarm.rang:
                raise Again(f"no answer within {self._timeout_s:g} s")
            return found

    def _answered(self, answer: httpx.Response, deadline: float) -> tuple[bytes, str | None] | None:
        status = answer.status_code
        if status == 304 and self._etag is not None:
            return None
        if status == 304:
            raise RemoteError("it answered HTTP 304, unchanged, and was not asked whether it is")
        if status in BUSY or status >= 500:
            raise Again(f"it answered HTTP {status}")
        if 300 <= status < 400:
            raise RemoteError(
                f"it answered HTTP {status}, and redirects are not followed: name where it lies"
            )
        if status != 200:
            raise RemoteError(f"it answered HTTP {status}")
        if answer.headers.get("content-encoding", "identity") != "identity":
            raise RemoteError("it is compressed, which was not asked for")
        content = body(answer.iter_raw(), LARGEST, deadline)
        etag = answer.headers.get("etag")
        usable = etag is not None and 0 < len(etag) <= _LONGEST_ETAG and etag.isascii() and etag.isprintable()
        return content, etag if usable else None


def _reader(trust: Trust) -> Callable[[], list[dict[str, Any]]]:
    """What reads the trusted keys; from a file each time anew."""
    if not isinstance(trust, (str, os.PathLike)):
        keys = [dict(key) for key in trust]
        if not keys:
            raise ConfigurationError("the bundle: no key is trusted to sign it; pass `trust`")
        return lambda: keys

    def read() -> list[dict[str, Any]]:
        refuse_writable([trust])
        try:
            return trusted_keys(trust)
        except ConfigurationError as error:
            raise PolicyError(str(error)) from None

    return read
