"""Keys of providers that are spared, shared by workers: a limit that one gets, all respect.

Only the number of a key is shared, never the key.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

from optimizer.shared.redis_channel import Channel
from optimizer.shared.tasks import Background
from providers.http.key_pool import KeyPool


class SharedKeys:
    """Shares the key pools of a process over Redis; without it, each worker only has its own."""

    def __init__(self, pools: Iterable[KeyPool], redis_url: str = "") -> None:
        self._pools = {pool.provider: pool for pool in pools}
        self._background = Background()
        self._channel: Channel | None = None
        if redis_url and self._pools:
            self._channel = Channel(
                redis_url, "keys", self._adopt, "Limits of keys are this worker's own"
            )
            for pool in self._pools.values():
                pool.on_change = partial(self._share_later, pool.provider)

    def begin(self) -> None:
        """Listen for what other workers learn of keys from now on."""
        if self._channel is not None:
            self._channel.listen()

    async def aclose(self) -> None:
        """Send what is waiting, and close the connection to Redis."""
        await self._background.drain()
        if self._channel is not None:
            await self._channel.aclose()

    def _adopt(self, change: dict[str, Any]) -> None:
        pool = self._pools.get(change["provider"])
        if pool is not None:
            pool.spare(change["key"], change["seconds"])

    def _share_later(self, provider: str, number: int, seconds: float) -> None:
        assert self._channel is not None
        change = {"provider": provider, "key": number, "seconds": seconds}
        # In the background, so that the client of the failed call does not wait for Redis.
        self._background.run(self._channel.publish(change))
