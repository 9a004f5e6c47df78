"""Limits on requests and tokens a minute, by key: shared over Redis, or in this process alone.

Requests that manage the service have a limit of their own, and so have wrong keys for it.
"""

from __future__ import annotations

import logging
import time
import uuid
from contextvars import ContextVar
from dataclasses import dataclass
from math import ceil
from typing import Any

from limits import RateLimitItemPerMinute
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from limits.errors import StorageError
from limits.storage import storage_from_string

from optimizer.access.token_windows import MemoryWindows, RedisWindows, TokenWindow, TokenWindows
from optimizer.domain.client import Client
from optimizer.shared.log_once import LogOnce
from optimizer.shared.redis import connect, in_time
from providers.completion import Usage

logger = logging.getLogger(__name__)

_REQUESTS, _TOKENS = "requests", "tokens"
_MANAGEMENT, _WRONG_KEYS = "management", "wrong API keys"
_MOST_WRONG_KEYS = 20
"""A minute, from one address."""


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
    """A limit is reached; ``retry_after`` is in whole seconds. ``whose`` limit it is.

    ``needed`` are the tokens that the request may use, 0 if that is not known yet.
    ``recorded_for`` is the id of the request that was refused, once it is known.
    """

    def __init__(
        self,
        window: RateWindow,
        windows: list[RateWindow],
        *,
        needed: int = 0,
        recorded_for: uuid.UUID | None = None,
        whose: str = "This API key's",
    ) -> None:
        seconds = max(1, ceil(window.reset))
        limit = f"{whose} limit of {window.limit} {window.what} a minute"
        if needed > window.limit:
            reason = (
                f"{limit} is less than the {needed} tokens that this request may use, so it is "
                f"served only when no other request has used the minute. "
                f"Try again in {seconds} seconds, or set a lower max_tokens."
            )
        elif needed:
            reason = (
                f"This request may use {needed} tokens, and {window.remaining} of "
                f"this API key's limit of {window.limit} {window.what} a minute are left. "
                f"Try again in {seconds} seconds."
            )
        else:
            reason = f"{limit} is reached. Try again in {seconds} seconds."
        super().__init__(reason)
        self.windows = windows
        self.retry_after = seconds
        self.recorded_for = recorded_for


# What the gatekeeper sends as headers of this request: a reservation changes it in place.
_CURRENT: ContextVar[list[RateWindow] | None] = ContextVar("rate windows", default=None)


@dataclass(frozen=True, slots=True)
class _Reserved:
    """Tokens taken for a request in progress, and the window that they were taken from."""

    window: str
    tokens: int


_NOTHING_RESERVED = _Reserved("", 0)


class RateLimits:
    """Limits requests and tokens a minute, by API key.

    A request takes the most tokens that it is expected to use before a model is called, and
    what it did not use is given back at its end, so that requests which arrive at once do not
    pass the limit together. A request that may use more than the whole limit is served while
    nothing else has been counted in the minute.

    The counts are shared over ``redis_url``; without one, each process counts for itself.
    If the store cannot be reached, requests pass and an error is logged: a missing limit
    does less harm than an outage. ``manage_per_minute`` is each key's limit of requests that
    manage the service.
    """

    def __init__(self, redis_url: str = "", manage_per_minute: int = 300) -> None:
        self._manage_per_minute = manage_per_minute
        self._pool: Any = None
        uri, options = "async+memory://", {}
        if redis_url:
            self._pool = connect(redis_url).connection_pool
            uri = f"async+{redis_url}"
            options = {"implementation": "redispy", "connection_pool": self._pool}
        storage: Any = storage_from_string(uri, wrap_exceptions=True, **options)
        self._requests = SlidingWindowCounterRateLimiter(storage)
        self._shared = RedisWindows(redis_url) if redis_url else None
        self._tokens: TokenWindows = self._shared or MemoryWindows()
        self._reserved: dict[uuid.UUID, _Reserved] = {}
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
        _CURRENT.set(windows)
        return windows

    async def admit_management(self, key: str) -> list[RateWindow]:
        """Count a request that manages the service with a valid key, and return its windows.

        Raises :class:`RateLimitExceeded`.
        """
        window, allowed = await self._count(_MANAGEMENT, _REQUESTS, self._manage_per_minute, key)
        if window is None:
            return []
        if not allowed:
            raise RateLimitExceeded(window, [window], whose="This API key's management")
        return [window]

    async def count_wrong_key(self, address: str) -> None:
        """Count a request to manage the service without a valid key.

        Raises :class:`RateLimitExceeded` for an address with many. Right keys from there are
        served all the same: nobody is to lock others out, and keys are too long to be guessed.
        """
        window, allowed = await self._count(_WRONG_KEYS, _WRONG_KEYS, _MOST_WRONG_KEYS, address)
        if window is not None and not allowed:
            raise RateLimitExceeded(window, [], whose="This address's")

    async def reserve(self, client: Client, request_id: uuid.UUID, tokens: int) -> None:
        """Take the ``tokens`` that a request may use. Raises :class:`RateLimitExceeded`.

        :meth:`settle` must follow, however the request ends.
        """
        limit = client.tokens_per_minute
        if limit is None:
            return
        try:
            taken = await in_time(self._tokens.take(client.key, limit, tokens))
        except (StorageError, TimeoutError) as error:
            self._log_unenforced(error)
            self._reserved[request_id] = _NOTHING_RESERVED
            return
        window = self._show(limit, taken)
        if not taken.allowed:
            windows = _CURRENT.get() or [window]
            raise RateLimitExceeded(window, windows, needed=tokens, recorded_for=request_id)
        self._reserved[request_id] = _Reserved(taken.id, tokens)

    async def reserve_more(self, client: Client, request_id: uuid.UUID, tokens: int) -> bool:
        """Take ``tokens`` more for a request that has a reservation; return whether it got them."""
        limit, reserved = client.tokens_per_minute, self._reserved.get(request_id)
        if limit is None or reserved is None or reserved is _NOTHING_RESERVED:
            return True
        try:
            taken = await in_time(self._tokens.take(client.key, limit, tokens))
        except (StorageError, TimeoutError) as error:
            self._log_unenforced(error)
            return True
        self._show(limit, taken)
        if taken.allowed:
            self._reserved[request_id] = _Reserved(reserved.window, reserved.tokens + tokens)
        return taken.allowed

    async def settle(self, client: Client, request_id: uuid.UUID, tokens: int) -> None:
        """Replace what a request has reserved by the input and output tokens that it used.

        It counts once: a request without a reservation, or settled already, is not changed.
        """
        limit = client.tokens_per_minute
        reserved = self._reserved.pop(request_id, None)
        if limit is None or reserved is None or tokens == reserved.tokens:
            return
        change = tokens - reserved.tokens
        try:
            settled = await in_time(self._tokens.settle(client.key, reserved.window, change))
        except (StorageError, TimeoutError) as error:
            self._log_unenforced(error)
            return
        self._show(limit, settled)

    async def aclose(self) -> None:
        """Close the connections to Redis."""
        if self._pool is not None:
            await self._pool.aclose()
        if self._shared is not None:
            await self._shared.aclose()

    async def _admit(self, client: Client) -> list[RateWindow]:
        windows, reached = [], None
        if client.tokens_per_minute is not None:
            # Tokens first: a request that this limit refuses must not count as a request.
            state = await self._tokens.take(client.key, client.tokens_per_minute, 0)
            windows.append(_token_window(client.tokens_per_minute, state))
            reached = None if state.allowed else windows[-1]
        if client.requests_per_minute is not None:
            limit = RateLimitItemPerMinute(client.requests_per_minute)
            allowed = reached is not None or await self._requests.hit(limit, _REQUESTS, client.key)
            stats = await self._requests.get_window_stats(limit, _REQUESTS, client.key)
            reset = max(0.0, stats.reset_time - time.time())
            windows.append(RateWindow(_REQUESTS, limit.amount, max(0, stats.remaining), reset))
            reached = reached or (None if allowed else windows[-1])
        if reached is not None:
            raise RateLimitExceeded(reached, windows)
        return windows

    async def _count(
        self, kind: str, what: str, most: int, subject: str
    ) -> tuple[RateWindow | None, bool]:
        """Count one of ``kind`` for ``subject``; return its window, and whether it is allowed.

        The window is ``None`` if the store cannot be reached.
        """
        limit = RateLimitItemPerMinute(most)
        try:
            allowed = await in_time(self._requests.hit(limit, kind, subject))
            stats = await in_time(self._requests.get_window_stats(limit, kind, subject))
        except (StorageError, TimeoutError) as error:
            self._log_unenforced(error)
            return None, True
        self._unenforced.resolved()
        reset = max(0.0, stats.reset_time - time.time())
        return RateWindow(what, most, max(0, stats.remaining), reset), allowed

    @staticmethod
    def _show(limit: int, state: TokenWindow) -> RateWindow:
        """Return the window of tokens, and show it in the headers of the current request."""
        window = _token_window(limit, state)
        current = _CURRENT.get()
        for place, shown in enumerate(current or ()):
            if current is not None and shown.what == _TOKENS:
                current[place] = window
        return window

    def _log_unenforced(self, error: Exception) -> None:
        kind = type(error.__cause__ or error).__name__
        self._unenforced.log(
            "Rate limits are not enforced: their store cannot be reached (%s)", kind
        )


def _token_window(limit: int, state: TokenWindow) -> RateWindow:
    return RateWindow(_TOKENS, limit, max(0, limit - state.used), state.reset)


def tokens_of(usage: Usage) -> int:
    """Return the tokens of a call that count against a limit: input plus output."""
    return usage.total_input_tokens + usage.total_output_tokens
