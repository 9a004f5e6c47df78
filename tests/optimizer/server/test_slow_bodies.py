"""A body that arrives slowly keeps no place from others, and does not wait forever."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest

from optimizer.asgi import application
from optimizer.server.body_limit import BodyLimit, ReadBody, read_body
from optimizer.wiring.build import get_services
from tests.fakes.server import FakeProvider
from tests.patience import PATIENCE

PROMPT = {"prompt": "What is the capital of France?"}


def scope_of(path: str, kind: bytes = b"application/json") -> dict[str, Any]:
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "scheme": "http",
        "server": ("testserver", 80),
        "client": ("127.0.0.1", 5),
        "headers": [(b"host", b"testserver"), (b"content-type", kind)],
    }


class Slow:
    """Sends the first byte of a body, and the rest once ``go`` is set."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.parts = [b"{"]

    async def __call__(self) -> dict[str, Any]:
        if self.parts:
            return {"type": "http.request", "body": self.parts.pop(), "more_body": True}
        await self.go.wait()
        return {"type": "http.disconnect"}


@pytest.mark.parametrize("kind", [b"application/json", b"text/plain"])
async def test_senders_that_are_slow_take_no_place(
    client: httpx.AsyncClient, fakes: dict[str, FakeProvider], settings: Any, kind: bytes
) -> None:
    settings.MAX_CONCURRENT_REQUESTS = 1
    assert (await client.post("/complete", json=PROMPT)).status_code == 200
    services = get_services()
    slow, answered = Slow(), []

    async def send(message: Any) -> None:
        answered.append(message)

    asking = [
        asyncio.create_task(application(scope_of("/complete", kind), slow, send)) for _ in range(4)
    ]
    await asyncio.sleep(0.05)
    assert services.concurrency._queue._taken == 0
    async with asyncio.timeout(PATIENCE):
        assert (await client.post("/complete", json=PROMPT)).status_code == 200
    slow.go.set()
    await asyncio.gather(*asking)
    assert answered == []


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("/v1/chat/completions", ("error", "message")),
        ("/v1/messages", ("error", "message")),
        ("/complete", ("detail",)),
    ],
)
async def test_a_body_that_stops_is_answered_with_408_in_the_format_of_its_api(
    path: str, place: tuple[str, ...]
) -> None:
    async def reads(scope: Any, receive: Any, send: Any) -> None:
        assert await read_body(receive) is None

    said: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        said.append(message)

    await BodyLimit(reads, 1000, 0.01)(scope_of(path), Slow(), send)
    assert said[0]["status"] == 408
    assert (b"connection", b"close") in said[0]["headers"]
    text = json.loads(said[1]["body"])
    for name in place:
        text = text[name]
    assert "0.01 seconds" in text
    assert len(said) == 2


async def test_an_answer_has_no_time_limit_once_the_body_is_complete() -> None:
    left = asyncio.Event()

    async def serves(scope: Any, receive: Any, send: Any) -> None:
        assert await read_body(receive) == b"{}"
        watch = asyncio.ensure_future(receive())
        await asyncio.sleep(0.05)
        assert not watch.done()
        left.set()
        assert (await watch)["type"] == "http.disconnect"

    messages = [{"type": "http.request", "body": b"{}"}]

    async def receive() -> Any:
        if messages:
            return messages.pop()
        await left.wait()
        return {"type": "http.disconnect"}

    said: list[Any] = []
    await BodyLimit(serves, 1000, 0.01)(scope_of("/complete"), receive, said.append)
    assert said == []


async def test_a_body_that_was_read_is_given_once() -> None:
    async def later() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    receive = ReadBody(b"all", later)
    assert await read_body(receive) == b"all"
    assert await receive() == {"type": "http.disconnect"}
