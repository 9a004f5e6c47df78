"""Limits concurrent requests: first by the key's own limit, then by this worker's fair queue."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress

from optimizer.access.concurrency.fair_queue import FairQueue
from optimizer.access.concurrency.slots import LocalSlots, RedisSlots, Slots, SlotsUnavailable
from optimizer.domain.client import Client
from optimizer.shared.log_once import LogOnce

logger = logging.getLogger(__name__)
_LOOK_AGAIN = 0.05
"""Seconds after which the first in a key's queue checks for slots freed by other workers."""


class ConcurrencyTimeout(Exception):
    """A request waited as long as it may; ``own`` is whether it waited for its key's own limit."""

    def __init__(self, *, own: int | None, seconds: float) -> None:
        self.own = own is not None
        waited = f"and none of them ended within {seconds:g} seconds"
        super().__init__(
            f"This API key has reached its limit of {own} concurrent requests, {waited}."
            if self.own
            else f"The server has reached its limit of concurrent requests, {waited}."
        )


class ConcurrencyLimiter:
    """Limits how many requests run at the same time.

    ``places`` is the limit of this worker (0: any number); ``timeout`` is how long a request
    waits for a place, in seconds; ``weights`` are the weights of tenants. If the store of slots cannot be reached, requests pass and
    an error is logged.
    """

    def __init__(
        self,
        places: int,
        timeout: float,
        redis_url: str = "",
        weights: Mapping[str, float] | None = None,
    ) -> None:
        self._queue = FairQueue(places, weights)
        self._timeout = timeout
        self._slots: Slots = RedisSlots(redis_url) if redis_url else LocalSlots()
        self._rows: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._freed = asyncio.Event()
        self._unenforced = LogOnce(logger, logging.ERROR)

    @asynccontextmanager
    async def slot(self, client: Client) -> AsyncIterator[None]:
        """Count a request as in progress while inside. Raises :class:`ConcurrencyTimeout`."""
        token = await self._own_slot(client) if client.concurrent_requests is not None else None
        try:
            await self._place(client)
            try:
                yield
            finally:
                self._queue.leave(client.key, client.tenant)
        finally:
            if token is not None:
                await asyncio.shield(self._free(client.key, token))

    async def aclose(self) -> None:
        """Close the connection to the store of slots."""
        await self._slots.aclose()

    async def _place(self, client: Client) -> None:
        if self._queue.enter_now(client.key, client.tenant):
            return
        try:
            async with asyncio.timeout(self._timeout):
                await self._queue.enter(client.key, client.tenant)
        except TimeoutError:
            raise ConcurrencyTimeout(own=None, seconds=self._timeout) from None

    async def _own_slot(self, client: Client) -> str | None:
        limit = client.concurrent_requests
        assert limit is not None
        try:
            async with asyncio.timeout(self._timeout):
                # A lock lets requests in one after the other, in the order of their arrival.
                async with self._rows[client.key]:
                    while (token := await self._take(client.key, limit)) is None:
                        self._freed.clear()
                        # Not wait_for: if its timeout and ours end at the same moment, it treats
                        # ours as its own, and the request waits on.
                        with suppress(TimeoutError):
                            async with asyncio.timeout(_LOOK_AGAIN):
                                await self._freed.wait()
                    return token or None
        except TimeoutError:
            raise ConcurrencyTimeout(own=limit, seconds=self._timeout) from None

    async def _take(self, who: str, most: int) -> str | None:
        """Return a token, ``None`` if all slots are taken, or "" if slots cannot be counted."""
        try:
            token = await self._slots.take(who, most)
        except SlotsUnavailable as error:
            self._unenforced.log(
                "Limits on concurrent requests are not enforced: Redis cannot be reached (%s)",
                error,
            )
            return ""
        self._unenforced.resolved()
        return token

    async def _free(self, who: str, token: str) -> None:
        try:
            await self._slots.free(who, token)
        except SlotsUnavailable as error:
            logger.warning("A slot could not be freed (%s); its lease will end by itself", error)
        self._freed.set()
