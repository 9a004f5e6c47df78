"""Moves of traffic: what a model on trial must show, and when a move is taken back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.guarantee.adoption import (
    AdoptionTerms,
    bounds_of,
    decide_adoption,
    live_allowance,
    turned_bad,
)

TERMS = AdoptionTerms()


def scores(loss: float, n: int, seed: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.clip(rng.choice([0.0, 0.25, 0.5, 0.75, 1.0], n) - loss, 0, 1)


def savings(mean: float, n: int) -> np.ndarray:
    return mean + 0.1 * abs(mean) * np.random.default_rng(2).standard_normal(n)


@pytest.mark.parametrize(
    ("stage", "loss", "saving", "pairs", "live", "verdict"),
    [
        ("shadow", 0.0, 0.01, 10, 0, "wait"),
        ("shadow", 0.0, 0.01, 400, 0, "live"),
        ("shadow", 0.3, 0.01, 400, 0, "reject"),
        ("shadow", 0.0, -0.01, 400, 0, "reject"),
        ("live", 0.0, 0.01, 3000, 500, "move"),
        ("live", 0.0, 0.01, 3000, 10, "wait"),
        ("live", 0.0, 0.01, 100, 500, "wait"),
        ("live", 0.2, 0.01, 3000, 500, "reject"),
        ("live", -0.1, -0.01, 3000, 500, "reject"),
    ],
)
def test_a_trial_ends_when_something_is_sure(
    stage, loss: float, saving: float, pairs: int, live: int, verdict: str
) -> None:
    bounds = bounds_of(scores(loss, pairs), savings(saving, pairs), TERMS)
    assert bounds.loss_low <= bounds.loss <= bounds.loss_high
    assert decide_adoption(stage, bounds, live, TERMS).verdict == verdict


def test_without_prices_nothing_moves() -> None:
    bounds = bounds_of(scores(0, 3000), np.empty(0), TERMS)
    assert decide_adoption("live", bounds, 500, TERMS).verdict == "wait"


def test_without_pairs_everything_is_possible() -> None:
    bounds = bounds_of(np.empty(0), np.empty(0), TERMS)
    assert (bounds.loss_low, bounds.loss_high, bounds.saving) == (-0.5, 0.5, None)


@given(st.floats(-10, 1000), st.floats(-0.5, 0.5))
def test_what_clients_may_lose_stays_within_the_points(points: float, loss_high: float) -> None:
    allowed = live_allowance(points, loss_high)
    assert allowed >= 0
    assert allowed * max(loss_high, 0) <= max(points, 0)


def test_a_model_that_turns_bad_is_noticed_and_a_steady_one_is_not() -> None:
    good = scores(0, 1000)
    assert not turned_bad(good, TERMS)
    assert turned_bad(np.concatenate((good, scores(0.25, 200, seed=3))), TERMS)
