"""Calls in progress of a pool's members count over all workers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from django.conf import settings

from optimizer.shared.pools.members import SharedMembers
from providers.errors import MembersBusy
from providers.pools.member import Member
from providers.pools.pool import MemberPool
from tests.patience import PATIENCE, eventually
from tests.providers.pools.building import MODEL, member, pool_of

REDIS: str = settings.SHARED_STORE
needs_redis = pytest.mark.skipif(not REDIS.startswith("redis"), reason="needs Redis")
NONE: frozenset[str] = frozenset()
Begin = Callable[..., Awaitable[MemberPool]]
LONG = 2 * PATIENCE
"""Seconds that a call may wait for a place; no test takes as long."""


@pytest.fixture(autouse=True)
def _calls_wait_to_be_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("providers.pools.places._LOOK_AGAIN_SECONDS", LONG)
    monkeypatch.setattr("providers.pools.pool._FULL_SECONDS", LONG)


def pool(*, most: int | None = 2, others: bool = False) -> MemberPool:
    members = [member("a", most_at_once=most)]
    if others:
        members.append(member("b", weight=0.01))
    loop = asyncio.get_running_loop()
    return pool_of(*members, clock=loop.time)


@pytest.fixture
async def begin() -> AsyncIterator[Begin]:
    """Begins a worker, and returns its pool."""
    workers: list[SharedMembers] = []

    async def begun(url: str = REDIS, **options: bool | int | None) -> MemberPool:
        one = pool(**options)  # type: ignore[arg-type]
        worker = SharedMembers({"openai": one}, url)
        workers.append(worker)
        worker.begin()
        channel = worker._places._channel
        if url and url == REDIS:
            await eventually(lambda: channel is not None and channel.joined)
        return one

    yield begun
    for worker in workers:
        await worker.aclose()


async def take(one: MemberPool, wait: float = 0.0) -> Member:
    return await one.take(MODEL, None, "", NONE, wait=wait)


@needs_redis
async def test_two_workers_have_no_more_calls_than_one_may(begin: Begin) -> None:
    here, there = await begin(), await begin()
    first, second = await take(here), await take(there)
    for one in (here, there):
        with pytest.raises(MembersBusy):
            await take(one)
    waiting = asyncio.ensure_future(take(here, LONG))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    there.end(second)
    # It is told: there is no next look in this test.
    await asyncio.wait_for(waiting, PATIENCE)
    here.end(first)
    here.end(waiting.result())
    assert [one.members[0].busy for one in (here, there)] == [0, 0]


@needs_redis
async def test_a_place_that_is_freed_goes_to_a_call_that_waits_in_the_same_worker(
    begin: Begin,
) -> None:
    here, there = await begin(), await begin()
    held = [await take(here), await take(there)]
    waiting = [asyncio.ensure_future(take(here, LONG)) for _ in range(3)]
    await asyncio.sleep(0.05)
    here.end(held[0])
    for _ in range(3):
        await eventually(lambda: any(one.done() for one in waiting))
        done = next(one for one in waiting if one.done())
        waiting.remove(done)
        here.end(done.result())
    there.end(held[1])


@needs_redis
async def test_a_member_that_is_full_elsewhere_leaves_the_call_to_another(begin: Begin) -> None:
    here, there = await begin(), await begin(others=True)
    taken = [await take(here), await take(here)]
    assert (await take(there)).name == "b"
    for one in taken:
        here.end(one)


@needs_redis
async def test_a_worker_alone_waits_for_no_redis_and_is_known_to_the_next(begin: Begin) -> None:
    here = await begin()
    places = here.places
    assert places is not None

    def step(work: Awaitable[bool]) -> bool:
        """Run a coroutine that must not wait for anything."""
        try:
            work.__await__().send(None)
        except StopIteration as end:
            return bool(end.value)
        raise AssertionError("it waited")

    assert step(places.take("a", 2))
    here.members[0].busy += 1
    (noted,) = here.places.shared._tokens["openai", "a"]  # type: ignore[union-attr]
    await eventually(noted.done)
    there = await begin()
    second = await take(there)
    with pytest.raises(MembersBusy):
        await take(there)
    await eventually(lambda: here.places.shared._has_others)  # type: ignore[union-attr]
    with pytest.raises(MembersBusy):
        await take(here)
    there.end(second)
    here.end(here.members[0])


@pytest.mark.parametrize("url", ["", "redis://127.0.0.1:9/0"])
async def test_without_redis_each_worker_counts_its_own(
    url: str, begin: Begin, caplog: pytest.LogCaptureFixture
) -> None:
    if url:
        pytest.importorskip("redis")
    here = await begin(url)
    taken = [await take(here), await take(here)]
    with pytest.raises(MembersBusy):
        await take(here)
    waiting = asyncio.ensure_future(take(here, LONG))
    await asyncio.sleep(0.02)
    here.end(taken.pop())
    taken.append(await asyncio.wait_for(waiting, PATIENCE))
    for one in taken:
        here.end(one)
    assert here.members[0].busy == 0
    said = [r for r in caplog.records if "Calls in progress" in r.getMessage()]
    assert {r.levelno for r in said} == ({logging.WARNING} if url else set())


@needs_redis
async def test_members_without_a_limit_are_never_counted(begin: Begin) -> None:
    here, _ = await begin(most=None), await begin(most=None)
    taken = [await take(here) for _ in range(5)]
    assert not here.places.shared._tokens  # type: ignore[union-attr]
    for one in taken:
        here.end(one)
