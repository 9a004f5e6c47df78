"""What a call costs beside its tokens at the standard rate: tiers, searches, charges, audio."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from genai_prices import Usage as PackageUsage
from genai_prices import calc_price

from providers.catalogue import load_catalogue
from providers.completion import Usage
from providers.dated_prices import DatedPrice
from providers.pricing import PriceBook

D = Decimal
CATALOGUE = load_catalogue()
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
TOKENS = Usage(100_000, 10_000)
OPERATORS = """
[providers.perplexity]
wire = "openai"
prices = "perplexity"
[providers.xai]
wire = "openai"
prices = "x-ai"
[[models]]
provider = "perplexity"
id = "sonar"
tier = "moderate"
context_window = 128000
[[models]]
provider = "xai"
id = "grok-4"
tier = "moderate"
context_window = 256000
[[models]]
provider = "openai"
id = "gpt-audio"
tier = "complex"
context_window = 128000
[[models]]
provider = "gemini"
id = "gemini-2.5-flash"
tier = "simple"
context_window = 1000000
[[models]]
provider = "claude"
id = "claude-of-ours"
tier = "simple"
context_window = 1000000
price = { input = "1", output = "5" }
"""


@pytest.fixture
def book(tmp_path: Path) -> PriceBook:
    path = tmp_path / "catalogue.toml"
    path.write_text(OPERATORS)
    return PriceBook(load_catalogue(path))


@pytest.fixture
def cost(book: PriceBook) -> Callable[..., Decimal | None]:
    def priced(provider: str, model: str, usage: Usage = TOKENS, **more: object) -> Decimal | None:
        return book.cost(provider, model, replace(usage, **more), NOW)

    return priced


# Tiers: langfuse/langfuse#13780, BerriAI/litellm#13810, #37046


@pytest.mark.parametrize("tier", ["", "flex", "priority"])
@pytest.mark.parametrize("model", [m.id for m in CATALOGUE.models if m.provider == "openai"])
def test_openai_s_tiers_cost_what_the_price_table_says(model: str, tier: str, cost) -> None:
    # https://developers.openai.com/api/docs/pricing, in genai-prices as price_variants
    theirs = calc_price(
        PackageUsage(input_tokens=100_000, output_tokens=10_000, cache_read_tokens=40_000),
        model,
        provider_id="openai",
        genai_request_timestamp=NOW,
        price_context={"service_tier": tier or "default"},
    ).total_price
    assert cost("openai", model, cache_read_tokens=40_000, service_tier=tier) == theirs


def test_flex_is_half_and_priority_double(cost) -> None:
    standard = cost("openai", "gpt-6-luna")
    assert standard == D("0.015")
    assert cost("openai", "gpt-6-luna", service_tier="flex") == standard / 2
    assert cost("openai", "gpt-6-luna", service_tier="priority") == standard * 2
    assert cost("openai", "gpt-6-luna", service_tier="batch") == standard / 2


def test_gemini_s_tiers_are_a_share_of_the_standard_rates(cost) -> None:
    # https://ai.google.dev/gemini-api/docs/pricing; theopenco/llmgateway#2549
    standard = cost("gemini", "gemini-3.8-flash")
    assert cost("gemini", "gemini-3.8-flash", service_tier="flex") == standard / 2
    assert cost("gemini", "gemini-3.8-flash", service_tier="priority") == standard * D("1.8")


def test_anthropic_s_fast_mode_has_its_own_rates(cost) -> None:
    # https://platform.claude.com/docs/en/build-with-claude/fast-mode
    assert cost("claude", "claude-opus-5-5", speed="fast") == D("1.2")
    assert cost("claude", "claude-opus-5-5") == D("0.6")
    # Its priority tier is capacity paid for in advance, at the standard rates.
    assert cost("claude", "claude-opus-5-5", service_tier="priority") == D("0.6")


@pytest.mark.parametrize("model", ["claude-opus-4-6", "claude-opus-4-7-20260416"])
def test_the_first_fast_modes_cost_six_times_as_much(model: str, cost) -> None:
    # https://openrouter.ai/anthropic/claude-opus-4.6-fast: 30 and 150 USD per million
    assert cost("claude", model, speed="fast") == D("4.5")


@pytest.mark.parametrize(
    ("model", "usage", "expected"),
    [
        # https://apidog.com/jp/blog/openai-ultrafast-mode: 60, 6, 75 and 300 USD per million
        ("gpt-6-astra", Usage(100_000, 10_000, 40_000, 20_000), "7.14"),
        # https://docs.venice.ai/models/gpt-6-1-sol-ultrafast: 12 and 60
        ("gpt-6.1-sol", TOKENS, "1.8"),
        ("gpt-6.2-sol-2026-11-01", TOKENS, "1.8"),
    ],
)
def test_openai_s_fastest_tier_costs_six_times_as_much(model, usage, expected, cost) -> None:
    assert cost("openai", model, replace(usage, service_tier="ultrafast")) == D(expected)


@pytest.mark.parametrize(
    ("model", "read"), [("claude-mythos-5-1", "0.25"), ("claude-mythos-5", "1")]
)
def test_models_of_limited_availability_have_prices(model: str, read: str, cost) -> None:
    # https://platform.claude.com/docs/en/about-claude/pricing
    usage = Usage(1_000_000, 0, 700_000, 300_000, cache_write_1h_tokens=100_000)
    expected = D("0.7") * D(read) + D("2.5") + D(2)
    assert cost("claude", model, usage) == expected
    assert cost("claude", model, usage, service_tier="batch") == expected / 2
    assert cost("claude", model, usage, geography="us") == expected * D("1.1")


def test_capacity_bought_ahead_costs_nothing_more(book: PriceBook) -> None:
    price = book.price("openai", "gpt-5", replace(TOKENS, service_tier="provisioned"), NOW)
    assert (price.cost, price.listed) == (0, D("0.225"))


@pytest.mark.parametrize(
    ("model", "usage", "expected"),
    [
        ("ft:gpt-4.1-2025-04-14:acme::id", TOKENS, "0.42"),
        ("ft:gpt-4.1-mini-2025-04-14:acme::id", TOKENS, "0.112"),
        ("ft:gpt-4.1-nano-2025-04-14:acme:x:id", TOKENS, "0.028"),
        ("ft:gpt-4.1-2025-04-14:acme::id", Usage(100_000, 0, 100_000), "0.075"),
        ("ft:gpt-4o-2024-08-06:acme::id", Usage(100_000, 0, 100_000), "0.1875"),
        ("ft:gpt-4o-mini-2024-07-18:acme::id", Usage(100_000, 0, 100_000), "0.015"),
        ("ft:gpt-4.1-2025-04-14:acme::id", replace(TOKENS, service_tier="batch"), "0.21"),
    ],
)
def test_fine_tuned_models_have_prices(model: str, usage: Usage, expected: str, cost) -> None:
    # https://developers.openai.com/api/docs/pricing
    assert cost("openai", model, usage) == D(expected)


def test_a_tier_that_is_not_listed_has_the_standard_rates(cost) -> None:
    for provider, model in (("deepseek", "deepseek-v4-pro"), ("groq", "openai/gpt-oss-20b")):
        assert cost(provider, model, service_tier="flex") == cost(provider, model)


def test_a_price_set_here_is_the_standard_tier_s(book: PriceBook, cost) -> None:
    units = {"input": D(1), "output": D(4)}
    book.set_dated([DatedPrice("openai", "gpt-6-luna", units, date(2026, 1, 1))])
    assert cost("openai", "gpt-6-luna") == D("0.14")
    assert cost("openai", "gpt-6-luna", service_tier="flex") == D("0.07")
    assert cost("openai", "gpt-6-luna", service_tier="priority") == D("0.28")


def test_the_most_covers_the_tier_that_is_asked_for(book: PriceBook) -> None:
    standard = book.most("openai", "gpt-6-luna", 1000, 100)
    assert standard is not None
    assert book.most("openai", "gpt-6-luna", 1000, 100, "priority") == 2 * standard
    # A request for flex may be served by the standard tier.
    assert book.most("openai", "gpt-6-luna", 1000, 100, "flex") == standard


# Searches: BerriAI/litellm#16996, #31355


@pytest.mark.parametrize(
    ("provider", "model", "fee"),
    [
        ("claude", "claude-haiku-4-5", "0.03"),  # $10 per thousand
        ("claude", "claude-of-ours", "0.03"),
        ("openai", "gpt-6-luna", "0.03"),
        ("gemini", "gemini-3.8-flash", "0.042"),  # $14
        ("gemini", "gemini-2.5-flash", "0.105"),  # $35
        ("xai", "grok-4", "0.015"),  # $5: https://docs.x.ai/developers/pricing
    ],
)
def test_searches_have_a_fee(provider: str, model: str, fee: str, cost) -> None:
    assert cost(provider, model, web_searches=3) == cost(provider, model) + D(fee)


def test_a_tier_does_not_change_the_fee_of_searches(cost) -> None:
    flex = cost("gemini", "gemini-3.8-flash", service_tier="flex")
    assert cost("gemini", "gemini-3.8-flash", service_tier="flex", web_searches=1) == flex + D(
        "0.014"
    )


def test_searches_in_files_have_a_fee(cost) -> None:
    assert cost("openai", "gpt-6-luna", file_searches=2) == D("0.015") + D("0.005")


@pytest.mark.parametrize(
    ("size", "fee"), [("low", "0.005"), ("medium", "0.008"), ("high", "0.012"), ("", "0.012")]
)
def test_a_request_to_perplexity_has_a_fee_by_its_search_context(size, fee, cost) -> None:
    # https://docs.perplexity.ai/getting-started/pricing; searches are within the fee
    expected = D("0.11") + D(fee)
    assert cost("perplexity", "sonar", search_context=size, web_searches=2) == expected


# https://developers.openai.com/api/docs/pricing, https://github.com/QuantumNous/new-api/pull/1406


@pytest.mark.parametrize(
    ("model", "fee"),
    [("gpt-4o", "0.025"), ("gpt-4.1-mini", "0.025"), ("gpt-5", "0.01"), ("o4-mini", "0.01")],
)
def test_the_earlier_search_costs_more_for_models_that_do_not_reason(model, fee, cost) -> None:
    searched = {"web_searches": 2, "preview_searches": 2}
    assert cost("openai", model, **searched) == cost("openai", model) + 2 * D(fee)
    assert cost("openai", model, web_searches=2) == cost("openai", model) + D("0.02")


@pytest.mark.parametrize(
    ("model", "tokens", "fee"),
    [
        ("gpt-4o-search-preview", "0.35", "0.025"),
        ("gpt-4o-mini-search-preview", "0.021", "0.025"),
        ("gpt-5-search-api", "0.225", "0.01"),
    ],
)
def test_a_chat_model_that_searches_does_it_for_every_request(model, tokens, fee, cost) -> None:
    assert cost("openai", model) == D(tokens) + D(fee)


def test_sources_from_google_maps_cost_less_since_gemini_3(cost) -> None:
    # https://github.com/iyulab/TokenMeter/releases/tag/v0.14.0
    for model, fee in (("gemini-3.8-flash", "0.014"), ("gemini-2.5-flash", "0.025")):
        assert cost("gemini", model, map_prompts=1) == cost("gemini", model) + D(fee)


def test_xai_s_attachments_and_live_sources_have_fees(cost) -> None:
    # https://docs.x.ai/developers/pricing; live search: https://docs.x.ai/docs/guides/live-search
    usual = cost("xai", "grok-4")
    assert cost("xai", "grok-4", attachment_searches=2) == usual + D("0.02")
    assert cost("xai", "grok-4", search_sources=4) == usual + D("0.1")


def test_xai_s_runs_of_code_have_a_fee(cost) -> None:
    # https://docs.x.ai/developers/pricing
    assert cost("xai", "grok-4", code_sessions=3) == cost("xai", "grok-4") + D("0.015")


def test_reasoning_beside_the_answer_has_its_own_rate(cost) -> None:
    # https://docs.perplexity.ai/getting-started/pricing: 2 and 8, 3 for reasoning, 5 a thousand
    usage = Usage(6_000, 31_000, reasoning_tokens=30_000, web_searches=20)
    assert cost("perplexity", "sonar-deep-research", usage) == D("0.21")


def test_cached_audio_of_a_model_without_a_price_for_it_is_audio(cost) -> None:
    usage = Usage(1_000, 0, 500, audio_input_tokens=600, audio_read_tokens=300)
    # 400 tokens of text at USD 2.5, 600 of audio at USD 32.
    assert cost("openai", "gpt-audio", usage) == D("0.0202")


def test_videos_have_their_own_rate(cost) -> None:
    usage = Usage(1_000, 5_800, video_output_tokens=5_700)
    assert cost("gemini", "gemini-omni-1.1-flash", usage) == D("0.10215")


def test_searches_without_a_known_fee_are_warned_of_once(cost, caplog) -> None:
    for _ in range(2):
        assert cost("deepseek", "deepseek-v4-pro", web_searches=1)
    assert caplog.text.count("No fee is known for tools of deepseek/deepseek-v4-pro") == 1


# The provider's own charge: BerriAI/litellm#13653, #16021


def test_a_reported_charge_counts_before_the_price_table(cost) -> None:
    charge = D("0.00231")
    assert cost("openrouter", "z-ai/glm-5.3-flash", reported_cost=charge) == charge
    assert cost("openai", "gpt-6-luna", reported_cost=charge, service_tier="flex") == charge
    assert cost("openrouter", "nobody/knows-this", reported_cost=charge) == charge
    assert cost("openrouter", "z-ai/glm-5.3-flash:free", reported_cost=D(0)) == 0


def test_a_reported_charge_is_kept_to_ten_places(cost) -> None:
    assert cost("xai", "grok-4", reported_cost=D(1) / 3) == D("0.3333333333")


# Audio


def test_audio_has_its_own_rates(cost) -> None:
    # genai-prices: gpt-audio is 2.5/10 for text and 32/64 for audio; gemini-2.5-flash 0.3 and 1
    usage = Usage(1000, 500, audio_input_tokens=400, audio_output_tokens=300)
    expected = (600 * D("2.5") + 400 * 32 + 200 * 10 + 300 * 64) / 10**6
    assert cost("openai", "gpt-audio", usage) == expected
    usage = Usage(1000, 0, audio_input_tokens=400)
    assert cost("gemini", "gemini-2.5-flash", usage) == (600 * D("0.3") + 400) / 10**6
    usage = Usage(1000, 0, audio_input_tokens=400)
    assert cost("openai", "gpt-6-luna", usage) == cost("openai", "gpt-6-luna", Usage(1000, 0))
