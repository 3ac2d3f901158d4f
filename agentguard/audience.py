"""Who is told of questions and flags: channels in this process, and those that are told from the outbox."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from agentguard.errors import ConfigurationError
from agentguard.stepup.telling import ChannelThread

if TYPE_CHECKING:
    from agentguard.channels.channel import OutboxChannel
    from agentguard.channels.running import Deliveries
    from agentguard.governance.flag_sweeping import FlagNotice
    from agentguard.stepup.channels import Channel, Question
    from agentguard.store import Store

__all__ = ["Audience"]


class Audience:
    """The channels of one guard, each on a thread of its own: nobody waits for them."""

    def __init__(self, channels: Iterable[Channel | Callable[[Question], None]]) -> None:
        self._channels = [ChannelThread(channel) for channel in channels]
        self._deliveries: Deliveries | None = None

    def deliver(self, store: Store, tenant: str, channels: Sequence[OutboxChannel]) -> None:
        """Tell these from the outbox from now on; see `Guard.deliver`.

        Raises:
            ConfigurationError: it is done already, or the extra `remote` is missing.
            StoreError: the store could not begin a channel.
        """
        from agentguard.outbound import needed

        needed("the outbox")
        from agentguard.channels.running import Deliveries

        if self._deliveries is not None:
            raise ConfigurationError("this guard delivers to channels already")
        self._deliveries = Deliveries(store, tenant, channels)

    def ask(self, question: Question) -> None:
        """Tell everybody of a question."""
        for channel in self._channels:
            channel.put(question)
        if self._deliveries is not None:
            self._deliveries.wake()

    def flag(self, notice: FlagNotice) -> None:
        """Tell of a flag those in this process; the outbox finds it in the ledger."""
        for channel in self._channels:
            channel.put_flag(notice)

    def forked(self) -> None:
        """Deliver in a child process too; the channels in it find out by themselves."""
        if self._deliveries is not None:
            self._deliveries.start()

    def stop(self) -> None:
        """Tell nothing more; what is in the outbox stays there."""
        if self._deliveries is not None:
            self._deliveries.stop()
        for channel in self._channels:
            channel.stop()
