"""Workers, PostgreSQL and Redis are killed or hang amid requests; nothing delivered goes
unrecorded."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from tests.faults.conftest import Serve
from tests.faults.crowd import Crowd, all_recorded
from tests.faults.servers import Postgres, RedisServer
from tests.patience import eventually


async def test_a_worker_is_killed(serve: Serve, postgres: Postgres) -> None:
    service, client = await serve()
    crowd = Crowd(client)
    async with crowd.asking():
        for _ in range(3):
            await crowd.more(40)
            workers = await eventually(service.workers)
            os.kill(workers[0], signal.SIGKILL)
        # Whoever is left answers, and another takes the dead one's place.
        await crowd.more(40)
        await eventually(lambda: len(service.workers()) == 2)
    assert set(crowd.statuses) == {200}
    assert service.process.poll() is None
    await all_recorded(postgres, crowd)


async def test_postgresql_is_killed_and_comes_back(serve: Serve, postgres: Postgres) -> None:
    service, client = await serve()
    crowd = Crowd(client)
    async with crowd.asking(pause=0.02):
        await crowd.more(60)
        await asyncio.to_thread(postgres.kill)
        # Answers go on without it: their records wait on disk.
        await crowd.more(200)
        health = await client.get("/health")
        assert (health.status_code, health.json()["database"]) == (503, "unavailable")
        ready = await client.get("/ready")
        assert (ready.status_code, ready.json()["status"]) == (200, "ready")
        await asyncio.to_thread(postgres.start)
        await crowd.more(60)
        await service.ready(client)
    assert set(crowd.statuses) == {200}
    await all_recorded(postgres, crowd)
    assert service.process.poll() is None


async def test_postgresql_hangs_and_goes_on(serve: Serve, postgres: Postgres) -> None:
    service, client = await serve()
    crowd = Crowd(client)
    async with crowd.asking(pause=0.02):
        await crowd.more(60)
        postgres.freeze()
        # Whoever waits for it is let go; then answers go on as without it.
        await crowd.more(200)
        ready = await client.get("/ready")
        assert (ready.status_code, ready.json()["status"]) == (200, "ready")
        postgres.thaw()
        await crowd.more(60)
        await service.ready(client)
    assert set(crowd.statuses) == {200}
    await all_recorded(postgres, crowd)
    assert service.process.poll() is None


async def test_everything_is_killed_while_records_wait(serve: Serve, postgres: Postgres) -> None:
    service, client = await serve()
    crowd = Crowd(client)
    async with crowd.asking(pause=0.02):
        await crowd.more(30)
        await asyncio.to_thread(postgres.kill)
        await crowd.more(60)
    service.kill()
    await asyncio.to_thread(postgres.start)
    # Whoever comes next writes what waited.
    service.start()
    await service.ready(client)
    await all_recorded(postgres, crowd)


@pytest.mark.parametrize("dies", [True, False], ids=["is killed", "hangs"])
async def test_redis_goes_and_comes_back(
    serve: Serve, postgres: Postgres, redis: RedisServer, dies: bool
) -> None:
    service, client = await serve()
    crowd = Crowd(client)
    async with crowd.asking(pause=0.01):
        await crowd.more(60)
        await asyncio.to_thread(redis.kill if dies else redis.freeze)
        await crowd.more(100)
        assert (await client.get("/ready")).status_code == 200
        health = (await client.get("/health")).json()
        assert (health["cache"], health["database"]) == ("unavailable", "ok")
        await asyncio.to_thread(redis.start if dies else redis.thaw)
        await crowd.more(60)
        await service.ready(client)
    assert set(crowd.statuses) == {200}
    await all_recorded(postgres, crowd)
