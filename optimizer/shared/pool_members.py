"""Members of pools that are spared, shared by workers: what one learns, all respect.

Only the short name of a member is shared, never its key. Workers share the remaining seconds, not
points in time, because machines' clocks differ.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from optimizer.shared.redis_channel import Channel
from optimizer.shared.tasks import Background
from providers.pools.pool import MemberPool


class SharedMembers:
    """Shares the pools of a process over Redis; without it, each worker only has its own."""

    def __init__(self, pools: Mapping[str, MemberPool], redis_url: str = "") -> None:
        self._pools = pools
        self._background = Background()
        self._channel: Channel | None = None
        if redis_url and pools:
            self._channel = Channel(
                redis_url, "members", self._adopt, "Limits of pools' members are this worker's own"
            )
        self.follow()

    def follow(self) -> None:
        """Share the pools that there are now."""
        if self._channel is not None:
            for pool in self._pools.values():
                pool.on_change = partial(self._share_later, pool)

    def begin(self) -> None:
        """Listen for what other workers learn of members from now on."""
        if self._channel is not None:
            self._channel.listen()

    async def aclose(self) -> None:
        """Send what is waiting, and close the connection to Redis."""
        await self._background.drain()
        if self._channel is not None:
            await self._channel.aclose()

    def _adopt(self, change: dict[str, Any]) -> None:
        pool = self._pools.get(change["pool"])
        if pool is not None:
            pool.spare(change["member"], change["model"], change["seconds"])

    def _share_later(self, pool: MemberPool, member: str, model: str, seconds: float) -> None:
        assert self._channel is not None
        change = {"pool": pool.provider, "member": member, "model": model, "seconds": seconds}
        # In the background, so that the client of the failed call does not wait for Redis.
        self._background.run(self._channel.publish(change))
