"""Several workers start, share the port, and record what each of them answers."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.fakes.server import FakeProvider
from tests.fakes.wires import anthropic_wire
from tests.running import Running, client_of, own_database


class _Two(Running):
    command = ("manage.py", "serve", "--prepare", "--workers", "2")


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[_Two]:
    async with FakeProvider(anthropic_wire) as upstream:
        service = _Two(tmp_path, upstream.url)
        yield service
        service.kill()


@own_database
async def test_two_workers_answer_and_record(running: _Two) -> None:
    async with client_of(running.port) as client:
        await running.ready(client)
        assert len(running.workers()) == 2
        bodies = [{"prompt": f"What is the capital of country {n}?"} for n in range(20)]
        answers = await asyncio.gather(*(client.post("/complete", json=b) for b in bodies))
    assert {answer.status_code for answer in answers} == {200}
    with sqlite3.connect(running.database) as database:
        (recorded,) = database.execute(
            "SELECT COUNT(*) FROM requests WHERE status = 'ok'"
        ).fetchone()
    database.close()
    assert recorded == 20
