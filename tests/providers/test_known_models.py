"""Names of models as clients write them become names that their providers know.

https://docs.claude.com/en/docs/about-claude/models/overview (dated ids, aliases, Bedrock, Vertex),
https://platform.openai.com/docs/models (dated snapshots),
https://ai.google.dev/gemini-api/docs/models (versions, -latest),
https://openrouter.ai/docs/features/model-routing (variants)
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.catalogue import Catalogue, load_catalogue
from providers.completion import Usage
from providers.dated_prices import DatedPrice
from providers.known_models import NO_KNOWN_WINDOW, KnownModels
from providers.pricing import PriceBook

CATALOGUE = load_catalogue()
MODELS = KnownModels(CATALOGUE)
HAIKU = "anthropic.claude-haiku-4-5-20251001-v1:0"
ARN = f"arn:aws:bedrock:us-east-1::foundation-model/{HAIKU}"


@pytest.mark.parametrize(
    ("provider", "written", "sent", "snapshot_of"),
    [
        ("claude", "claude-haiku-4-5-20251001", "claude-haiku-4-5-20251001", "claude-haiku-4-5"),
        ("claude", "claude-sonnet-5-5@20260901", "claude-sonnet-5-5-20260901", "claude-sonnet-5-5"),
        ("claude", "us.anthropic.claude-haiku-4-5-20251001-v1:0", "claude-haiku-4-5-20251001",
         "claude-haiku-4-5"),
        ("claude", "claude-haiku-4.5:beta", "claude-haiku-4-5", ""),
        ("openai", "gpt-6-luna:nitro", "gpt-6-luna", ""),
        ("openai", "gpt-6-luna:floor", "gpt-6-luna", ""),
        ("claude", f"us-gov.{HAIKU}", "claude-haiku-4-5-20251001",
         "claude-haiku-4-5"),
        ("claude", ARN, "claude-haiku-4-5-20251001", "claude-haiku-4-5"),
        ("gemini", "projects/p/locations/us/publishers/google/models/gemini-3.8-flash",
         "gemini-3.8-flash", ""),
        ("claude", "CLAUDE-HAIKU-4-5", "claude-haiku-4-5", ""),
        ("claude", " claude-haiku-4.5 ", "claude-haiku-4-5", ""),
        ("claude", "claude-sonnet-5-5[1m]", "claude-sonnet-5-5", ""),
        ("claude", "claude-haiku-4-5-latest", "claude-haiku-4-5", ""),
        ("claude", "claude-4-5-haiku", "claude-haiku-4-5", ""),
        # The dated names of the first models of this generation have no minor version.
        ("claude", "claude-sonnet-4-20250514", "claude-sonnet-4-20250514", ""),
        ("claude", "claude-opus-4-20250514", "claude-opus-4-20250514", ""),
        ("claude", "claude-sonnet-4.5", "claude-sonnet-4-5", ""),
        ("claude", "claude-3-5-haiku-latest", "claude-3-5-haiku-latest", ""),
        ("openai", "gpt-6-luna-2026-09-22", "gpt-6-luna-2026-09-22", "gpt-6-luna"),
        ("openai", "GPT-6-Luna-2026-09-22", "gpt-6-luna-2026-09-22", "gpt-6-luna"),
        ("openai", "gpt-6-luna:latest", "gpt-6-luna", ""),
        ("openai", "gpt-4o-2024-08-06", "gpt-4o-2024-08-06", ""),
        ("openai", "o3-2025-05-01", "o3-2025-05-01", "o3"),
        ("openai", "chatgpt-4o-latest", "chatgpt-4o-latest", ""),
        ("gemini", "models/gemini-3.8-flash", "gemini-3.8-flash", ""),
        ("gemini", "publishers/google/models/gemini-3.8-flash-001", "gemini-3.8-flash-001",
         "gemini-3.8-flash"),
        ("gemini", "gemini-flash-latest", "gemini-flash-latest", "gemini-3.8-flash"),
        ("gemini", "gemini-2.5-flash-001", "gemini-2.5-flash-001", "gemini-2.5-flash"),
        ("openrouter", "anthropic/claude-haiku-4-5", "anthropic/claude-haiku-4.5", ""),
    ],
)  # fmt: skip
def test_a_name_becomes_one_that_the_provider_knows_and_has_a_price(
    provider: str, written: str, sent: str, snapshot_of: str
) -> None:
    spec = MODELS.find(provider, written)
    assert spec is not None
    assert (spec.id, spec.snapshot_of) == (sent, snapshot_of)
    assert MODELS.find(provider, sent) == spec
    rates = PriceBook(CATALOGUE).rates(provider, sent)
    assert rates is not None
    assert rates.input.base > 0


def test_a_snapshot_has_what_is_known_of_its_model() -> None:
    model, snapshot = (
        MODELS.find("claude", name) for name in ("claude-haiku-5-5", "claude-haiku-5-5-20260901")
    )
    assert model is not None
    assert snapshot is not None
    assert snapshot.lacks == model.lacks != frozenset()
    assert (snapshot.tier, snapshot.context_window) == (model.tier, model.context_window)


def test_a_model_of_the_price_table_alone_has_what_the_table_knows() -> None:
    spec = MODELS.find("openai", "gpt-4o")
    assert spec is not None
    assert spec.context_window == 128_000
    assert PriceBook(CATALOGUE).source("openai", "gpt-4o") == "genai-prices"
    unsized = MODELS.find("groq", "llama-3.3-70b-versatile")
    assert unsized is not None
    assert unsized.context_window == NO_KNOWN_WINDOW


@pytest.mark.parametrize(
    ("provider", "name"),
    [
        ("claude", "claude-zzz"),
        ("claude", "gpt-4o"),
        ("gemini", "claude-haiku-4-5"),  # the table has Vertex AI's models among Google's
        ("openai", "gpt-99"),
        ("openrouter", "gpt-4o"),
        ("gemini", "gemini-3.8-flash:free"),
        ("claude", "claude-haiku-4-5:thinking"),
        ("openai", "gpt-6-luna:online"),
        ("claude", "claude-haiku-4-5/../../files"),
        ("gemini", "gemini-3.8-flash?key=x"),
        ("gemini", "gemini-3.8-flash/x"),
        ("claude", "claude-haiku-4-5-" + "0" * 200),
        ("claude", ""),
        ("nobody", "gpt-4o"),
    ],
)
def test_other_names_are_not_known(provider: str, name: str) -> None:
    assert MODELS.find(provider, name) is None


def test_a_variant_at_openrouter_has_no_price_of_its_model() -> None:
    spec = MODELS.find("openrouter", "openai/gpt-4o:online")
    assert spec is not None
    assert spec.id == "openai/gpt-4o:online"
    assert PriceBook(CATALOGUE).rates("openrouter", spec.id) is None


def test_what_operators_set_for_a_model_holds_for_its_snapshots() -> None:
    prices = PriceBook(CATALOGUE)
    price = {"input": Decimal(7), "output": Decimal(9)}
    prices.set_dated([DatedPrice("claude", "claude-haiku-4-5", price, date(2026, 1, 1))])
    at = datetime(2026, 6, 1, tzinfo=UTC)
    rates = prices.rates("claude", "claude-haiku-4-5-20251001", at)
    assert rates is not None
    assert rates.input.base == 7
    assert prices.source("claude", "claude-haiku-4-5-20251001", at) == "set here"


def test_a_model_with_a_rule_of_its_own_is_known_and_so_are_its_snapshots() -> None:
    for name in ("gpt-6.2-sol", "gpt-6.2-sol-2026-11-01", "ft:gpt-4.1-mini-2025-04-14:acme::id"):
        spec = MODELS.find("openai", name)
        assert spec is not None
        assert spec.id == name
    prices = PriceBook(CATALOGUE)
    assert prices.cost("openai", "gpt-6.2-sol-2026-11-01", Usage(100_000, 10_000)) == Decimal("0.3")


@given(st.sampled_from(sorted(CATALOGUE.providers)), st.text(max_size=60))
def test_any_text_is_read_and_what_is_sent_is_safe(provider: str, name: str) -> None:
    spec = MODELS.find(provider, name)
    if spec is not None and CATALOGUE.find(provider, spec.id) is None:
        assert not set("?#%\\ \n") & set(spec.id)
        assert ".." not in spec.id


def test_invented_names_do_not_grow_the_memory() -> None:
    models = KnownModels(CATALOGUE)
    for number in range(10_000):
        models.find("claude", f"claude-haiku-4-5-{number}")
    assert len(models._cached) <= 4096


def test_a_catalogue_without_the_price_table_still_knows_snapshots() -> None:
    provider = CATALOGUE.providers["vllm"]
    haiku = CATALOGUE.find("claude", "claude-haiku-4-5")
    assert haiku is not None
    own = replace(haiku, provider="vllm", id="Qwen/Qwen3.5", price={"input": Decimal(1)})
    models = KnownModels(Catalogue.of({"vllm": provider}, (own,)))
    spec = models.find("vllm", "qwen/qwen3.5-2026-01-31")
    assert spec is not None
    assert (spec.id, spec.price) == ("Qwen/Qwen3.5-2026-01-31", own.price)
