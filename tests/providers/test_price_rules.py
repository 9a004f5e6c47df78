"""Rules of the catalogue: hours, weekdays, dates, steps, tiers, places, and what is paid ahead."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.catalogue import CatalogueError, load_catalogue
from providers.completion import Usage
from providers.dated_prices import DatedPrice
from providers.pricing import PriceBook
from providers.rates import Rate

D = Decimal
MODEL = ("own", "m")
FRIDAY, SATURDAY = datetime(2026, 11, 27, 12, tzinfo=UTC), datetime(2026, 11, 28, 12, tzinfo=UTC)
MILLION = Usage(1_000_000, 0)
BASE = """
[providers.own]
wire = "openai"
base_url = "https://own.example"

[[models]]
provider = "own"
id = "m"
tier = "simple"
context_window = 2000000
price = { input = 2, output = 4 }
"""


@pytest.fixture
def book(tmp_path: Path):
    def build(more: str = "", base: str = BASE) -> PriceBook:
        path = tmp_path / "catalogue.toml"
        path.write_text(base + more)
        return PriceBook(load_catalogue(path))

    return build


def rule(text: str) -> str:
    return f'\n[[price_rules]]\nprovider = "own"\n{text}\n'


def test_hours_cross_midnight_and_hold_by_the_quarter(book) -> None:
    prices = book(rule('hours = "16:30-00:15"\nfactor = 0.5'))
    for clock, cost in (("16:29", 2), ("16:30", 1), ("23:59", 1), ("00:14", 1), ("00:15", 2)):
        hour, minute = map(int, clock.split(":"))
        at = FRIDAY.replace(hour=hour, minute=minute)
        assert prices.cost(*MODEL, MILLION, at) == cost, clock


def test_days_are_those_of_utc(book) -> None:
    prices = book(rule('days = ["sat", "Sunday"]\ninput = 1'))
    assert prices.cost(*MODEL, MILLION, FRIDAY) == 2
    assert prices.cost(*MODEL, MILLION, SATURDAY) == 1
    monday = SATURDAY + timedelta(days=2)
    assert prices.cost(*MODEL, MILLION, monday) == 2


def test_dates_begin_with_the_day_and_end_before_it(book) -> None:
    prices = book(rule("since = 2026-11-27\nuntil = 2026-11-28\ninput = 1"))
    day = timedelta(days=1)
    costs = [prices.cost(*MODEL, MILLION, FRIDAY + n * day) for n in (-1, 0, 1)]
    assert costs == [2, 1, 2]


def test_a_later_rule_changes_what_the_earlier_left(book) -> None:
    prices = book(rule("input = 10") + rule("factor = 0.1"))
    assert prices.cost(*MODEL, MILLION) == 1


def test_a_step_is_for_all_tokens_or_for_the_excess(book) -> None:
    usage = Usage(300, 0)
    whole = book(rule("above = 200\ninput = 20"))
    assert whole.cost(*MODEL, usage) == D("0.006")
    excess = book(rule("above = 200\ninput = 20\nof_excess = true"))
    assert excess.cost(*MODEL, usage) == (D(2) * 200 + D(20) * 100) / 1_000_000


@given(st.integers(0, 10_000), st.integers(0, 10_000))
def test_excess_prices_are_additive_and_never_jump(one: int, more: int) -> None:
    rate = Rate(D(1), ((1_000, D(3)), (5_000, D(2))), of_excess=True)
    first, both = rate.charge(one, one), rate.charge(one + more, one + more)
    assert 0 <= both - first <= D(3) * more
    assert rate.charge(one, one) <= rate.most(one) * one


def test_tier_speed_and_place_are_conditions(book) -> None:
    prices = book(
        rule('service_tier = "flex"\nfactor = 0.5')
        + rule('speed = "fast"\nfactor = 6')
        + rule('geography = "*"\nfactor = 1.1')
    )
    usage = Usage(1_000_000, 0, service_tier="flex", speed="fast", geography="eu")
    assert prices.cost(*MODEL, usage) == D("6.6")
    assert prices.cost(*MODEL, MILLION) == 2


def test_a_price_that_an_operator_agreed_on_keeps_the_factors_alone(book) -> None:
    prices = book(rule('geography = "*"\nfactor = 1.1') + rule("input = 50"))
    day = FRIDAY.date()
    prices.set_dated([DatedPrice(*MODEL, {"input": D(1), "output": D(1)}, day)])
    usage = Usage(1_000_000, 0, geography="us")
    assert prices.cost(*MODEL, usage, FRIDAY) == D("1.1")


def test_a_rule_may_price_a_model_that_no_table_has(book) -> None:
    prices = book(rule('models = ["new-*"]\ninput = 1\noutput = 2\nweb_searches = 10'))
    usage = Usage(1_000_000, 1_000_000, web_searches=100)
    assert prices.cost("own", "new-1", usage) == 4
    assert prices.source("own", "new-1") == "catalogue"
    assert prices.cost("own", "other", usage) is None


def test_what_is_paid_ahead_costs_nothing_and_keeps_its_list_price(book) -> None:
    own = BASE.replace('wire = "openai"', 'wire = "openai"\nprepaid = ["priority"]')
    prices = book(base=own)
    price = prices.price(*MODEL, Usage(1_000_000, 0, service_tier="priority"))
    assert (price.cost, price.basis, price.listed) == (0, "table", 2)
    assert prices.price(*MODEL, MILLION).cost == 2
    assert prices.most(*MODEL, 1_000_000, 0) == 2
    everything = book(base=BASE.replace('wire = "openai"', 'wire = "openai"\nprepaid = true'))
    assert everything.price(*MODEL, MILLION) == (0, "table", 2)
    assert everything.most(*MODEL, 1_000_000, 0) == 0


def test_provisioned_capacity_costs_nothing_more(book) -> None:
    price = book().price(*MODEL, Usage(1_000_000, 0, service_tier="provisioned"))
    assert (price.cost, price.listed) == (0, 2)


def test_the_basis_says_how_a_cost_is_known(book) -> None:
    prices = book()
    assert prices.price(*MODEL, MILLION) == (2, "table", None)
    estimated = Usage(1_000_000, 0, estimated=True)
    assert prices.price(*MODEL, estimated).basis == "estimated"
    # A fee that is not known is missing from the cost.
    assert prices.price(*MODEL, Usage(1, 1, web_searches=1)).basis == "estimated"
    assert prices.price("own", "other", MILLION) == (None, "unknown", None)
    reported = Usage(1_000_000, 0, reported_cost=D("1.5"))
    assert prices.price(*MODEL, reported) == (D("1.5"), "reported", 2)
    assert prices.price("own", "other", reported) == (D("1.5"), "reported", None)


def test_a_bound_covers_the_dearest_hour_of_the_next(book) -> None:
    now = datetime.now(UTC) + timedelta(minutes=40)
    begin = now.replace(minute=now.minute // 15 * 15)
    end = begin + timedelta(hours=2)
    prices = book(rule(f'hours = "{begin:%H:%M}-{end:%H:%M}"\nfactor = 3'))
    assert prices.most(*MODEL, 1_000_000, 0) == 6


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("factor = -1", "zero or more"),
        ('input = "x"', "not a number"),
        ("", "prices or a factor"),
        ('hours = "25:00-26:00"\nfactor = 1', "UTC times"),
        ('hours = "10:05-11:00"\nfactor = 1', "quarters"),
        ('days = ["someday"]\nfactor = 1', "unknown days"),
        ('since = "2026-11-01"\nfactor = 1', "a date"),
        ("colour = 1\nfactor = 1", "unknown fields: colour"),
        ('provider = "nobody"\nfactor = 1', "unknown provider"),
    ],
)
def test_a_wrong_rule_is_named(book, text: str, message: str) -> None:
    body = rule(text) if "provider" not in text else f"\n[[price_rules]]\n{text}\n"
    with pytest.raises(CatalogueError, match=message):
        book(body)


def test_weekends_at_deepseek_are_off_peak_all_day() -> None:
    prices = PriceBook(load_catalogue())
    weekday, weekend = FRIDAY.replace(hour=2), SATURDAY.replace(hour=2)
    peak = prices.cost("deepseek", "deepseek-v4-pro", MILLION, weekday)
    assert peak == D("1.32")
    assert prices.cost("deepseek", "deepseek-v4-pro", MILLION, weekend) == D("0.66")


def test_prices_that_change_within_an_hour_are_not_mixed() -> None:
    prices = PriceBook(load_catalogue())
    before, after = FRIDAY.replace(hour=0, minute=10), FRIDAY.replace(hour=0, minute=40)
    # The table's peak hours of this model begin at 00:30.
    assert prices.cost("deepseek", "deepseek-chat", MILLION, before) == D("0.135")
    assert prices.cost("deepseek", "deepseek-chat", MILLION, after) == D("0.27")
