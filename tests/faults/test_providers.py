"""Providers that hang, trickle, lie, send garbage, reset at each byte, or cannot be found."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.fakes.wires import KEY
from tests.faults.villain import (
    BODY,
    GOOD,
    Villain,
    hangs,
    resets_after,
    says,
    says_and_leaves,
    trickles,
    villain,
)  # fmt: skip
from tests.patience import eventually
from tests.running import Running, client_of

_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
_lot = random.Random(8)
DEEDS = {
    "hangs": hangs(),
    "trickles": trickles(GOOD, 0.05),
    "promises more than it sends": says_and_leaves(
        _HEAD + b"content-length: 100000\r\n\r\n" + BODY
    ),
    "sends less than promised, then another answer": says(
        _HEAD + b"content-length: 10\r\n\r\n" + BODY
    ),
    "has two lengths": says(_HEAD + b"content-length: 5\r\ncontent-length: 9\r\n\r\n" + BODY),
    "has a length that is none": says(_HEAD + b"content-length: many\r\n\r\n" + BODY),
    "cuts a chunk off": says_and_leaves(
        _HEAD + b"transfer-encoding: chunked\r\n\r\nffff\r\n" + BODY
    ),
    "sends garbage": says_and_leaves(_lot.randbytes(2000)),
    "sends garbage for a body": says(_HEAD + b"content-length: 200\r\n\r\n" + _lot.randbytes(200)),
    "says gzip of what is none": says(
        _HEAD + b"content-encoding: gzip\r\ncontent-length: %d\r\n\r\n%b" % (len(BODY), BODY)
    ),
    "speaks another protocol": says_and_leaves(b"220 mail.example ESMTP\r\n"),
    "never ends its head": says_and_leaves(b"HTTP/1.1 200 OK\r\n" + b"x-a: b\r\n" * 20_000),
    "leaves at once": says_and_leaves(b""),
}
MODEL = "claude-haiku-5-5"


@pytest.fixture
async def against(tmp_path: Path) -> AsyncIterator[tuple[Villain, Running, httpx.AsyncClient]]:
    """The service on a villain alone, impatient and without a memory of failures."""
    async with villain() as found:
        service = Running(
            tmp_path, found.url,
            PROVIDER_READ_TIMEOUT="1", REQUEST_DEADLINE="3", PROVIDER_RETRIES="0",
            BREAKER_FAILURES="100000", RESPONSE_CACHE="off",
        )  # fmt: skip
        async with client_of(service.port) as client:
            await service.ready(client)
            yield found, service, client
        if service.process.poll() is None:
            service.stop()


async def ask(client: httpx.AsyncClient, number: int = 0) -> httpx.Response:
    messages = [{"role": "user", "content": f"What is {number}?"}]
    body = {"model": MODEL, "messages": messages}
    return await client.post("/v1/chat/completions", json=body)


@pytest.mark.parametrize("deed", DEEDS)
async def test_what_it_does_is_told_recorded_and_over(
    deed: str, against: tuple[Villain, Running, httpx.AsyncClient]
) -> None:
    bad, service, client = against
    bad.deed = DEEDS[deed]
    answers = await asyncio.gather(*(ask(client, n) for n in range(20)))
    assert {answer.status_code for answer in answers} <= {502, 503, 504}
    assert all(answer.json()["error"]["message"] for answer in answers)
    # Then it mends its ways, and the service goes on as if nothing had been.
    bad.deed = says(GOOD)
    again = await asyncio.gather(*(ask(client, n) for n in range(20)))
    assert {answer.status_code for answer in again} == {200}
    recorded = service.recorded()
    for answer in (*answers, *again):
        assert answer.headers["x-request-id"].replace("-", "") in recorded


async def test_a_reset_at_each_byte(
    against: tuple[Villain, Running, httpx.AsyncClient],
) -> None:
    bad, service, client = against
    answers: list[httpx.Response] = []
    for at in range(0, len(GOOD), 3):
        bad.deed = resets_after(GOOD[:at])
        answers.append(await ask(client, at))
    assert {answer.status_code for answer in answers} == {503}
    bad.deed = resets_after(GOOD)  # all of it had arrived
    assert (await ask(client)).status_code == 200
    recorded = service.recorded()
    assert {a.headers["x-request-id"].replace("-", "") for a in answers} <= recorded
    assert len(recorded) == len(answers) + 1


async def test_a_name_that_is_nobody_s(tmp_path: Path) -> None:
    async with villain() as good:
        service = Running(
            tmp_path, "http://no-such-host.invalid",
            GROQ_API_KEY=KEY, GROQ_BASE_URL=f"{good.url}/v1", PROVIDER_RETRIES="0",
            BREAKER_FAILURES="100000",
        )  # fmt: skip
        async with client_of(service.port) as client:
            await service.ready(client)
            answers: list[Any] = await asyncio.gather(*(ask(client, n) for n in range(20)))
            assert {answer.status_code for answer in answers} == {503}
            assert "could not be" in answers[0].text or "connection" in answers[0].text
            assert len(service.recorded()) == 20
            assert (await client.get("/ready")).status_code == 200
        service.stop()


async def test_clients_that_read_slowly_hold_nobody_up(
    against: tuple[Villain, Running, httpx.AsyncClient],
) -> None:
    _, service, client = against
    body = b'{"prompt": "What is slow?"}'
    head = (
        b"POST /complete HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        b"content-length: %d\r\n\r\n" % len(body)
    )
    slow = [await asyncio.open_connection("127.0.0.1", service.port) for _ in range(100)]
    for _, writer in slow:
        writer.write(head + body)  # and nobody reads
    # Others begin to speak and say no more.
    silent = [await asyncio.open_connection("127.0.0.1", service.port) for _ in range(1000)]
    for number, (_, writer) in enumerate(silent):
        writer.write(head[: number % len(head)])
    answers = await asyncio.gather(*(ask(client, n) for n in range(20)))
    assert {answer.status_code for answer in answers} == {200}
    assert (await client.get("/ready")).status_code == 200
    for _, writer in (*slow, *silent):
        writer.transport.abort()
    await eventually(lambda: len(service.recorded()) == 120)
