"""A key's requests at the same time: counted over all workers in Redis, or in this process."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import Counter
from typing import Protocol

from optimizer.shared.redis import connect, in_time

_PREFIX = "slots:"
_LEASE = 30.0
"""Seconds after which a slot is free if the worker that took it says no more of it."""
_RENEWED = _LEASE / 3

# Forget whoever let the lease run out, then take a slot if one is free. Redis's own clock: those
# of the workers may differ.
_TAKE = """
local now = redis.call('TIME')
local at = tonumber(now[1]) + tonumber(now[2]) / 1e6
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', at)
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[1]) then return 0 end
redis.call('ZADD', KEYS[1], at + tonumber(ARGV[3]), ARGV[2])
redis.call('EXPIRE', KEYS[1], math.ceil(tonumber(ARGV[3])))
return 1
"""
_RENEW = """
local now = redis.call('TIME')
local till = tonumber(now[1]) + tonumber(now[2]) / 1e6 + tonumber(ARGV[1])
for i = 2, #ARGV do redis.call('ZADD', KEYS[1], 'XX', till, ARGV[i]) end
redis.call('EXPIRE', KEYS[1], math.ceil(tonumber(ARGV[1])))
return 1
"""


class SlotsUnavailable(Exception):
    """Nobody can count just now; the message is the kind of the trouble."""


class Slots(Protocol):
    """Where slots are counted. ``take`` gives a token, or ``None`` where all are taken.

    ``take`` and ``free`` raise :class:`SlotsUnavailable`.
    """

    async def take(self, who: str, most: int) -> str | None: ...

    async def free(self, who: str, token: str) -> None: ...

    async def aclose(self) -> None: ...


class OwnSlots:
    """Of this process alone."""

    def __init__(self) -> None:
        self._taken: Counter[str] = Counter()

    async def take(self, who: str, most: int) -> str | None:
        if self._taken[who] >= most:
            return None
        self._taken[who] += 1
        return who

    async def free(self, who: str, token: str) -> None:
        self._taken[who] -= 1
        if not self._taken[who]:
            del self._taken[who]

    async def aclose(self) -> None:
        return None


class SharedSlots:
    """Of all workers, in Redis. A slot is leased, so that none is lost with a worker."""

    def __init__(self, redis_url: str) -> None:
        from redis.exceptions import RedisError

        self._trouble = (RedisError, TimeoutError)
        self._redis = connect(redis_url)
        self._take = self._redis.register_script(_TAKE)
        self._renew = self._redis.register_script(_RENEW)
        self._taken: dict[str, set[str]] = {}
        self._renewing: asyncio.Task[None] | None = None

    async def take(self, who: str, most: int) -> str | None:
        token = uuid.uuid4().hex
        taken = self._taken.setdefault(who, set())
        # Noted first: a cancelled caller may have taken it all the same.
        taken.add(token)
        got = False
        try:
            got = await in_time(self._take(keys=[_PREFIX + who], args=[most, token, _LEASE]))
        except self._trouble as error:
            raise SlotsUnavailable(type(error).__name__) from error
        finally:
            if not got:
                self._forget(who, token)
        if not got:
            return None
        if self._renewing is None or self._renewing.done():
            self._renewing = asyncio.create_task(self._go_on_renewing())
        return token

    async def free(self, who: str, token: str) -> None:
        self._forget(who, token)
        try:
            await in_time(self._redis.zrem(_PREFIX + who, token))
        except self._trouble as error:
            raise SlotsUnavailable(type(error).__name__) from error

    async def aclose(self) -> None:
        if self._renewing is not None:
            self._renewing.cancel()
        await self._redis.aclose()

    def _forget(self, who: str, token: str) -> None:
        taken = self._taken.get(who)
        if taken is not None:
            taken.discard(token)
            if not taken:
                del self._taken[who]

    async def _go_on_renewing(self) -> None:
        last = time.monotonic()
        while self._taken:
            await asyncio.sleep(max(0.0, last + _RENEWED - time.monotonic()))
            last = time.monotonic()
            for who, tokens in [(who, list(tokens)) for who, tokens in self._taken.items()]:
                try:
                    await in_time(self._renew(keys=[_PREFIX + who], args=[_LEASE, *tokens]))
                except self._trouble:
                    break  # it is said where slots are taken; the next round may get through
