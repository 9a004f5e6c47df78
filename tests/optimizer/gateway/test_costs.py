"""What is recorded and told of a request's cost, from a provider's report to the ledger."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import openai
import pytest

from analytics.models import RequestRecord, RoutingMetric
from tests.fakes.server import FakeProvider, Reply
from tests.fakes.streams import openai_stream
from tests.fakes.wires import openai_completion
from tests.optimizer.api.compat.conftest import openai_sdk, served

__all__ = ["openai_sdk", "served"]
MODEL = "z-ai/glm-5.3-flash"
USAGE = {"prompt_tokens": 1000, "completion_tokens": 1000, "total_tokens": 2000}


def body(**usage: Any) -> dict[str, Any]:
    return openai_completion("m", usage={**USAGE, **usage})


async def ask(
    sdk: openai.AsyncOpenAI, *, baseline: str = f"openrouter/{MODEL}", **more: Any
) -> Any:
    messages: list[Any] = [{"role": "user", "content": "What is the capital of France?"}]
    return await sdk.chat.completions.with_raw_response.create(
        model=MODEL,
        messages=messages,
        extra_headers={"cache-control": "no-store"},
        extra_body={"optimizer": {"baseline": baseline}},
        **more,
    )


@pytest.mark.parametrize("stream", [False, True])
async def test_openrouter_s_charge_is_the_cost(
    stream: bool, openai_sdk: openai.AsyncOpenAI, fakes: dict[str, FakeProvider]
) -> None:
    # BerriAI/litellm#13653, #16021: the route cost more than the list price.
    reported = body(cost=0.00231)
    chunks = openai_stream(reported)
    fakes["openrouter"].always(Reply(chunks=chunks) if stream else Reply(reported))
    raw = await ask(openai_sdk, stream=stream)
    if stream:
        _ = [chunk async for chunk in raw.parse()]
    else:
        assert raw.headers["x-optimizer-cost"] == "0.00231"
    record = await RequestRecord.objects.aget()
    assert record.cost == Decimal("0.00231")
    assert not record.usage_estimated
    metric = await RoutingMetric.objects.aget()
    assert (metric.baseline_model, metric.baseline_cost) == (MODEL, record.cost)
    # The charge is divided as the price table divides it: 0.15 and 0.5 per million.
    assert metric.baseline_output_cost == Decimal("0.0017769231")


async def test_another_baseline_is_priced_by_the_table(
    openai_sdk: openai.AsyncOpenAI, fakes: dict[str, FakeProvider]
) -> None:
    fakes["openrouter"].always(Reply(body(cost=0.00231)))
    await ask(openai_sdk, baseline="claude/claude-haiku-4-5")
    metric = await RoutingMetric.objects.aget()
    assert metric.baseline_cost == Decimal("0.006")
    assert metric.routing_saved == Decimal("0.006") - Decimal("0.00231")


@pytest.mark.parametrize("stream", [False, True])
async def test_the_header_of_gemini_names_the_tier(
    stream: bool, openai_sdk: openai.AsyncOpenAI, fakes: dict[str, FakeProvider]
) -> None:
    # https://ai.google.dev/gemini-api/docs/priority-inference
    usage = {"promptTokenCount": 1000, "candidatesTokenCount": 100, "totalTokenCount": 1100}
    content = {"role": "model", "parts": [{"text": "Paris."}]}
    answer = {
        "candidates": [{"content": content, "finishReason": "STOP", "index": 0}],
        "usageMetadata": usage,
    }
    headers = {"x-gemini-service-tier": "priority"}
    chunks = [f"data: {json.dumps(answer)}\n\n".encode()]
    reply = Reply(chunks=chunks, headers=headers) if stream else Reply(answer, headers=headers)
    fakes["gemini"].always(reply)
    messages: list[Any] = [{"role": "user", "content": "What is the capital of France?"}]
    answered = await openai_sdk.chat.completions.create(
        model="gemini-3.5-flash-lite", messages=messages, stream=stream
    )
    if stream:
        _ = [chunk async for chunk in answered]
    record = await RequestRecord.objects.aget()
    # 1.8 times USD 0.3 and 2.5 per million tokens.
    assert record.cost == Decimal("0.00099")
    assert record.billed_units == {"service_tier": "priority"}


@pytest.mark.parametrize(("header", "cost"), [("0.00231", "0.00231"), ("0.0", "0.00065")])
async def test_a_gateway_says_its_charge_in_a_header(
    header: str, cost: str, openai_sdk: openai.AsyncOpenAI, fakes: dict[str, FakeProvider]
) -> None:
    # https://docs.litellm.ai/docs/proxy/cost_tracking; it says 0 of models that it cannot price.
    fakes["openrouter"].always(Reply(body(), headers={"x-litellm-response-cost": header}))
    raw = await ask(openai_sdk)
    assert raw.headers["x-optimizer-cost"] == cost


async def test_a_report_without_output_is_estimated_and_marked(
    openai_sdk: openai.AsyncOpenAI, fakes: dict[str, FakeProvider]
) -> None:
    reported = body()
    reported["usage"] = {"prompt_tokens": "1000", "completion_tokens": -3}
    fakes["openrouter"].always(Reply(reported))
    await ask(openai_sdk)
    record = await RequestRecord.objects.aget()
    assert (record.tokens_in, record.usage_estimated) == (1000, True)
    assert record.tokens_out > 0


async def test_the_answer_and_the_ledger_say_how_the_cost_is_known(
    openai_sdk: openai.AsyncOpenAI, fakes: dict[str, FakeProvider]
) -> None:
    fakes["openrouter"].always(Reply(body(cost=0.00231)))
    raw = await ask(openai_sdk)
    assert raw.headers["x-optimizer-price-basis"] == "reported"
    # 0.15 and 0.5 USD per million tokens.
    assert raw.headers["x-optimizer-list-cost"] == "0.00065"
    record = await RequestRecord.objects.aget()
    assert (record.price_basis, record.list_cost) == ("reported", Decimal("0.00065"))
    assert record.billed_units is None


async def test_a_cost_by_the_table_has_no_other_price_beside_it(
    openai_sdk: openai.AsyncOpenAI, fakes: dict[str, FakeProvider]
) -> None:
    fakes["openrouter"].always(Reply(body()))
    raw = await ask(openai_sdk)
    assert raw.headers["x-optimizer-price-basis"] == "table"
    assert "x-optimizer-list-cost" not in raw.headers
    record = await RequestRecord.objects.aget()
    assert (record.price_basis, record.list_cost) == ("table", None)


async def test_estimated_tokens_are_the_basis_of_a_cost(
    openai_sdk: openai.AsyncOpenAI, fakes: dict[str, FakeProvider]
) -> None:
    answer = body()
    del answer["usage"]
    fakes["openrouter"].always(Reply(answer))
    raw = await ask(openai_sdk)
    assert raw.headers["x-optimizer-price-basis"] == "estimated"
    assert (await RequestRecord.objects.aget()).price_basis == "estimated"


async def test_what_decides_a_cost_beside_text_is_kept_in_the_ledger(
    openai_sdk: openai.AsyncOpenAI, fakes: dict[str, FakeProvider]
) -> None:
    searched = body(server_tool_use={"web_search_requests": 2})
    searched["service_tier"] = "flex"
    fakes["openrouter"].always(Reply(searched))
    await ask(openai_sdk)
    record = await RequestRecord.objects.aget()
    assert record.billed_units == {"web_searches": 2, "service_tier": "flex"}
    # No fee is known for these searches, so the cost is a part of what will be charged.
    assert record.price_basis == "estimated"
