"""The live page: what is recorded is told to who watches, bounded, and to nobody else."""

from __future__ import annotations

import asyncio
import json
import signal
import time
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth.models import User
from django.test import AsyncClient, Client
from django.urls import reverse
from hypothesis import given
from hypothesis import strategies as st

from analytics.models import RequestRecord, RoutingMetric
from optimizer.api.http.sse import EventStream
from optimizer.monitoring.live.feed import _MAX_UNREAD, _MAX_WATCHERS, Feed, TooManyWatchers
from optimizer.monitoring.live.request_event import recent, request_event
from optimizer.monitoring.live.sums import RunningSums
from optimizer.wiring.build import get_services
from tests.conftest import stop_services
from tests.factories import RequestRecordFactory, RoutingMetricFactory
from tests.fakes.server import FakeProvider
from tests.fakes.wires import anthropic_wire
from tests.patience import PATIENCE
from tests.running import Running, own_database

EVENTS = reverse("admin:live_events")
redis_only = pytest.mark.skipif(not settings.SHARED_STORE, reason="needs Redis")


@pytest.fixture
async def watching(transactional_db: None) -> AsyncIterator[AsyncClient]:
    """A logged-in administrator, whose services end with the test."""
    client = AsyncClient()
    await client.aforce_login(await User.objects.acreate_superuser("root"))
    yield client
    await stop_services()


async def told(client: AsyncClient, number: int, **headers: str) -> list[tuple[str, dict, str]]:
    """(event, data, id) of the stream's first ``number`` messages."""
    response = await client.get(EVENTS, headers=headers)
    assert isinstance(response, EventStream)
    found: list[tuple[str, dict, str]] = []
    async with asyncio.timeout(PATIENCE):
        stream = aiter(response)
        while len(found) < number:
            for message in (await anext(stream)).decode().split("\n\n"):
                fields = dict(line.split(": ", 1) for line in message.splitlines() if ": " in line)
                if "data" in fields:
                    data = json.loads(fields["data"])
                    found.append((fields["event"], data, fields.get("id", "")))
        await stream.aclose()  # type: ignore[attr-defined]
    response.close()
    return found


async def test_it_begins_with_the_latest_and_the_day_s_sums(watching: AsyncClient) -> None:
    rows = [await sync_to_async(RequestRecordFactory)(id=uuid.uuid4()) for _ in range(2)]
    messages = await told(watching, 3)
    assert [event for event, _, _ in messages] == ["request", "request", "sums"]
    assert {event_id for _, _, event_id in messages[:2]} == {str(row.pk) for row in rows}


async def test_what_is_recorded_is_told_at_once_with_exact_sums(watching: AsyncClient) -> None:
    feed = get_services().feed
    reading = asyncio.create_task(told(watching, 4))
    while not feed._watchers:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)  # the first message, of nothing yet, is on its way
    for cost in ("0.1", "0.2"):
        record = RequestRecordFactory.build(cost=Decimal(cost), savings=Decimal("0.0000000001"))
        feed.publish(record)
    messages = await reading
    assert [event for event, _, _ in messages] == ["sums", "request", "request", "sums"]
    both = {"requests": 2, "failed": 0, "spent": "0.3", "saved": "0.0000000002"}
    assert messages[-1][1]["today"] == both
    assert sum(minute["requests"] for minute in messages[-1][1]["minutes"]) == 2


async def test_who_connects_again_gets_what_came_between(watching: AsyncClient) -> None:
    ids = [uuid.UUID(int=(7 << 76) + (n << 90)) for n in range(1, 5)]
    for pk in ids:
        await sync_to_async(RequestRecordFactory)(id=pk)
    messages = await told(watching, 3, **{"last-event-id": str(ids[1])})
    assert [event_id for _, _, event_id in messages] == [str(ids[2]), str(ids[3]), ""]


async def test_nonsense_for_the_last_event_is_as_good_as_none(watching: AsyncClient) -> None:
    assert [event for event, _, _ in await told(watching, 1, **{"last-event-id": "x"})] == ["sums"]


async def test_only_who_may_see_requests_is_told(transactional_db: None) -> None:
    client = AsyncClient()
    assert (await client.get(EVENTS)).status_code == 401
    await client.aforce_login(await User.objects.acreate_user("ann", is_staff=True))
    response = await client.get(EVENTS)
    assert response.status_code == 403
    assert "view_requestrecord" in response.json()["detail"]


async def test_more_watchers_than_a_worker_has_room_for_are_told_so(watching: AsyncClient) -> None:
    feed = get_services().feed
    held = [feed.watch() for _ in range(_MAX_WATCHERS)]
    for one in held:
        one.__enter__()
    response = await watching.get(EVENTS)
    assert (response.status_code, response["Retry-After"]) == (503, "10")
    with pytest.raises(TooManyWatchers), feed.watch():
        pass
    for one in held:
        one.__exit__(None, None, None)
    assert await told(watching, 1)


async def test_a_slow_watcher_loses_the_oldest_and_knows_how_many() -> None:
    feed = Feed()
    with feed.watch() as watcher:
        records = [RequestRecordFactory.build(id=uuid.uuid4()) for _ in range(_MAX_UNREAD + 7)]
        for record in records:
            feed.publish(record)
        taken = await watcher.take(1)
        assert (len(taken), watcher.missed) == (_MAX_UNREAD, 7)
        assert taken[-1]["id"] == str(records[-1].pk)
        assert await watcher.take(0.01) == []


async def test_at_the_end_everybody_is_let_go() -> None:
    feed = Feed()
    with feed.watch() as watcher:
        feed.end()
        assert await watcher.take(10) == []
        assert watcher.over
    with feed.watch() as late:
        assert late.over


@pytest.mark.django_db
def test_no_prompt_answer_or_user_is_told() -> None:
    record = RequestRecordFactory(prompt="a secret question", user_id="ann", tags=["hidden"])
    for happening in (request_event(record), *recent(5)):
        text = json.dumps(happening)
        assert not any(word in text for word in ("secret", "ann", "hidden"))


def test_a_new_day_begins_at_nothing() -> None:
    sums = RunningSums()
    record = RequestRecordFactory.build(cost=Decimal(1), savings=None)
    sums.add(request_event(record))
    yesterday = {**request_event(record), "at": "2020-01-01T00:00:00+00:00"}
    sums.add(yesterday)
    told = sums.summary()
    expected = {"requests": 1, "failed": 0, "spent": "1", "saved": "0"}
    assert told["today"] == expected
    minute = record.created_at.replace(second=0, microsecond=0)
    assert told["minutes"] == [{"at": minute.isoformat(), **expected}]
    assert sums.summary()["minutes"] == []


# Seconds, without those where the turn of a minute decides whether they are told of.
_AGO = st.one_of(st.integers(0, 1700), st.integers(1900, 2400))


def by_minute(sums: RunningSums) -> dict[str, tuple[int, int, Decimal, Decimal]]:
    return {
        one["at"]: (one["requests"], one["failed"], Decimal(one["spent"]), Decimal(one["saved"]))
        for one in sums.summary()["minutes"]
    }


@pytest.mark.django_db
@given(
    st.lists(
        st.tuples(_AGO, st.decimals(0, "0.1", places=6), st.sampled_from(["ok", "error"])),
        max_size=12,
    ),
    st.integers(0, 12),
)
def test_sums_that_run_on_are_those_of_the_database(
    asked: list[tuple[int, Decimal, str]], read: int
) -> None:
    RequestRecord.objects.all().delete()
    now = datetime.now(UTC)
    running = RunningSums()
    for n, (seconds, cost, status) in enumerate(asked):
        if n == read:
            running.read()
        record = RequestRecordFactory(
            created_at=now - timedelta(seconds=seconds), cost=cost, savings=-cost, status=status
        )
        if n >= read:
            running.add(request_event(record))
    if len(asked) <= read:
        running.read()
    anew = RunningSums()
    anew.read()
    assert by_minute(running) == by_minute(anew)


@pytest.mark.django_db
def test_the_page_is_for_who_may_see_requests(admin_client: Client) -> None:
    page = admin_client.get(reverse("admin:live")).content.decode()
    assert f'data-events="{EVENTS}?baseline=recorded"' in page
    client = Client()
    client.force_login(User.objects.create_user("ann", is_staff=True))
    assert client.get(reverse("admin:live")).status_code == 403


@pytest.mark.django_db
def test_workers_that_share_nothing_are_said_to(admin_client: Client, settings: Any) -> None:
    settings.SHARED_STORE = ""
    for workers, said in ((1, False), (2, True)):
        settings.WORKERS = workers
        page = admin_client.get(reverse("admin:live")).content.decode()
        assert ("Only the requests of the worker" in page) == said


@redis_only
async def test_what_another_worker_records_is_heard_once() -> None:
    here, there = Feed(settings.SHARED_STORE), Feed(settings.SHARED_STORE)
    try:
        with here.watch() as watcher:
            own = RequestRecordFactory.build(id=uuid.uuid4())
            heard: list[str] = []
            async with asyncio.timeout(PATIENCE):
                # Until the subscription stands, nobody listens.
                while len(set(heard)) < 3:
                    there.publish(RequestRecordFactory.build(id=uuid.uuid4()))
                    heard += [one["id"] for one in await watcher.take(0.3)]
            here.publish(own)
            await asyncio.sleep(0.3)
            heard += [one["id"] for one in await watcher.take(0.3)]
            assert len(heard) == len(set(heard))
            assert heard.count(str(own.pk)) == 1
    finally:
        await here.aclose()
        await there.aclose()


@redis_only
async def test_silence_is_no_trouble(caplog: pytest.LogCaptureFixture) -> None:
    feed = Feed(settings.SHARED_STORE)
    with feed.watch() as watcher:
        await watcher.take(2.5)  # longer than a Redis that answers nothing would be waited for
    await feed.aclose()
    assert not caplog.records


async def test_a_redis_that_is_away_holds_nobody_up(caplog: pytest.LogCaptureFixture) -> None:
    pytest.importorskip("redis")
    feed = Feed("redis://127.0.0.1:1/0")
    with feed.watch() as watcher:
        feed.publish(RequestRecordFactory.build())
        assert len(await watcher.take(1)) == 1
        await asyncio.sleep(0.3)
    await feed.aclose()
    assert "Redis cannot be reached" in caplog.text


@own_database
async def test_a_watcher_does_not_hold_up_the_server_s_end(tmp_path: Path) -> None:
    async with FakeProvider(anthropic_wire) as fake:
        service = Running(tmp_path, fake.url)
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{service.port}") as http:
            await service.ready(http)
            service.manage(
                "shell", "-c", "from django.contrib.auth.models import User;"
                "User.objects.create_superuser('root', password='root')",
            )  # fmt: skip
            login = reverse("admin:login")
            await http.get(login)
            fields = {"username": "root", "password": "root",
                      "csrfmiddlewaretoken": http.cookies["csrftoken"]}  # fmt: skip
            await http.post(login, data=fields, headers={"Referer": str(http.base_url)})
            async with http.stream("GET", EVENTS) as stream:
                lines = stream.aiter_lines()
                assert stream.headers["content-type"].startswith("text/event-stream")
                await http.post("/complete", json={"prompt": "Who watches?"})
                while "claude" not in (line := await anext(lines)):
                    pass
                assert '"cost":"' in line
                begun = time.monotonic()
                service.process.send_signal(signal.SIGTERM)
                async for _ in lines:
                    pass
            await asyncio.to_thread(service.ended)
            # It would wait for 30 s for an answer that does not end.
            assert time.monotonic() - begun < 20


async def test_savings_are_compared_with_what_is_picked(watching: AsyncClient) -> None:
    """The first sums, and each request that comes."""
    opus = "claude/claude-opus-5-5"

    def decided() -> RoutingMetric:
        return RoutingMetricFactory(
            request__tokens_in=1000, request__tokens_out=1000, request__cost=Decimal("0.001")
        )

    before = await sync_to_async(decided)()
    rates = get_services().prices.rates(*opus.split("/"))
    assert rates is not None
    assert rates.output is not None
    cost = (rates.input.at(0) * 1000 + rates.output.at(0) * 1000) / 1_000_000
    response = await watching.get(EVENTS, {"baseline": opus})
    messages: list[str] = []

    async def read(name: str) -> dict[str, Any]:
        async with asyncio.timeout(PATIENCE):
            while True:
                while messages:
                    lines = messages.pop(0).splitlines()
                    if f"event: {name}" in lines:
                        data = next(line for line in lines if line.startswith("data: "))
                        return json.loads(data[6:])  # type: ignore[no-any-return]
                messages.extend((await anext(stream)).decode().split("\n\n"))

    stream = aiter(response)
    first = await read("request")
    assert (first["id"], Decimal(first["saved"])) == (str(before.pk), cost - Decimal("0.001"))
    after = await sync_to_async(decided)()
    get_services().feed.publish(after.request)
    following = await read("request")
    assert (following["id"], Decimal(following["saved"])) == (
        str(after.pk), cost - Decimal("0.001"),
    )  # fmt: skip
    sums = await read("sums")
    assert Decimal(sums["minutes"][-1]["saved"]) >= cost - Decimal("0.001")
    response.close()
