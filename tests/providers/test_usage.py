"""Usage as providers really report it: any dialect, any place, and every kind of mistake."""

from __future__ import annotations

from dataclasses import fields, replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.assembly import CompletionBuilder
from providers.catalogue import load_catalogue
from providers.chat import TOKENS_PER_MESSAGE, Chat, Text
from providers.completion import Choice, CompletionRequest, Usage
from providers.events import Finished, TextDelta, UsageReported
from providers.gemini.usage import GeminiUsageOfStream
from providers.gemini.usage import read_usage as read_gemini_usage
from providers.openai.answer import plain_usage
from providers.pricing import PriceBook
from providers.usage import UsageOfStream, read_embedded_usage, read_usage
from providers.usage_estimates import complete_embedded_usage, complete_usage

BOOK = PriceBook(load_catalogue())
CHAT = Chat.of_prompt("p" * 400)
ANSWER = (Choice((Text("a" * 200),), "stop"),)


def usage_of(reported: Any, **body: Any) -> Usage:
    usage = read_usage({"usage": reported, **body})
    assert usage is not None
    return usage


OPENAI = {"prompt_tokens": 100, "completion_tokens": 20}
RESPONSES = {
    "input_tokens": 100,
    "input_tokens_details": {"cached_tokens": 60},
    "output_tokens": 20,
    "output_tokens_details": {"reasoning_tokens": 15},
}


@pytest.mark.parametrize(
    ("reported", "expected"),
    [
        ({"prompt_tokens": "100", "completion_tokens": "20.0"}, Usage(100, 20)),
        ({"prompt_tokens": 100.0, "completion_tokens": 20.0}, Usage(100, 20)),
        (RESPONSES, Usage(100, 20, 60, reasoning_tokens=15)),
        (
            {"input_tokens": 40, "cache_read_input_tokens": 60, "output_tokens": 20},
            Usage(100, 20, 60),
        ),
        (
            {**OPENAI, "cache_read_input_tokens": 60, "cache_creation_input_tokens": 10},
            Usage(100, 20, 60, 10),
        ),
        ({"promptTokenCount": 100, "candidatesTokenCount": 20}, Usage(100, 20)),
        ({"prompt_token_count": 100, "candidates_token_count": 20}, Usage(100, 20)),
        ({"inputTokens": 100, "outputTokens": 20, "totalTokens": 120}, Usage(100, 20)),
        # https://api-docs.deepseek.com/guides/kv_cache (NousResearch/hermes-agent#61871)
        (
            {**OPENAI, "prompt_cache_hit_tokens": 90, "prompt_cache_miss_tokens": 10},
            Usage(100, 20, 90),
        ),
        (
            {
                "prompt_cache_hit_tokens": 90,
                "prompt_cache_miss_tokens": 10,
                "completion_tokens": 20,
            },
            Usage(100, 20, 90),
        ),
        ({**OPENAI, "cached_tokens": 64}, Usage(100, 20, 64)),
        # https://www.alibabacloud.com/help/en/model-studio/context-cache: within the input
        (
            {
                **OPENAI,
                "prompt_tokens_details": {
                    "cached_tokens": 0,
                    "cache_creation_input_tokens": 70,
                    "cache_creation": {"ephemeral_5m_input_tokens": 70},
                },
            },
            Usage(100, 20, 0, 70),
        ),
        # LiteLLM's names of the ages, https://github.com/BerriAI/litellm/issues/11364
        (
            {
                **OPENAI,
                "prompt_tokens_details": {
                    "cached_tokens": 10,
                    "cache_creation_tokens": 70,
                    "cache_creation_token_details": {
                        "ephemeral_5m_input_tokens": 30,
                        "ephemeral_1h_input_tokens": 40,
                    },
                },
                "cache_creation_input_tokens": 70,
            },
            Usage(100, 20, 10, 70, cache_write_1h_tokens=40),
        ),
        # Amazon Bedrock says the ages in a list.
        (
            {
                "inputTokens": 30,
                "cacheWriteInputTokens": 70,
                "cacheDetails": [
                    {"ttl": "5m", "inputTokens": 30},
                    {"ttl": "1h", "inputTokens": 40},
                ],
                "outputTokens": 20,
            },
            Usage(100, 20, 0, 70, cache_write_1h_tokens=40),
        ),
        # Mistral: https://github.com/mistralai/client-python (UsageInfo)
        ({**OPENAI, "num_cached_tokens": 64}, Usage(100, 20, 64)),
        ({**OPENAI, "prompt_token_details": {"cached_tokens": 64}}, Usage(100, 20, 64)),
        # Gateways and SDKs have names of their own: https://github.com/maximhq/bifrost/pull/1872
        ({**OPENAI, "prompt_tokens_details": {"cached_read_tokens": 64}}, Usage(100, 20, 64)),
        (
            {
                **OPENAI,
                "prompt_tokens_details": {"cached_read_tokens": 64, "cached_write_tokens": 6},
            },
            Usage(100, 20, 64, 6),
        ),
        ({**OPENAI, "prompt_tokens_details": {"cache_read_tokens": 64}}, Usage(100, 20, 64)),
        ({**OPENAI, "prompt_tokens_details": {"cache_read_input_tokens": 64}}, Usage(100, 20, 64)),
        ({**OPENAI, "prompt_tokens_details": {"prompt_cache_hit_tokens": 64}}, Usage(100, 20, 64)),
        (
            {**OPENAI, "cache_read_tokens": 64, "cache_write_tokens": 6},
            Usage(100, 20, 64, 6),
        ),
        ({**OPENAI, "cached_input_tokens": 64}, Usage(100, 20, 64)),
        ({**OPENAI, "cached_prompt_text_tokens": 64}, Usage(100, 20, 64)),
        (
            {
                "promptTokens": 100,
                "completionTokens": 20,
                "totalTokens": 120,
                "promptTokensDetails": {"cachedTokens": 64},
                "completionTokensDetails": {"reasoningTokens": 15},
            },
            Usage(100, 20, 64, reasoning_tokens=15),
        ),
        (
            {"inputTokens": 100, "outputTokens": 20, "cachedInputTokens": 64, "reasoningTokens": 5},
            Usage(100, 20, 64, reasoning_tokens=5),
        ),
        # The Responses API counts cached tokens within the input, and some add Anthropic's names.
        (
            {
                **RESPONSES,
                "total_tokens": 120,
                "cache_read_input_tokens": 60,
                "cache_creation_input_tokens": 0,
            },
            Usage(100, 20, 60, reasoning_tokens=15),
        ),
        ({"promptTokens": 100, "completionTokens": 20, "totalTokens": 120}, Usage(100, 20)),
        # Gemini's API for clients of OpenAI counts thoughts in the total alone:
        # https://github.com/mozilla-ai/any-llm/issues/1290
        (
            {"prompt_tokens": 20, "completion_tokens": 198, "total_tokens": 623},
            Usage(20, 603, estimated=True),
        ),
        ({**OPENAI, "total_tokens": 1_999_999_999}, Usage(100, 20)),
        # https://docs.perplexity.ai/getting-started/models/models/sonar-deep-research
        (
            {
                "prompt_tokens": 33,
                "completion_tokens": 7163,
                "total_tokens": 7196,
                "citation_tokens": 20016,
                "num_search_queries": 18,
                "reasoning_tokens": 73997,
            },
            Usage(20049, 81160, reasoning_tokens=73997, web_searches=18),
        ),
        # Cohere bills other tokens than it counts: https://docs.cohere.com/reference/chat
        (
            {
                "billed_units": {"input_tokens": 100, "output_tokens": 20},
                "tokens": {"input_tokens": 590, "output_tokens": 21},
            },
            Usage(100, 20),
        ),
        # What is missing follows from the total.
        ({"prompt_tokens": 100, "total_tokens": 120}, Usage(100, 20)),
        ({"completion_tokens": 20, "total_tokens": 120}, Usage(100, 20)),
        # Details of another type say nothing.
        ({**OPENAI, "prompt_tokens_details": 7, "completion_tokens_details": []}, Usage(100, 20)),
        ({**OPENAI, "prompt_tokens_details": {"cached_tokens": -5}}, Usage(100, 20)),
        # xAI counts reasoning beside the completion: https://github.com/vercel/ai/pull/12425
        (
            {
                "prompt_tokens": 12,
                "completion_tokens": 1,
                "total_tokens": 399,
                "completion_tokens_details": {"reasoning_tokens": 386},
            },
            Usage(12, 387, reasoning_tokens=386),
        ),
        (
            {**OPENAI, "completion_tokens_details": {"reasoning_tokens": 50}},
            Usage(100, 70, reasoning_tokens=50),
        ),
        (
            {
                **OPENAI,
                "total_tokens": 120,
                "completion_tokens_details": {"reasoning_tokens": 50},
            },
            Usage(100, 20, reasoning_tokens=20),
        ),
        # Cached tokens beside the prompt, as the total shows.
        (
            {**OPENAI, "total_tokens": 1020, "prompt_tokens_details": {"cached_tokens": 900}},
            Usage(1000, 20, 900),
        ),
        # Which of two contradicting counts is wrong is unknown: it is marked.
        (
            {**OPENAI, "prompt_tokens_details": {"cached_tokens": 900}},
            Usage(100, 20, 100, estimated=True),
        ),
    ],
)
def test_a_report_is_read_in_any_dialect(reported: dict[str, Any], expected: Usage) -> None:
    assert usage_of(reported) == expected


@pytest.mark.parametrize(
    "body",
    [
        {"usage": OPENAI},
        {"usage": [None, OPENAI]},
        {"usage": None, "x_groq": {"usage": OPENAI}},
        {"choices": [{"index": 0, "usage": OPENAI}]},
        {"choices": [{"delta": {"content": "x", "usage": OPENAI}}], "usage": None},
        {"message": {"usage": OPENAI}},
        {"response": {"usage": OPENAI}},
        {"usageMetadata": {"promptTokenCount": 100, "candidatesTokenCount": 20}},
        {"usage": {"prompt_tokens": 100}, "x_groq": {"usage": {"completion_tokens": 20}}},
        {
            "type": "message_stop",
            "amazon-bedrock-invocationMetrics": {"inputTokenCount": 100, "outputTokenCount": 20},
        },
    ],
)
def test_a_report_is_found_in_odd_places(body: dict[str, Any]) -> None:
    assert read_usage(body) == Usage(100, 20)
    assert UsageOfStream().add(body) == Usage(100, 20)


@pytest.mark.parametrize(
    "reported",
    [None, {}, [], "none", 5, {"prompt_tokens": None}, {"trafficType": "ON_DEMAND"}],
)
def test_what_counts_nothing_is_no_report(reported: Any) -> None:
    assert read_usage({"usage": reported, "usageMetadata": reported}) is None


def test_all_zeros_are_no_report() -> None:
    assert read_usage({"usage": {"prompt_tokens": 0, "completion_tokens": 0}}) is None


@pytest.mark.parametrize("count", [None, -1, "many", True, [], {}, 3_000_000_000, float("nan"), 0])
def test_an_input_that_is_not_reported_is_estimated_and_marked(count: Any) -> None:
    usage = complete_usage(
        read_usage({"usage": {"prompt_tokens": count, "completion_tokens": 20}}), CHAT, ANSWER
    )
    assert usage == Usage(100 + TOKENS_PER_MESSAGE, 20, estimated=True)


@pytest.mark.parametrize("count", [None, -1, "many", True, [], {}, 3_000_000_000, float("nan"), 0])
def test_an_output_that_is_not_reported_is_estimated_and_marked(count: Any) -> None:
    usage = complete_usage(
        read_usage({"usage": {"prompt_tokens": 90, "completion_tokens": count}}), CHAT, ANSWER
    )
    assert usage == Usage(90, 50, estimated=True)


def test_an_answer_without_content_may_have_no_output() -> None:
    reported = read_usage({"usage": {"prompt_tokens": 90, "completion_tokens": 0}})
    assert complete_usage(reported, CHAT, (Choice((), "stop"),)) == Usage(90, 0)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    *OPENAI,
                    *RESPONSES,
                    "cached_tokens",
                    "cache_creation",
                    "cache_read_input_tokens",
                    "ephemeral_1h_input_tokens",
                    "promptTokenCount",
                    "thoughtsTokenCount",
                    "promptTokensDetails",
                    "prompt_tokens_details",
                    "total_tokens",
                    "cost",
                    "cost_details",
                    "cost_in_usd_ticks",
                    "upstream_inference_cost",
                    "server_tool_use",
                    "web_search_requests",
                    "service_tier",
                    "usage",
                    "choices",
                    "x_groq",
                    "candidates",
                    "groundingMetadata",
                    "webSearchQueries",
                ]
            ),
            inner,
            max_size=6,
        )
    ),
    max_leaves=20,
)


@given(JSON, JSON)
def test_no_report_raises_or_counts_below_zero(first: Any, second: Any) -> None:
    stream, gemini = UsageOfStream(), GeminiUsageOfStream("gemini-3.8-flash")
    for value in (first, second):
        body = {"usage": value, "usageMetadata": value, "candidates": value, "choices": value}
        for usage in (read_usage(body), stream.add(body), gemini.add(body)):
            if usage is None:
                continue
            full = complete_usage(usage, CHAT, ANSWER)
            numbers = [getattr(full, field.name) for field in fields(full)]
            assert all(n >= 0 for n in numbers if isinstance(n, (int, Decimal)))
            assert full.cache_read_tokens + full.cache_write_tokens <= max(
                full.input_tokens, 0
            ) or (full.estimated)
            assert full.reasoning_tokens <= full.output_tokens
            assert full.input_tokens > 0


COUNTS = st.integers(-1, 50) | st.none() | st.booleans() | st.just("7")
ORDINARY = st.fixed_dictionaries(
    {"prompt_tokens": COUNTS, "completion_tokens": COUNTS, "total_tokens": st.integers(0, 100)},
    optional={
        "prompt_tokens_details": st.none()
        | st.dictionaries(
            st.sampled_from(["cached_tokens", "cache_write_tokens", "audio_tokens", "x"]), COUNTS
        ),
        "completion_tokens_details": st.none()
        | st.dictionaries(
            st.sampled_from(["reasoning_tokens", "audio_tokens", "thinking_tokens"]), COUNTS
        ),
        "cost": st.just(1),
    },
)


@given(ORDINARY, st.sampled_from([None, "default", "flex"]), st.booleans())
def test_an_ordinary_report_is_read_the_same_in_short(
    reported: dict[str, Any], tier: str | None, consistent: bool
) -> None:
    counts = (reported["prompt_tokens"], reported["completion_tokens"])
    if consistent and all(isinstance(count, int) for count in counts):
        reported["total_tokens"] = sum(counts)
    body = {"usage": reported, "service_tier": tier}
    short = plain_usage(body)
    assert short is None or short == read_usage(body)


def test_an_ordinary_report_is_read_in_short() -> None:
    details = {"prompt_tokens_details": {"cached_tokens": 60}, "completion_tokens_details": {}}
    body = {"usage": {**OPENAI, "total_tokens": 120, **details}, "service_tier": "default"}
    assert plain_usage(body) == Usage(100, 20, 60)


# Streams


def streamed(*reports: dict[str, Any] | None) -> Usage | None:
    stream, usage = UsageOfStream(), None
    for report in reports:
        usage = stream.add({"usage": report}) or usage
    return usage


@pytest.mark.parametrize(
    "reports",
    [
        # envoyproxy/ai-gateway#1631, sgl-project/sglang#20830: zeros close a right report.
        ({"input_tokens": 100, "output_tokens": 1}, {"input_tokens": 0, "output_tokens": 20}),
        ({"input_tokens": 0, "output_tokens": 0}, {"input_tokens": 100, "output_tokens": 20}),
        ({"input_tokens": 100, "output_tokens": 1}, {"output_tokens": 20}),
        ({"input_tokens": 100, "output_tokens": 20}, {"input_tokens": 0, "output_tokens": 0}),
        ({"input_tokens": 100, "output_tokens": 20}, {"input_tokens": "0", "output_tokens": "-1"}),
        ({"input_tokens": 100, "output_tokens": 20}, {"input_tokens": None, "output_tokens": []}),
        ({"input_tokens": 100, "output_tokens": 20}, None),
        ({"prompt_tokens": 100, "completion_tokens": 3}, OPENAI),
        ({"prompt_tokens": 100}, {"completion_tokens": 20}),
    ],
)
def test_reports_of_a_stream_add_up_to_the_right_one(reports: Any) -> None:
    assert streamed(*reports) == Usage(100, 20)


def test_a_later_zero_keeps_cached_tokens_and_the_charge() -> None:
    first = {
        **OPENAI,
        "prompt_tokens_details": {"cached_tokens": 60},
        "cost": 0.5,
    }
    last = {"prompt_tokens": 100, "prompt_tokens_details": {"cached_tokens": 0}, "cost": 0}
    assert streamed(first, last) == Usage(100, 20, 60, reported_cost=Decimal("0.5"))


def events(*items: Any) -> Usage:
    builder = CompletionBuilder("p", CompletionRequest("m", CHAT))
    for item in items:
        builder.add(item)
    return builder.completion().usage


def test_an_input_that_was_cached_as_a_whole_is_counted_once() -> None:
    # A server that knows only at the end what was cached; a zero that replaces nothing is #1631.
    first, cached = {"input_tokens": 100, "output_tokens": 1}, {"cache_read_input_tokens": 100}
    usage = streamed(first, {"input_tokens": 0, **cached, "output_tokens": 20})
    assert usage == Usage(100, 20, 100)
    assert streamed(
        first, {"input_tokens": 40, "cache_read_input_tokens": 60, "output_tokens": 20}
    ) == Usage(100, 20, 60)


def test_a_report_before_the_content_does_not_count_it() -> None:
    early, text = UsageReported(Usage(90, 1)), TextDelta("a" * 200)
    assert events(early, text, Finished("stop")) == Usage(90, 50, estimated=True)
    assert events(text, UsageReported(Usage(90, 48)), Finished("stop")) == Usage(90, 48)


@pytest.mark.parametrize(
    ("characters", "estimate"), [(400, 100), (480, 100), (4000, 1000)],
    ids=["as allowed", "as allowed, counted badly", "far beyond"],
)  # fmt: skip
def test_a_limit_that_the_provider_does_not_keep_bounds_no_estimate(
    characters: int, estimate: int
) -> None:
    chat = Chat.of_prompt("p" * 400, max_tokens=100)
    answer = (Choice((Text("a" * characters),), "other"),)
    assert complete_usage(None, chat, answer).output_tokens == estimate


def test_a_stream_that_was_cut_keeps_the_larger_of_report_and_estimate() -> None:
    text = TextDelta("a" * 200)
    assert events(text, UsageReported(Usage(90, 400))) == Usage(90, 400, estimated=True)
    assert events(UsageReported(Usage(90, 2)), text) == Usage(90, 50, estimated=True)


def test_the_output_in_an_opening_report_is_no_count() -> None:
    stream = UsageOfStream()
    start = {"message": {"usage": {"input_tokens": 90, "output_tokens": 1}}}
    usage = stream.add(start, ended=False)
    assert complete_usage(usage, CHAT, ANSWER) == Usage(90, 50, estimated=True)
    assert stream.add({"usage": {"output_tokens": 48}}) == Usage(90, 48)


# Tiers, searches, charges


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


# Embeddings


def test_embeddings_without_usage_count_token_ids_and_estimate_texts() -> None:
    ids = complete_embedded_usage(None, {"input": list(range(1000))})
    assert ids == Usage(1000, 0, estimated=True)
    assert complete_embedded_usage(None, {"input": [[1, 2, 3], [4]]}).input_tokens == 4
    assert complete_embedded_usage(None, {"input": ["a" * 40, "b" * 40]}).input_tokens == 20


@pytest.mark.parametrize(
    "body",
    [
        {"usage": {"prompt_tokens": 8, "total_tokens": 8}},
        {"usage": {"prompt_tokens": 8}},
        {"usage": {"prompt_tokens": 0, "total_tokens": 8}},
        {"usage": {"prompt_tokens": 8, "completion_tokens": None, "total_tokens": 8}},
        # https://docs.voyageai.com/reference/embeddings-api
        {"usage": {"total_tokens": 8}},
        # https://docs.cohere.com/reference/embed
        {"meta": {"billed_units": {"input_tokens": 8}}},
    ],
)
def test_embeddings_report_no_output(body: dict[str, Any]) -> None:
    assert complete_embedded_usage(read_embedded_usage(body), {"input": "x"}) == Usage(8, 0)
