"""A stream of a specialised model that ends in an error is a failure of its member and provider."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator

import pytest

from providers.attempts import AllProvidersFailed
from providers.errors import ProviderError
from providers.http.transport import HttpClient
from providers.resilience import ResiliencePolicy, ResilientCaller
from providers.specialised.requests import SpecialisedRequest, SpecialisedStream
from tests.fakes.server import FakeProvider, Reply
from tests.providers.pools.building import MODEL, caller_of, member, pool_of

PARTIAL = b'event: image_generation.partial_image\ndata: {"b64_json": "aGk="}\n\n'
ERROR = {"type": "error", "error": {"code": "server_error", "message": "It is broken."}}
FAILED = f"event: error\ndata: {json.dumps(ERROR)}\n\n".encode()
DONE = b'event: image_generation.completed\ndata: {"usage": {"total_tokens": 9}}\n\n'
EVENTS = {"content-type": "text/event-stream"}


def request(number: int = 0) -> SpecialisedRequest:
    fields = {"prompt": f"A lighthouse {number}", "stream": True}
    return SpecialisedRequest("images/generations", fields, text=f"A lighthouse {number}")


@pytest.fixture
async def server() -> AsyncIterator[FakeProvider]:
    async with FakeProvider(lambda asked: Reply(chunks=[DONE], headers=EVENTS)) as fake:
        yield fake


async def read(caller: ResilientCaller, asked: SpecialisedRequest) -> list[bytes]:
    stream = await caller.perform([("openai", MODEL)], asked, [])
    assert isinstance(stream, SpecialisedStream)
    return [piece async for piece in stream.pieces]


@pytest.mark.parametrize(
    ("chunks", "answered", "failed"),
    [([DONE], 1, 0), ([PARTIAL, DONE], 1, 0), ([FAILED], 0, 1), ([PARTIAL, FAILED], 1, 1)],
    ids=["whole", "in pieces", "error", "error after a piece"],
)
async def test_a_member_s_stream_counts_by_how_it_ends(
    chunks: list[bytes], answered: int, failed: int, http: HttpClient, server: FakeProvider
) -> None:
    server.next(Reply(chunks=chunks, headers=EVENTS))
    one = member("a", http, server.url)
    pool = pool_of(one, clock=time.monotonic)
    if failed:
        with pytest.raises((ProviderError, AllProvidersFailed)):
            await read(caller_of(pool), request())
    else:
        await read(caller_of(pool), request())
    (state,) = pool.states()
    assert (state.answered, state.failed, state.busy) == (answered, failed, 0)
    assert (state.spared > 0) is bool(failed)


async def test_another_member_streams_where_the_first_fails_before_its_first_piece(
    http: HttpClient, server: FakeProvider
) -> None:
    server.next(Reply(chunks=[FAILED], headers=EVENTS))
    pool = pool_of(
        member("a", http, server.url), member("b", http, server.url), clock=time.monotonic
    )
    assert await read(caller_of(pool), request()) == [DONE]
    assert sorted((state.answered, state.failed, state.busy) for state in pool.states()) == [
        (0, 1, 0),
        (1, 0, 0),
    ]


async def test_a_stream_that_its_client_leaves_is_no_failure(
    http: HttpClient, server: FakeProvider
) -> None:
    server.next(Reply(chunks=[PARTIAL, DONE], headers=EVENTS, pause=5))
    pool = pool_of(member("a", http, server.url), clock=time.monotonic)
    stream = await caller_of(pool).perform([("openai", MODEL)], request(), [])
    assert isinstance(stream, SpecialisedStream)
    async for _ in stream.pieces:
        break
    await stream.pieces.aclose()
    await stream.close()
    (state,) = pool.states()
    assert (state.failed, state.busy) == (0, 0)


async def test_streams_that_end_in_errors_open_the_circuit(
    http: HttpClient, server: FakeProvider
) -> None:
    server.always(Reply(chunks=[FAILED], headers=EVENTS))
    client = member("a", http, server.url).client
    policy = ResiliencePolicy(retries=0, breaker_failures=3, breaker_window=60, breaker_seconds=60)
    caller = ResilientCaller({"openai": client}, policy)
    for number in range(3):
        assert caller.circuit_state("openai") == "closed"
        with pytest.raises((ProviderError, AllProvidersFailed)):
            await read(caller, request(number))
    assert caller.circuit_state("openai") == "open"
