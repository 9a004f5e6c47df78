"""Rate limits by key: requests and tokens a minute, with the headers that clients read."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from asgiref.sync import sync_to_async
from django.conf import settings as django_settings

from analytics.access.keys import key_make
from analytics.models import ApiKey, RequestRecord
from optimizer.access.rate_limits import RateLimitExceeded, RateLimits
from optimizer.domain.client import Client
from optimizer.wiring.build import get_services
from tests.conftest import Start
from tests.fakes.server import FakeProvider

CHAT = {"model": "auto", "messages": [{"role": "user", "content": "What is Paris?"}]}
MESSAGE = {"model": "auto", "max_tokens": 50, "messages": CHAT["messages"]}


@pytest.fixture
async def client(
    transactional_db: None, fakes: dict[str, FakeProvider], start: Start, settings
) -> httpx.AsyncClient:
    settings.RESPONSE_CACHE = False
    return await start()


async def key(name: str, **limits: int) -> dict[str, str]:
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
    assert await RequestRecord.objects.acount() == 5


async def test_headers_tell_how_a_client_stands(client: httpx.AsyncClient) -> None:
    headers = await key("one", requests_per_minute=5, tokens_per_minute=1000)
    first = (await client.post("/v1/chat/completions", json=CHAT, headers=headers)).headers
    second = (await client.post("/v1/messages", json=MESSAGE, headers=headers)).headers
    assert first["x-ratelimit-limit-requests"] == "5"
    assert first["x-ratelimit-remaining-requests"] == "4"
    assert second["anthropic-ratelimit-requests-remaining"] == "3"
    assert first["x-ratelimit-remaining-tokens"] == "1000"
    record = await RequestRecord.objects.order_by("created_at").afirst()
    spent = record.tokens_in + record.tokens_out
    assert second["x-ratelimit-remaining-tokens"] == str(1000 - spent)
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
    await limits.spend(LIMITED, 10)
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
    for worker in workers:
        await worker.aclose()
