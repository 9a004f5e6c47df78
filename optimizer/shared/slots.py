"""Counts what is in progress at once: over all workers in Redis, or in this process alone."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import Counter
from typing import Protocol

from optimizer.shared.redis import connect, in_time

_LEASE = 30.0
"""Seconds after which a slot is free again if the worker that took it does not renew it."""
_RENEWED = _LEASE / 3

# Drop the slots whose lease has ended, then take a slot if one is free. The time is Redis's own:
# the clocks of the workers may differ.
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
    """The slots cannot be counted now; the message is the type of the error."""


class Slots(Protocol):
    """Counts the slots of each key. ``who`` is the key's prefix, ``most`` its limit."""

    async def take(self, who: str, most: int) -> str | None:
        """Take a slot and return its token, or ``None`` if all are taken.

        Raises :class:`SlotsUnavailable`.
        """

    async def free(self, who: str, token: str) -> None:
        """Free the slot that ``token`` stands for. Raises :class:`SlotsUnavailable`."""

    async def aclose(self) -> None:
        """Release the connection, if there is one."""


class LocalSlots:
    """Counts the slots of this process alone."""

    def __init__(self) -> None:
        self._taken: Counter[str] = Counter()

    async def take(self, who: str, most: int) -> str | None:
        """Take a slot and return its token, or ``None`` if all are taken."""
        if self._taken[who] >= most:
            return None
        self._taken[who] += 1
        return who

    async def free(self, who: str, token: str) -> None:
        """Free a slot of ``who``."""
        self._taken[who] -= 1
        if not self._taken[who]:
            del self._taken[who]

    async def aclose(self) -> None:
        """Do nothing: this process needs no connection to count."""


class RedisSlots:
    """Counts the slots of all workers in Redis.

    A slot is leased, so that the slots of a worker that dies become free again. ``prefix`` is what
    the names of its keys begin with.
    """

    def __init__(self, redis_url: str, prefix: str = "slots:") -> None:
        from redis.exceptions import RedisError

        self._prefix = prefix
        self._trouble = (RedisError, TimeoutError)
        self._redis = connect(redis_url)
        self._take = self._redis.register_script(_TAKE)
        self._renew = self._redis.register_script(_RENEW)
        self._taken: dict[str, set[str]] = {}
        self._renewing: asyncio.Task[None] | None = None

    async def take(self, who: str, most: int) -> str | None:
        """Take a slot and return its token, or ``None`` if all are taken.

        Raises :class:`SlotsUnavailable`.
        """
        token = uuid.uuid4().hex
        tokens = self._taken.setdefault(who, set())
        # Added before the call: Redis may have given the slot to a caller that is then cancelled.
        tokens.add(token)
        granted = False
        try:
            granted = await in_time(
                self._take(keys=[self._prefix + who], args=[most, token, _LEASE])
            )
        except self._trouble as error:
            raise SlotsUnavailable(type(error).__name__) from error
        finally:
            if not granted:
                self._forget(who, token)
        if not granted:
            return None
        if self._renewing is None or self._renewing.done():
            self._renewing = asyncio.create_task(self._go_on_renewing())
        return token

    async def free(self, who: str, token: str) -> None:
        """Free the slot that ``token`` stands for. Raises :class:`SlotsUnavailable`."""
        self._forget(who, token)
        try:
            await in_time(self._redis.zrem(self._prefix + who, token))
        except self._trouble as error:
            raise SlotsUnavailable(type(error).__name__) from error

    async def aclose(self) -> None:
        """Stop renewing leases, and close the connection to Redis."""
        if self._renewing is not None:
            self._renewing.cancel()
        await self._redis.aclose()

    def _forget(self, who: str, token: str) -> None:
        tokens = self._taken.get(who)
        if tokens is not None:
            tokens.discard(token)
            if not tokens:
                del self._taken[who]

    async def _go_on_renewing(self) -> None:
        last = time.monotonic()
        while self._taken:
            await asyncio.sleep(max(0.0, last + _RENEWED - time.monotonic()))
            last = time.monotonic()
            for who, tokens in [(who, list(tokens)) for who, tokens in self._taken.items()]:
                try:
                    await in_time(self._renew(keys=[self._prefix + who], args=[_LEASE, *tokens]))
                except self._trouble:
                    break  # logged where slots are taken; the next round may succeed
