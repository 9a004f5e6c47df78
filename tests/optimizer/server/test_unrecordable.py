"""While nothing can be recorded, no provider is called; service goes on by itself."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.db import OperationalError
from django.urls import reverse

from analytics.access.roles import ANALYST
from analytics.ledger import ledger as ledger_module
from analytics.ledger.journal import Journal
from analytics.ledger.write_health import RecordsUnavailable
from optimizer.wiring.build import get_services
from routing.models import ModelRef
from tests.conftest import Start, logged_in
from tests.fakes.server import Asked, FakeProvider, Reply
from tests.fakes.wires import anthropic_wire, openai_error
from tests.patience import eventually
from tests.running import Running, client_of, own_database

CHAT = {"model": "claude-haiku-5-5", "messages": [{"role": "user", "content": "What is Paris?"}]}
GEMINI = {"contents": [{"parts": [{"text": "What is Paris?"}]}]}
BODIES = {
    "/complete": {"prompt": "What is Paris?"},
    "/v1/chat/completions": CHAT,
    "/v1/responses": {"model": "claude-haiku-5-5", "input": "What is Paris?"},
    "/v1/embeddings": {"model": "text-embedding-3-small", "input": "What is Paris?"},
    "/v1/messages": {**CHAT, "max_tokens": 100},
    "/v1beta/models/claude-haiku-5-5:generateContent": GEMINI,
}


@pytest.mark.parametrize("path", BODIES)
async def test_no_provider_is_called_while_nothing_can_be_recorded(
    transactional_db: None,
    fakes: dict[str, FakeProvider],
    start: Start,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
) -> None:
    def fails() -> None:
        raise OperationalError("nothing can be written")

    client = await start()
    monkeypatch.setattr(Journal, "writable", lambda self: False)
    monkeypatch.setattr(ledger_module, "write_probe", fails)
    health = get_services().ledger.health
    health.database_failed()
    health.journal_failed()
    refused = await client.post(path, json=BODIES[path])
    assert refused.status_code == 503
    assert int(refused.headers["retry-after"]) >= 1
    assert "recorded" in refused.text
    assert (await client.get("/ready")).status_code == 503
    assert (await client.get("/health")).json()["records"] == "unavailable"
    assert not any(fake.asked for fake in fakes.values())
    monkeypatch.undo()
    # The probe that the service writes each second commits.
    await eventually(lambda: _served(client, path))
    assert (await client.get("/ready")).status_code == 200


@pytest.fixture
async def unrecordable(
    transactional_db: None, start: Start, monkeypatch: pytest.MonkeyPatch
) -> pytest.MonkeyPatch:
    """A service that can record nothing, until this is undone."""
    await start()
    monkeypatch.setattr(get_services().ledger.health, "can_record", False)
    monkeypatch.setattr(get_services().ledger.health, "decide", lambda: None)
    return monkeypatch


async def test_the_playground_says_why_it_calls_no_provider(
    fakes: dict[str, FakeProvider], unrecordable: pytest.MonkeyPatch
) -> None:
    client = await logged_in(ANALYST)
    body = json.dumps({"turns": [{"role": "user", "text": "Hi"}], "model": "claude-haiku-5-5"})
    url = reverse("admin:playground_run")
    refused = await client.post(url, body, content_type="application/json")
    assert refused.status_code == 503
    assert refused.json() == {"detail": str(RecordsUnavailable())}
    assert not any(fake.asked for fake in fakes.values())
    unrecordable.undo()
    answered = await client.post(url, body, content_type="application/json")
    assert answered.status_code == 200
    said = b"".join([piece async for piece in answered])
    assert b'"type": "end"' in said or b'"type":"end"' in said


async def test_a_connection_test_says_why_it_calls_no_provider(
    fakes: dict[str, FakeProvider], unrecordable: pytest.MonkeyPatch
) -> None:
    result = await get_services().connections.test("claude", "ann")
    assert not result.works
    assert result.words == str(RecordsUnavailable())
    assert not any(fake.asked for fake in fakes.values())
    unrecordable.undo()
    assert (await get_services().connections.test("claude", "ann")).works


async def test_no_fallback_is_called_once_nothing_can_be_recorded(
    transactional_db: None,
    fakes: dict[str, FakeProvider],
    start: Start,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = await start()
    health = get_services().ledger.health
    # The disk is well, so that a look in the pause before the fallback would let it pass.
    monkeypatch.setattr(health, "decide", lambda: None)

    def break_down(asked: Asked) -> Reply:
        health.can_record = False
        return openai_error(500)

    for fake in fakes.values():
        fake.wire = break_down
    failed = await client.post("/complete", json={"prompt": "What is Paris?"})
    assert failed.status_code == 503
    assert sum(len(fake.asked) for fake in fakes.values()) == 1


@pytest.mark.parametrize("path", ["/v1/responses/compact", "/v1/responses/input_tokens"])
async def test_what_is_passed_on_is_refused_too(
    fakes: dict[str, FakeProvider], unrecordable: pytest.MonkeyPatch, path: str
) -> None:
    with pytest.raises(RecordsUnavailable):
        await get_services().own_calls.pass_on(path, {}, ModelRef("openai", "gpt-5"))
    assert not any(fake.asked for fake in fakes.values())


async def _served(client: httpx.AsyncClient, path: str) -> bool:
    return (await client.post(path, json=BODIES[path])).status_code != 503


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no disk can be mounted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder: Path) -> Path:
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"\0" * 4096)
    return filler


@own_database
async def test_a_full_disk_ends_calls_before_they_are_paid_for(small_disk: Path) -> None:
    async with FakeProvider(anthropic_wire) as upstream:
        service = Running(small_disk, upstream.url, AUTH="off", RESPONSE_CACHE="off")
        client = client_of(service.port)
        try:
            await service.ready(client)
            asking: dict[str, Any] = {"json": {"prompt": "What is Paris?"}}
            assert (await client.post("/complete", **asking)).status_code == 200
            filler = await asyncio.to_thread(fill, small_disk)

            async def ready(status: int) -> bool:
                return (await client.get("/ready")).status_code == status

            await eventually(lambda: ready(503))
            calls = len(upstream.asked)
            for _ in range(5):
                refused = await client.post("/complete", **asking)
                assert (refused.status_code, refused.headers["retry-after"]) == (503, "2")
            assert len(upstream.asked) == calls
            filler.unlink()
            await eventually(lambda: ready(200))
            assert (await client.post("/complete", **asking)).status_code == 200
        finally:
            await client.aclose()
            await asyncio.to_thread(service.stop)
