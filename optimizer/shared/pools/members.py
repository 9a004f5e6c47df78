"""What workers share of the members of pools: which are spared, and how many calls they have.

Only the short name of a member is shared, never its key. Workers share the remaining seconds, not
points in time, because machines' clocks differ.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from optimizer.shared.pools.places import SharedPlaces
from optimizer.shared.shared_state import SharedState
from providers.pools.pool import MemberPool


class SharedMembers(SharedState):
    """Shares the pools of a process over Redis; without it, each worker only has its own."""

    def __init__(self, pools: Mapping[str, MemberPool], redis_url: str = "") -> None:
        loss = "Limits of pools' members are this worker's own"
        super().__init__(redis_url if pools else "", "members", loss)
        self._pools = pools
        self._places = SharedPlaces(pools, redis_url)
        self.follow()

    def follow(self) -> None:
        """Share the pools that there are now."""
        if self._channel is not None:
            for pool in self._pools.values():
                pool.on_change = partial(self._share_later, pool)
        self._places.follow()

    def begin(self) -> None:
        """Listen for the changes of other workers from now on."""
        super().begin()
        self._places.begin()

    async def aclose(self) -> None:
        """Give back what this worker has, and close the connections to Redis."""
        await super().aclose()
        await self._places.aclose()

    def _adopt(self, change: dict[str, Any]) -> None:
        pool = self._pools.get(change["pool"])
        if pool is not None:
            pool.spare(change["member"], change["model"], change["seconds"])

    def _share_later(self, pool: MemberPool, member: str, model: str, seconds: float) -> None:
        self._tell({"pool": pool.provider, "member": member, "model": model, "seconds": seconds})
