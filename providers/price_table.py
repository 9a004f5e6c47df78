"""Read the price table of the ``genai-prices`` package: a model's prices, variants and fees."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from providers.fees import Fees, listed_fees
from providers.listed_prices.types import ModelInfo, TieredPrices

Price = Decimal | TieredPrices
_UNITS = {
    "input": "input_mtok",
    "output": "output_mtok",
    "cache_read": "cache_read_mtok",
    "cache_write": "cache_write_mtok",
    "cache_write_1h": "cache_write_1h_mtok",
    "input_audio": "input_audio_mtok",
    "output_audio": "output_audio_mtok",
    "cache_audio_read": "cache_audio_read_mtok",
    "input_image": "input_image_mtok",
    "output_image": "output_image_mtok",
    "cache_image_read": "cache_image_read_mtok",
    "input_video": "input_video_mtok",
    "output_video": "output_video_mtok",
    "output_reasoning": "output_reasoning_mtok",
}
# Tiers that the table describes in words only:
# https://ai.google.dev/gemini-api/docs/pricing, https://ai.google.dev/gemini-api/docs/optimization
_TIER_FACTORS = {
    ("google", "flex"): Decimal("0.5"),
    ("google", "priority"): Decimal("1.8"),
}
# A batch costs half where the table does not say otherwise:
# https://platform.openai.com/docs/guides/batch, https://docs.anthropic.com/en/docs/build-with-claude/batch-processing
BATCH = {"processing": "batch"}
BATCH_FACTOR = Decimal("0.5")


@dataclass(frozen=True, slots=True)
class ListedPrices:
    """Prices of one variant of a model: USD per million tokens by kind, times ``factor``."""

    by_kind: Mapping[str, Price]
    fees: Fees
    factor: Decimal | None = None


def variant_of(service_tier: str, speed: str) -> dict[str, str]:
    """Return the table's name of the variant that served a call, {} for the standard one."""
    if service_tier == "batch":
        return BATCH
    variant = {"service_tier": service_tier} if service_tier else {}
    return {**variant, "speed": speed} if speed else variant


def listed_prices(
    prices_id: str, info: ModelInfo, at: datetime, variant: dict[str, str]
) -> ListedPrices | None:
    """Return the prices of a variant at ``at``; a variant that is not listed has the standard."""
    prices = info.get_prices(at, variant)
    by_kind = {
        kind: price
        for kind, unit in _UNITS.items()
        if (price := getattr(prices, unit, None)) is not None
    }
    fees = listed_fees(prices_id, info, prices)
    if "input" not in by_kind:
        if fees.units is None:
            return None
        by_kind["input"] = Decimal(0)  # it is billed by other units than tokens
    factor = _TIER_FACTORS.get((prices_id, variant.get("service_tier", "")))
    if variant == BATCH:
        factor = BATCH_FACTOR
    # A variant may be listed from a day on, and be as old as the others.
    for listed in info.price_variants or ():
        if listed.when == variant and (listed.constraint is None or listed.constraint.active(at)):
            factor = None
    return ListedPrices(by_kind, fees, factor)
