"""Calls that come together share a batch; each gets its own result, and none is lost."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Sequence

import pytest

from analytics.database.batcher import Batcher, BatcherClosed
from tests.patience import PATIENCE

Process = Callable[[Sequence[int]], Sequence[int | Exception]]


def doubled(items: Sequence[int]) -> Sequence[int | Exception]:
    return [2 * item for item in items]


class Watched:
    """Doubles, and keeps what it was given."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []

    def __call__(self, items: Sequence[int]) -> Sequence[int | Exception]:
        self.batches.append(list(items))
        return doubled(items)


@pytest.fixture
def make() -> Iterator[Callable[..., Batcher[int, int]]]:
    made: list[Batcher[int, int]] = []

    def of(process: Process = doubled, **options: int) -> Batcher[int, int]:
        made.append(Batcher("batcher", process, **options))
        return made[-1]

    yield of
    for batcher in made:
        batcher.close()


def test_one_that_is_closed_finishes_what_was_queued_and_takes_no_more(make) -> None:
    batcher = make()
    futures = [batcher.submit(n) for n in range(50)]
    batcher.close()
    assert [f.result() for f in futures] == [2 * n for n in range(50)]
    with pytest.raises(BatcherClosed):
        batcher.submit(1)


def test_one_item_s_error_reaches_its_caller_alone(make) -> None:
    batcher = make(lambda items: [ValueError("odd") if i % 2 else i for i in items])
    good, bad = batcher.submit(2), batcher.submit(3)
    assert good.result(PATIENCE) == 2
    with pytest.raises(ValueError, match="odd"):
        bad.result(PATIENCE)


async def test_those_of_one_turn_of_the_loop_share_a_batch(make) -> None:
    watched = Watched()
    batcher = make(watched)
    assert await asyncio.gather(*(batcher.call(n) for n in range(20))) == [*range(0, 40, 2)]
    assert watched.batches == [[*range(20)]]


async def test_those_that_come_turn_after_turn_share_a_batch(make) -> None:
    watched = Watched()
    batcher = make(watched)

    async def call_in(turns: int) -> int:
        for _ in range(turns):
            await asyncio.sleep(0)
        return await batcher.call(turns)

    # Those of later turns first, so that in each turn they come before it is looked who came.
    calls = [call_in(turns) for turns in (4, 3, 2, 1, 0)]
    assert await asyncio.gather(*calls) == [8, 6, 4, 2, 0]
    assert watched.batches == [[0, 1, 2, 3, 4]]


async def test_one_that_comes_while_the_loop_is_busy_joins_the_batch(
    make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("analytics.database.batcher._GATHERED_SECONDS", PATIENCE)
    watched = Watched()
    batcher = make(watched)

    async def later() -> int:
        for _ in range(10):  # turns of the loop in which there is other work
            until = time.perf_counter() + 0.001
            while time.perf_counter() < until:
                pass
            await asyncio.sleep(0)
        return await batcher.call(2)

    assert await asyncio.gather(batcher.call(1), later()) == [2, 4]
    assert watched.batches == [[1, 2]]


async def test_nobody_waits_for_others_without_end(make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("analytics.database.batcher._GATHERED_SECONDS", 0.01)
    batcher = make()
    first = asyncio.create_task(batcher.call(0))
    others: list[asyncio.Task[int]] = []
    async with asyncio.timeout(PATIENCE):
        while not first.done():
            others.append(asyncio.create_task(batcher.call(len(others))))
            await asyncio.sleep(0)
    assert await asyncio.gather(*others) == [2 * n for n in range(len(others))]


async def test_more_than_fit_are_several_batches(make) -> None:
    watched = Watched()
    batcher = make(watched, max_batch=8)
    await asyncio.gather(*(batcher.call(n) for n in range(20)))
    assert [len(batch) for batch in watched.batches] == [8, 8, 4]


async def test_who_is_cancelled_does_not_take_its_item_back(make) -> None:
    watched = Watched()
    batcher = make(watched)
    task = asyncio.create_task(batcher.call(1))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await asyncio.to_thread(batcher.close)
    assert watched.batches == [[1]]


async def test_what_is_gathered_when_it_is_closed_is_processed(make) -> None:
    batcher = make()
    task = asyncio.create_task(batcher.call(1))
    await asyncio.sleep(0)
    batcher.close()
    assert await task == 2
    with pytest.raises(BatcherClosed):
        await batcher.call(2)


def test_what_an_ended_loop_had_gathered_is_processed_by_who_closes(make) -> None:
    watched = Watched()
    batcher = make(watched)
    loop = asyncio.new_event_loop()
    task = loop.create_task(batcher.call(1))
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    batcher.close()
    assert watched.batches == [[1]]
    assert not task.done()


def test_those_that_come_while_it_rests_share_a_batch(make) -> None:
    sizes: list[int] = []

    def slow(items: Sequence[int]) -> Sequence[int | Exception]:
        sizes.append(len(items))
        time.sleep(0.05)
        return items

    batcher = make(slow)
    batcher.submit(1).result()
    for future in [batcher.submit(number) for number in range(3)]:
        future.result()
    assert sizes == [1, 3]


def test_threads_and_loops_may_call_at_the_same_time(make) -> None:
    batcher = make()
    found: list[list[int]] = []

    def many(start: int) -> None:
        async def call() -> list[int]:
            return await asyncio.gather(*(batcher.call(start + n) for n in range(50)))

        found.append(asyncio.run(call()))

    threads = [threading.Thread(target=many, args=(1000 * n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert sorted(x for xs in found for x in xs) == sorted(
        2 * (1000 * n + k) for n in range(4) for k in range(50)
    )
