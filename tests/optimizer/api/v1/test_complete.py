"""POST /complete: cache, route, call, price, record, answer."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal

import httpx
import pytest

from analytics.models import CachedResponse, DailyTotal, RequestRecord, RoutingMetric
from optimizer.wiring.build import get_services
from providers.completion import Usage
from tests.fakes.server import FakeProvider, Reply
from tests.fakes.wires import ANSWER, anthropic_message

PROMPT = {"prompt": "What is the capital of France?"}
HARD = (
    "Design and implement a distributed rate limiter, analyze its complexity, compare at least "
    "three algorithms, prove its correctness and explain every tradeoff step by step in detail."
)


async def ask(client: httpx.AsyncClient, **body: object) -> dict:
    response = await client.post("/complete", json=body)
    assert response.status_code == 200, response.text
    return response.json()


async def test_answers_with_the_contract_s_fields(client: httpx.AsyncClient) -> None:
    answer = await ask(client, **PROMPT)
    assert {
        "response", "provider", "model", "strategy_used", "confidence", "complexity_metadata",
        "routing_metadata", "tokens_in", "tokens_out", "cost", "total_cost_today", "cache_hit",
        "cache_key", "original_cost", "savings", "request_id", "price_basis",
    } == set(answer)  # fmt: skip
    assert answer["response"] == ANSWER
    assert answer["price_basis"] == "table"
    assert answer["strategy_used"] == "complexity"
    assert set(answer["complexity_metadata"]) == {"complexity", "token_count"}
    assert {
        "pattern", "complexity", "tier", "cost_estimate", "quality_score", "candidates",
        "reasoning",
    } <= set(answer["routing_metadata"])  # fmt: skip


async def test_every_model_of_the_catalogue_s_providers_is_a_candidate(
    client: httpx.AsyncClient,
) -> None:
    answer = await ask(client, **PROMPT)
    offered = {(o.provider, o.model) for o in get_services().options.options()}
    weighed = {(c["provider"], c["model"]) for c in answer["routing_metadata"]["candidates"]}
    assert weighed == offered
    chosen = [c for c in answer["routing_metadata"]["candidates"] if c["chosen"]]
    assert [(c["provider"], c["model"]) for c in chosen] == [(answer["provider"], answer["model"])]


async def test_is_priced_on_the_usage_that_the_provider_reports(client: httpx.AsyncClient) -> None:
    answer = await ask(client, **PROMPT)
    assert answer["provider"] == "claude"
    usage = Usage(20, 9, cache_read_tokens=4, cache_write_tokens=3)
    expected = get_services().prices.cost("claude", answer["model"], usage)
    assert (answer["tokens_in"], answer["tokens_out"]) == (20, 9)
    assert Decimal(str(answer["cost"])) == expected.normalize()
    record = await RequestRecord.objects.aget(pk=answer["request_id"])
    assert record.cost == expected
    assert (record.cache_read_tokens, record.cache_write_tokens) == (4, 3)


async def test_the_same_prompt_is_served_from_the_cache_for_nothing(
    client: httpx.AsyncClient, fakes: dict[str, FakeProvider]
) -> None:
    first = await ask(client, **PROMPT)
    second = await ask(client, **PROMPT)
    assert sum(len(fake.asked) for fake in fakes.values()) == 1
    assert second["cache_hit"] is True
    assert second["strategy_used"] == "cached"
    assert second["response"] == first["response"]
    assert second["cost"] == 0
    assert second["original_cost"] == second["savings"] == first["cost"]
    assert second["total_cost_today"] == first["total_cost_today"] == first["cost"]
    assert second["request_id"] != first["request_id"]
    entry = await CachedResponse.objects.aget(cache_key=first["cache_key"])
    assert entry.hit_count == 1


@pytest.mark.parametrize("change", [{"max_tokens": 7}, {"auto_route": True}, {"prompt": "What?"}])
async def test_whatever_changes_the_answer_misses_the_cache(
    client: httpx.AsyncClient, change: dict
) -> None:
    await ask(client, **PROMPT)
    assert (await ask(client, **{**PROMPT, **change}))["cache_hit"] is False


async def test_identical_prompts_in_flight_share_one_call(
    client: httpx.AsyncClient, fakes: dict[str, FakeProvider]
) -> None:
    fakes["claude"].gate = asyncio.Event()
    waiting = [asyncio.create_task(ask(client, **PROMPT)) for _ in range(8)]
    while not fakes["claude"].asked:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)
    fakes["claude"].gate.set()
    answers = await asyncio.gather(*waiting)
    assert len(fakes["claude"].asked) == 1
    assert sorted(a["cache_hit"] for a in answers) == [False] + [True] * 7
    assert {a["total_cost_today"] for a in answers} == {max(a["cost"] for a in answers)}
    assert await RequestRecord.objects.acount() == 8


async def test_an_answer_is_recorded_though_its_client_went_away(
    client: httpx.AsyncClient, fakes: dict[str, FakeProvider]
) -> None:
    fakes["claude"].gate = asyncio.Event()
    impatient = asyncio.create_task(ask(client, **PROMPT))
    while not fakes["claude"].asked:
        await asyncio.sleep(0.01)
    impatient.cancel()
    fakes["claude"].gate.set()
    await asyncio.gather(impatient, return_exceptions=True)
    await get_services().routing.drain()
    record = await RequestRecord.objects.aget()
    assert record.cost > 0


async def test_a_failing_model_is_replaced_by_the_next_and_the_change_is_explained(
    client: httpx.AsyncClient, fakes: dict[str, FakeProvider]
) -> None:
    fakes["claude"].always(Reply({"type": "error"}, 401))
    answer = await ask(client, **PROMPT)
    assert answer["provider"] != "claude"
    assert answer["routing_metadata"]["fallback_used"] is True
    assert answer["routing_metadata"]["intended_model"]["provider"] == "claude"
    assert "refused the API key" in answer["routing_metadata"]["fallback_reason"]
    record = await RequestRecord.objects.aget()
    assert [a["error"] for a in record.attempts] == ["authentication_failed"]


async def test_a_charged_failure_counts_into_the_cost_but_not_into_a_later_saving(
    client: httpx.AsyncClient, fakes: dict[str, FakeProvider]
) -> None:
    refusal = {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [],
        "stop_reason": "refusal", "usage": {"input_tokens": 1000, "output_tokens": 0},
    }  # fmt: skip
    fakes["claude"].always(Reply(refusal))
    first = await ask(client, **PROMPT)
    record = await RequestRecord.objects.aget()
    assert record.failed_cost > 0
    assert record.cost == record.failed_cost + Decimal(str(first["original_cost"]))
    assert first["savings"] < 0
    second = await ask(client, **PROMPT)
    assert Decimal(str(second["savings"])) == record.cost - record.failed_cost


async def test_hard_prompts_go_to_a_stronger_model(client: httpx.AsyncClient) -> None:
    easy, hard = await ask(client, **PROMPT), await ask(client, prompt=HARD)
    assert easy["routing_metadata"]["tier"] == "simple"
    assert hard["routing_metadata"]["tier"] == "complex"
    assert hard["model"] != easy["model"]


async def test_record_decision_and_daily_total_are_written_together(
    client: httpx.AsyncClient,
) -> None:
    answer = await ask(client, **PROMPT)
    metric = await RoutingMetric.objects.select_related("request").aget()
    total = await DailyTotal.objects.aget()
    assert str(metric.request.pk) == answer["request_id"]
    assert metric.actual_cost == metric.request.cost == total.cost == metric.baseline_cost
    assert metric.routing_saved == 0
    assert metric.request.prompt == PROMPT["prompt"]


@pytest.mark.parametrize(("policy", "prompt", "hashed"), [("hash", "", True), ("none", "", False)])
async def test_prompts_are_stored_only_as_allowed(
    transactional_db: None,
    fakes: dict,
    start,
    settings,
    policy: str,
    prompt: str,
    hashed: bool,
) -> None:
    settings.STORE_PROMPTS = policy
    await ask(await start(), **PROMPT)
    record = await RequestRecord.objects.aget()
    entry = await CachedResponse.objects.aget()
    assert record.prompt == entry.prompt == prompt
    assert bool(record.prompt_hash) is hashed


async def test_text_that_no_database_can_hold_is_made_storable(
    client: httpx.AsyncClient, fakes: dict[str, FakeProvider]
) -> None:
    fakes["claude"].next(Reply(anthropic_message("m", "a\x00b\ud800c")))
    assert (await ask(client, **PROMPT))["response"] == "a\ufffdb\ufffdc"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "utf-16", "utf-32-le"])
@pytest.mark.parametrize("ascii_only", [True, False])
async def test_however_a_provider_encodes_what_no_database_takes(
    client: httpx.AsyncClient, fakes: dict[str, FakeProvider], encoding: str, ascii_only: bool
) -> None:
    body = json.dumps(anthropic_message("m", "a\ud800b"), ensure_ascii=ascii_only)
    fakes["claude"].next(Reply(body.encode(encoding, "surrogatepass")))
    assert (await ask(client, **PROMPT))["response"] == "a\ufffdb"


async def test_an_unpriced_model_is_unknown_never_free(
    transactional_db: None, fakes: dict, start, settings, tmp_path, caplog
) -> None:
    settings.CATALOGUE_FILE = str(tmp_path / "mine.toml")
    (tmp_path / "mine.toml").write_text(
        '[providers.claude]\nwire = "anthropic"\nbase_url_env = "ANTHROPIC_BASE_URL"\n'
        'key_env = ["ANTHROPIC_API_KEY"]\nprices = ""\n'
    )
    answer = await ask(await start(), **PROMPT)
    assert answer["provider"] == "claude"
    assert answer["cost"] is None
    assert answer["savings"] in (0, None)
    assert "No price is known for claude" in caplog.text


@pytest.mark.parametrize("auto_route", [False, True])
@pytest.mark.parametrize(
    ("down", "serving", "usage"),
    [
        ([], "claude", Usage(20, 9, 4, 3)),
        (["claude"], "openrouter", Usage(20, 9, 4, 0, 2)),
        (["claude", "openrouter"], "gemini", Usage(20, 9, 4, 0, 2)),
    ],
)
async def test_each_wire_routes_completes_and_is_priced(
    client: httpx.AsyncClient,
    fakes: dict[str, FakeProvider],
    auto_route: bool,
    down: list[str],
    serving: str,
    usage: Usage,
) -> None:
    for name in down:
        fakes[name].always(Reply({}, 403))
    answer = await ask(client, **PROMPT, auto_route=auto_route)
    assert answer["provider"] == serving
    assert answer["response"] == ANSWER
    assert answer["strategy_used"] == ("hybrid" if auto_route else "complexity")
    expected = get_services().prices.cost(serving, answer["model"], usage)
    assert Decimal(str(answer["cost"])) == expected.normalize()
    assert len(fakes[serving].asked) == 1
