"""Keys of providers that are spared, shared by workers: a limit that one gets, all respect.

Only the number of a key is shared, never the key.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

from optimizer.shared.shared_state import SharedState
from providers.http.key_pool import KeyPool


class SharedKeys(SharedState):
    """Shares the key pools of a process over Redis; without it, each worker only has its own."""

    def __init__(self, pools: Iterable[KeyPool], redis_url: str = "") -> None:
        super().__init__(redis_url, "keys", "Limits of keys are this worker's own")
        self._pools: dict[str, KeyPool] = {}
        self.follow(pools)

    def follow(self, pools: Iterable[KeyPool]) -> None:
        """Share these pools from now on, and no others."""
        self._pools = {pool.provider: pool for pool in pools}
        if self._channel is not None:
            for pool in self._pools.values():
                pool.on_change = partial(self._share_later, pool)

    def _adopt(self, change: dict[str, Any]) -> None:
        pool = self._pools.get(change["provider"])
        if pool is not None and change.get("keys") == len(pool.keys):
            pool.spare(change["key"], change["seconds"])

    def _share_later(self, pool: KeyPool, number: int, seconds: float) -> None:
        count = len(pool.keys)
        self._tell({"provider": pool.provider, "key": number, "keys": count, "seconds": seconds})
