"""What providers report beside tokens: service tiers, searches, tools, charges and audio."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from providers.catalogue import load_catalogue
from providers.completion import Usage
from providers.gemini.usage import GeminiUsageOfStream
from providers.gemini.usage import read_usage as read_gemini_usage
from providers.pricing import PriceBook
from providers.usage import UsageOfStream, read_usage
from tests.providers.usage_reports import OPENAI, RESPONSES, usage_of

BOOK = PriceBook(load_catalogue())


@pytest.mark.parametrize(
    ("body", "tier"),
    [
        ({"usage": OPENAI, "service_tier": "flex"}, "flex"),
        ({"usage": OPENAI, "service_tier": "priority"}, "priority"),
        ({"usage": OPENAI, "service_tier": "default"}, ""),
        ({"usage": OPENAI, "service_tier": "auto"}, ""),
        ({"usage": OPENAI, "service_tier": ["flex"]}, ""),
        ({"usage": {**OPENAI, "service_tier": "standard"}}, ""),
        ({"usage": {**OPENAI, "service_tier": "batch"}}, "batch"),
        # https://github.com/vercel/ai/pull/15488, https://github.com/BerriAI/litellm/pull/37723
        ({"usageMetadata": {"promptTokenCount": 9, "serviceTier": "priority"}}, "priority"),
        ({"usageMetadata": {"promptTokenCount": 9, "trafficType": "ON_DEMAND_FLEX"}}, "flex"),
        ({"usageMetadata": {"promptTokenCount": 9, "trafficType": "ON_DEMAND"}}, ""),
        # Capacity that was bought ahead: https://openai.com/api-scale-tier/
        ({"usage": OPENAI, "service_tier": "scale"}, "provisioned"),
        ({"usage": OPENAI, "service_tier": "ultrafast"}, "ultrafast"),
        ({"usage": OPENAI, "service_tier": "reserved"}, "provisioned"),
        (
            {"usageMetadata": {"promptTokenCount": 9, "trafficType": "PROVISIONED_THROUGHPUT"}},
            "provisioned",
        ),
    ],
)
def test_the_tier_is_the_one_that_served(body: dict[str, Any], tier: str) -> None:
    for usage in (read_usage(body), UsageOfStream().add(body)):
        assert usage is not None
        assert usage.service_tier == tier


def test_a_stream_names_its_tier_before_its_usage() -> None:
    stream = UsageOfStream()
    assert stream.add({"service_tier": "flex", "choices": []}) is None
    usage = stream.add({"usage": OPENAI})
    assert usage is not None
    assert usage.service_tier == "flex"


@pytest.mark.parametrize(
    ("reported", "cost"),
    [
        # https://openrouter.ai/docs/use-cases/usage-accounting (BerriAI/litellm#13653, #16021)
        ({"cost": 0.00231, "cost_details": {"upstream_inference_cost": None}}, "0.00231"),
        ({"cost": "0.00231"}, "0.00231"),
        ({"cost": 1e-7}, "0.0000001"),
        ({"cost": 0}, "0"),
        # A key of one's own: OpenRouter's fee, and what the model's provider charges.
        (
            {"cost": 0.05, "is_byok": True, "cost_details": {"upstream_inference_cost": 1}},
            "1.05",
        ),
        ({"cost": 0.95, "cost_details": {"upstream_inference_cost": 19}}, "19.95"),
        # https://github.com/ORO-AI/oro/releases/tag/v3.0.4: filled in for other calls too.
        (
            {"cost": 0.5, "is_byok": False, "cost_details": {"upstream_inference_cost": 0.5}},
            "0.5",
        ),
        ({"cost": 0.05, "is_byok": True}, None),
        # https://docs.x.ai/developers/cost-tracking
        ({"cost_in_usd_ticks": 37_756_000}, "0.0037756"),
        # https://docs.perplexity.ai/getting-started/pricing
        ({"cost": {"input_tokens_cost": 0.001, "total_cost": 0.0061}}, "0.0061"),
        ({"cost": {"total_cost": 1, "currency": "EUR"}}, None),
        ({"cost": -1}, None),
        ({"cost": True}, None),
        ({"cost": float("inf")}, None),
        ({"cost": 1e30}, None),
        ({"cost": {}}, None),
        ({"cost_in_usd_ticks": "many"}, None),
        ({"cost_in_usd_ticks": "1e9999999"}, None),
        # https://docs.deepinfra.com/chat/overview
        ({"estimated_cost": 0.00123}, "0.00123"),
        ({"estimated_cost": None}, None),
    ],
)
def test_what_a_provider_says_it_charged_is_read(reported: Any, cost: str | None) -> None:
    expected = None if cost is None else Decimal(cost)
    assert usage_of({**OPENAI, **reported}).reported_cost == expected


@pytest.mark.parametrize(
    ("reported", "searches"),
    [
        ({"server_tool_use": {"web_search_requests": 3, "web_fetch_requests": 2}}, 3),
        ({"server_tool_use": {"web_search_requests": "3"}}, 3),
        ({"server_tool_use": {"web_search_requests": -3}}, 0),
        ({"server_tool_use": 3}, 0),
        ({"num_search_queries": 4}, 4),
        ({"server_side_tool_usage_details": {"web_search_calls": 2, "x_search_calls": 1}}, 3),
        (
            {
                "server_side_tool_usage": {
                    "SERVER_SIDE_TOOL_WEB_SEARCH": 2,
                    "SERVER_SIDE_TOOL_X_SEARCH": 1,
                    "SERVER_SIDE_TOOL_VIEW_IMAGE": 4,
                }
            },
            3,
        ),
    ],
)
def test_searches_are_counted(reported: dict[str, Any], searches: int) -> None:
    assert usage_of({**OPENAI, **reported}).web_searches == searches


def test_xai_counts_every_tool_that_has_a_fee() -> None:
    calls = {"web_search_calls": 2, "code_interpreter_calls": 3, "file_search_calls": 4}
    usage = usage_of({**OPENAI, "server_side_tool_usage_details": calls})
    assert (usage.web_searches, usage.code_sessions, usage.file_searches) == (2, 3, 4)
    usage = usage_of({**OPENAI, "server_side_tool_usage_details": {"document_search_calls": 5}})
    assert usage.attachment_searches == 5
    assert usage_of({**OPENAI, "num_sources_used": 6}).search_sources == 6


def test_xai_counts_its_tools_beside_the_usage_too() -> None:
    tools = {"SERVER_SIDE_TOOL_CODE_EXECUTION": 2, "SERVER_SIDE_TOOL_COLLECTIONS_SEARCH": 1}
    body = {"usage": {**RESPONSES}, "output": [], "server_side_tool_usage": tools}
    usage = read_usage(body)
    assert usage is not None
    assert (usage.code_sessions, usage.file_searches) == (2, 1)
    streamed = UsageOfStream().add({"type": "response.completed", "response": body})
    assert streamed is not None
    assert (streamed.code_sessions, streamed.file_searches) == (2, 1)


def test_with_a_key_of_one_s_own_a_gateway_s_charge_of_nothing_is_not_the_cost() -> None:
    gateway = {"cost": "0", "marketCost": "0.0023"}
    usage = read_usage({"usage": OPENAI, "provider_metadata": {"gateway": gateway}})
    assert usage is not None
    assert usage.reported_cost == Decimal("0.0023")
    gateway["marketCost"] = "0"
    usage = read_usage({"usage": OPENAI, "provider_metadata": {"gateway": gateway}})
    assert usage is not None
    assert usage.reported_cost == 0


@pytest.mark.parametrize("whole", [True, False])
def test_a_gateway_says_its_charge_beside_the_usage(whole: bool) -> None:
    # https://github.com/earendil-works/pi/pull/6881
    about = {"provider_metadata": {"gateway": {"cost": "0.0023"}}}
    body = {"usage": {"input_tokens": 100, "output_tokens": 20}, **about}
    usage = read_usage(body) if whole else UsageOfStream().add({"type": "message_delta", **body})
    assert usage is not None
    assert usage.reported_cost == Decimal("0.0023")


def test_what_cohere_bills_is_read_wherever_its_usage_stands() -> None:
    billed = {"billed_units": {"input_tokens": 100, "output_tokens": 20}}
    end = {"type": "message-end", "delta": {"finish_reason": "COMPLETE", "usage": billed}}
    usage = UsageOfStream().add(end)
    assert usage is not None
    assert (usage.input_tokens, usage.output_tokens) == (100, 20)


@pytest.mark.parametrize(
    "reported",
    [
        # https://cloud.google.com/vertex-ai/generative-ai/docs/partner-models/grok
        {**OPENAI, "extra_properties": {"google": {"traffic_type": "ON_DEMAND_PRIORITY"}}},
        {
            "prompt_token_count": 100,
            "candidates_token_count": 20,
            "traffic_type": "ON_DEMAND_PRIORITY",
        },
    ],
)
def test_vertex_says_its_tier_in_either_spelling(reported: dict[str, Any]) -> None:
    assert usage_of(reported).service_tier == "priority"


RAN_CODE = {"type": "code_interpreter_call", "container_id": "cntr_1"}
RAN_SHELL = {
    "type": "shell_call",
    "environment": {"type": "container_reference", "container_id": "cntr_2"},
}


@pytest.mark.parametrize(
    ("calls", "tools", "gigabytes"),
    [
        # https://developers.openai.com/api/docs/guides/tools-code-interpreter
        ([RAN_CODE, RAN_CODE], [{"type": "code_interpreter", "container": {"type": "auto"}}], 1),
        (
            [RAN_CODE],
            [{"type": "code_interpreter", "container": {"type": "auto", "memory_limit": "4g"}}],
            4,
        ),
        ([RAN_CODE], [{"type": "code_interpreter", "container": "cntr_1"}], 1),
        # https://developers.openai.com/api/docs/guides/tools-shell
        ([RAN_SHELL], [{"type": "shell", "environment": {"type": "container_auto"}}], 1),
        (
            [RAN_CODE, RAN_SHELL],
            [{"type": "shell", "environment": {"type": "container_auto", "memory_limit": "16g"}}],
            17,
        ),
        ([{"type": "shell_call", "environment": {"type": "local"}}], [{"type": "shell"}], 0),
        ([{"type": "shell_call"}, {"type": "local_shell_call"}], None, 0),
    ],
)
def test_containers_count_by_their_memory(calls: Any, tools: Any, gigabytes: int) -> None:
    usage = read_usage({"usage": RESPONSES, "output": calls, "tools": tools})
    assert usage is not None
    assert usage.code_sessions == gigabytes


def test_searches_of_the_earlier_tool_are_counted_apart() -> None:
    search = {"type": "web_search_call", "action": {"type": "search"}}
    body = {"usage": RESPONSES, "output": [search, search]}
    for tool, preview in (("web_search", 0), ("web_search_preview_2025_03_11", 2)):
        usage = read_usage({**body, "tools": [{"type": tool}]})
        assert usage is not None
        assert (usage.web_searches, usage.preview_searches) == (2, preview)


def test_no_more_searches_are_of_the_earlier_tool_than_there_were() -> None:
    output = [{"type": "web_search_call"}] * 5
    report = {**OPENAI, "server_tool_use": {"web_search_requests": 1}}
    usage = read_usage(
        {"usage": report, "output": output, "tools": [{"type": "web_search_preview"}]}
    )
    assert usage is not None
    assert (usage.web_searches, usage.preview_searches) == (1, 1)


def test_openai_s_hosted_searches_are_counted_in_the_output() -> None:
    # https://platform.openai.com/docs/guides/tools-web-search: only search actions have a fee.
    response = {
        "service_tier": "flex",
        "output": [
            {"type": "web_search_call", "action": {"type": "search", "query": "x"}},
            {"type": "web_search_call", "action": {"type": "open_page"}},
            {"type": "web_search_call"},
            {"type": "file_search_call"},
            {"type": "message"},
            None,
        ],
        "usage": RESPONSES,
    }
    stream = UsageOfStream()
    for usage in (
        read_usage(response),
        stream.add({"type": "response.completed", "response": response}),
    ):
        assert usage == Usage(
            100, 20, 60, reasoning_tokens=15, web_searches=2, file_searches=1, service_tier="flex"
        )


def grounded(*queries: str) -> dict[str, Any]:
    return {
        "candidates": [{"groundingMetadata": {"webSearchQueries": list(queries)}}],
        "usageMetadata": {"promptTokenCount": 9, "candidatesTokenCount": 2},
    }


def test_gemini_s_searches_for_images_are_queries_too() -> None:
    # https://googleapis.github.io/java-genai/javadoc (GroundingMetadata.imageSearchQueries)
    body = grounded("a")
    body["candidates"][0]["groundingMetadata"]["imageSearchQueries"] = ["a", "b", ""]
    usage = read_gemini_usage("gemini-nano-banana-2.1", body)
    assert usage is not None
    assert usage.web_searches == 3


def test_gemini_s_details_are_read_however_they_are_written() -> None:
    report = {
        "promptTokenCount": 100,
        "candidatesTokenCount": 20,
        "promptTokensDetails": [{"modality": "audio", "tokenCount": 80}],
        "cacheTokensDetails": [{"modality": "AUDIO", "tokenCount": 60}],
    }
    usage = read_usage({"usageMetadata": report})
    assert usage == Usage(100, 20, 60, audio_input_tokens=80, audio_read_tokens=60)


@pytest.mark.parametrize(("model", "searches"), [("gemini-3.8-flash", 2), ("gemini-2.5-flash", 1)])
def test_gemini_bills_queries_and_older_models_the_prompt(model: str, searches: int) -> None:
    # https://ai.google.dev/gemini-api/docs/pricing: empty queries and repeated ones are free.
    whole = read_gemini_usage(model, grounded("a", "b", "", "a"))
    stream = GeminiUsageOfStream(model)
    stream.add(grounded("a", ""))
    last = stream.add(grounded("a", "b"))
    for usage in (whole, last):
        assert usage is not None
        assert usage.web_searches == searches


def test_a_prompt_with_sources_from_google_maps_has_one_fee() -> None:
    # https://ai.google.dev/gemini-api/docs/maps-grounding: $25 for a thousand such prompts.
    place = {"maps": {"uri": "https://maps.google.com/?cid=1", "title": "A café", "placeId": "p"}}
    body = grounded()
    body["candidates"][0]["groundingMetadata"]["groundingChunks"] = [place, place]
    stream = GeminiUsageOfStream("gemini-2.5-flash")
    stream.add(body)
    for usage in (read_gemini_usage("gemini-2.5-flash", body), stream.add(grounded())):
        assert usage is not None
        assert (usage.map_prompts, usage.web_searches) == (1, 0)
        fee = BOOK.cost("gemini", "gemini-2.5-flash", usage)
        tokens = BOOK.cost("gemini", "gemini-2.5-flash", replace(usage, map_prompts=0))
        assert fee is not None
        assert tokens is not None
        assert fee - tokens == Decimal("0.025")


@pytest.mark.parametrize("chunks", [None, [], [None], [{"web": {"uri": "https://a.example"}}]])
def test_without_a_source_from_google_maps_there_is_no_fee(chunks: Any) -> None:
    body = grounded()
    body["candidates"][0]["groundingMetadata"]["groundingChunks"] = chunks
    usage = read_gemini_usage("gemini-2.5-flash", body)
    assert usage is not None
    assert usage.map_prompts == 0


def test_audio_is_counted_apart() -> None:
    usage = usage_of(
        {
            **OPENAI,
            "prompt_tokens_details": {"audio_tokens": 30},
            "completion_tokens_details": {"audio_tokens": 15},
        }
    )
    assert (usage.audio_input_tokens, usage.audio_output_tokens) == (30, 15)
    gemini = read_usage(
        {
            "usageMetadata": {
                "promptTokenCount": 100,
                "promptTokensDetails": [
                    {"modality": "TEXT", "tokenCount": 60},
                    {"modality": "AUDIO", "tokenCount": 40},
                ],
            }
        }
    )
    assert gemini is not None
    assert gemini.audio_input_tokens == 40
