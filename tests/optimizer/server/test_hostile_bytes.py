"""Hostile bytes at every endpoint of the real process: no 5xx, no leak, no hang."""

from __future__ import annotations

import asyncio
import gzip
import json
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

import optimizer.server.header_limits as http_head
from tests.fakes.server import FakeProvider
from tests.fakes.wires import KEY, anthropic_wire
from tests.patience import PATIENCE
from tests.running import Running, own_database

pytestmark = own_database

PATHS = (
    "/complete", "/feedback", "/stats", "/providers", "/cache/stats", "/quality/stats",
    "/insights", "/health", "/routing/metrics", "/routing/decision", "/recommendation",
    "/v1/chat/completions", "/v1/responses", "/v1/embeddings", "/v1/models", "/v1/models/x",
    "/v1/messages", "/v1/messages/count_tokens", "/schema", "/docs", "/admin/login/", "/admin/",
    "/static/analytics/admin.css", "/", "/nowhere",
)  # fmt: skip
METHODS = (b"GET", b"POST", b"PUT", b"DELETE", b"PATCH", b"HEAD", b"OPTIONS", b"BREW")
TYPES = (
    b"application/json", b"text/plain", b"application/xml", b"multipart/form-data; boundary=x",
    b"application/x-www-form-urlencoded", b"application/json; charset=utf-16", b"", b"\xff\xfe",
)  # fmt: skip
ENCODINGS = (b"", b"gzip", b"br", b"identity", b"\x00")
LEAKS = (b"Traceback", b"/site-packages/", KEY.encode(), b"SECRET", b"sqlite3", b"psycopg")


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Running]:
    async with FakeProvider(anthropic_wire) as upstream:
        running = Running(tmp_path, upstream.url, PROVIDER_RETRIES="0")
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{running.port}") as client:
            await running.ready(client)
        yield running
        running.kill()


def body(lot: random.Random) -> bytes:
    kinds: list[Any] = [
        lot.randbytes(lot.randrange(200)),
        b'{"prompt": "' + lot.randbytes(40) + b'"}',
        b"[" * 100_000,
        b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
        b'{"prompt": "hi", "max_tokens": ' + b"9" * 5_000 + b"}",
        b'{"prompt": "hi", "prompt": "ho"}',
        b'{"prompt": 1e999}',
        b'{"prompt": "\\ud800", "tokenizer_id": "../../etc/passwd"}',
        b'{"model": "auto", "messages": [{"role": "user", "content": NaN}]}',
        json.dumps({"model": "auto", "max_tokens": 1, "messages": [{"role": "\0"}] * 500}).encode(),
        json.dumps({"model": "\u202e" * 300, "input": [[]], "messages": {}}).encode(),
        gzip.compress(b"0" * 10_000_000),
        '{"prompt": "\ufeff"}'.encode("utf-16"),
        b"",
    ]  # fmt: skip
    return bytes(lot.choice(kinds))


def head(lot: random.Random, path: str, length: int) -> bytes:
    query = b"?" + bytes(lot.choice(b"%&=?#;'\"<>abc\x80\xff") for _ in range(lot.randrange(30)))
    target = path.encode() + (query.replace(b" ", b"") if lot.random() < 0.5 else b"")
    lines = [
        lot.choice(METHODS) + b" " + target + b" HTTP/1.1",
        b"host: " + lot.choice((b"localhost", b"127.0.0.1", b"evil.example", b"\xff")),
        b"content-type: " + lot.choice(TYPES),
        b"content-encoding: " + lot.choice(ENCODINGS),
        b"connection: close",
        b"authorization: " + lot.choice((b"Bearer ", b"Bearer \xff", b"Basic x", b"k" * 5000)),
        b"x-forwarded-for: " + lot.choice((b"::1", b"\x01", b"1.2.3.4, 5")),
        b"cookie: sessionid=" + bytes(lot.choice(b"abc;=\"\\") for _ in range(20)),
        lot.choice((b"content-length: %d" % length, b"transfer-encoding: chunked")),
    ]  # fmt: skip
    return b"\r\n".join(lines) + b"\r\n\r\n"


async def say(port: int, *chunks: bytes, leave: bool = False) -> bytes:
    """What comes back before the connection ends; ``leave`` ends our half of it."""
    async with asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            for chunk in chunks:
                writer.write(chunk)
                await writer.drain()
            if leave:
                writer.write_eof()
            return await reader.read()
        except OSError:  # it hung up amid what we said
            return b""
        finally:
            writer.close()


async def test_no_5xx_no_leak_no_hang(service: Running) -> None:
    lot = random.Random(11)

    async def one(path: str, seed: int) -> None:
        mine = random.Random(seed)
        sent = body(mine)
        opening = head(mine, path, len(sent))
        if b"chunked" in opening:
            sent = mine.choice(
                (b"%x\r\n%b\r\n0\r\n\r\n" % (len(sent), sent), b"zz\r\n", b"5\r\nab")
            )
        answer = await say(service.port, opening, sent, leave=True)
        # A client that has half-closed its connection is asked whether it still reads.
        status = answer.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n")[9:12]
        assert not status or status[:1] in b"234", (opening, sent[:80], answer[:300])
        for leak in LEAKS:
            assert leak not in answer, (opening, sent[:80], answer[:300])

    for _ in range(12):
        await asyncio.gather(*(one(path, lot.randrange(10**9)) for path in PATHS))
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{service.port}") as client:
        assert (await client.get("/health")).status_code == 200
        assert (await client.post("/complete", json={"prompt": "Hi"})).status_code == 200
    said = service.stop()
    assert "Traceback" not in said
    assert KEY not in said


def many_lines(count: int) -> bytes:
    lines = b"".join(b"x-%d: %s\r\n" % (n, b"a" * 100) for n in range(count))
    return b"GET /health HTTP/1.1\r\nhost: localhost\r\n" + lines + b"\r\n"


async def test_a_request_s_head_is_bounded_in_size(service: Running) -> None:
    long = b"GET /health HTTP/1.1\r\nhost: localhost\r\nx-long: " + b"a" * 70_000
    assert (await say(service.port, long)).startswith(b"HTTP/1.1 431 ")
    many = b"".join(b"x-%d: %s\r\n" % (n, b"a" * 100) for n in range(700))
    answer = await say(service.port, b"GET /health HTTP/1.1\r\n" + many)
    assert answer.startswith(b"HTTP/1.1 431 ")
    # A whole head, also behind another request, in one piece or in several. The sender may be hung
    # up on before it hears why.
    whole = b"GET /health HTTP/1.1\r\nhost: localhost\r\nx: " + b"a" * 100_000 + b"\r\n\r\n"
    short = b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n"
    address = b"GET /health?" + b"a" * 70_000 + b" HTTP/1.1\r\nhost: localhost\r\n\r\n"
    body = b"POST /complete HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\nx: " + b"a" * 100_000
    for sent in (whole, whole + whole, many_lines(1000), address, body + b'\r\n\r\n{"a": 1}'):
        answer = await say(service.port, sent)
        assert answer == b"" or answer.startswith(b"HTTP/1.1 431 "), (sent[:20], answer[:80])
    for pieces in ((short, whole), (short + whole,), (short + whole[:60_000], whole[60_000:])):
        assert (await say(service.port, *pieces)).count(b"HTTP/1.1 200 ") <= 1
    # One without an end is hung up on, whether its sender still hears why or not.
    endless = await say(service.port, long, *([b"a" * 100_000] * 50))
    assert endless == b"" or endless.startswith(b"HTTP/1.1 431 ")
    # Large is well below the bound.
    fine = b"GET /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nx: " + b"a" * 30_000
    assert b" 200 " in (await say(service.port, fine + b"\r\n\r\n"))[:20]


async def test_several_requests_on_one_connection_are_bounded_each(service: Running) -> None:
    one = b"GET /health HTTP/1.1\r\nhost: localhost\r\nx: " + b"a" * 30_000 + b"\r\n\r\n"
    last = one.replace(b"host: localhost", b"host: localhost\r\nconnection: close")
    answer = await say(service.port, one, one, one, last)
    assert answer.count(b"HTTP/1.1 200 ") == 4


async def test_whoever_does_not_come_to_the_end_of_its_head_is_let_go(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http_head, "SECONDS", 0.2)
    uvicorn = pytest.importorskip("uvicorn")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await asyncio.sleep(0.5)  # an answer takes longer than a head may
        await send({"type": "http.response.body", "body": b"done"})

    config = uvicorn.Config(
        app, port=0, http=http_head.BoundedHead, lifespan="off", log_config=None
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1\r\nhost: ")
    assert (await reader.read()).startswith(b"HTTP/1.1 408 ")
    writer.close()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    assert await reader.read() == b""
    writer.close()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
    assert b"done" in await reader.read()
    writer.close()
    server.should_exit = True
    await serving
