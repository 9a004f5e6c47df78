"""Every cost equals the one worked out by hand from published prices, to the last place."""

from __future__ import annotations

import tomllib
from collections import Counter
from decimal import Decimal

import pytest

from benchmarks.pricing.by_hand import PUBLISHED, cost_by_hand, read_published
from benchmarks.pricing.more_answers import EVERY_KIND
from benchmarks.pricing.study import ANSWERS, SEED, answers, price_book, priced


def test_a_thousand_answers_cost_what_they_cost_by_hand() -> None:
    book, kinds = price_book(), Counter[str]()
    for answer in answers(ANSWERS, SEED):
        price = priced(book, answer)
        assert price.cost == answer.cost, answer
        kinds[answer.kind] += 1
        if answer.price.prepaid:
            assert (price.basis, price.listed) == (
                "table", cost_by_hand(answer.price, answer.units, answer.served)
            )  # fmt: skip
        else:
            assert price.basis == ("reported" if answer.reported is not None else "table")
    assert len(kinds) >= len(EVERY_KIND)


@pytest.mark.parametrize("entry", tomllib.loads(PUBLISHED.read_text())["price"], ids=str)
def test_each_published_price_says_where_and_when(entry: dict[str, object]) -> None:
    assert str(entry["source"]).startswith("https://")
    assert entry["seen"]


def test_prices_by_hand_are_exact() -> None:
    (price,) = [p for p in read_published() if p.model == "claude-haiku-4-5" and not p.prepaid]
    (example,) = [a for a in answers(60, 1) if a.price == price and a.kind == "messages"][:1]
    # 1 000 000 tokens in at USD 1 and 200 000 out at USD 5.
    units = {"input": 1_000_000, "output": 200_000}
    assert cost_by_hand(price, units, type(example.served)(example.served.at)) == Decimal(2)
