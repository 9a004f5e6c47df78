"""Limits on requests and tokens a minute, by key: shared over Redis, or in this process alone."""

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
from optimizer.shared.log_once import LogOnce
from optimizer.shared.redis import connect, in_time
from providers.completion import Usage

logger = logging.getLogger(__name__)

_REQUESTS, _TOKENS = "requests", "tokens"


@dataclass(frozen=True, slots=True)
class RateWindow:
    """A client's current window of one limit; ``what`` is its unit, ``reset`` is in seconds."""

    what: str
    limit: int
    remaining: int
    reset: float

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """Return the headers that the client libraries of OpenAI and Anthropic read."""
        resets_at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + self.reset))
        values = {"limit": str(self.limit), "remaining": str(self.remaining)}
        headers = [
            *((f"x-ratelimit-{name}-{self.what}", text) for name, text in values.items()),
            (f"x-ratelimit-reset-{self.what}", f"{self.reset:.3f}s"),
            *((f"anthropic-ratelimit-{self.what}-{name}", text) for name, text in values.items()),
            (f"anthropic-ratelimit-{self.what}-reset", resets_at),
        ]
        return [(name.encode(), text.encode()) for name, text in headers]


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
    """Limits requests and tokens a minute, by API key.

    The counts are shared over ``redis_url``; without one, each process counts for itself.
    If the store cannot be reached, requests pass and an error is logged: a missing limit
    does less harm than an outage.
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
        # It also counts what goes beyond the limit: tokens are known only once they are spent.
        self._tokens = FixedWindowRateLimiter(storage)
        self._unenforced = LogOnce(logger, logging.ERROR)

    async def admit(self, client: Client) -> list[RateWindow]:
        """Count a request and return the client's windows. Raises :class:`RateLimitExceeded`."""
        if client.requests_per_minute is None and client.tokens_per_minute is None:
            return []
        try:
            windows = await in_time(self._admit(client))
        except (StorageError, TimeoutError) as error:
            self._log_unenforced(error)
            return []
        self._unenforced.resolved()
        return windows

    async def spend(self, client: Client, tokens: int) -> None:
        """Count the input and output tokens that a client's request used."""
        if client.tokens_per_minute is None or not tokens:
            return
        limit = RateLimitItemPerMinute(client.tokens_per_minute)
        try:
            await in_time(self._tokens.hit(limit, _TOKENS, client.key, cost=tokens))
        except (StorageError, TimeoutError) as error:
            self._log_unenforced(error)

    async def aclose(self) -> None:
        """Close the connections to Redis."""
        if self._pool is not None:
            await self._pool.aclose()

    async def _admit(self, client: Client) -> list[RateWindow]:
        windows, reached = [], None
        if client.tokens_per_minute is not None:
            # Tokens first: a request that this limit refuses must not count as a request.
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
        stats = await limiter.get_window_stats(limit, what, client.key)
        reset = max(0.0, stats.reset_time - time.time())
        return RateWindow(what, limit.amount, max(0, stats.remaining), reset)

    def _log_unenforced(self, error: Exception) -> None:
        kind = type(error.__cause__ or error).__name__
        self._unenforced.log(
            "Rate limits are not enforced: their store cannot be reached (%s)", kind
        )


def tokens_of(usage: Usage) -> int:
    """Return the tokens of a call that count against a limit: input plus output."""
    return usage.input_tokens + usage.output_tokens
