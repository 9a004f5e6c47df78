"""The real process: started by its command, killed in the middle, locked out of its database."""

from __future__ import annotations

import asyncio
import re
import signal
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from django.db import connection

from analytics.ledger.ledger import Ledger
from optimizer.wiring.build import get_services
from optimizer.wiring.installation.folders import journal
from tests.fakes.server import FakeProvider, Reply
from tests.fakes.streams import anthropic_stream
from tests.fakes.wires import ANSWER, anthropic_message, anthropic_wire
from tests.patience import PATIENCE, eventually
from tests.running import Running, own_database

pytestmark = own_database

PROMPT = {"prompt": "What is the capital of France?"}


@pytest.fixture
async def upstream() -> AsyncIterator[FakeProvider]:
    async with FakeProvider(anthropic_wire) as fake:
        yield fake


@pytest.fixture
async def running(
    tmp_path: Path, upstream: FakeProvider
) -> AsyncIterator[tuple[Running, httpx.AsyncClient]]:
    service = Running(tmp_path, upstream.url)
    base = f"http://127.0.0.1:{service.port}"
    async with httpx.AsyncClient(base_url=base, timeout=PATIENCE) as client:
        await service.ready(client)
        yield service, client
    service.kill()


async def test_a_crash_loses_no_record_of_a_delivered_answer(
    running: tuple[Running, httpx.AsyncClient],
) -> None:
    service, client = running
    delivered: list[str] = []

    async def ask(worker: int) -> None:
        for number in range(1000):
            try:
                answer = await client.post("/complete", json={"prompt": f"{worker}-{number}?"})
            except httpx.TransportError:
                return
            delivered.append(answer.json()["request_id"].replace("-", ""))

    workers = [asyncio.create_task(ask(n)) for n in range(8)]
    while len(delivered) < 60:
        await asyncio.sleep(0.01)
    service.process.kill()
    await asyncio.gather(*workers)
    service.stop(signal.SIGKILL)
    assert len(delivered) >= 60
    assert set(delivered) <= service.recorded()


async def test_a_crash_loses_no_record_of_a_stream_that_came_to_its_end(
    running: tuple[Running, httpx.AsyncClient],
) -> None:
    service, client = running
    ended: list[str] = []

    async def listen(worker: int) -> None:
        for number in range(1000):
            body = {
                "model": "auto", "stream": True,
                "messages": [{"role": "user", "content": f"{worker}-{number}?"}],
            }  # fmt: skip
            try:
                async with client.stream("POST", "/v1/chat/completions", json=body) as response:
                    async for line in response.aiter_lines():
                        if '"finish_reason":"stop"' in line:
                            ended.append(response.headers["x-request-id"].replace("-", ""))
            except httpx.TransportError:
                return

    listeners = [asyncio.create_task(listen(n)) for n in range(8)]
    while len(ended) < 60:
        await asyncio.sleep(0.01)
    service.process.kill()
    await asyncio.gather(*listeners)
    service.stop(signal.SIGKILL)
    assert len(ended) >= 60
    assert set(ended) <= service.recorded()


async def test_nobody_says_where_they_are_but_a_proxy_that_is_trusted(
    running: tuple[Running, httpx.AsyncClient],
) -> None:
    service, client = running
    said = service.manage("create_key", "elsewhere", "--address", "10.9.9.9")
    (key,) = re.findall(r"\baco_\S+", said)
    head = {"Authorization": f"Bearer {key}", "X-Forwarded-For": "10.9.9.9"}

    async def asked() -> int:
        return (await client.post("/complete", json=PROMPT, headers=head)).status_code

    async def refused() -> bool:
        # Until the key is heard of there is none, and whoever is on this machine is served.
        return await asked() == 403

    await eventually(refused)


async def test_a_shutdown_lets_a_stream_come_to_its_end(
    running: tuple[Running, httpx.AsyncClient], upstream: FakeProvider
) -> None:
    service, client = running
    chunks = anthropic_stream(anthropic_message("m", ANSWER * 30))
    upstream.next(Reply(chunks=chunks, pause=0.005))
    body = {
        "model": "auto", "stream": True, "messages": [{"role": "user", "content": "Hello"}],
    }  # fmt: skip
    text = ""
    async with client.stream("POST", "/v1/chat/completions", json=body) as response:
        async for line in response.aiter_lines():
            if not text:
                service.process.send_signal(signal.SIGTERM)
            text += line
    assert text.endswith("data: [DONE]")
    await asyncio.to_thread(service.process.wait, 30)
    assert response.headers["x-request-id"].replace("-", "") in service.recorded()


async def test_a_second_start_loses_nothing_and_prints_no_password_again(
    running: tuple[Running, httpx.AsyncClient],
) -> None:
    service, client = running
    first = (await client.post("/complete", json=PROMPT)).json()
    said = service.stop()
    assert "Administrator created: admin / " in said
    assert service.process.returncode in (0, -signal.SIGTERM)
    service.start()
    await service.ready(client)
    again = (await client.post("/complete", json=PROMPT)).json()
    assert again["cache_hit"] is True
    assert again["original_cost"] == first["cost"]
    assert "Administrator created" not in service.stop()


async def test_a_database_that_is_really_locked_costs_no_answer_and_no_record(
    running: tuple[Running, httpx.AsyncClient],
) -> None:
    service, client = running
    await client.post("/complete", json=PROMPT)
    locker = sqlite3.connect(service.database, isolation_level=None)
    locker.execute("BEGIN EXCLUSIVE")
    answers = [
        (await client.post("/complete", json={"prompt": f"And {n}?"})).json() for n in range(3)
    ]
    hit = (await client.post("/complete", json=PROMPT)).json()
    locker.execute("COMMIT")
    locker.close()
    assert all(a["response"] and a["cost"] > 0 for a in answers)
    assert hit["cache_hit"] is True
    assert answers[2]["total_cost_today"] > answers[0]["total_cost_today"]
    service.stop()
    service.start()
    await service.ready(client)
    await client.post("/complete", json={"prompt": "Anything else?"})
    assert {a["request_id"].replace("-", "") for a in [*answers, hit]} <= service.recorded()


@pytest.mark.skipif(connection.vendor != "postgresql", reason="locks a PostgreSQL table")
async def test_a_locked_postgresql_table_is_waited_for_only_so_long(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    import psycopg

    await client.post("/complete", json=PROMPT)
    # The writer keeps its connection; a new one takes the short time-out.
    monkeypatch.setitem(connection.settings_dict["OPTIONS"], "options", "-c lock_timeout=200ms")
    ledger = Ledger(journal())
    monkeypatch.setattr(get_services().routing._accounting, "_ledger", ledger)
    where = connection.settings_dict
    locker = psycopg.connect(
        host=where["HOST"], port=where["PORT"], user=where["USER"],
        password=where["PASSWORD"] or None, dbname=where["NAME"],
    )  # fmt: skip
    try:
        locker.execute("LOCK TABLE requests IN ACCESS EXCLUSIVE MODE")
        answer = await client.post("/complete", json={"prompt": "And of Spain?"})
        assert answer.status_code == 200
        assert ledger.journal_backlog
    finally:
        locker.close()
        ledger.close()
