"""Members of pools that one worker finds failing are spared by all."""

from __future__ import annotations

import asyncio

import pytest

from optimizer.shared.pools.members import SharedMembers
from providers.errors import AuthenticationFailed, RateLimited
from tests.optimizer.shared.test_spared_keys import REDIS
from tests.patience import eventually
from tests.providers.pools.building import MODEL, Clock, member, pool_of


@pytest.mark.skipif(not REDIS.startswith("redis"), reason="needs Redis")
async def test_what_one_worker_learns_all_respect() -> None:
    clock = Clock()
    here = pool_of(member("a"), member("b"), clock=clock)
    there = pool_of(member("a"), member("b"), clock=clock)
    workers = [SharedMembers({"openai": here}, REDIS), SharedMembers({"openai": there}, REDIS)]
    try:
        for worker in workers:
            worker.begin()
        await eventually(lambda: all(w._channel is not None and w._channel.joined for w in workers))
        here.fails(here.members[0], "", clock(), AuthenticationFailed("openai", "refused"))
        await eventually(lambda: there.spared_for(there.members[0]) == 300)
        limit = RateLimited("openai", "limits", retry_after=20)
        here.fails(here.members[1], MODEL, clock(), limit)
        await eventually(lambda: there.spared_for(there.members[1], MODEL) == 20)
        assert there.spared_for(there.members[1], "another") == 0
        clock.now += 21
        here.answers(here.members[1], MODEL, clock())
        await asyncio.sleep(0)
        assert there.spared_for(there.members[1], MODEL) == 0
    finally:
        for worker in workers:
            await worker.aclose()


async def test_without_redis_a_worker_has_its_own() -> None:
    pool = pool_of(member("a"), member("b"))
    shared = SharedMembers({"openai": pool})
    shared.begin()
    pool.fails(pool.members[0], MODEL, pool.clock(), AuthenticationFailed("openai", "refused"))
    assert pool.spared_for(pool.members[0]) == 300
    await shared.aclose()
