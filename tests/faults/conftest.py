"""The service on servers that are a test's own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.fakes.server import FakeProvider
from tests.fakes.wires import anthropic_wire
from tests.faults.servers import Postgres, RedisServer
from tests.patience import eventually
from tests.running import Running, client_of


@pytest.fixture
def postgres(tmp_path: Path) -> Iterator[Postgres]:
    server = Postgres(tmp_path / "postgres")
    server.start()
    yield server
    server.kill()


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path / "redis.log")
    server.start()
    yield server
    server.kill()


@pytest.fixture
async def upstream() -> AsyncIterator[FakeProvider]:
    async with FakeProvider(anthropic_wire) as fake:
        yield fake


def readers(postgres: Postgres) -> int:
    """Workers that have read what they must know. Each reads it anew twice a second, on a
    connection of its own, and the prices last."""
    ((found,),) = postgres.rows(
        "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%FROM \"price_overrides\"%'"
        " AND pid <> pg_backend_pid()"
    )
    return int(found)


Serve = Callable[..., Any]


@pytest.fixture
async def serve(
    tmp_path: Path, postgres: Postgres, redis: RedisServer, upstream: FakeProvider
) -> AsyncIterator[Serve]:
    """``await serve(NAME="value")``: two workers that answer, and a client of theirs."""
    begun: list[tuple[Running, httpx.AsyncClient]] = []

    async def begin(folder: Path = tmp_path, **environment: str) -> tuple[Running, Any]:
        service = Running(
            folder,
            upstream.url,
            **{
                "DATABASE_URL": postgres.url,
                "CACHE_URL": redis.url,
                "WORKERS": "2",
                "AUTH": "off",
                "BREAKER_SECONDS": "1",
                **environment,
            },
        )
        client = client_of(service.port)
        begun.append((service, client))
        await service.ready(client)
        # Both of them: one that begins without a database cannot know whether there are budgets.
        await eventually(lambda: readers(postgres) >= 2)
        return service, client

    yield begin
    for service, client in begun:
        await client.aclose()
        service.kill()
