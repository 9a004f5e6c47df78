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
        self._pools: dict[str, KeyPool] = {}
        self._background = Background()
        self._channel: Channel | None = None
        if redis_url:
            self._channel = Channel(
                redis_url, "keys", self._adopt, "Limits of keys are this worker's own"
            )
        self.follow(pools)

    def follow(self, pools: Iterable[KeyPool]) -> None:
        """Share these pools from now on, and no others."""
        self._pools = {pool.provider: pool for pool in pools}
        if self._channel is not None:
            for pool in self._pools.values():
                pool.on_change = partial(self._share_later, pool)

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
        if pool is not None and change.get("keys") == len(pool.keys):
            pool.spare(change["key"], change["seconds"])

    def _share_later(self, pool: KeyPool, number: int, seconds: float) -> None:
        assert self._channel is not None
        count = len(pool.keys)
        change = {"provider": pool.provider, "key": number, "keys": count, "seconds": seconds}
        # In the background, so that the client of the failed call does not wait for Redis.
        self._background.run(self._channel.publish(change))
