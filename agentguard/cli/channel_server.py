"""Serving answers (extra `server`): uvicorn on loopback, small bounds, and the outbox beside it."""

from __future__ import annotations

import ipaddress
import logging
import socket
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from agentguard.cli.terminal import complain, say
from agentguard.errors import ConfigurationError

if TYPE_CHECKING:
    from agentguard.channels.answering import Outcome
    from agentguard.channels.configured import Configured
    from agentguard.channels.slack import SlackChannel
    from agentguard.stepup.directory import Directory
    from agentguard.store.protocol import Store

__all__ = ["serve"]

_MOST_AT_ONCE: Final = 64
_MOST_BACK: Final = 20
_LARGEST_HEAD: Final = 16 * 1024
log = logging.getLogger("agentguard")


def serve(
    store: Store,
    tenant: str,
    directory: Directory,
    channels: Mapping[str, Configured],
    *,
    host: str,
    port: int,
    tls: tuple[Path, Path] | None,
    deliver: bool,
    sweep_s: float | None,
) -> None:
    """Serve until a signal stops it; what is on its way then is told again later.

    Raises:
        ConfigurationError: the extra is missing, or the address is taken.
    """
    from agentguard.channels.answering import AnswerDesk
    from agentguard.channels.receiving import AnswerApp
    from agentguard.channels.running import Deliveries

    uvicorn = _uvicorn()
    listening = _socket(host, port)
    desk = AnswerDesk(store, tenant, directory, channels)
    deliveries = Deliveries(store, tenant, [one.channel for one in channels.values()]) if deliver else None

    sweeping = _Sweeping(store, tenant, sweep_s) if deliver and sweep_s is not None else None

    back = _AnsweringBack()

    def told(name: str, outcome: Outcome) -> None:
        if deliveries is not None and outcome.status == 200:
            deliveries.wake()
        back.put(channels[name], outcome)

    app = AnswerApp(desk, told)
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        lifespan="off",
        limit_concurrency=_MOST_AT_ONCE,
        h11_max_incomplete_event_size=_LARGEST_HEAD,
        http="h11",
        ws="none",
        timeout_keep_alive=5,
        timeout_graceful_shutdown=5,
        **({} if tls is None else {"ssl_certfile": str(tls[0]), "ssl_keyfile": str(tls[1])}),
    )
    _announce(listening, tls is not None, [name for name in channels if desk.kind(name)], deliver)
    try:
        uvicorn.Server(config).run(sockets=[listening])
    finally:
        if sweeping is not None:
            sweeping.stop()
        if deliveries is not None:
            deliveries.stop()
        app.close()
        back.close()
        listening.close()


class _Sweeping:
    """What is due happens also while no guard runs: questions escalate and end, flags are passed on."""

    def __init__(self, store: Store, tenant: str, every_s: float) -> None:
        self._store, self._tenant, self._every_s = store, tenant, every_s
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._work, name="agentguard-sweeper", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Sweep no more; waits for what it is doing."""
        self._stopped.set()
        self._thread.join(5)

    def _work(self) -> None:
        from agentguard.governance import flag_sweeping
        from agentguard.governance.sweeping import sweep
        from agentguard.stepup.sweeping import sweep_approvals

        failed = False
        while not self._stopped.is_set():
            try:
                sweep_approvals(self._store, self._tenant)
                sweep(self._store, self._tenant)
                flag_sweeping.sweep(self._store, self._tenant)
                failed = False
            except Exception as error:
                if not failed:
                    log.error("what is due could not be swept: %s", type(error).__name__)
                failed = True
            self._stopped.wait(self._every_s)


def _uvicorn() -> Any:
    try:
        import uvicorn
    except ImportError:
        raise ConfigurationError("the server needs uvicorn: pip install 'agentguard[server]'") from None
    return uvicorn


def _socket(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        found = socket.create_server((host, port), family=family)
    except OSError as error:
        raise ConfigurationError(
            f"nobody can listen on {host}:{port}: {(error.strerror or 'no').lower()}"
        ) from None
    return found


def _announce(listening: socket.socket, tls: bool, names: list[str], deliver: bool) -> None:
    host, port = listening.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    if not tls and not ipaddress.ip_address(host).is_loopback:
        complain(
            f"{host} is not loopback and there is no TLS: answers can be read on the way; "
            "use `--tls-cert` and `--tls-key`, or a proxy with TLS before it"
        )
    say(f"Listening on http{'s' if tls else ''}://{shown}:{port}")
    for name in names:
        say(f"  POST /channels/{name}/answers")
    if not names:
        say("  no channel has `answers:`, so nothing can be answered here")
    say(f"  the outbox is {'delivered from here too' if deliver else 'not delivered from here'}")


class _AnsweringBack:
    """Tells somebody on Slack, and only them, why their answer does not count; nobody waits for it.

    Of many at once the rest is dropped: who presses a button again and again holds up nobody.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="agentguard-answering-back")
        self._places = threading.Semaphore(_MOST_BACK)

    def put(self, channel: Configured, outcome: Outcome) -> None:
        """Tell them soon, where there is something to tell."""
        from agentguard.channels.slack import SlackChannel

        counted = outcome.result in ("approved", "denied")
        if not isinstance(channel.channel, SlackChannel) or not outcome.user or counted:
            return
        if self._places.acquire(blocking=False):
            self._thread.submit(self._tell, channel.channel, outcome)

    def close(self) -> None:
        """Tell nobody more."""
        self._thread.shutdown(wait=True, cancel_futures=True)

    def _tell(self, channel: SlackChannel, outcome: Outcome) -> None:
        from agentguard.channels.posting import Undelivered
        from agentguard.channels.slack_blocks import escaped

        text = f"Your answer: {outcome.result}. {outcome.message}"[:1000]
        try:
            channel.ephemeral(outcome.user, escaped(text))
        except Undelivered as error:
            log.warning("channel `%s`: a user could not be told about an answer: %s", channel.name, error)
        finally:
            self._places.release()
