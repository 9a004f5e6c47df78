"""Reports read a replica, where there is one; requests never do."""

from __future__ import annotations

import shutil
import signal
import sqlite3
from pathlib import Path

from analytics.database.replicas import ReplicaRouter, reading_elsewhere
from tests.fakes.server import FakeProvider
from tests.fakes.wires import anthropic_wire
from tests.running import Running, client_of, own_database

PROMPT = {"prompt": "What is the capital of France?"}


def test_without_a_replica_nothing_changes() -> None:
    with reading_elsewhere():
        assert ReplicaRouter().db_for_read(object) is None


@own_database
async def test_reports_say_what_the_replica_knows(tmp_path: Path) -> None:
    async with FakeProvider(anthropic_wire) as upstream:
        replica = tmp_path / "replica.sqlite3"
        service = Running(
            tmp_path, upstream.url, DATABASE_REPLICA_URL=f"sqlite:///{replica}", AUTH="off"
        )
        async with client_of(service.port) as client:
            await service.ready(client)
            first = (await client.post("/complete", json=PROMPT)).json()
            with sqlite3.connect(service.database) as database:
                database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            shutil.copy(service.database, replica)
            again = (await client.post("/complete", json=PROMPT)).json()
            # The cache is read where it is written, and so is today's sum.
            assert again["cache_hit"]
            assert again["total_cost_today"] == first["total_cost_today"] > 0
            overall = (await client.get("/stats")).json()["overall"]
            assert overall["total_requests"] == 1
        assert len(service.recorded()) == 2
        said = service.manage("routing_report", "--format", "json")
        assert '"requests": 1' in said
        service.stop(signal.SIGTERM)
