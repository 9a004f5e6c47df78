"""Redis is not waited for when nobody waits any more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from django.conf import settings

from optimizer.access.rate_limits import RateLimits
from optimizer.domain.client import Client
from optimizer.monitoring.live.feed import Feed
from optimizer.shared.redis import in_time
from optimizer.shared.slots import RedisSlots
from tests.patience import PATIENCE

redis_url = settings.SHARED_STORE
pytestmark = pytest.mark.skipif(not redis_url, reason="needs Redis")
STEPS = range(60)
"""Of the event loop: a command takes fewer, so a task is cancelled wherever it may stand."""


async def cancelled_at_every_step(begin: Callable[[], Coroutine[Any, Any, None]]) -> None:
    for step in STEPS:
        task = asyncio.create_task(begin())
        for _ in range(step):
            await asyncio.sleep(0)
        task.cancel()
        done, _ = await asyncio.wait([task], timeout=PATIENCE)
        assert done, f"went on although cancelled after {step} steps"


async def test_who_asks_for_slots_can_be_cancelled_at_any_moment() -> None:
    slots = RedisSlots(redis_url)
    # A connection is there, so that the steps are those of the command.
    assert await slots.take("someone", 1_000_000)

    async def ask() -> None:
        while True:
            await slots.take("someone", 1_000_000)

    await cancelled_at_every_step(ask)
    await slots.aclose()


async def test_who_is_counted_can_be_cancelled_at_any_moment() -> None:
    limits = RateLimits(redis_url)
    one = Client(key="someone", requests_per_minute=1_000_000)
    assert await limits.admit(one)

    async def ask() -> None:
        while True:
            await limits.admit(one)

    await cancelled_at_every_step(ask)
    await limits.aclose()


async def test_listening_to_other_workers_ends_at_any_moment() -> None:
    for step in STEPS:
        feed = Feed(redis_url)
        with feed.watch():
            listening = feed._relay and feed._relay._channel._listening
            assert listening
            for _ in range(step):
                await asyncio.sleep(0)
        done, _ = await asyncio.wait([listening], timeout=PATIENCE)
        assert done, f"went on although ended after {step} steps"
        await feed.aclose()


async def test_an_answer_that_does_not_come_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("optimizer.shared.redis.SECONDS", 0.05)
    with pytest.raises(TimeoutError):
        await in_time(asyncio.sleep(PATIENCE))
