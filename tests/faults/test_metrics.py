"""Metrics of several workers, also when one of them is no more."""

from __future__ import annotations

import os
import signal

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.faults.conftest import Serve
from tests.faults.crowd import Crowd
from tests.patience import eventually


async def counted(client: httpx.AsyncClient) -> float:
    text = (await client.get("/metrics")).text
    return sum(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "optimizer_requests_total"
    )


async def test_each_worker_tells_of_all_and_nothing_is_forgotten(serve: Serve) -> None:
    service, client = await serve()
    crowd = Crowd(client)
    async with crowd.asking():
        await crowd.more(60)
    served = len(crowd.delivered)
    # Whoever is asked.
    assert {await counted(client) for _ in range(20)} == {served}
    workers = await eventually(service.workers)
    os.kill(workers[0], signal.SIGKILL)
    await eventually(lambda: len(set(service.workers()) - {workers[0]}) == 2)

    async def told() -> bool:
        try:
            return await counted(client) == served
        except httpx.TransportError:
            return False  # it was connected to the dead one

    await eventually(told)
