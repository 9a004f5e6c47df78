"""Limits concurrent requests: a slot of the key's own first, then a fair place in this worker."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from optimizer.access.concurrency.slots import OwnSlots, SharedSlots, Slots, SlotsUnavailable
from optimizer.domain.client import Client


class FairQueue:
    """``places`` requests at the same time, 0 for any number.

    Among those who wait, the one with the fewest requests under way is next, of
    several the one that has waited longest (max-min fairness): a client that sends
    a thousand at once delays its own, not the others'.
    """

    def __init__(self, places: int) -> None:
        self._places = places
        self._under_way: Counter[str] = Counter()
        self._taken = 0
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()

    @property
    def waiting(self) -> int:
        """How many wait."""
        return sum(map(len, self._waiting.values()))

    def enter_now(self, who: str) -> bool:
        """Whether there was a place without waiting; then it is ``who``'s."""
        free = not self._places or (self._taken < self._places and not self._waiting)
        if free:
            self._take(who)
        return free

    async def enter(self, who: str) -> None:
        """Returns once ``who`` has a place; to be left with :meth:`leave`, unless cancelled."""
        if self.enter_now(who):
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(who, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.leave(who)  # it came in the same moment
            else:
                self._give_up(who, turn)
            raise

    def leave(self, who: str) -> None:
        """Give the place to whoever is next."""
        self._taken -= 1
        self._under_way[who] -= 1
        if not self._under_way[who]:
            del self._under_way[who]
        while self._waiting and self._taken < self._places:
            self._admit(min(self._waiting, key=self._under_way.__getitem__))

    def _admit(self, who: str) -> None:
        turns = self._waiting[who]
        turn = turns.popleft()
        if turns:
            self._waiting.move_to_end(who)
        else:
            del self._waiting[who]
        if not turn.done():
            self._take(who)
            turn.set_result(None)

    def _take(self, who: str) -> None:
        self._taken += 1
        self._under_way[who] += 1

    def _give_up(self, who: str, turn: asyncio.Future[None]) -> None:
        turns = self._waiting.get(who)
        if turns is not None and turn in turns:
            turns.remove(turn)
            if not turns:
                del self._waiting[who]


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
