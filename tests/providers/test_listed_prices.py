"""The price table, read without its package's code, says what the package says."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from genai_prices.data_snapshot import get_snapshot

import providers.listed_prices as listed
from providers.catalogue import load_catalogue
from providers.completion import Usage
from providers.pricing import PriceBook

TIMES = [
    datetime(year, month, day, hour, minute, tzinfo=zone)
    for year, month, day in (
        (2024, 1, 1),
        (2025, 9, 5),
        (2026, 8, 17),
        (2026, 11, 30),
        (2031, 1, 1),
    )
    for hour, minute in ((0, 29), (0, 30), (3, 0), (12, 0), (16, 30), (23, 59))
    for zone in (UTC, timezone(timedelta(hours=9)), None)
]


def as_plain(prices: Any) -> dict[str, Any]:
    def plain(price: Any) -> Any:
        if isinstance(price, Decimal):
            return str(price)
        return (str(price.base), [(tier.start, str(tier.price)) for tier in price.tiers])

    return {unit: plain(price) for unit, price in vars(prices).items() if price is not None}


def test_each_model_has_the_prices_that_the_package_says() -> None:
    ours, theirs = listed._read_table(), get_snapshot().providers
    assert [provider.id for provider in ours] == [provider.id for provider in theirs]
    compared = 0
    for own, other in zip(ours, theirs, strict=True):
        assert [model.id for model in own.models] == [model.id for model in other.models]
        for model, info in zip(own.models, other.models, strict=True):
            assert (model.context_window, model.deprecated) == (
                info.context_window,
                info.deprecated,
            )
            variants = info.price_variants or []
            for when in ({}, {"processing": "batch"}, *(variant.when for variant in variants)):
                times = TIMES if variants or isinstance(info.prices, list) else TIMES[:1]
                for at in times:
                    expected = as_plain(info.get_prices(at, when))
                    assert as_plain(model.get_prices(at, when)) == expected
                    compared += 1
    assert compared > 5_000


def test_each_name_means_the_model_that_the_package_says() -> None:
    ours, theirs = listed._read_table(), get_snapshot().providers
    names = {model.id for provider in theirs for model in provider.models}
    dated = {f"{name}-20251211" for name in list(names)[:200]} | {"gpt-5.2-20251399", "none of all"}
    for own, other in zip(ours, theirs, strict=True):
        for name in sorted(names | dated)[:: max(1, len(theirs) // 8)]:
            found = own.find_model(name.upper(), all_providers=ours)
            expected = other.find_model(name.upper(), all_providers=theirs)
            assert (found and found.id) == (expected and expected.id)


def test_a_table_that_only_the_package_can_read_gives_the_same_prices(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    catalogue = load_catalogue()
    usage = Usage(300_000, 1000, cache_read_tokens=500)
    at = datetime(2026, 11, 30, 12, tzinfo=UTC)

    def costs() -> list[Decimal | None]:
        book = PriceBook(catalogue)
        return [book.cost(model.provider, model.id, usage, at) for model in catalogue.models]

    ours = costs()
    with monkeypatch.context() as later_version:
        later_version.delattr("providers.listed_prices.types.PriceVariant")
        listed.listed_providers.cache_clear()
        theirs = costs()
        assert type(listed.listed_providers()[0]).__module__ == "genai_prices.types"
    listed.listed_providers.cache_clear()
    assert theirs == ours
    assert sum(cost is not None for cost in ours) > 20


def test_prices_need_none_of_the_package_s_code() -> None:
    program = (
        "import sys; from providers.listed_prices import listed_providers;"
        "assert len(listed_providers()) > 20;"
        "print(sorted({'genai_prices', 'pydantic', 'httpx2'} & sys.modules.keys()))"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "[]"
