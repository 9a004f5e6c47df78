"""Clients that ask a provider to hang, and leave: others are served, and a shutdown ends."""

from __future__ import annotations

import asyncio
import os
import re
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.conf import settings

from tests.fakes.server import Asked, FakeProvider, Reply
from tests.fakes.wires import anthropic_wire
from tests.patience import eventually
from tests.running import Running, client_of, own_database

pytestmark = own_database
PLACES = 8


def hang_if_asked(asked: Asked) -> Reply:
    answer = anthropic_wire(asked)
    if b"hang" in asked.raw:
        return Reply(answer.body, delay=3600)
    return answer


@pytest.fixture
async def upstream() -> AsyncIterator[FakeProvider]:
    async with FakeProvider(hang_if_asked) as provider:
        yield provider


@pytest.fixture
def service(tmp_path: Path, upstream: FakeProvider) -> Iterator[Running]:
    service = Running(
        tmp_path, upstream.url, ENV_FILE=os.devnull, AUTH="on", RESPONSE_CACHE="off",
        MAX_CONCURRENT_REQUESTS=str(PLACES),
    )  # fmt: skip
    yield service
    service.kill()


def key_of(service: Running, name: str) -> dict[str, str]:
    said = service.manage("create_key", name, "--team", name)
    (key,) = re.findall(r"\baco_\S+", said)
    return {"Authorization": f"Bearer {key}"}


def ask(client: httpx.AsyncClient, key: dict[str, str], text: str, seconds: float) -> Any:
    body = {"model": "claude-haiku-5-5", "messages": [{"role": "user", "content": text}]}
    return client.post("/v1/chat/completions", json=body, headers=key, timeout=seconds)


async def hang_and_leave(client: httpx.AsyncClient, key: dict[str, str], number: int) -> None:
    with suppress(httpx.TimeoutException):
        await ask(client, key, f"hang {number}", 1.0)


def rows(service: Running) -> list[tuple[str, str, float]]:
    """What failed, but for calls made before the service had learnt of their key."""
    with sqlite3.connect(service.database) as database:
        found = database.execute(
            "SELECT status, error_code, cost FROM requests"
            " WHERE error_code NOT IN ('', 'invalid_api_key')"
        ).fetchall()
    database.close()
    return found


async def keys_of_both(
    service: Running, client: httpx.AsyncClient
) -> tuple[dict[str, str], dict[str, str]]:
    """The keys of mallory, who leaves, and of ann, who is served by then."""
    await service.ready(client)
    mallory = await asyncio.to_thread(key_of, service, "mallory")
    ann = await asyncio.to_thread(key_of, service, "ann")
    await eventually(lambda: served(client, ann))
    return mallory, ann


async def test_another_tenant_is_served_beside_calls_of_clients_that_left(
    service: Running, upstream: FakeProvider
) -> None:
    async with client_of(service.port) as client:
        mallory, ann = await keys_of_both(service, client)
        for wave in range(10):
            numbers = range(PLACES * wave, PLACES * (wave + 1))
            await asyncio.gather(*(hang_and_leave(client, mallory, n) for n in numbers))
            answer = await ask(client, ann, f"What is {wave}?", 10.0)
            assert answer.status_code == 200, answer.text
        # Of what was left, no more goes on than half of the places, and the rest is recorded.
        left = sum(b"hang" in asked.raw for asked in upstream.asked)
        await eventually(lambda: len(rows(service)) >= left - PLACES // 2)
        assert all(cost > 0 for _, code, cost in rows(service) if code == "client_disconnected")


async def test_a_provider_is_silent_only_to_those_whose_calls_wait(
    service: Running, upstream: FakeProvider
) -> None:
    async with client_of(service.port) as client:
        mallory, ann = await keys_of_both(service, client)
        hanging = [asyncio.create_task(ask(client, mallory, f"hang {n}", 60)) for n in range(6)]
        await eventually(lambda: sum(b"hang" in asked.raw for asked in upstream.asked) == 6)

        async def silent() -> bool:
            return "claude" in (await client.get("/health")).json()["providers_silent"]

        await eventually(silent)
        refused = await ask(client, mallory, "What is Paris?", 10.0)
        assert (refused.status_code, "are waiting" in refused.text) == (503, True)
        assert (await ask(client, ann, "What is Paris?", 10.0)).status_code == 200
        for task in hanging:
            task.cancel()


async def test_a_shutdown_records_calls_of_clients_that_left_and_ends(service: Running) -> None:
    async with client_of(service.port) as client:
        await service.ready(client)
        ann = await asyncio.to_thread(key_of, service, "ann")
        await eventually(lambda: served(client, ann))
        await asyncio.gather(*(hang_and_leave(client, ann, n) for n in range(3)))
        assert rows(service) == []
    began = time.monotonic()
    await asyncio.to_thread(service.stop)
    assert time.monotonic() - began < 20
    assert [(status, code) for status, code, _ in rows(service)] == [
        ("error", "client_disconnected")
    ] * 3
    assert all(cost > 0 for _, _, cost in rows(service))


async def served(client: httpx.AsyncClient, key: dict[str, str]) -> bool:
    """Whether the key is known by now."""
    return bool((await ask(client, key, "Hello", 10.0)).status_code == 200)


def test_a_process_may_have_as_many_connections_as_the_system_allows() -> None:
    script = (
        "import resource as r; hard = r.getrlimit(r.RLIMIT_NOFILE)[1];"
        "r.setrlimit(r.RLIMIT_NOFILE, (256, hard));"
        "from optimizer.management.commands import serve; serve._allow_connections();"
        "soft, hard = r.getrlimit(r.RLIMIT_NOFILE); print(soft == min(hard, 65536))"
    )
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "optimizer.settings"}
    ran = subprocess.run(
        [sys.executable, "manage.py", "shell", "-v0", "-c", script],
        cwd=settings.BASE_DIR, env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert ran.stdout.strip() == "True", ran.stderr
