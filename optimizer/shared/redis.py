"""Redis, which workers share: how it is reached, and for how long it is waited for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

SECONDS = 1.0
"""Longer than a healthy Redis ever takes: what is asked of it is no reason to keep a client
waiting."""

Answer = TypeVar("Answer")


def connect(redis_url: str) -> Any:
    """A client of ``redis_url``, to be asked :func:`in_time`.

    It has no time limit of its own for a command: redis-py keeps that with
    ``asyncio.wait_for``, which up to Python 3.11 may lose a cancellation, so that a
    request whose time is up, or a worker that ends, would go on for ever.
    """
    from redis.asyncio import Redis

    return Redis.from_url(redis_url, socket_timeout=None, socket_connect_timeout=SECONDS)


async def in_time(asked: Awaitable[Answer]) -> Answer:
    """What ``asked`` gives. Raises :class:`TimeoutError` if it takes longer than a moment."""
    async with asyncio.timeout(SECONDS):
        return await asked
