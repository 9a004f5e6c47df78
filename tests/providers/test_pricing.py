"""Prices: exact, by date, from the price table or the catalogue, never zero by ignorance."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from genai_prices import Usage as PackageUsage
from genai_prices import calc_price
from hypothesis import given
from hypothesis import strategies as st

from providers.catalogue import load_catalogue
from providers.completion import Usage
from providers.dated_prices import DatedPrice
from providers.pricing import PriceBook, cost_at
from providers.rate_sources import RateSources
from providers.rates import Rate, Rates

CATALOGUE = load_catalogue()
BOOK = PriceBook(CATALOGUE)
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
REMOTE = [m for m in CATALOGUE.models if m.price is None]


@pytest.mark.parametrize("model", REMOTE, ids=lambda m: m.ref)
def test_every_model_of_the_catalogue_has_a_price(model) -> None:
    rates = BOOK.rates(model.provider, model.id, NOW)
    assert rates is not None
    assert rates.input.base > 0
    assert rates.output.base > 0


@given(
    model=st.sampled_from(REMOTE),
    input_tokens=st.integers(0, 1_500_000),
    output_tokens=st.integers(0, 100_000),
    read=st.integers(0, 1_500_000),
)
def test_a_cost_equals_the_price_package_s_own(model, input_tokens, output_tokens, read) -> None:
    read = min(read, input_tokens)
    theirs = calc_price(
        PackageUsage(
            input_tokens=input_tokens, output_tokens=output_tokens, cache_read_tokens=read
        ),
        model.id,
        provider_id=CATALOGUE.providers[model.provider].prices,
        genai_request_timestamp=NOW,
    ).total_price
    ours = BOOK.cost(model.provider, model.id, Usage(input_tokens, output_tokens, read), NOW)
    assert ours == theirs.quantize(Decimal("1e-10"))


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**6))
def test_cached_tokens_beyond_the_input_are_not_charged_twice(size, read, write, out) -> None:
    rates = Rates(Rate(Decimal(3)), Rate(Decimal(15)), Rate(Decimal("0.3")), Rate(Decimal("3.75")))
    cost = cost_at(rates, Usage(size, out, read, write))
    assert 0 <= cost <= (Decimal("3.75") * size + 15 * out) / 1_000_000


def test_a_tier_holds_for_all_tokens_of_a_call_that_passes_it() -> None:
    rate = Rate(Decimal(1), ((1000, Decimal(2)),))
    assert (rate.at(1000), rate.at(1001)) == (Decimal(1), Decimal(2))


def test_an_unknown_price_is_none_and_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    book = PriceBook(CATALOGUE)
    assert book.cost("claude", "no-such-model", Usage(1, 1)) is None
    assert book.cost("claude", "no-such-model", Usage(1, 1)) is None
    assert caplog.text.count("No price is known for claude/no-such-model") == 1


def test_the_catalogue_overrides_the_table() -> None:
    assert BOOK.cost("local", "smollm2-135m-instruct", Usage(10, 10)) == 0


def test_an_alias_has_its_successor_s_price() -> None:
    assert BOOK.rates("gemini", "gemini-1.5-flash") == BOOK.rates(
        "gemini", CATALOGUE.find("gemini", "gemini-1.5-flash").id
    )


def test_a_price_set_while_another_is_looked_up_is_not_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    book = PriceBook(CATALOGUE)
    model = next((spec.provider, spec.id) for spec in CATALOGUE.models if spec.price is None)
    look_up = RateSources.look_up

    def slowly(*asked: Any) -> Any:
        rates = look_up(*asked)
        monkeypatch.undo()
        units = {"input": Decimal(5), "output": Decimal(7)}
        book.set_dated([DatedPrice(*model, units, date(2026, 1, 1))])
        return rates

    monkeypatch.setattr(RateSources, "look_up", slowly)
    book.rates(*model)
    rates = book.rates(*model)
    assert rates is not None
    assert rates.input.base == Decimal(5)
