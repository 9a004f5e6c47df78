"""Calls in progress of pools' members with ``most_at_once``, counted over all workers in Redis.

A worker that is alone takes its places at once and tells Redis behind the request, so that another
one that begins later knows of them. Among several, a call waits for Redis before it is made. While
Redis cannot be reached, each worker counts its own alone.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict, deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from optimizer.shared.log_once import LogOnce
from optimizer.shared.shared_state import SharedState
from optimizer.shared.slots import RedisSlots, SlotsUnavailable
from providers.pools.pool import MemberPool

logger = logging.getLogger(__name__)
_LOSS = "Calls in progress of pools' members are this worker's own"
_AWAY_SECONDS = 5.0
"""How long Redis is not asked again once it could not be reached, so that no request waits."""
_COUNT_AGAIN_SECONDS = 10.0
_NO_LIMIT = 1_000_000_000
"""For a call that has already begun: it counts, even beyond the limit of its member."""

_Token = asyncio.Task[str] | str


class SharedPlaces(SharedState):
    """Shares the places of ``pools`` over Redis; without it, each worker has its own."""

    def __init__(self, pools: Mapping[str, MemberPool], redis_url: str = "") -> None:
        super().__init__(redis_url if pools else "", "places", _LOSS, self._greet)
        self._pools = pools
        self._slots = RedisSlots(redis_url, "places:") if self._channel is not None else None
        self._tokens: dict[tuple[str, str], deque[_Token]] = defaultdict(deque)
        self._has_others = True
        self._counted_at = self._away_until = 0.0
        self._uncounted = LogOnce(logger)

    def follow(self) -> None:
        """Share the pools that there are now."""
        if self._channel is not None:
            for name, pool in self._pools.items():
                pool.places = _PlacesOfPool(self, name)

    async def aclose(self) -> None:
        """Tell Redis what has ended, and close the connections."""
        await super().aclose()
        if self._slots is not None:
            await self._slots.aclose()

    @property
    def _alone(self) -> bool:
        return self._channel is not None and self._channel.joined and not self._has_others

    async def take(self, pool: str, member: str, most: int) -> bool:
        """Take one of ``most`` places of a member; return whether one was free."""
        assert self._slots is not None
        who, tokens = f"{pool}/{member}", self._tokens[pool, member]
        if self._alone:
            tokens.append(self._background.run(self._note(who)))
            return True
        loop = asyncio.get_running_loop()
        if loop.time() < self._away_until:
            tokens.append("")
            return True
        try:
            token = await self._slots.take(who, most)
        except SlotsUnavailable as error:
            self._away_until = loop.time() + _AWAY_SECONDS
            self._uncounted.log("%s: Redis cannot be reached (%s)", _LOSS, error)
            token = ""
        else:
            self._uncounted.resolved()
        if token is None:
            return False
        tokens.append(token)
        return True

    def free(self, pool: str, member: str) -> None:
        """Give a place back; the pool is informed once other calls may take it."""
        tokens = self._tokens[pool, member]
        token = tokens.popleft() if tokens else ""
        alone = self._alone
        if alone:
            self._hand_on(pool, member)
        if token:
            self._background.run(self._free(pool, member, token, handed_on=alone))
        elif not alone:
            self._hand_on(pool, member)

    async def _note(self, who: str) -> str:
        """Tell Redis of a call that has begun, and return its token, "" without one."""
        assert self._slots is not None
        try:
            return await self._slots.take(who, _NO_LIMIT) or ""
        except SlotsUnavailable:
            return ""

    async def _free(self, pool: str, member: str, token: _Token, *, handed_on: bool) -> None:
        assert self._slots is not None
        assert self._channel is not None
        try:
            text = token if isinstance(token, str) else await token
            if text:
                await self._slots.free(f"{pool}/{member}", text)
        except SlotsUnavailable:
            pass  # the lease ends by itself
        finally:
            if not handed_on:
                self._hand_on(pool, member)
        if self._has_others:
            await self._channel.publish({"pool": pool, "member": member})
            await self._count_others()

    def _hand_on(self, pool: str, member: str) -> None:
        if (known := self._pools.get(pool)) is not None:
            known.freed(member)

    def _adopt(self, change: dict[str, Any]) -> None:
        self._has_others = True
        if change:
            self._hand_on(change["pool"], change["member"])

    async def _greet(self) -> None:
        """Tell the other workers of this one, and see whether there are any."""
        assert self._channel is not None
        self._has_others = True
        await self._channel.publish({})
        self._has_others = await self._channel.others() > 0

    async def _count_others(self) -> None:
        """See now and then whether the other workers are still there."""
        assert self._channel is not None
        now = asyncio.get_running_loop().time()
        if now - self._counted_at < _COUNT_AGAIN_SECONDS:
            return
        self._counted_at = now
        try:
            self._has_others = await self._channel.others() > 0
        except self._channel.errors as error:
            self._channel.log_unreachable(error)


@dataclass(frozen=True, slots=True)
class _PlacesOfPool:
    """The places of one pool's members."""

    shared: SharedPlaces
    pool: str

    async def take(self, member: str, most: int) -> bool:
        return await self.shared.take(self.pool, member, most)

    def free(self, member: str) -> None:
        self.shared.free(self.pool, member)
