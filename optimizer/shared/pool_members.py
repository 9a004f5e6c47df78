"""Members of pools that are spared, shared by workers: what one learns, all respect.

Only the short name of a member is shared, never its key. Workers share the remaining seconds, not
points in time, because machines' clocks differ.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from optimizer.shared.shared_state import SharedState
from providers.pools.pool import MemberPool


class SharedMembers(SharedState):
    """Shares the pools of a process over Redis; without it, each worker only has its own."""

    def __init__(self, pools: Mapping[str, MemberPool], redis_url: str = "") -> None:
        loss = "Limits of pools' members are this worker's own"
        super().__init__(redis_url if pools else "", "members", loss)
        self._pools = pools
        self.follow()

    def follow(self) -> None:
        """Share the pools that there are now."""
        if self._channel is not None:
            for pool in self._pools.values():
                pool.on_change = partial(self._share_later, pool)

    def _adopt(self, change: dict[str, Any]) -> None:
        pool = self._pools.get(change["pool"])
        if pool is not None:
            pool.spare(change["member"], change["model"], change["seconds"])

    def _share_later(self, pool: MemberPool, member: str, model: str, seconds: float) -> None:
        self._tell({"pool": pool.provider, "member": member, "model": model, "seconds": seconds})
