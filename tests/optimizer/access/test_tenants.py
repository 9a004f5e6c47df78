"""One tenant never sees another's: answers, statistics, prompts, decisions, errors."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import httpx
import pytest
from asgiref.sync import sync_to_async

from analytics.access.keys import key_make
from analytics.models import ApiKey, CachedResponse, RequestRecord, Team
from optimizer.wiring.build import get_services
from tests.factories import (
    CachedResponseFactory,
    FeedbackFactory,
    RequestRecordFactory,
    RoutingMetricFactory,
)

PAGES = ("/stats", "/cache/stats", "/quality/stats", "/routing/metrics")
RED, BLUE = "team:red", "team:blue"


async def key(name: str, team: str = "", **fields: Any) -> dict[str, str]:
    found = (await Team.objects.aget_or_create(name=team))[0] if team else None
    made = await sync_to_async(key_make)(ApiKey(name=name, team=found, **fields))
    await sync_to_async(get_services().api_keys.refresh)()
    return {"authorization": f"Bearer {made.secret}"}


def some_history() -> None:
    """Two requests and an answer of the red team's, three and one of the blue team's."""
    for tenant, count, word in ((RED, 2, "scarlet"), (BLUE, 3, "azure")):
        for _ in range(count):
            request = RequestRecordFactory(tenant=tenant, prompt=word, cost=Decimal("0.01"))
            RoutingMetricFactory(request=request, baseline_cost=Decimal("0.03"))
        FeedbackFactory(request=request, score=0.9 if tenant == RED else 0.1)
        CachedResponseFactory(
            tenant=tenant, prompt=word, hit_count=1, vote_count=1, quality_score=0.5
        )
        RequestRecordFactory(
            tenant=tenant, prompt=word, cost=Decimal(0), cache_hit=True, savings=Decimal("0.01")
        )


async def get(client: httpx.AsyncClient, path: str, headers: dict[str, str]) -> Any:
    answer = await client.get(path, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.fixture
async def history(client: httpx.AsyncClient) -> httpx.AsyncClient:
    await sync_to_async(some_history)()
    return client


async def test_statistics_are_one_s_own_tenant_s(history: httpx.AsyncClient) -> None:
    red = await key("red", "red")
    stats = await get(history, "/stats", red)
    assert stats["overall"]["total_requests"] == 3
    assert {r["prompt"] for r in stats["recent_requests"]} == {"scarlet"}
    assert sum(row["count"] for row in stats["by_provider"]) == 3
    cache = await get(history, "/cache/stats", red)
    assert (cache["total_entries"], cache["total_hits"]) == (1, 1)
    assert [q["prompt"] for q in cache["popular_queries"]] == ["scarlet"]
    quality = await get(history, "/quality/stats", red)
    assert (quality["overall"]["count"], quality["overall"]["quality"]) == (1, 0.9)
    assert {answer["prompt"] for answer in quality["best"] + quality["worst"]} == {"scarlet"}
    savings = (await get(history, "/routing/metrics", red))["cost_savings"]
    assert savings["paired_requests"] == 2
    assert savings["total_saved"] == pytest.approx(0.04)


async def test_nothing_of_another_s_is_anywhere_in_them(history: httpx.AsyncClient) -> None:
    for headers in (await key("red", "red"), await key("alone")):
        for path in PAGES:
            body = json.dumps(await get(history, path, headers))
            assert "azure" not in body


async def test_with_the_scope_read_they_are_everybody_s(history: httpx.AsyncClient) -> None:
    reads = await key("reads", "red", scopes=["read"])
    assert (await get(history, "/stats", reads))["overall"]["total_requests"] == 7
    assert (await get(history, "/cache/stats", reads))["total_entries"] == 2
    assert (await get(history, "/quality/stats", reads))["overall"]["count"] == 2
    metrics = await get(history, "/routing/metrics", reads)
    assert metrics["cost_savings"]["paired_requests"] == 5


async def test_a_key_s_own_savings_agree_with_everybody_s_where_it_is_alone(
    client: httpx.AsyncClient,
) -> None:
    red = await key("red", "red")
    for prompt in ("What is one?", "What is two?", "What is two?"):
        sent = {"prompt": prompt, "auto_route": True}
        assert (await client.post("/complete", json=sent, headers=red)).status_code == 200
    reads = await key("reads", scopes=["read"])
    for path in PAGES:
        assert await get(client, path, red) == await get(client, path, reads)
    assert await RequestRecord.objects.filter(tenant=RED).acount() == 3
    assert await CachedResponse.objects.filter(tenant=RED).acount() == 2


async def test_another_s_answer_cannot_be_rated_by_its_cache_key(client: httpx.AsyncClient) -> None:
    red, blue = await key("red", "red"), await key("blue", "blue")
    sent = {"prompt": "Should we buy the competitor?"}
    first = (await client.post("/complete", json=sent, headers=red)).json()
    unknown = {"cache_key": "0" * 64, "rating": -1}
    known = {"cache_key": first["cache_key"], "rating": -1}
    expected = await client.post("/feedback", json=unknown, headers=blue)
    assert expected.status_code == 404
    for _ in range(4):
        answer = await client.post("/feedback", json=known, headers=blue)
        without_id = {k: v for k, v in answer.json().items() if k != "request_id"}
        assert answer.status_code == 404
        assert without_id == {k: v for k, v in expected.json().items() if k != "request_id"}
    assert (await client.post("/complete", json=sent, headers=red)).json()["cache_hit"] is True


async def test_one_key_cannot_withdraw_an_answer_by_voting_often(client: httpx.AsyncClient) -> None:
    red = await key("red", "red")
    sent = {"prompt": "Should we buy the competitor?"}
    first = (await client.post("/complete", json=sent, headers=red)).json()
    for _ in range(4):
        again = (await client.post("/complete", json=sent, headers=red)).json()
        assert again["cache_hit"] is True
        for rated in ("cache_key", "request_id"):
            vote = {rated: again[rated], "rating": -1}
            answer = await client.post("/feedback", json=vote, headers=red)
            assert (answer.status_code, answer.json()["invalidated"]) == (200, False)
    entry = await CachedResponse.objects.aget(cache_key=first["cache_key"])
    assert entry.vote_count == 1


async def test_today_s_total_is_one_s_own_tenant_s(client: httpx.AsyncClient) -> None:
    red, blue = await key("red", "red"), await key("blue", "blue")
    own = Decimal(0)
    for number in range(3):
        for headers in (red, blue):
            sent = {"prompt": f"What is {number}?"}
            answer = (await client.post("/complete", json=sent, headers=headers)).json()
            if headers is red:
                own += Decimal(str(answer["cost"]))
                assert answer["total_cost_today"] == pytest.approx(float(own), abs=1e-12)
    hit = (await client.post("/complete", json={"prompt": "What is 0?"}, headers=red)).json()
    assert hit["cache_hit"] is True
    assert hit["total_cost_today"] == pytest.approx(float(own), abs=1e-12)


async def test_what_other_workers_record_is_in_today_s_total(client: httpx.AsyncClient) -> None:
    red = await key("red", "red")
    await RequestRecordFactory.build(tenant=RED, cost=Decimal("0.5")).asave()
    answer = (await client.post("/complete", json={"prompt": "Why?"}, headers=red)).json()
    assert answer["total_cost_today"] == pytest.approx(0.5 + answer["cost"], abs=1e-9)
