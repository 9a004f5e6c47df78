"""Tokens counted by key in windows of a minute, reserved before a call and settled after it.

A window begins with its first tokens. A key's tokens are taken in one step, so that requests
which arrive at once never pass a limit together.
"""

from __future__ import annotations

import time
import uuid
from typing import Any, NamedTuple, Protocol

from limits.errors import StorageError

from optimizer.shared.redis import connect

MINUTE = 60.0
_MOST_KEYS = 10_000


class TokenWindow(NamedTuple):
    """A key's current window: its ``id``, the tokens ``used``, and the seconds until ``reset``.

    ``allowed`` is whether the tokens that were asked for have been taken.
    """

    allowed: bool
    used: int
    reset: float
    id: str


class TokenWindows(Protocol):
    """A store of windows; :class:`MemoryWindows` or :class:`RedisWindows`."""

    async def take(self, key: str, limit: int, tokens: int) -> TokenWindow:
        """Take ``tokens`` if they fit into ``limit`` or if the window is empty, else take none.

        With no tokens to take, return whether any are left.
        """
        ...

    async def settle(self, key: str, window: str, change: int) -> TokenWindow:
        """Add ``change`` to what was taken in the window with the id ``window``.

        If that window is over, what it took is gone with it: tokens beyond it count in the
        current window, and nothing is given back.
        """
        ...


class MemoryWindows:
    """Windows in this process."""

    def __init__(self) -> None:
        self._windows: dict[str, tuple[str, int, float]] = {}

    async def take(self, key: str, limit: int, tokens: int) -> TokenWindow:
        """See :class:`TokenWindows`."""
        window, used, ends = self._current(key)
        allowed = not used or (used < limit and used + tokens <= limit)
        return self._keep(key, window, used + tokens if allowed else used, ends, allowed=allowed)

    async def settle(self, key: str, window: str, change: int) -> TokenWindow:
        """See :class:`TokenWindows`."""
        current, used, ends = self._current(key)
        if current == window or change > 0:
            used = max(0, used + change)
        return self._keep(key, current, used, ends)

    def _current(self, key: str) -> tuple[str, int, float]:
        now = time.monotonic()
        window = self._windows.get(key)
        if window is None or window[2] <= now:
            return uuid.uuid4().hex, 0, now + MINUTE
        return window

    def _keep(
        self, key: str, window: str, used: int, ends: float, *, allowed: bool = True
    ) -> TokenWindow:
        now = time.monotonic()
        if used or key in self._windows:
            if len(self._windows) >= _MOST_KEYS and key not in self._windows:
                self._windows = {k: w for k, w in self._windows.items() if w[2] > now}
            self._windows[key] = (window, used, ends)
        return TokenWindow(allowed, used, max(0.0, ends - now), window)


# A hash with the window's id and the tokens used; it expires at the window's end.
_BEGIN = """
local function add(tokens, id)
  if redis.call('EXISTS', KEYS[1]) == 0 then
    redis.call('HSET', KEYS[1], 'id', id, 'used', 0)
    redis.call('PEXPIRE', KEYS[1], 60000)
  end
  redis.call('HINCRBY', KEYS[1], 'used', tokens)
end
local function state(allowed)
  local used = tonumber(redis.call('HGET', KEYS[1], 'used') or '0')
  return {allowed, used, redis.call('PTTL', KEYS[1]), redis.call('HGET', KEYS[1], 'id') or ''}
end
"""
_TAKE = f"""{_BEGIN}
local tokens, limit = tonumber(ARGV[1]), tonumber(ARGV[2])
local used = tonumber(redis.call('HGET', KEYS[1], 'used') or '0')
if used > 0 and (used >= limit or used + tokens > limit) then return state(0) end
if tokens > 0 then add(tokens, ARGV[3]) end
return state(1)
"""
_SETTLE = f"""{_BEGIN}
local change = tonumber(ARGV[1])
if redis.call('HGET', KEYS[1], 'id') == ARGV[2] or change > 0 then add(change, ARGV[3]) end
return state(1)
"""


class RedisWindows:
    """Windows that all workers share."""

    def __init__(self, redis_url: str) -> None:
        self._redis = connect(redis_url)

    async def take(self, key: str, limit: int, tokens: int) -> TokenWindow:
        """See :class:`TokenWindows`."""
        return await self._run(_TAKE, key, tokens, limit)

    async def settle(self, key: str, window: str, change: int) -> TokenWindow:
        """See :class:`TokenWindows`."""
        return await self._run(_SETTLE, key, change, window)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._redis.aclose()

    async def _run(self, script: str, key: str, *values: Any) -> TokenWindow:
        from redis.exceptions import RedisError

        name = f"optimizer:tokens:{key}"
        try:
            reply = await self._redis.eval(script, 1, name, *values, uuid.uuid4().hex)
        except RedisError as error:
            raise StorageError(error) from error
        allowed, used, milliseconds, window = reply
        reset = milliseconds / 1000 if milliseconds > 0 else MINUTE
        window_id = window.decode() if isinstance(window, bytes) else window
        return TokenWindow(bool(allowed), max(0, int(used)), reset, window_id)
