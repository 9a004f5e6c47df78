"""A limit that one worker gets with a key is respected by all."""

from __future__ import annotations

import os

import pytest

from optimizer.shared.spared_keys import SharedKeys
from providers.errors import RateLimited
from providers.http.key_pool import KeyPool
from tests.patience import eventually

REDIS = os.environ.get("CACHE_URL", "")


async def limited_once(pool: KeyPool) -> str:
    async def call(key: str) -> str:
        if key == "a":
            raise RateLimited(pool.provider, "received too many requests", retry_after=60.0)
        return key

    return await pool.first(call)


@pytest.mark.skipif(not REDIS.startswith("redis"), reason="needs Redis")
async def test_another_worker_spares_the_key_too() -> None:
    here, there = KeyPool("openai", ["a", "b"]), KeyPool("openai", ["a", "b"])
    workers = [SharedKeys([here], REDIS), SharedKeys([there], REDIS)]
    for worker in workers:
        worker.begin()
    await eventually(lambda: all(w._channel is not None and w._channel.joined for w in workers))
    assert await limited_once(here) == "b"
    await eventually(lambda: bool(there.spared()))
    assert 55 < there.spared()[0] <= 60
    for worker in workers:
        await worker.aclose()


async def test_without_redis_each_worker_has_its_own() -> None:
    pool = KeyPool("openai", ["a", "b"])
    shared = SharedKeys([pool])
    shared.begin()
    assert await limited_once(pool) == "b"
    assert list(pool.spared()) == [0]
    await shared.aclose()
