"""State that workers share by telling each other of its changes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from typing import Any

from optimizer.shared.redis_channel import Channel
from optimizer.shared.tasks import Background


class SharedState(ABC):
    """Tells other workers of changes over Redis; without it, each worker only knows its own.

    ``loss`` and ``on_joining`` are those of :class:`optimizer.shared.redis_channel.Channel`.
    """

    def __init__(
        self,
        redis_url: str,
        name: str,
        loss: str,
        on_joining: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._background = Background()
        self._channel: Channel | None = None
        if redis_url:
            self._channel = Channel(redis_url, name, self._adopt, loss, on_joining)

    def begin(self) -> None:
        """Listen for the changes of other workers from now on."""
        if self._channel is not None:
            self._channel.listen()

    async def aclose(self) -> None:
        """Send the changes that are waiting, and close the connection to Redis."""
        await self._background.drain()
        if self._channel is not None:
            await self._channel.aclose()

    @abstractmethod
    def _adopt(self, change: dict[str, Any]) -> None:
        """Take over a change of another worker."""

    def _tell(self, change: dict[str, Any]) -> None:
        """Tell others in the background: the client of the failed call does not wait for Redis."""
        assert self._channel is not None
        self._background.run(self._channel.publish(change))
