"""Why spending changed: the causes add up, and each change has its own cause."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.reports.exploration.change_causes import (
    CAUSES,
    USUAL_WEIGHT,
    ModelTraffic,
    change_causes,
    total_effects,
)

COUNTS = st.integers(0, 10**6)
MONEY = st.decimals(0, 10**6, places=10)


@st.composite
def traffic(draw: st.DrawFn) -> ModelTraffic:
    requests = draw(COUNTS)
    failed = draw(st.integers(0, requests))
    return ModelTraffic(
        requests, failed, draw(st.integers(0, requests - failed)), draw(COUNTS), draw(COUNTS),
        draw(MONEY) if requests else Decimal(0),
        draw(st.decimals(-100, 10**6, places=10)) if requests else Decimal(0),
    )  # fmt: skip


PERIODS = st.dictionaries(st.sampled_from("abcd"), traffic())


def cost_of(period: dict[str, ModelTraffic]) -> Decimal:
    return sum((one.cost for one in period.values()), Decimal(0))


@given(PERIODS, PERIODS, st.dictionaries(st.sampled_from("abcd"), st.floats(0, 100)))
def test_the_causes_add_up_to_the_change(
    before: dict[str, ModelTraffic], now: dict[str, ModelTraffic], weights: dict[str, float]
) -> None:
    effects = change_causes(before, now, weights)
    assert sum(total_effects(effects).values()) == cost_of(now) - cost_of(before)
    for model, one in effects.items():
        costs = [period[model].cost if model in period else 0 for period in (before, now)]
        assert sum(one.values()) == costs[1] - costs[0]


@given(PERIODS, PERIODS)
def test_the_other_way_round_every_cause_has_the_other_sign(
    before: dict[str, ModelTraffic], now: dict[str, ModelTraffic]
) -> None:
    there, back = (total_effects(change_causes(*ways)) for ways in ((before, now), (now, before)))
    size = float(max(cost_of(before), cost_of(now), Decimal(1)))
    for cause in CAUSES:
        assert float(there[cause]) == pytest.approx(-float(back[cause]), abs=1e-6 * size)


ONE = ModelTraffic(100, 5, 20, 10_000, 2_000, Decimal(18), Decimal(2))


@pytest.mark.parametrize(
    ("cause", "now"),
    [
        ("volume", replace(ONE, requests=300, failed=15, cache_hits=60, tokens_in=30_000,
                           tokens_out=6_000, cost=Decimal(54), cache_saved=Decimal(6))),
        ("price", replace(ONE, cost=Decimal(9), cache_saved=Decimal(1))),
        ("prompts", replace(ONE, tokens_in=28_000, cost=Decimal(36), cache_saved=Decimal(4))),
        ("answers", replace(ONE, tokens_out=6_500, cost=Decimal(36), cache_saved=Decimal(4))),
        ("prompt_cache", replace(ONE, cost=Decimal(10), cache_saved=Decimal(10))),
        ("response_cache", replace(ONE, cache_hits=58, tokens_in=4_933, tokens_out=987,
                                   cost=Decimal(18) * 37 / 75, cache_saved=Decimal(2) * 37 / 75)),
    ],
)  # fmt: skip
def test_a_change_of_one_thing_has_one_cause(cause: str, now: ModelTraffic) -> None:
    assert USUAL_WEIGHT == 4
    effects = total_effects(change_causes({"a": ONE}, {"a": now}))
    change = float(now.cost - ONE.cost)
    for name, effect in effects.items():
        assert float(effect) == pytest.approx(change if name == cause else 0, abs=2e-3 * 18), name


def test_a_new_model_is_another_mix() -> None:
    half = ModelTraffic(50, 0, 0, 5_000, 1_000, Decimal(5))
    dear = replace(half, cost=Decimal(50))
    effects = change_causes({"cheap": replace(half, requests=100, cost=Decimal(10))},
                            {"cheap": half, "dear": dear})  # fmt: skip
    assert effects["dear"]["mix"] == 50
    assert total_effects(effects)["volume"] == 0


def test_a_cost_without_tokens_is_a_price_of_calls() -> None:
    image = ModelTraffic(10, 0, 0, 0, 0, Decimal(1))
    effects = total_effects(change_causes({"a": image}, {"a": replace(image, cost=Decimal(2))}))
    assert effects["price"] == 1
