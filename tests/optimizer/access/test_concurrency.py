"""Requests at the same time: limits by key, fair turns, an end to waiting."""

from __future__ import annotations

import asyncio
import logging
import uuid
from typing import Any

import httpx
import pytest
from asgiref.sync import sync_to_async
from django.conf import settings as django_settings
from hypothesis import given
from hypothesis import strategies as st

from analytics.access.keys import key_make
from analytics.models import ApiKey, RequestRecord
from optimizer.access.concurrency import limiter
from optimizer.access.concurrency.limiter import ConcurrencyLimiter, ConcurrencyTimeout, FairQueue
from optimizer.domain.client import Client
from optimizer.shared.slots import RedisSlots
from optimizer.wiring.build import get_services
from tests.conftest import Start
from tests.fakes.server import FakeProvider
from tests.patience import PATIENCE, eventually

PROMPT = {"prompt": "What is the capital of France?"}
CHAT = {"model": "claude-haiku-5-5", "messages": [{"role": "user", "content": "What is Paris?"}]}
redis_url = django_settings.SHARED_STORE
needs_redis = pytest.mark.skipif(not redis_url, reason="needs Redis")


# --- turns -----------------------------------------------------------------------------


async def settle() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


async def test_whoever_has_fewest_under_way_is_next() -> None:
    queue, order = FairQueue(3), []

    async def ask(who: str) -> None:
        await queue.enter(who)
        order.append(who)

    asking = []
    for who in ("greedy", "greedy", "greedy", "greedy", "greedy", "modest", "other"):
        asking.append(asyncio.create_task(ask(who)))
        await settle()
    assert order == ["greedy"] * 3
    assert queue.waiting == 4
    for who in ("modest", "other"):
        queue.leave("greedy")
        await settle()
        assert order[3:][-1] == who
    for who in ("modest", "other"):
        queue.leave(who)
    await asyncio.gather(*asking)
    assert order[5:] == ["greedy"] * 2


@given(
    places=st.integers(1, 3),
    steps=st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["come", "go", "tire"])),
                   max_size=40),
)  # fmt: skip
def test_no_place_is_given_twice_lost_or_left_empty_while_somebody_waits(
    places: int, steps: list[tuple[str, str]]
) -> None:
    async def run() -> None:
        queue = FairQueue(places)
        tasks: list[tuple[str, asyncio.Task[None]]] = []
        for who, what in steps:
            mine = [pair for pair in tasks if pair[0] == who]
            if what == "come":
                tasks.append((who, asyncio.create_task(queue.enter(who))))
            elif what == "go" and (done := [p for p in mine if p[1].done()]):
                queue.leave(who)
                tasks.remove(done[0])
            elif what == "tire" and (waits := [p for p in mine if not p[1].done()]):
                waits[0][1].cancel()
                tasks.remove(waits[0])
            await settle()
            inside = sum(task.done() for _, task in tasks)
            assert inside <= places
            assert queue.waiting == len(tasks) - inside
            assert inside == min(places, len(tasks))
        for _, task in tasks:
            task.cancel()

    asyncio.run(run())


async def test_a_tenant_s_many_keys_have_one_share() -> None:
    queue, order = FairQueue(2), []

    async def ask(key: str, tenant: str) -> None:
        await queue.enter(key, tenant)
        order.append(tenant)

    asking = [asyncio.create_task(ask(f"crowd {n}", "crowd")) for n in range(6)]
    asking.append(asyncio.create_task(ask("alone", "single")))
    await settle()
    queue.leave("crowd 0", "crowd")
    await settle()
    assert order == ["crowd", "crowd", "single"]
    for task in asking:
        task.cancel()


async def test_tenants_have_places_by_their_weight() -> None:
    queue, inside = FairQueue(4, {"heavy": 3.0}), []

    async def ask(tenant: str) -> None:
        await queue.enter(tenant, tenant)
        inside.append(tenant)

    for _ in range(4):
        await queue.enter("first")
    asking = [asyncio.create_task(ask(name)) for name in ("light", "heavy") for _ in range(6)]
    await settle()
    for _ in range(4):
        queue.leave("first")
    await settle()
    assert (inside.count("heavy"), inside.count("light")) == (3, 1)
    for task in asking:
        task.cancel()


async def test_who_has_less_than_its_share_does_not_wait_for_long_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limiter, "PATIENCE_SECONDS", 0.01)
    queue = FairQueue(4)
    for _ in range(4):
        await queue.enter("greedy")  # and none of them ends
    more = asyncio.create_task(queue.enter("greedy"))
    async with asyncio.timeout(PATIENCE):
        for _ in range(2):  # half of the places
            await queue.enter("modest")
    third = asyncio.create_task(queue.enter("modest"))
    await asyncio.sleep(0.05)
    assert not more.done()
    assert not third.done()
    queue.leave("greedy")
    queue.leave("greedy")
    await settle()
    assert not third.done()
    queue.leave("greedy")
    await settle()
    assert more.done() != third.done()
    for task in (more, third):
        task.cancel()


def tenant(key: str) -> str:
    return key[0] if key != "c" else ""


def insist(queue: FairQueue, key: str, group: str, places: int) -> None:
    before = queue._of_tenant[group]
    turns = queue._waiting.get(group, {}).get(key)
    if turns and queue._claim(key, group, turns[0]):
        assert before < places


def end_one(queue: FairQueue, tasks: list[tuple[str, asyncio.Task[None]]], key: str) -> None:
    if done := [task for task in tasks if task[0] == key and task[1].done()]:
        queue.leave(key, tenant(key))
        tasks.remove(done[0])


@given(
    places=st.integers(1, 4),
    steps=st.lists(
        st.tuples(
            st.sampled_from(["a1", "a2", "b1", "c"]), st.sampled_from(["come", "go", "insist"])
        ),
        max_size=40,
    ),
)
def test_places_beyond_the_limit_go_only_to_those_below_their_share(
    places: int, steps: list[tuple[str, str]]
) -> None:
    async def run() -> None:
        queue = FairQueue(places)
        tasks: list[tuple[str, asyncio.Task[None]]] = []
        for key, what in steps:
            if what == "come":
                tasks.append((key, asyncio.create_task(queue.enter(key, tenant(key)))))
            elif what == "go":
                end_one(queue, tasks, key)
            elif what == "insist":
                insist(queue, key, tenant(key) or key, places)
            await settle()
            inside = [name for name, task in tasks if task.done()]
            assert len(inside) == queue._taken
            assert len(inside) <= 2 * places
            assert queue.waiting == len(tasks) - len(inside)
            assert len(inside) >= min(places, len(tasks))
        for name, task in tasks:
            if task.done():
                queue.leave(name, tenant(name))
            task.cancel()
        await settle()
        assert (queue._taken, queue.waiting) == (0, 0)
        assert not any((queue._of_key, queue._of_tenant, queue._keys, queue._waiting))

    asyncio.run(run())


# --- at the door -----------------------------------------------------------------------


@pytest.fixture
async def client(
    transactional_db: None, fakes: dict[str, FakeProvider], start: Start, settings: Any
) -> httpx.AsyncClient:
    settings.RESPONSE_CACHE = False
    settings.QUEUE_SECONDS = 2
    settings.MAX_CONCURRENT_REQUESTS = 4
    return await start()


async def key(name: str, most: int | None = None) -> dict[str, str]:
    made = await sync_to_async(key_make)(ApiKey(name=name, concurrent_requests=most))
    await sync_to_async(get_services().api_keys.refresh)()
    return {"authorization": f"Bearer {made.secret}"}


def ask(client: httpx.AsyncClient, headers: dict[str, str], n: int = 0) -> asyncio.Task[Any]:
    messages = [{"role": "user", "content": f"What is {n} and {n}?"}]
    body = {**CHAT, "messages": messages, "stream": bool(n % 2)}
    return asyncio.create_task(client.post("/v1/chat/completions", json=body, headers=headers))


async def called(fakes: dict[str, FakeProvider], count: int) -> None:
    await eventually(lambda: sum(len(fake.asked) for fake in fakes.values()) >= count)


async def test_a_key_has_no_more_under_way_than_its_limit_also_as_streams(
    client: httpx.AsyncClient, fakes: dict[str, FakeProvider]
) -> None:
    headers = await key("one", 2)
    fakes["claude"].gate = asyncio.Event()
    asking = [ask(client, headers, n) for n in range(5)]
    await called(fakes, 2)
    await eventually(lambda: sum(task.done() for task in asking) >= 3)
    refused = [task.result() for task in asking if task.done()]
    assert [answer.status_code for answer in refused] == [429] * 3
    assert refused[0].json()["error"]["code"] == "concurrency_limit_exceeded"
    assert refused[0].headers["retry-after"] == "1"
    assert len(fakes["claude"].asked) == 2
    fakes["claude"].gate.set()
    assert sorted(a.status_code for a in await asyncio.gather(*asking)) == [200, 200, 429, 429, 429]
    # Its slots are free again.
    again = await asyncio.gather(*(ask(client, headers, n) for n in (11, 12)))
    assert {answer.status_code for answer in again} == {200}
    assert await RequestRecord.objects.admitted().acount() == 4


async def test_who_waits_is_served_when_a_slot_is_free(
    client: httpx.AsyncClient, fakes: dict[str, FakeProvider]
) -> None:
    headers = await key("one", 1)
    answers = await asyncio.gather(*(ask(client, headers, n) for n in range(4)))
    assert {answer.status_code for answer in answers} == {200}


async def test_one_client_s_many_requests_do_not_keep_another_waiting(
    client: httpx.AsyncClient, fakes: dict[str, FakeProvider], settings: Any
) -> None:
    greedy, modest = await key("greedy"), await key("modest")
    fakes["claude"].gate = asyncio.Event()
    many = [ask(client, greedy, 2 * n) for n in range(10)]
    await called(fakes, 4)
    one = ask(client, modest, 100)
    await eventually(lambda: get_services().concurrency._queue.waiting == 7)
    fakes["claude"].gate.set()
    answer = await one
    assert answer.status_code == 200
    await asyncio.gather(*many)
    # It came after ten others, of which only those before it and beside it were sooner.
    texts = [str(asked.body["messages"]) for asked in fakes["claude"].asked]
    (place,) = (place for place, text in enumerate(texts) if "100" in text)
    assert place < 8


async def test_when_the_service_is_full_waiting_ends(
    client: httpx.AsyncClient, fakes: dict[str, FakeProvider]
) -> None:
    fakes["claude"].gate = asyncio.Event()
    asking = [ask(client, {}, 2 * n) for n in range(4)]
    await called(fakes, 4)
    for path, body in (("/complete", PROMPT), ("/v1/messages", {**CHAT, "max_tokens": 5})):
        refused = await client.post(path, json=body)
        assert refused.status_code == 503
        assert "limit of concurrent requests" in refused.text
    # What costs nothing is not held up.
    assert (await client.get("/stats")).status_code == 200
    fakes["claude"].gate.set()
    assert {answer.status_code for answer in await asyncio.gather(*asking)} == {200}


async def test_waiting_ends_also_in_the_moment_of_a_look_for_a_free_slot() -> None:
    # The two timers fall together for some of them.
    concurrency, refused = ConcurrencyLimiter(0, 0.1), 0

    async def hold_and_wait(who: str) -> None:
        nonlocal refused
        one = Client(key=who, concurrent_requests=1)
        async with concurrency.slot(one):
            with pytest.raises(ConcurrencyTimeout):
                async with concurrency.slot(one):
                    pass
            refused += 1

    async with asyncio.timeout(PATIENCE):
        await asyncio.gather(*(hold_and_wait(f"key {n}") for n in range(1000)))
    assert refused == 1000


# --- over several workers --------------------------------------------------------------


@needs_redis
async def test_workers_share_a_key_s_slots() -> None:
    one = Client(key=f"test {uuid.uuid4()}", concurrent_requests=3)
    turnstiles = [ConcurrencyLimiter(0, 1.0, redis_url) for _ in range(2)]
    under_way = most = refused = 0

    async def ask(concurrency: ConcurrencyLimiter) -> None:
        nonlocal under_way, most, refused
        try:
            async with concurrency.slot(one):
                under_way += 1
                most = max(most, under_way)
                await eventually(lambda: refused == 6)
                under_way -= 1
        except ConcurrencyTimeout:
            refused += 1

    await asyncio.gather(*(ask(turnstiles[n % 2]) for n in range(9)))
    assert (most, refused) == (3, 6)
    await asyncio.gather(*(ask(turnstiles[n % 2]) for n in range(3)))
    assert (most, refused) == (3, 6)
    for concurrency in turnstiles:
        await concurrency.aclose()


@needs_redis
async def test_what_a_dead_worker_had_is_free_when_its_lease_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("optimizer.shared.slots._LEASE", 2.0)
    monkeypatch.setattr("optimizer.shared.slots._RENEWED", 0.2)
    dead, alive = RedisSlots(redis_url), RedisSlots(redis_url)
    who = f"test {uuid.uuid4()}"
    assert await dead.take(who, 2)
    kept = await alive.take(who, 2)
    assert kept is not None
    assert dead._renewing is not None
    dead._renewing.cancel()
    assert await alive.take(who, 2) is None
    # The living one renews its own; the other's is free in the end.
    await eventually(lambda: alive.take(who, 2))
    assert await alive.take(who, 2) is None
    await dead.aclose()
    await alive.aclose()


@pytest.mark.skipif(not redis_url, reason="needs the redis package")
async def test_with_redis_away_requests_pass_and_it_is_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    concurrency = ConcurrencyLimiter(0, 1.0, "redis://127.0.0.1:1/0")
    one = Client(key="one", concurrent_requests=1)
    with caplog.at_level(logging.ERROR):
        async with concurrency.slot(one), concurrency.slot(one):
            pass
    assert len([r for r in caplog.records if "Redis cannot be reached" in r.message]) == 1
    await concurrency.aclose()
