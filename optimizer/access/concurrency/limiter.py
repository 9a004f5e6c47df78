"""Limits concurrent requests: first by the key's own limit, then by this worker's fair queue."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Mapping
from contextlib import suppress

from optimizer.domain.client import Client
from optimizer.shared.log_once import LogOnce
from optimizer.shared.slots import LocalSlots, RedisSlots, Slots, SlotsUnavailable

logger = logging.getLogger(__name__)
_LOOK_AGAIN = 0.05
"""Seconds after which the first in a key's queue checks for slots freed by other workers."""


PATIENCE_SECONDS = 1.0
"""After so long, a request gets a place beyond the limit if its key has less than its share."""

_Turn = asyncio.Future[None]
_Keys = OrderedDict[str, deque[_Turn]]


class FairQueue:
    """Lets ``places`` requests run at the same time, 0 for any number.

    The next tenant is the one with the fewest requests in progress for its weight (1 if
    ``weights`` has none), then the next key the one of its keys with the fewest; among several,
    the one that has waited longest (weighted max-min fairness). A key without a tenant is a tenant
    of its own. While nobody waits, a key may have all places.

    Places that others already have are not taken from them: an answer may take minutes. So who
    has less than its share (the places by weight among the tenants that run or wait, then equal
    among a tenant's keys) gets a place beyond the limit after :data:`PATIENCE_SECONDS`, and no
    place is given to others until the number is below the limit again. At most twice ``places``
    run at the same time.
    """

    def __init__(self, places: int, weights: Mapping[str, float] | None = None) -> None:
        self._places = places
        self._weights = weights or {}
        self._taken = 0
        self._of_key: Counter[tuple[str, str]] = Counter()
        self._of_tenant: Counter[str] = Counter()
        self._keys: Counter[str] = Counter()
        self._waiting: OrderedDict[str, _Keys] = OrderedDict()

    @property
    def waiting(self) -> int:
        """Return the number of requests that wait."""
        return sum(len(turns) for keys in self._waiting.values() for turns in keys.values())

    def enter_now(self, key: str, tenant: str = "") -> bool:
        """Take a place for ``key`` of ``tenant`` if one is free, and return whether it was."""
        free = not self._places or (self._taken < self._places and not self._waiting)
        if free:
            self._take(key, tenant or key)
        return free

    async def enter(self, key: str, tenant: str = "") -> None:
        """Wait until ``key`` has a place; call :meth:`leave` afterwards, unless cancelled."""
        if self.enter_now(key, tenant):
            return
        tenant = tenant or key
        loop = asyncio.get_running_loop()
        turn: _Turn = loop.create_future()
        self._waiting.setdefault(tenant, OrderedDict()).setdefault(key, deque()).append(turn)

        timer: asyncio.TimerHandle

        def insist() -> None:
            nonlocal timer
            if not turn.done() and not self._claim(key, tenant, turn):
                timer = loop.call_later(PATIENCE_SECONDS, insist)

        timer = loop.call_later(PATIENCE_SECONDS, insist)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.leave(key, tenant)  # the place was granted at the moment of the cancellation
            else:
                self._remove(key, tenant, turn)
            raise
        finally:
            timer.cancel()

    def leave(self, key: str, tenant: str = "") -> None:
        """Free a place of ``key``, and give it to the next request in the queue."""
        tenant = tenant or key
        self._taken -= 1
        self._of_tenant[tenant] -= 1
        self._of_key[tenant, key] -= 1
        if not self._of_key[tenant, key]:
            del self._of_key[tenant, key]
            self._keys[tenant] -= 1
            if not self._of_tenant[tenant]:
                del self._of_tenant[tenant], self._keys[tenant]
        while self._waiting and self._taken < self._places:
            self._admit_next()

    def _admit_next(self) -> None:
        tenant = min(self._waiting, key=lambda name: self._of_tenant[name] / self._weight(name))
        keys = self._waiting[tenant]
        key = min(keys, key=lambda name: self._of_key[tenant, name])
        turn = keys[key][0]
        self._remove(key, tenant, turn)
        # Whoever waits next of these is behind all that have waited as long.
        if key in keys:
            keys.move_to_end(key)
        if tenant in self._waiting:
            self._waiting.move_to_end(tenant)
        if not turn.done():
            self._grant(key, tenant, turn)

    def _claim(self, key: str, tenant: str, turn: _Turn) -> bool:
        """Give a place beyond the limit to a key that has less than its share."""
        if self._taken >= 2 * self._places:
            return False
        active = set(self._of_tenant) | set(self._waiting)
        share = self._places * self._weight(tenant) / sum(map(self._weight, active))
        here = sum((tenant, name) not in self._of_key for name in self._waiting[tenant])
        own_share = share / (self._keys[tenant] + here)
        if self._of_tenant[tenant] >= share or self._of_key[tenant, key] >= own_share:
            return False
        self._remove(key, tenant, turn)
        self._grant(key, tenant, turn)
        return True

    def _weight(self, tenant: str) -> float:
        return self._weights.get(tenant, 1.0)

    def _grant(self, key: str, tenant: str, turn: _Turn) -> None:
        self._take(key, tenant)
        turn.set_result(None)

    def _take(self, key: str, tenant: str) -> None:
        self._taken += 1
        self._of_tenant[tenant] += 1
        self._of_key[tenant, key] += 1
        if self._of_key[tenant, key] == 1:
            self._keys[tenant] += 1

    def _remove(self, key: str, tenant: str, turn: _Turn) -> None:
        keys = self._waiting.get(tenant, OrderedDict())
        turns = keys.get(key)
        if turns is None or turn not in turns:
            return
        turns.remove(turn)
        if not turns:
            del keys[key]
            if not keys:
                del self._waiting[tenant]


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


class _Slot:
    """A place and the key's slot while inside: no generator, as each request makes one."""

    __slots__ = ("_client", "_limiter", "_token")

    def __init__(self, limiter: ConcurrencyLimiter, client: Client) -> None:
        self._limiter, self._client = limiter, client
        self._token: str | None = None

    async def __aenter__(self) -> None:
        self._token = await self._limiter.enter(self._client)

    async def __aexit__(self, *_: object) -> None:
        await self._limiter.leave(self._client, self._token)


class ConcurrencyLimiter:
    """Limits how many requests run at the same time.

    ``places`` is the limit of this worker (0: any number); ``timeout`` is how long a request
    waits for a place, in seconds; ``weights`` are the weights of tenants. If the store of slots
    cannot be reached, requests pass and an error is logged.
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

    def slot(self, client: Client) -> _Slot:
        """Count a request as in progress while inside. Raises :class:`ConcurrencyTimeout`."""
        return _Slot(self, client)

    async def enter(self, client: Client) -> str | None:
        """Count a request as in progress, and return what :meth:`leave` takes at its end.

        Raises :class:`ConcurrencyTimeout`.
        """
        token = await self._own_slot(client) if client.concurrent_requests is not None else None
        if not self._queue.enter_now(client.key, client.tenant):
            try:
                await self._wait_for_place(client)
            except BaseException:
                if token is not None:
                    await asyncio.shield(self._free(client.key, token))
                raise
        return token

    async def leave(self, client: Client, token: str | None) -> None:
        """Count a request as ended."""
        self._queue.leave(client.key, client.tenant)
        if token is not None:
            await asyncio.shield(self._free(client.key, token))

    async def aclose(self) -> None:
        """Close the connection to the store of slots."""
        await self._slots.aclose()

    async def _wait_for_place(self, client: Client) -> None:
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
