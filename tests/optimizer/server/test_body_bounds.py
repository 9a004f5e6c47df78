"""What a body may hold, how fast it must arrive, and how its memory is given back."""

from __future__ import annotations

import asyncio
import gc
import json
import weakref
from typing import Any

import httpx
import pytest

from optimizer.api.http import body_reader
from optimizer.api.http.body_reader import TooManyValues, read_json
from optimizer.server.body_limit import BodyLimit, read_body
from optimizer.server.release import release
from tests.conftest import Start
from tests.fakes.server import FakeProvider
from tests.optimizer.server.test_slow_bodies import scope_of

PATHS = {
    "/complete": ("detail",),
    "/v1/chat/completions": ("error", "message"),
    "/v1/responses": ("error", "message"),
    "/v1/messages": ("error", "message"),
    "/v1beta/models/auto:generateContent": ("error", "message"),
}


@pytest.mark.parametrize("path", PATHS)
async def test_a_body_of_too_many_values_is_refused_in_the_format_of_its_api(
    transactional_db: None, fakes: dict[str, FakeProvider], start: Start, path: str
) -> None:
    client: httpx.AsyncClient = await start()
    body = b"[" + b"[]," * (body_reader.MOST_CONTAINERS) + b"[]]"
    answer = await client.post(path, content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 413
    text = answer.json()
    for name in PATHS[path]:
        text = text[name]
    assert "too many values" in text
    assert not any(fake.asked for fake in fakes.values())


@pytest.mark.parametrize("item", [b"1", b'"a"', b"{}"])
def test_items_are_bounded_whatever_they_are(item: bytes) -> None:
    body = b"[" + b",".join([item] * (body_reader.MOST_ITEMS + 2)) + b"]"
    with pytest.raises(TooManyValues):
        read_json(body)


def test_two_hundred_thousand_messages_and_a_long_text_are_read() -> None:
    messages = [{"role": "user", "content": "x"}] * 200_000
    assert len(read_json(json.dumps({"messages": messages}).encode())["messages"]) == 200_000
    prose = "So, he said, it is fine. " * 200_000
    assert read_json(json.dumps([prose]).encode()) == [prose]


async def test_an_answer_names_a_few_of_many_unknown_fields(
    transactional_db: None, fakes: dict[str, FakeProvider], start: Start
) -> None:
    client = await start()
    body = {"prompt": "x", **{f"f{n}": n for n in range(1_000)}}
    answer = await client.post("/complete", json=body)
    assert answer.status_code == 400
    assert len(answer.content) < 10_000


class Trickle:
    """Sends a byte of the body at a time, and never the last."""

    async def __call__(self) -> dict[str, Any]:
        await asyncio.sleep(0.001)
        return {"type": "http.request", "body": b" ", "more_body": True}


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ({"most_seconds": 0.05}, "took more than 0.05 seconds"),
        ({"least_rate": 1e6}, "less than 1e+06 bytes a second"),
    ],
)
async def test_a_body_that_trickles_is_refused(limits: dict[str, float], words: str) -> None:
    async def reads(scope: Any, receive: Any, send: Any) -> None:
        assert await read_body(receive) is None

    said: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        said.append(message)

    app = BodyLimit(reads, 10**6, 0.02 if "least_rate" in limits else 1.0, **limits)
    await app(scope_of("/v1/messages"), Trickle(), send)
    assert said[0]["status"] == 408
    assert words in json.loads(said[1]["body"])["error"]["message"]


class Leaf(dict):  # type: ignore[type-arg]
    """A dictionary that can be referred to weakly."""


def test_releasing_frees_what_nobody_else_holds_and_changes_nothing() -> None:
    others = [1, {"b": [2]}]
    leaf = Leaf()
    gone = weakref.ref(leaf)
    roots: list[Any] = [{"a": others, "c": [[leaf]]}]
    del leaf
    gc.disable()
    try:
        release(roots)
        assert gone() is None
    finally:
        gc.enable()
    assert roots == []
    assert others == [1, {"b": [2]}]


def test_releasing_ends_where_values_hold_each_other() -> None:
    circle: list[Any] = []
    circle.append(circle)
    release([circle])
