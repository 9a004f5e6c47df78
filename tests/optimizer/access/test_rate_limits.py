"""Rate limits by key: requests and tokens a minute, with the headers that clients read."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import httpx
import pytest
from asgiref.sync import sync_to_async
from django.conf import settings as django_settings

from analytics.access.keys import key_make
from analytics.models import ApiKey, RequestRecord, Team
from optimizer.access.rate_limits import RateLimitExceeded, RateLimits, RateWindow
from optimizer.domain.client import Client
from optimizer.wiring.build import get_services
from tests.conftest import Start
from tests.fakes.server import FakeProvider, Reply

CHAT = {"model": "auto", "messages": [{"role": "user", "content": "What is Paris?"}]}
MESSAGE = {"model": "auto", "max_tokens": 50, "messages": CHAT["messages"]}


@pytest.fixture
async def client(
    transactional_db: None, fakes: dict[str, FakeProvider], start: Start, settings
) -> httpx.AsyncClient:
    settings.RESPONSE_CACHE = False
    return await start()


async def key(name: str, **limits: Any) -> dict[str, str]:
    made = await sync_to_async(key_make)(ApiKey(name=name, **limits))
    await sync_to_async(get_services().api_keys.refresh)()
    return {"authorization": f"Bearer {made.secret}"}


async def test_no_more_requests_than_the_limit_also_at_once(client: httpx.AsyncClient) -> None:
    headers = await key("one", requests_per_minute=5)
    answers = await asyncio.gather(
        *(client.post("/v1/chat/completions", json=CHAT, headers=headers) for _ in range(12))
    )
    assert sorted(a.status_code for a in answers) == [200] * 5 + [429] * 7
    refused = next(a for a in answers if a.status_code == 429)
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert refused.json()["error"]["code"] == "rate_limit_exceeded"
    assert await RequestRecord.objects.admitted().acount() == 5


async def test_headers_tell_how_a_client_stands(client: httpx.AsyncClient) -> None:
    headers = await key("one", requests_per_minute=5, tokens_per_minute=1000)
    first = (await client.post("/v1/chat/completions", json=CHAT, headers=headers)).headers
    second = (await client.post("/v1/messages", json=MESSAGE, headers=headers)).headers
    assert first["x-ratelimit-limit-requests"] == "5"
    assert first["x-ratelimit-remaining-requests"] == "4"
    assert second["anthropic-ratelimit-requests-remaining"] == "3"
    spent = [r.tokens_in + r.tokens_out async for r in RequestRecord.objects.order_by("created_at")]
    assert first["x-ratelimit-limit-tokens"] == "1000"
    assert first["x-ratelimit-remaining-tokens"] == str(1000 - spent[0])
    assert second["x-ratelimit-remaining-tokens"] == str(1000 - sum(spent))
    assert first["x-ratelimit-reset-requests"].endswith("s")
    assert second["anthropic-ratelimit-requests-reset"].endswith("Z")


async def test_tokens_beyond_the_limit_end_it_until_the_minute_is_over(
    client: httpx.AsyncClient,
) -> None:
    headers = await key("one", tokens_per_minute=10)
    assert (await client.post("/v1/chat/completions", json=CHAT, headers=headers)).is_success
    refused = await client.post("/v1/messages", json=MESSAGE, headers=headers)
    assert refused.status_code == 429
    assert refused.json()["error"]["type"] == "rate_limit_error"
    assert "10 tokens a minute" in refused.text


async def test_a_stream_s_tokens_count(client: httpx.AsyncClient) -> None:
    headers = await key("one", tokens_per_minute=10)
    streamed = {**CHAT, "stream": True}
    assert (await client.post("/v1/chat/completions", json=streamed, headers=headers)).is_success
    assert (
        await client.post("/v1/chat/completions", json=CHAT, headers=headers)
    ).status_code == 429


AT_ONCE = [
    ("/complete", {"prompt": "What is Paris?", "max_tokens": 400}),
    ("/v1/chat/completions", {**CHAT, "max_completion_tokens": 400}),
    ("/v1/chat/completions", {**CHAT, "max_tokens": 200, "n": 2}),
    ("/v1/chat/completions", {**CHAT, "max_tokens": 400, "stream": True}),
    ("/v1/responses", {"model": "auto", "input": "What is Paris?", "max_output_tokens": 400}),
    ("/v1/messages", {**MESSAGE, "max_tokens": 400}),
    ("/v1/messages", {**MESSAGE, "max_tokens": 400, "stream": True}),
]


@pytest.mark.parametrize(("path", "body"), AT_ONCE)
async def test_requests_at_once_do_not_pass_the_limit_of_tokens_together(
    client: httpx.AsyncClient, fakes: dict[str, FakeProvider], path: str, body: Any
) -> None:
    headers = await key("one", tokens_per_minute=1000)
    for fake in fakes.values():
        fake.gate = asyncio.Event()
    asking = [asyncio.create_task(client.post(path, json=body, headers=headers)) for _ in range(8)]
    while sum(task.done() for task in asking) < 6:
        await asyncio.sleep(0.01)
    for fake in fakes.values():
        fake.gate.set()
    answers = await asyncio.gather(*asking)
    assert sorted(a.status_code for a in answers) == [200] * 2 + [429] * 6
    refused = next(a for a in answers if a.status_code == 429)
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert refused.headers["x-ratelimit-limit-tokens"] == "1000"
    assert int(refused.headers["x-ratelimit-remaining-tokens"]) < 400
    assert "1000 tokens a minute" in refused.text
    assert await RequestRecord.objects.filter(status="ok").acount() == 2
    # They used less than they might have, so others are served again.
    assert (await client.post(path, json=body, headers=headers)).status_code == 200


async def test_a_request_larger_than_the_limit_is_served_in_an_unused_minute(
    client: httpx.AsyncClient,
) -> None:
    headers = await key("one", tokens_per_minute=1000)
    large = {**MESSAGE, "max_tokens": 4000}
    assert (await client.post("/v1/messages", json=large, headers=headers)).status_code == 200
    refused = await client.post("/v1/messages", json=large, headers=headers)
    assert refused.status_code == 429
    assert "less than the 40" in refused.text
    assert "max_tokens" in refused.text
    small = {**MESSAGE, "max_tokens": 100}
    assert (await client.post("/v1/messages", json=small, headers=headers)).status_code == 200


async def test_a_failed_request_gives_its_tokens_back(
    client: httpx.AsyncClient, fakes: dict[str, FakeProvider]
) -> None:
    headers = await key("one", tokens_per_minute=1000)
    wires = {name: fake.wire for name, fake in fakes.items()}
    for fake in fakes.values():
        fake.wire = lambda _: Reply({"error": {"message": "no"}}, status=400)
    body = {**MESSAGE, "max_tokens": 900}
    for streamed in (False, True):
        sent = {**body, "stream": streamed}
        failed = await client.post("/v1/messages", json=sent, headers=headers)
        assert failed.status_code in {400, 503}
    for name, fake in fakes.items():
        fake.wire = wires[name]
    assert (await client.post("/v1/messages", json=body, headers=headers)).status_code == 200


async def test_another_key_s_limit_of_tokens_says_nothing_of_one_s_own(
    transactional_db: None,
    fakes: dict[str, FakeProvider],
    start: Start,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = await start()
    team = await Team.objects.acreate(name="red")
    poor, rich = await key("poor", team=team, tokens_per_minute=1), await key("rich", team=team)
    limits = get_services().limits

    async def refuse(one: Client, request_id: uuid.UUID, tokens: int) -> None:
        await asyncio.sleep(0.2)
        window = RateWindow("tokens", 1, 0, 60.0)
        raise RateLimitExceeded(window, [window], needed=tokens, recorded_for=request_id)

    monkeypatch.setattr(limits, "reserve", refuse)
    monkeypatch.setattr(limits, "admit", admitted)
    for path, body in (AT_ONCE[0], AT_ONCE[-1]):
        leads = asyncio.create_task(client.post(path, json=body, headers=poor))
        await asyncio.sleep(0.1)
        follows = await client.post(path, json=body, headers=rich)
        assert (follows.status_code, (await leads).status_code) == (200, 429)


async def admitted(one: Client) -> list[RateWindow]:
    return []


async def test_each_key_has_its_own(client: httpx.AsyncClient) -> None:
    one, other = await key("one", requests_per_minute=1), await key("other", requests_per_minute=1)
    free = await key("free")
    for headers in (one, other):
        assert (await client.post("/v1/chat/completions", json=CHAT, headers=headers)).is_success
    assert (await client.get("/v1/models", headers=one)).is_success
    answer = await client.post("/v1/chat/completions", json=CHAT, headers=free)
    assert "x-ratelimit-limit-requests" not in answer.headers


LIMITED = Client(key="k", requests_per_minute=3, tokens_per_minute=100)


async def test_a_store_that_is_away_lets_pass_and_says_so(caplog) -> None:
    pytest.importorskip("redis")
    limits = RateLimits("redis://127.0.0.1:9/0")
    for _ in range(5):
        assert await limits.admit(LIMITED) == []
    request_id = uuid.uuid4()
    await limits.reserve(LIMITED, request_id, 1000)
    await limits.settle(LIMITED, request_id, 10)
    await limits.aclose()
    assert caplog.text.count("Rate limits are not enforced") == 1


@pytest.mark.skipif(
    "redis" not in django_settings.CACHES["default"]["BACKEND"], reason="needs Redis"
)
async def test_processes_share_it_over_redis() -> None:
    url = django_settings.SHARED_STORE
    workers = [RateLimits(url), RateLimits(url)]
    shared = Client(key="shared-by-two", requests_per_minute=10)
    tries = await asyncio.gather(
        *(workers[n % 2].admit(shared) for n in range(20)), return_exceptions=True
    )
    assert sum(isinstance(one, RateLimitExceeded) for one in tries) == 10
    tokens = Client(key="tokens-of-two", tokens_per_minute=1000)
    ids = [uuid.uuid4() for _ in range(20)]
    tries = await asyncio.gather(
        *(workers[n % 2].reserve(tokens, ids[n], 400) for n in range(20)), return_exceptions=True
    )
    served = [n for n, one in enumerate(tries) if one is None]
    assert len(served) == 2
    for n in served:
        await workers[n % 2].settle(tokens, ids[n], 100)
    (window,) = await workers[0].admit(tokens)
    assert window.remaining == 800
    for worker in workers:
        await worker.aclose()
