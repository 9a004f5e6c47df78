"""Two real workers answer one session in turn, and change nothing that one alone would do."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from django.db import connection as tests_connection

from tests.fakes.server import FakeProvider, Reply
from tests.fakes.wires import anthropic_message
from tests.optimizer.gateway.test_session_states import ask, circle, conversation_turns, model
from tests.patience import eventually
from tests.running import Running, client_of

LIMIT = 0.0005


class Workers:
    """Two workers, each a service of its own, over one database and, if there is one, one Redis."""

    def __init__(self, folder: Path, upstream: str, database: str) -> None:
        self.environment = {
            "AUTH": "off", "WORKERS": "1", "RESPONSE_CACHE": "off", "LOCAL_PROVIDER": "off",
            "CACHE_URL": os.environ.get("CACHE_URL", "locmemcache://"),
        }  # fmt: skip
        self.upstream, self.folder, self.database = upstream, folder, database
        self.services: list[Running] = []
        self.clients: list[httpx.AsyncClient] = []

    async def begin(self) -> None:
        for name in ("one", "two"):
            folder = self.folder / name
            folder.mkdir()
            own = {"DATABASE_URL": self.database} if self.database or self.services else {}
            if self.services and not self.database:
                own = {"DATABASE_URL": f"sqlite:///{self.services[0].database}"}
            self.services.append(Running(folder, self.upstream, **self.environment, **own))
            self.clients.append(client_of(self.services[-1].port))
            # The first one has migrated the database then.
            await self.services[-1].ready(self.clients[-1])

    async def restart(self, place: int) -> None:
        """Kill a worker amid a session, and start it anew."""
        self.services[place].kill()
        self.services[place].start()
        await self.services[place].ready(self.clients[place])

    async def end(self) -> None:
        for client in self.clients:
            await client.aclose()
        for service in self.services:
            service.kill()

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        if self.database:
            import psycopg

            with psycopg.connect(self.database) as opened:
                return opened.execute(statement).fetchall()
        with sqlite3.connect(self.services[0].database, timeout=30) as opened:
            rows = opened.execute(statement).fetchall()
        opened.close()
        return rows


@contextmanager
def _own_database() -> Iterator[str]:
    """A database of its own on the tests' PostgreSQL; empty for SQLite, in the service's folder."""
    if tests_connection.vendor != "postgresql":
        yield ""
        return
    import psycopg

    server, name = urlsplit(os.environ["DATABASE_URL"]), f"two_workers_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(server.geturl(), autocommit=True) as opened:
        opened.execute(f"CREATE DATABASE {name}")
        yield server._replace(path=f"/{name}").geturl()
        opened.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
async def workers(tmp_path: Path, fakes: dict[str, FakeProvider]) -> AsyncIterator[Workers]:
    with _own_database() as database:
        pair = Workers(tmp_path, fakes["claude"].url, database)
        try:
            await pair.begin()
            yield pair
        finally:
            await pair.end()


def session(name: str) -> dict[str, Any]:
    return {"headers": {"x-claude-code-session-id": name}}


async def test_alternate_turns_and_a_restart_change_no_choice(
    workers: Workers, fakes: dict[str, FakeProvider]
) -> None:
    usage = {"input_tokens": 100, "cache_read_input_tokens": 20_000, "output_tokens": 60}
    fakes["claude"].always(Reply(anthropic_message("m", usage=usage)))
    turns = [*conversation_turns(), *(circle(rounds) for rounds in (1, 2, 3, 4))]
    alone = [model(await ask(workers.clients[0], *t, **session("alone-2"))) for t in turns]
    in_turn = []
    for number, asked in enumerate(turns):
        if number in (3, 9):
            await workers.restart(number % 2)
        client = workers.clients[number % 2]
        in_turn.append(model(await ask(client, *asked, **session("in-turn-1"))))
    assert in_turn == alone
    assert len(set(alone)) > 1, "the conversation must leave a choice"
    sums = "SELECT requests, cost, last_model FROM sessions WHERE sub_agent = ''"
    first, second = workers.rows(sums)
    assert first == second
    moves = workers.rows("SELECT session_id, model, moved_to FROM session_stalls ORDER BY 1")
    assert len({row[1:] for row in moves}) == 1


async def test_parallel_sub_agents_on_both_never_pass_the_sessions_limit(workers: Workers) -> None:
    workers.services[0].manage(
        "budgets", "add", "agents", "--scope", "session", "--limit", str(LIMIT)
    )

    agent = {"user-agent": "claude-cli/2.1.332 (external, cli)"}

    async def asked(place: int, words: str, most: int, **headers: str) -> int:
        body = {"model": "claude-haiku-5-5", "max_tokens": most,
                "messages": [{"role": "user", "content": words}]}  # fmt: skip
        client = workers.clients[place]
        reply = await client.post("/v1/messages", json=body, headers={**agent, **headers})
        return reply.status_code

    async def both_know() -> bool:
        other = {"x-claude-code-session-id": "seen"}
        return {await asked(place, "x", 60_000, **other) for place in (0, 1)} == {402}

    await eventually(both_know)

    async def sub_agent(number: int) -> int:
        headers = {"x-claude-code-session-id": "run", "x-claude-code-agent-id": f"a{number}"}
        return await asked(number % 2, f"search {number}", 100, **headers)

    statuses = await asyncio.gather(*(sub_agent(number) for number in range(60)))
    assert set(statuses) == {200, 402}
    (row,) = workers.rows(
        "SELECT cost, requests FROM sessions WHERE session_id = 'run' AND sub_agent = ''"
    )
    assert 0 < float(row[0]) <= LIMIT
    assert row[1] == statuses.count(200)
