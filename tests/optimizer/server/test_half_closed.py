"""A client that has sent all it will send, and reads on, gets its answers; one that left ends."""

from __future__ import annotations

import asyncio
import json
import re
import socket
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
import pytest_asyncio

from tests.fakes.server import FakeProvider, Reply
from tests.fakes.wires import anthropic_message, anthropic_wire
from tests.optimizer.server.test_slow_readers import BODY, delta, endless
from tests.patience import PATIENCE, eventually
from tests.running import Running, client_of, own_database

pytestmark = [own_database, pytest.mark.asyncio(loop_scope="module")]
QUESTION = {**BODY, "stream": False, "messages": [{"role": "user", "content": "One?"}]}
NUMBERS = iter(range(1_000))


def raw(path: str = "/v1/messages", close: str = "keep-alive", **changes: object) -> bytes:
    content = [{"role": "user", "content": f"Number {next(NUMBERS)}?"}]
    body = json.dumps({**QUESTION, "messages": content, **changes}).encode()
    return (
        f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        f"connection: {close}\r\ncontent-length: {len(body)}\r\n\r\n".encode()
        + body
    )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def upstream() -> AsyncIterator[FakeProvider]:
    async with FakeProvider(anthropic_wire) as upstream:
        yield upstream


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def service(
    tmp_path_factory: pytest.TempPathFactory, upstream: FakeProvider
) -> AsyncIterator[Running]:
    service = Running(
        tmp_path_factory.mktemp("half"), upstream.url, AUTH="off", MAX_CONCURRENT_REQUESTS="1"
    )
    async with client_of(service.port) as client:
        await service.ready(client)
    try:
        yield service
    finally:
        said = await asyncio.to_thread(service.stop)
        # Neither an exception nor a warning of the transport.
        assert "Traceback" not in said, said
        assert "socket.send()" not in said, said
        assert "RuntimeError" not in said, said


async def half_closed(port: int, sent: bytes) -> bytes:
    """What arrives after ``sent`` and the end of what is sent."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    await writer.drain()
    writer.write_eof()
    try:
        async with asyncio.timeout(PATIENCE):
            return await reader.read()
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


def answers(received: bytes) -> list[bytes]:
    """The status lines of what arrived, without interim ones."""
    return re.findall(rb"HTTP/1\.1 [2-5][^\r]*", received)


@pytest.mark.parametrize("close", ["close", "keep-alive"])
@pytest.mark.parametrize("path", ["/v1/messages", "/v1/chat/completions"])
async def test_a_whole_answer_is_delivered(
    service: Running, upstream: FakeProvider, path: str, close: str
) -> None:
    upstream.next(Reply(anthropic_message("claude-haiku-5-5", "Late but whole."), delay=0.5))
    received = await half_closed(service.port, raw(path, close))
    assert answers(received) == [b"HTTP/1.1 200 OK"]
    assert b"Late but whole." in received


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/chat/completions"])
async def test_a_stream_is_delivered_to_its_end(
    service: Running, upstream: FakeProvider, path: str
) -> None:
    reply = endless(delta("word "), 20)
    upstream.next(Reply(chunks=[*(reply.chunks or ())], headers=reply.headers, pause=0.05))
    received = await half_closed(service.port, raw(path, stream=True))
    assert answers(received) == [b"HTTP/1.1 200 OK"]
    assert received.count(b"word ") == 20
    assert received.endswith(b"0\r\n\r\n")


async def test_all_requests_of_a_pipeline_are_answered(
    service: Running, upstream: FakeProvider
) -> None:
    upstream.next(Reply(anthropic_message("claude-haiku-5-5", "First."), delay=0.3))
    received = await half_closed(service.port, raw() + raw(close="close"))
    assert answers(received) == [b"HTTP/1.1 200 OK"] * 2


async def test_a_request_whose_body_is_incomplete_ends(
    service: Running, upstream: FakeProvider
) -> None:
    asked = len(upstream.asked)
    assert await half_closed(service.port, raw()[:-10]) == b""
    assert await half_closed(service.port, b"POST /v1/mess") == b""
    assert len(upstream.asked) == asked


async def test_an_old_client_gets_no_interim_answer(
    service: Running, upstream: FakeProvider
) -> None:
    upstream.next(Reply(anthropic_message("claude-haiku-5-5", "Old."), delay=0.3))
    received = await half_closed(service.port, raw().replace(b"HTTP/1.1\r\n", b"HTTP/1.0\r\n", 1))
    assert b"100 Continue" not in received


async def test_a_client_that_leaves_in_a_silent_stream_is_noticed_at_once(
    service: Running, upstream: FakeProvider
) -> None:
    """Nothing is written to it, so that only the end of what it sends says that it has left."""
    begun = endless(delta("word "), 2)
    upstream.next(Reply(chunks=[*(begun.chunks or ())], headers=begun.headers, pause=15.0))
    reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
    writer.write(raw(stream=True))
    async with asyncio.timeout(10):
        await reader.readuntil(b"200 OK")
    writer.close()
    async with asyncio.timeout(12):
        received = await half_closed(service.port, raw(close="close"))
    assert answers(received) == [b"HTTP/1.1 200 OK"]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
async def test_a_client_that_has_left_keeps_no_place(
    service: Running, upstream: FakeProvider, stream: bool, reset: bool
) -> None:
    """Whether it closed or half-closed its connection, the same packet arrives."""
    asked = len(upstream.asked)
    upstream.next(Reply(anthropic_message("claude-haiku-5-5"), delay=15.0))
    _, writer = await asyncio.open_connection("127.0.0.1", service.port)
    writer.write(raw(stream=stream))
    await eventually(lambda: len(upstream.asked) == asked + 1)
    if reset:
        made = writer.get_extra_info("socket")
        made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    writer.close()
    async with asyncio.timeout(12):
        received = await half_closed(service.port, raw(close="close"))
    assert answers(received) == [b"HTTP/1.1 200 OK"]
