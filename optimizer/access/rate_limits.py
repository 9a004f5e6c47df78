"""Requests and tokens a minute, by key: shared over Redis, or this process's own."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from math import ceil
from typing import Any

from limits import RateLimitItem, RateLimitItemPerMinute
from limits.aio.strategies import FixedWindowRateLimiter, SlidingWindowCounterRateLimiter
from limits.errors import StorageError
from limits.storage import storage_from_string

from optimizer.domain.client import Client
from optimizer.shared.redis import connect, in_time
from providers.completion import Usage

logger = logging.getLogger(__name__)

_REQUESTS, _TOKENS = "requests", "tokens"


@dataclass(frozen=True, slots=True)
class RateWindow:
    """How a client stands against its limit of ``what``; ``reset`` is in seconds."""

    what: str
    limit: int
    remaining: int
    reset: float

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """As the clients of OpenAI and of Anthropic read them."""
        ends = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + self.reset))
        values = {"limit": str(self.limit), "remaining": str(self.remaining)}
        found = [
            *((f"x-ratelimit-{name}-{self.what}", text) for name, text in values.items()),
            (f"x-ratelimit-reset-{self.what}", f"{self.reset:.3f}s"),
            *((f"anthropic-ratelimit-{self.what}-{name}", text) for name, text in values.items()),
            (f"anthropic-ratelimit-{self.what}-reset", ends),
        ]
        return [(name.encode(), text.encode()) for name, text in found]


class RateLimitExceeded(Exception):
    """A limit is reached; ``retry_after`` is in whole seconds."""

    def __init__(self, window: RateWindow, windows: list[RateWindow]) -> None:
        super().__init__(
            f"This API key's limit of {window.limit} {window.what} a minute is reached. "
            f"Try again in {ceil(window.reset)} seconds."
        )
        self.windows = windows
        self.retry_after = max(1, ceil(window.reset))


class RateLimits:
    """``redis_url`` is what processes share; without one each counts for itself.

    A store that cannot be reached lets requests pass, which is said: limits guard
    against too much, not against everything.
    """

    def __init__(self, redis_url: str = "") -> None:
        self._pool: Any = None
        uri, options = "async+memory://", {}
        if redis_url:
            self._pool = connect(redis_url).connection_pool
            uri = f"async+{redis_url}"
            options = {"implementation": "redispy", "connection_pool": self._pool}
        storage: Any = storage_from_string(uri, wrap_exceptions=True, **options)
        self._requests = SlidingWindowCounterRateLimiter(storage)
        # Counts also what goes beyond: tokens are known only once they are spent.
        self._tokens = FixedWindowRateLimiter(storage)
        self._away = False

    async def admit(self, client: Client) -> list[RateWindow]:
        """Count a request, and say how the client stands. Raises :class:`RateLimitExceeded`."""
        if client.requests_per_minute is None and client.tokens_per_minute is None:
            return []
        try:
            windows = await in_time(self._admit(client))
        except (StorageError, TimeoutError) as error:
            self._say_away(error)
            return []
        self._away = False
        return windows

    async def spend(self, client: Client, tokens: int) -> None:
        """Count what a client's request used, input and output."""
        if client.tokens_per_minute is None or not tokens:
            return
        limit = RateLimitItemPerMinute(client.tokens_per_minute)
        try:
            await in_time(self._tokens.hit(limit, _TOKENS, client.key, cost=tokens))
        except (StorageError, TimeoutError) as error:
            self._say_away(error)

    async def aclose(self) -> None:
        if self._pool is not None:
            await self._pool.aclose()

    async def _admit(self, client: Client) -> list[RateWindow]:
        windows, reached = [], None
        if client.tokens_per_minute is not None:
            # Tokens first: a request that they refuse must not count as one.
            limit = RateLimitItemPerMinute(client.tokens_per_minute)
            allowed = await self._tokens.test(limit, _TOKENS, client.key)
            windows.append(await self._window(self._tokens, _TOKENS, limit, client))
            reached = None if allowed else windows[-1]
        if client.requests_per_minute is not None:
            limit = RateLimitItemPerMinute(client.requests_per_minute)
            allowed = reached is not None or await self._requests.hit(limit, _REQUESTS, client.key)
            windows.append(await self._window(self._requests, _REQUESTS, limit, client))
            reached = reached or (None if allowed else windows[-1])
        if reached is not None:
            raise RateLimitExceeded(reached, windows)
        return windows

    @staticmethod
    async def _window(limiter: Any, what: str, limit: RateLimitItem, client: Client) -> RateWindow:
        found = await limiter.get_window_stats(limit, what, client.key)
        reset = max(0.0, found.reset_time - time.time())
        return RateWindow(what, limit.amount, max(0, found.remaining), reset)

    def _say_away(self, error: Exception) -> None:
        if not self._away:
            kind = type(error.__cause__ or error).__name__
            logger.error("Rate limits are not kept: their store cannot be reached (%s)", kind)
        self._away = True


def tokens_of(usage: Usage) -> int:
    """Input and output tokens of a call, as a limit counts them."""
    return usage.input_tokens + usage.output_tokens
