"""The other endpoints of the contract, at the root and under /api/v1."""

from __future__ import annotations

import asyncio
import threading
import time
from decimal import Decimal

import httpx
import pytest
import yaml
from drf_spectacular.generators import SchemaGenerator

from analytics.models import CachedResponse, RequestRecord
from optimizer.api.v1 import reports
from optimizer.wiring.build import get_services
from tests.fakes.server import FakeProvider

PROMPT = {"prompt": "What is the capital of France?"}


@pytest.mark.parametrize("prefix", ["", "/api/v1"])
@pytest.mark.parametrize(
    ("path", "fields"),
    [
        (
            "/recommendation?prompt=hi",
            {"provider", "model", "confidence", "strategy_used", "reasoning", "metadata"},
        ),
        ("/routing/decision?prompt=hi", {"decision", "metadata"}),
        ("/routing/metrics", {"cost_savings", "by_strategy", "by_confidence", "by_provider"}),
        ("/stats", {"overall", "by_provider", "by_complexity", "recent_requests"}),
        ("/providers", {"enabled_providers", "models"}),
        (
            "/cache/stats",
            {
                "total_entries", "invalidated_entries", "total_hits", "hit_rate_percent",
                "total_savings", "popular_queries",
            },
        ),
        (
            "/quality/stats",
            {"overall", "by_provider", "by_model", "best", "worst", "invalidated"},
        ),
        ("/insights", {"total_outcomes", "patterns"}),
        (
            "/health",
            {
                "status", "version", "providers_available", "providers_silent", "database",
                "records", "cache", "ledger_journal",
            },
        ),
    ],
)  # fmt: skip
async def test_answers_with_the_contract_s_fields(
    client: httpx.AsyncClient, prefix: str, path: str, fields: set[str]
) -> None:
    response = await client.get(prefix + path)
    assert response.status_code == 200, response.text
    assert set(response.json()) == fields


async def test_recommending_calls_nobody_and_records_nothing(
    client: httpx.AsyncClient, fakes: dict[str, FakeProvider]
) -> None:
    recommended = (await client.get("/recommendation", params=PROMPT)).json()
    decided = (await client.get("/routing/decision", params=PROMPT)).json()
    assert recommended["strategy_used"] == decided["decision"]["strategy_used"] == "hybrid"
    plain = (await client.get("/routing/decision", params={**PROMPT, "auto_route": "false"})).json()
    assert plain["decision"]["strategy_used"] == "complexity"
    assert not any(fake.asked for fake in fakes.values())
    assert await RequestRecord.objects.admitted().acount() == 0


async def test_metrics_and_stats_add_up_to_what_was_answered(client: httpx.AsyncClient) -> None:
    answers = [
        (await client.post("/complete", json={"prompt": prompt})).json()
        for prompt in ("What is one?", "What is two?", "What is one?", "Explain why tides rise.")
    ]
    cost = sum(Decimal(str(a["cost"])) for a in answers)
    savings = (await client.get("/routing/metrics")).json()["cost_savings"]
    overall = (await client.get("/stats")).json()["overall"]
    assert Decimal(str(savings["intelligent_cost"])) == Decimal(str(overall["total_cost"])) == cost
    assert savings["paired_requests"] == overall["total_requests"] == 4
    assert savings["total_saved"] == savings["cache_saved"] == answers[2]["savings"]
    assert savings["period_days"] == 7
    assert answers[-1]["total_cost_today"] == pytest.approx(float(cost), abs=1e-12)
    cache = (await client.get("/cache/stats")).json()
    assert (cache["total_entries"], cache["total_hits"]) == (3, 1)
    assert cache["hit_rate_percent"] == 25
    assert cache["popular_queries"][0]["prompt"] == "What is one?"


async def test_providers_show_prices_and_circuits(client: httpx.AsyncClient) -> None:
    body = (await client.get("/providers")).json()
    assert body["enabled_providers"] == ["claude", "gemini", "openrouter"]
    enabled = [m for m in body["models"] if m["enabled"]]
    assert enabled
    for model in enabled:
        assert model["input_price"] > 0
        assert model["output_price"] > 0
        assert model["circuit_state"] == "closed"
        assert model["tier"] in {"simple", "moderate", "complex"}
        assert model["context_window"] > 1000


async def test_three_bad_votes_take_an_answer_out_of_the_cache(
    client: httpx.AsyncClient, fakes: dict[str, FakeProvider]
) -> None:
    first = (await client.post("/complete", json=PROMPT)).json()
    votes = [
        (
            await client.post("/feedback", json={"cache_key": first["cache_key"], "rating": -1})
        ).json()
        for _ in range(3)
    ]
    assert [v["invalidated"] for v in votes] == [False, False, True]
    assert all(v["success"] and v["quality_score"] == 0 for v in votes)
    anew = (await client.post("/complete", json=PROMPT)).json()
    assert anew["cache_hit"] is False
    entry = await CachedResponse.objects.aget()
    assert (entry.invalidated_at, entry.vote_count, entry.quality_score) == (None, 0, None)


async def test_feedback_teaches_the_hybrid_strategy(client: httpx.AsyncClient) -> None:
    answer = (await client.post("/complete", json=PROMPT)).json()
    for _ in range(25):
        response = await client.post(
            "/feedback", json={"request_id": answer["request_id"], "score": 0.95}
        )
        assert response.status_code == 200
    decision = (await client.get("/routing/decision", params=PROMPT)).json()
    assert decision["decision"]["strategy_used"] == "hybrid"
    assert decision["decision"]["confidence"] == "high"
    assert decision["metadata"]["validation"] == "validated"
    insights = (await client.get("/insights")).json()
    assert insights["total_outcomes"] == 25
    assert insights["patterns"][0]["confidence"] == "high"


async def test_a_verdict_on_an_earlier_answer_leaves_the_present_one_alone(
    client: httpx.AsyncClient,
) -> None:
    first = (await client.post("/complete", json=PROMPT)).json()
    await CachedResponse.objects.aupdate(invalidated_at="2026-01-01T00:00:00Z")
    await client.post("/complete", json=PROMPT)
    await client.post("/feedback", json={"request_id": first["request_id"], "rating": -1})
    assert (await CachedResponse.objects.aget()).vote_count == 0


@pytest.mark.parametrize("accept", ["text/html", "text/event-stream", "application/xml", "*/*"])
async def test_answers_are_json_whatever_a_client_accepts(
    client: httpx.AsyncClient, accept: str
) -> None:
    response = await client.get("/stats", headers={"accept": accept})
    assert (response.status_code, response.headers["content-type"]) == (200, "application/json")
    response = await client.post("/complete", json={}, headers={"accept": accept})
    assert (response.status_code, response.json()["status_code"]) == (400, 400)


async def test_two_reports_of_a_tenant_are_computed_at_once(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    running: list[int] = []
    most = 0
    lock = threading.Lock()

    def compute(*args: object, **options: object) -> dict[str, object]:
        nonlocal most
        with lock:
            running.append(1)
            most = max(most, len(running))
        time.sleep(0.1)
        with lock:
            running.pop()
        return {}

    monkeypatch.setattr(reports, "cache_stats", compute)
    answers = await asyncio.gather(*(client.get("/cache/stats") for _ in range(8)))
    assert {answer.status_code for answer in answers} == {200}
    assert most == 2


async def test_the_schema_is_made_once(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await client.get("/schema")
    monkeypatch.setattr(SchemaGenerator, "get_schema", None)
    for path in ("/schema", "/schema?x=1", "/api/v1/schema"):
        again = await client.get(path)
        assert (again.status_code, again.content) == (200, first.content)
        assert again.headers["content-type"] == first.headers["content-type"]


async def test_the_schema_and_its_page_are_served_locally(client: httpx.AsyncClient) -> None:
    schema = await client.get("/schema")
    assert schema.status_code == 200
    assert "/api/v1/complete" in schema.text
    document = yaml.safe_load(schema.text)
    answer = document["paths"]["/api/v1/stats"]["get"]["responses"]["200"]
    assert answer["content"]["application/json"]["schema"] == {
        "$ref": "#/components/schemas/StatsBody"
    }
    asked = document["components"]["schemas"]["CompleteInputRequest"]
    assert asked["additionalProperties"] is False
    assert asked["properties"]["prompt"]["minLength"] == 1
    assert asked["properties"]["max_tokens"]["maximum"] == 4000
    page = await client.get("/docs")
    assert page.status_code == 200
    assert "https://" not in page.text
    script = next(p for p in page.text.split('"') if p.endswith("swagger-ui-bundle.js"))
    assert (await client.get(script)).status_code == 200


async def test_a_tokenizer_at_hand_counts_and_an_absent_one_leaves_a_note(
    client: httpx.AsyncClient, settings
) -> None:
    from pathlib import Path

    from tokenizers import Tokenizer, models, pre_tokenizers

    tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0, "What": 1}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    folder = Path(settings.TOKENIZERS_DIR) / "acme" / "words"
    folder.mkdir(parents=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    counted = (await client.post("/complete", json={**PROMPT, "tokenizer_id": "acme/words"})).json()
    assert counted["tokenizer_tokens_in"] == 6
    assert counted["tokenizer_bytes_per_token"] == pytest.approx(
        1 / counted["tokenizer_tokens_per_byte"], rel=1e-3
    )
    for name in ("acme/absent", "../../etc/passwd"):
        absent = (await client.post("/complete", json={**PROMPT, "tokenizer_id": name})).json()
        assert absent["tokenizer_tokens_in"] is None
        assert absent["tokenizer_note"]


async def test_an_open_circuit_is_shown_and_avoided(
    transactional_db: None, fakes: dict[str, FakeProvider], start, settings
) -> None:
    from tests.fakes.server import Reply

    settings.BREAKER_FAILURES, settings.PROVIDER_RETRIES = 2, 0
    client = await start()
    fakes["claude"].always(Reply({}, 500))
    for number in range(3):
        answer = (await client.post("/complete", json={"prompt": f"What is {number}?"})).json()
        assert answer["provider"] != "claude"
    # Five models of one provider may fail in one request: the circuit opened within the first.
    assert get_services().caller.circuit_state("claude") == "open"
    calls = len(fakes["claude"].asked)
    after = (await client.post("/complete", json={"prompt": "What is four?"})).json()
    assert after["routing_metadata"]["fallback_used"] is False
    assert len(fakes["claude"].asked) == calls
    assert "claude" not in (await client.get("/health")).json()["providers_available"]
    # What only it can do is refused for that reason, and not as if it were not there.
    named = {"model": "claude/claude-haiku-4-5", "messages": [{"role": "user", "content": "Hi?"}]}
    refused = await client.post("/v1/chat/completions", json=named)
    assert refused.status_code == 503
    assert (
        "failed too often recently and is not called for now" in refused.json()["error"]["message"]
    )
    assert len(fakes["claude"].asked) == calls
