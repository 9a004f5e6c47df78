"""One request in: its key's slot first, then a place in this worker; waiting has an end."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from optimizer.access.concurrency.fair_queue import FairQueue
from optimizer.access.concurrency.slots import OwnSlots, SharedSlots, Slots, SlotsUnavailable
from optimizer.domain.client import Client

logger = logging.getLogger(__name__)

_LOOK_AGAIN = 0.05
"""Seconds after which whoever is first in a key's row looks for a slot freed elsewhere."""


class ConcurrencyTimeout(Exception):
    """Waited as long as is allowed; ``own`` is whether for the key's own limit."""

    def __init__(self, *, own: int | None, seconds: float) -> None:
        self.own = own is not None
        waited = f"and none ended within {seconds:g} seconds"
        super().__init__(
            f"This API key may have {own} requests at the same time, {waited}."
            if self.own
            else f"As many requests are under way as can be served at the same time, {waited}."
        )


class ConcurrencyLimiter:
    """``places`` are those of this worker (0: any number), ``timeout`` is in seconds.

    A store of slots that cannot be reached lets requests pass, which is said.
    """

    def __init__(self, places: int, timeout: float, redis_url: str = "") -> None:
        self._queue = FairQueue(places)
        self._timeout = timeout
        self._slots: Slots = SharedSlots(redis_url) if redis_url else OwnSlots()
        self._rows: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._freed = asyncio.Event()
        self._away = False

    @asynccontextmanager
    async def slot(self, client: Client) -> AsyncIterator[None]:
        """Inside, the request counts as under way. Raises :class:`ConcurrencyTimeout`."""
        token = await self._own_slot(client) if client.concurrent_requests is not None else None
        try:
            await self._place(client)
            try:
                yield
            finally:
                self._queue.leave(client.key)
        finally:
            if token is not None:
                await asyncio.shield(self._free(client.key, token))

    async def aclose(self) -> None:
        await self._slots.aclose()

    async def _place(self, client: Client) -> None:
        if self._queue.enter_now(client.key):
            return
        try:
            async with asyncio.timeout(self._timeout):
                await self._queue.enter(client.key)
        except TimeoutError:
            raise ConcurrencyTimeout(own=None, seconds=self._timeout) from None

    async def _own_slot(self, client: Client) -> str | None:
        most = client.concurrent_requests
        assert most is not None
        try:
            async with asyncio.timeout(self._timeout):
                # A lock lets in one after the other, in the order in which they came.
                async with self._rows[client.key]:
                    while (token := await self._take(client.key, most)) is None:
                        self._freed.clear()
                        # Not wait_for: it takes the end of our patience for its own, if both
                        # come in the same moment, and the waiting goes on.
                        with suppress(TimeoutError):
                            async with asyncio.timeout(_LOOK_AGAIN):
                                await self._freed.wait()
                    return token or None
        except TimeoutError:
            raise ConcurrencyTimeout(own=most, seconds=self._timeout) from None

    async def _take(self, who: str, most: int) -> str | None:
        """A token, none, or an empty one where nobody can count."""
        try:
            token = await self._slots.take(who, most)
        except SlotsUnavailable as away:
            if not self._away:
                logger.error("Limits on concurrent requests are not kept: Redis is away (%s)", away)
            self._away = True
            return ""
        self._away = False
        return token

    async def _free(self, who: str, token: str) -> None:
        try:
            await self._slots.free(who, token)
        except SlotsUnavailable as away:
            logger.warning("A slot could not be freed (%s); its lease ends", away)
        self._freed.set()
