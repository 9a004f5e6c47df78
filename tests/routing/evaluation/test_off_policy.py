"""Doubly robust estimation: right where it answers, silent where the log cannot tell."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from routing.evaluation.off_policy import (
    LoggedOutcomes,
    PolicyOutcomes,
    Unsupported,
    difference,
    effective_size,
    estimate,
    interval_of,
    predictions,
    rating_chance,
)

ONES = np.ones(400)


def seen(predicted: float, observed: np.ndarray, chance: float) -> PolicyOutcomes:
    return PolicyOutcomes(
        np.full(len(observed), predicted), observed, np.full(len(observed), chance)
    )


@hypothesis_settings(max_examples=50)
@given(st.lists(st.floats(0, 1), min_size=150, max_size=300), st.floats(0, 1))
def test_where_everything_is_known_it_is_a_replay(values: list[float], guess: float) -> None:
    found = estimate(seen(guess, np.array(values), 1.0))
    assert found.mean == pytest.approx(np.mean(values))
    assert found.effective == pytest.approx(len(values))
    assert found.low <= found.mean + 1e-9
    assert found.high >= found.mean - 1e-9


def test_wrong_predictions_are_corrected_by_right_chances() -> None:
    rng = np.random.default_rng(1)
    outcomes = (rng.random(20_000) < 0.8).astype(float)
    observed = np.where(rng.random(20_000) < 0.3, outcomes, np.nan)
    for guess in (0.0, 0.5, 1.0):
        found = estimate(seen(guess, observed, 0.3))
        assert found.low <= 0.8 <= found.high
        assert found.high - found.low < 0.08


def test_good_predictions_narrow_the_interval() -> None:
    rng = np.random.default_rng(2)
    outcomes = np.clip(0.8 + rng.normal(0, 0.05, 2000), 0, 1)
    observed = np.where(rng.random(2000) < 0.3, outcomes, np.nan)
    good, bad = (estimate(seen(guess, observed, 0.3)) for guess in (0.8, 0.0))
    assert good.high - good.low < (bad.high - bad.low) / 5


def test_a_policy_that_the_log_never_tried_is_not_answered() -> None:
    never = PolicyOutcomes(0.5 * ONES, np.full(400, np.nan), 0 * ONES)
    with pytest.raises(Unsupported, match="100% of the requests"):
        estimate(never)


def test_few_outcomes_that_weigh_much_are_not_enough() -> None:
    observed = np.full(5000, np.nan)
    observed[:40] = 1.0
    with pytest.raises(Unsupported, match="weigh like 40"):
        estimate(seen(0.5, observed, 0.008))


def test_a_small_rest_that_was_never_tried_may_be_anything() -> None:
    chance = np.where(np.arange(400) < 390, 1.0, 0.0)
    observed = np.where(chance > 0, 0.7, np.nan)
    found = estimate(PolicyOutcomes(0.7 * ONES, observed, chance))
    assert found.low == pytest.approx(0.7 - 0.7 * 10 / 400)
    assert found.high == pytest.approx(0.7 + 0.3 * 10 / 400)
    assert found.supported == 0.975
    before = PolicyOutcomes(0.7 * ONES, 0.7 * ONES, ONES)
    assert difference(PolicyOutcomes(0.7 * ONES, observed, chance), before)[1] == pytest.approx(
        -0.0175
    )


def test_the_difference_is_paired() -> None:
    rng = np.random.default_rng(3)
    values = rng.random(400)
    one, other = PolicyOutcomes(values, values, ONES), PolicyOutcomes(values, values - 0.1, ONES)
    change = difference(other, one)
    assert change == pytest.approx((-0.1, -0.1, -0.1))


def test_small_chances_that_never_came_up_count_too() -> None:
    chance = np.where(np.arange(400) < 300, 1.0, 0.001)
    observed = np.where(chance == 1.0, 1.0, np.nan)
    assert effective_size(PolicyOutcomes(ONES, observed, chance)) < 10


def test_predictions_rest_on_other_requests_only() -> None:
    kind, model = np.zeros(10, dtype=int), np.zeros(10, dtype=int)
    value = np.zeros(10)
    value[3] = 1.0
    known = LoggedOutcomes(np.arange(10), kind, model, value, 10)
    found = predictions(known, kind, model)
    assert found[3] == min(found)
    assert found[3] < found[4]


def test_predictions_shrink_to_what_is_known_of_the_model() -> None:
    rng = np.random.default_rng(4)
    n = 2000
    kind, model = rng.integers(3, size=n), rng.integers(2, size=n)
    good = (rng.random(n) < np.where(model == 1, 0.9, 0.4)).astype(float)
    known = LoggedOutcomes(np.arange(n), kind, model, good, n)
    found = predictions(known, np.full(n, 3), np.ones(n, dtype=int))
    assert found.mean() == pytest.approx(0.9, abs=0.04)
    unheard_of = predictions(known, np.full(n, 3), np.full(n, 2))
    assert unheard_of.mean() == pytest.approx(0.65, abs=0.05)


def test_the_chance_of_a_rating_is_of_its_kind_and_model() -> None:
    rng = np.random.default_rng(5)
    kind, model = rng.integers(2, size=4000), rng.integers(2, size=4000)
    rated = rng.random(4000) < np.where(model == 1, 0.6, 0.1)
    share = rating_chance(rated, kind, model)
    assert share[model == 1].mean() == pytest.approx(0.6, abs=0.04)
    other = rating_chance(rated, kind, model, of=1 - model)
    assert other[model == 1].mean() == pytest.approx(0.1, abs=0.04)


def test_an_interval_follows_skewed_values() -> None:
    values = np.r_[np.zeros(380), np.full(20, 10.0)]
    mean, low, high = interval_of(values)
    assert high - mean > mean - low
    assert interval_of(np.full(5, 2.0)) == (2.0, 2.0, 2.0)
