"""The connection to the shared Redis, and the time limit of its commands."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

SECONDS = 1.0
"""The time limit of a command: longer than a healthy Redis takes, short enough for clients."""

Answer = TypeVar("Answer")


def connect(redis_url: str) -> Any:
    """Return a client of ``redis_url``; await its commands with :func:`in_time`.

    The client itself has no time limit for commands. redis-py would use
    ``asyncio.wait_for``, which can lose a cancellation up to Python 3.11. A request that
    has timed out, or a worker that shuts down, would then never end.
    """
    from redis.asyncio import Redis

    return Redis.from_url(redis_url, socket_timeout=None, socket_connect_timeout=SECONDS)


async def in_time(command: Awaitable[Answer]) -> Answer:
    """Return the result of ``command``; raise :class:`TimeoutError` after :data:`SECONDS`."""
    async with asyncio.timeout(SECONDS):
        return await command
