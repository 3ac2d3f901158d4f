"""A live model behind an OpenAI-compatible endpoint (extra `openai`): bounded in tries, time and size.

The key comes from a variable of the environment and stands in no message: words of the server that share a
part with it are left out, and an answer that holds it is refused.
"""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from agentguard.errors import ConfigurationError
from agentguard.outbound import cause, checked_url
from agentguard_evals.turns import ModelError
from agentguard_openai.calls import get, printable

if TYPE_CHECKING:
    import httpx2
    from openai import AsyncOpenAI

__all__ = ["DEFAULT_KEY", "Endpoint"]

DEFAULT_KEY: Final = "OPENAI_API_KEY"
"""The variable that holds the key, unless another is named."""
TRIES: Final = 3
"""How often one turn is asked for, where the endpoint is busy or fails."""
MAX_ANSWER: Final = 4 * 1024 * 1024
"""Bytes of one answer."""

_WHAT: Final = "the live model's endpoint"
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_SECRET: Final = 12
"""Characters of a key that is a secret; what local servers take as a key is often a word of theirs."""
_SHARED: Final = 6
"""Characters in a row that a word has in common with the key, to be left out."""
_SAID: Final = 300


class Endpoint:
    """A model of an endpoint, to be called with a conversation and tools.

    Without `base_url` the SDK's own counts (`OPENAI_BASE_URL`, or OpenAI). `key_variable` names the variable
    that holds the key; on loopback there may be none.

    Raises:
        ConfigurationError: the package is missing; the URL or the key is none.
    """

    def __init__(
        self,
        name: str,
        *,
        base_url: str | None = None,
        key_variable: str = DEFAULT_KEY,
        temperature: float | None = None,
    ) -> None:
        try:
            import openai
        except ImportError:
            raise ConfigurationError(
                "a live model needs the openai package: pip install 'agentguard[openai]'"
            ) from None
        if _VARIABLE.fullmatch(key_variable) is None:
            raise ConfigurationError("`--api-key-env` takes the name of a variable, never a key")
        self.name: Final = name
        self.key_variable: Final = key_variable
        self.temperature: Final = temperature
        key = os.environ.get(key_variable) or None
        named = base_url or os.environ.get("OPENAI_BASE_URL") or "https://api.openai.com/v1"
        self.url: Final = checked_url(named, _WHAT, key)
        loopback = urlsplit(self.url).hostname in _LOOPBACK
        if key is None and (not loopback or key_variable != DEFAULT_KEY):
            raise ConfigurationError(
                "the variable with the endpoint's key is not set; set OPENAI_API_KEY, or name another with "
                "`--api-key-env`"
            )
        self._key = key
        self._proxies = not loopback
        self._openai = openai
        self._client: AsyncOpenAI | None = None

    async def __call__(self, *, messages: list[dict[str, Any]], tools: list[dict[str, Any]]) -> Any:
        """One turn.

        Raises:
            ModelError: there is none; the message says what to look at.
        """
        if self._client is None:
            self._client = _client(self.url, self._key, proxies=self._proxies)
        given: dict[str, Any] = {"model": self.name, "messages": messages, "tools": tools}
        if self.temperature is not None:
            given["temperature"] = self.temperature
        try:
            found = await self._client.chat.completions.create(**given)
        except ModelError:
            raise
        except self._openai.APIStatusError as error:
            raise self._refused(error) from None
        except self._openai.APITimeoutError:
            raise ModelError(f"{self.url} does not answer in time; allow more (`--timeout`)") from None
        except self._openai.APIConnectionError as error:
            said = self._masked(cause(error))
            raise ModelError(f"{self.url} cannot be reached: {said}; does the endpoint run there?") from None
        except (self._openai.OpenAIError, ValueError, RecursionError, TypeError, AttributeError) as error:
            raise ModelError(
                f"what {self.url} answers cannot be read ({type(error).__name__}); is it a "
                "chat-completions endpoint? `--base-url` mostly ends in `/v1`"
            ) from None
        return self._clean(found)

    async def aclose(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.close()

    def _clean(self, found: Any) -> Any:
        key = self._key or ""
        if len(key) >= _SECRET and key in str(found):
            raise ModelError("the endpoint's answer holds the key that it was sent; nothing of it is used")
        return found

    def _refused(self, error: Any) -> ModelError:
        status, said = error.status_code, self._masked(_words(error))
        match status:
            case 401 | 403:
                what = f"refused the key (HTTP {status}): look at the variable {self.key_variable}"
            case 404:
                what = (
                    "knows no such model, or is no such endpoint (HTTP 404): look at `--model` and "
                    "`--base-url`"
                )
            case 429:
                what = f"is over its limits (HTTP 429) after up to {TRIES} tries: wait, or play fewer cases"
            case _ if status >= 500:
                what = (
                    f"failed (HTTP {status}) after up to {TRIES} tries: look at the endpoint, or try it again"
                )
            case _:
                what = f"refused the request (HTTP {status}): does the model take tools, and these options?"
        return ModelError(f"{self.url} {what}" + (f'; it says "{said}"' if said else ""))

    def _masked(self, text: str) -> str:
        """Text of the server for a person: one line, bounded, without a part of the key."""
        shown = printable(" ".join(text[: 4 * _SAID].split()), 4 * _SAID)
        if self._key is None:
            return shown[:_SAID]
        parts = {self._key[at : at + _SHARED] for at in range(max(1, len(self._key) - _SHARED + 1))}
        words = ["[…]" if any(part in word for part in parts) else word for word in shown.split(" ")]
        return " ".join(words)[:_SAID]


def _words(error: Any) -> str:
    body = error.body
    inner = get(body, "error") if isinstance(body, Mapping) else None
    said = get(inner, "message") or get(body, "message") or (body if isinstance(body, str) else "")
    return said if isinstance(said, str) else ""


def _client(url: str, key: str | None, *, proxies: bool) -> AsyncOpenAI:
    import httpx2
    from openai import AsyncOpenAI, DefaultAsyncHttpxClient

    return AsyncOpenAI(
        base_url=url,
        api_key=key or "none",
        max_retries=TRIES - 1,
        default_headers={"Accept-Encoding": "identity"},
        http_client=DefaultAsyncHttpxClient(
            follow_redirects=False, trust_env=proxies, event_hooks={"response": [_bound(httpx2)]}
        ),
    )


def _bound(httpx: Any) -> Any:
    """A hook by which no answer is longer than `MAX_ANSWER`, whether it is good news or an error."""

    class Bounded(httpx.AsyncByteStream):  # type: ignore[misc] # known at run time only
        def __init__(self, stream: Any) -> None:
            self.stream = stream

        async def __aiter__(self) -> AsyncIterator[bytes]:
            size = 0
            async for chunk in self.stream:
                size += len(chunk)
                if size > MAX_ANSWER:
                    raise ModelError(f"the endpoint's answer is longer than {MAX_ANSWER:,} bytes")
                yield chunk

        async def aclose(self) -> None:
            await self.stream.aclose()

    async def hook(response: httpx2.Response) -> None:
        if response.headers.get("content-encoding", "identity") != "identity":
            raise ModelError("the endpoint compresses its answers although it is asked not to")
        response.stream = Bounded(response.stream)

    return hook
