"""Usage as providers really report it: any dialect, any place, and every kind of mistake."""

from __future__ import annotations

from dataclasses import fields
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.completion import Usage
from providers.gemini.usage import GeminiUsageOfStream
from providers.openai.answer import plain_usage
from providers.usage import UsageOfStream, read_usage
from providers.usage_estimates import complete_usage
from tests.providers.usage_reports import ANSWER, CHAT, OPENAI, RESPONSES, usage_of


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
