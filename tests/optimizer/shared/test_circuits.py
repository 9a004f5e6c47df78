"""What one worker finds of a provider, the others know."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest
from django.conf import settings

from optimizer.shared.circuits import SharedCircuits
from optimizer.shared.redis_channel import Channel
from providers.circuits import Circuits
from tests.patience import eventually

pytestmark = pytest.mark.skipif(not settings.SHARED_STORE, reason="needs Redis")

SECONDS = 30.0
Worker = Callable[[], Awaitable[Circuits]]


@pytest.fixture
def provider() -> str:
    return f"provider-{uuid.uuid4().hex}"


@pytest.fixture
async def worker(provider: str) -> AsyncIterator[Worker]:
    """Starts one more worker, which listens by then."""
    async with AsyncExitStack() as stack:

        async def start() -> Circuits:
            circuits = Circuits(failures=2, seconds=SECONDS)
            shared = SharedCircuits(circuits, [provider, "another"], settings.SHARED_STORE)
            shared.begin()
            stack.push_async_callback(shared.aclose)
            joined = shared._channel
            assert joined
            await eventually(lambda: joined.joined)
            return circuits

        yield start


def fail(circuits: Circuits, provider: str) -> None:
    for number in range(2):
        circuits.failed(provider, prompt=number)


async def test_a_circuit_opens_and_closes_for_all(worker: Worker, provider: str) -> None:
    first, second = await worker(), await worker()
    fail(first, provider)
    await eventually(lambda: second.state(provider) == "open")
    assert second.state("another") == "closed"
    # As if the seconds were over: the probe of one is enough for both.
    await second.adopt(provider, 0.000001)
    assert second.state(provider) == "half_open"
    second.answered(provider, second.admit(provider, provider))
    await eventually(lambda: first.state(provider) == "closed")


async def test_a_worker_that_comes_later_knows_what_is_open(worker: Worker, provider: str) -> None:
    first = await worker()
    fail(first, provider)
    await eventually(lambda: first.state(provider) == "open")
    late = await worker()
    await eventually(lambda: late.state(provider) == "open")


async def test_without_redis_each_learns_by_itself(provider: str) -> None:
    circuits = Circuits(failures=2, seconds=SECONDS)
    alone = SharedCircuits(circuits, [provider], "redis://127.0.0.1:1/0")
    alone.begin()
    fail(circuits, provider)
    assert circuits.state(provider) == "open"
    await alone.aclose()


async def test_databases_of_one_redis_do_not_hear_of_each_other(provider: str) -> None:
    address, _, number = settings.SHARED_STORE.rpartition("/")
    heard: list[str] = []
    channels = [
        Channel(f"{address}/{database}", "news", heard.append, "")
        for database in (int(number), int(number), int(number) + 1)
    ]
    speaker, *listeners = channels
    try:
        for listener in listeners:
            listener.listen()
            await eventually(lambda listener=listener: listener.joined)
        assert await speaker.publish(provider) == 1
        await eventually(lambda: heard == [provider])
    finally:
        for channel in channels:
            await channel.aclose()
