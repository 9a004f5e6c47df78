"""Clients that ask without a pause, and what they were told."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import httpx

from tests.faults.servers import Postgres
from tests.patience import eventually


class Crowd:
    """``delivered`` is what each answered request was said to cost, by its id."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http
        self._numbers = itertools.count()
        self.delivered: dict[str, Decimal] = {}
        self.statuses: Counter[int] = Counter()
        self.broken = 0

    @asynccontextmanager
    async def asking(self, clients: int = 16, pause: float = 0.0) -> AsyncIterator[None]:
        """Meanwhile."""
        over = asyncio.Event()
        running = [asyncio.create_task(self._ask_on(over, pause)) for _ in range(clients)]
        try:
            yield
        finally:
            over.set()
            await asyncio.gather(*running)

    async def more(self, count: int) -> None:
        """Until so many more have been answered."""
        wanted = len(self.delivered) + count
        await eventually(lambda: len(self.delivered) >= wanted)

    async def _ask_on(self, over: asyncio.Event, pause: float) -> None:
        while not over.is_set():
            await self.ask()
            await asyncio.sleep(pause)

    async def ask(self) -> httpx.Response | None:
        number = next(self._numbers)
        # Some are asked twice: the second time by the cache.
        asked = number // 2 if number % 4 == 0 else number
        try:
            response = await self._http.post("/complete", json={"prompt": f"What is {asked}?"})
        except httpx.TransportError:
            self.broken += 1
            return None
        self.statuses[response.status_code] += 1
        if response.status_code == 200:
            body = response.json()
            self.delivered[body["request_id"]] = Decimal(str(body["cost"]))
        return response


async def all_recorded(postgres: Postgres, crowd: Crowd) -> None:
    """Each delivered answer has its row with the cost that was told; the days add up."""

    def missing() -> set[str]:
        return set(crowd.delivered) - {row[0] for row in _recorded(postgres)}

    await eventually(lambda: not missing())
    costs = {pk: cost for pk, cost, _ in _recorded(postgres)}
    wrong = {
        pk: (said, costs[pk])
        for pk, said in crowd.delivered.items()
        if round(said, 9) != round(costs[pk], 9)
    }
    assert not wrong
    ((rows, cost),) = postgres.rows("SELECT count(*), sum(cost) FROM requests")
    assert postgres.rows("SELECT sum(requests), sum(cost) FROM daily_totals") == [(rows, cost)]


def _recorded(postgres: Postgres) -> list[tuple[Any, ...]]:
    return postgres.rows("SELECT id::text, cost, status FROM requests")
