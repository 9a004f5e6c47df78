"""A client that does not read its answer keeps neither its place nor its provider's call."""

from __future__ import annotations

import asyncio
import json
from itertools import cycle, islice

import pytest

from tests.fakes.server import FakeProvider, Reply
from tests.fakes.wires import anthropic_wire
from tests.patience import PATIENCE, eventually
from tests.running import Running, client_of, own_database

START = {
    "type": "message_start",
    "message": {"id": "m", "type": "message", "role": "assistant", "model": "claude-haiku-5-5",
                "content": [], "usage": {"input_tokens": 9, "output_tokens": 1}},
}  # fmt: skip
BLOCK = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
BODY = {"model": "claude-haiku-5-5", "max_tokens": 100, "stream": True,
        "messages": [{"role": "user", "content": "Count."}]}  # fmt: skip


def event(data: dict[str, object]) -> bytes:
    return f"event: {data['type']}\ndata: {json.dumps(data)}\n\n".encode()


def delta(text: str) -> bytes:
    inner = {"type": "text_delta", "text": text}
    return event({"type": "content_block_delta", "index": 0, "delta": inner})


def endless(piece: bytes, count: int) -> Reply:
    chunks = [event(START), event(BLOCK), *islice(cycle([piece]), count)]
    return Reply(chunks=chunks, headers={"content-type": "text/event-stream"})


@own_database
@pytest.mark.parametrize("path", ["/v1/messages", "/v1/chat/completions"])
async def test_a_client_that_does_not_read_ends_and_what_it_got_is_recorded(
    tmp_path_factory: pytest.TempPathFactory, path: str
) -> None:
    async with FakeProvider(anthropic_wire) as upstream:
        upstream.always(endless(delta("word " * 2_000), 5_000))
        service = Running(
            tmp_path_factory.mktemp("slow"), upstream.url, AUTH="off", READER_TIMEOUT="1",
            MAX_CONCURRENT_REQUESTS="1",
        )  # fmt: skip
        client = client_of(service.port)
        try:
            await service.ready(client)
            reader, writer = await asyncio.open_connection("127.0.0.1", service.port, limit=1024)
            raw = json.dumps(BODY).encode()
            writer.write(
                f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
                f"content-length: {len(raw)}\r\n\r\n".encode()
                + raw
            )
            async with asyncio.timeout(PATIENCE):
                assert b"200" in await reader.readline()
            await eventually(lambda: len(service.recorded()) == 1)
            written = upstream.written
            assert written < 50_000_000
            upstream.always(None)
            body = {**BODY, "stream": False, "messages": [{"role": "user", "content": "Now?"}]}
            assert (await client.post("/v1/messages", json=body)).status_code == 200
            writer.transport.abort()
        finally:
            await client.aclose()
            await asyncio.to_thread(service.stop)
