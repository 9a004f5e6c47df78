"""Ratings weighed by propensities."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from routing.evaluation.weighed_ratings import WeighedRatings, rated_difference


def ratings(seed: int, n: int = 400, propensity: float = 0.5) -> WeighedRatings:
    rng = np.random.default_rng(seed)
    same = rng.random(n) < propensity
    score = (rng.random(n) < np.where(same, 0.9, 0.7)).astype(float)
    return WeighedRatings(score, np.ones(n), np.full(n, propensity), same)


@given(st.integers(0, 10**6))
@hypothesis_settings(max_examples=50)
def test_bounds_surround_the_means(seed: int) -> None:
    found = rated_difference(ratings(seed), {})
    assert found is not None
    for (mean, low, high), least in ((found.difference, -1.0), (found.baseline, 0.0)):
        assert least <= low <= mean <= high <= 1


def test_with_equal_chances_it_is_the_plain_means() -> None:
    given_ = ratings(1)
    found = rated_difference(given_, {})
    assert found is not None
    plain = given_.score[given_.same].mean()
    assert found.baseline[0] == pytest.approx(plain)
    assert found.difference[0] == pytest.approx(given_.score.mean() - plain)


def test_equal_ratings_are_no_certainty() -> None:
    n = 120
    same = np.arange(n) % 2 == 0
    found = rated_difference(WeighedRatings(np.ones(n), np.ones(n), np.full(n, 0.5), same), {})
    assert found is not None
    assert found.difference[0] == 0
    assert found.difference[1] < -0.01


def test_what_had_no_chance_widens_the_interval_and_then_forbids_it() -> None:
    base = ratings(2, 1000)
    widths = []
    for share in (0.0, 0.04, 0.06):
        beyond = (np.arange(1000) < share * 1000) & ~base.same
        beyond = np.cumsum(~base.same) <= share * 1000 if share else beyond
        propensity = np.where(beyond & ~base.same, 0.0, base.propensity)
        found = rated_difference(WeighedRatings(base.score, base.chance, propensity, base.same), {})
        widths.append(None if found is None else found.difference[2] - found.difference[1])
    assert widths[0] is not None
    assert widths[1] is not None
    assert widths[1] > widths[0] + 0.03
    assert widths[2] is None


def test_a_few_ratings_of_great_weight_are_few() -> None:
    n = 200
    same = np.arange(n) < 40
    propensity = np.where(np.arange(n) < 3, 0.001, 0.9)
    score = np.ones(n)
    assert rated_difference(WeighedRatings(score, np.ones(n), propensity, same), {}) is None


def test_no_ratings_say_nothing() -> None:
    nothing = np.empty(0)
    assert (
        rated_difference(WeighedRatings(nothing, nothing, nothing, nothing.astype(bool)), {})
        is None
    )
