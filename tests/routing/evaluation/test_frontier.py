"""Routers among many models, and how far predictions can be believed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.evaluation.calibration import auc_of, reliability
from routing.evaluation.frontier import (
    ModelResults,
    curve,
    frontier_figures,
    mixing_curve,
    picks_by_penalty,
)


def made(n: int = 300, m: int = 4, seed: int = 0) -> ModelResults:
    draw = np.random.default_rng(seed)
    quality = (draw.random((n, m)) < np.linspace(0.3, 0.9, m)).astype(float)
    cost = np.geomspace(1e-4, 1e-2, m) * draw.uniform(0.5, 1.5, (n, m))
    return ModelResults([f"m{k}" for k in range(m)], quality, cost)


def test_mixing_reaches_every_model_on_the_hull_and_none_above_it() -> None:
    results = ModelResults(
        ["cheap", "bad", "good"],
        np.array([[0.2, 0.3, 0.8]]),
        np.array([[0.0, 0.5, 1.0]]),
    )
    mixed = mixing_curve(results)
    assert mixed.at(0.0) == 0.2
    assert mixed.at(0.5) == pytest.approx(0.5)
    assert mixed.at(1.0) == 0.8


@given(st.integers(0, 50))
def test_knowing_the_outcomes_beats_mixing_everywhere(seed: int) -> None:
    results = made(seed=seed)
    costs = np.linspace(results.cost.mean(axis=0).min(), results.cost.mean(axis=0).max(), 30)
    oracle = curve(results, picks_by_penalty(results.quality, results.cost))
    assert (oracle.at(costs) >= mixing_curve(results).at(costs) - 1e-9).all()


def test_knowing_nothing_gains_nothing() -> None:
    results = made(n=2000)
    even = np.tile(results.cost.mean(axis=0), (2000, 1))
    expected = np.tile(results.quality.mean(axis=0), (2000, 1))
    found = frontier_figures(results, picks_by_penalty(expected, even), resamples=20)
    assert found.gain.value == pytest.approx(0, abs=0.02)


def test_figures_are_reproducible_and_lie_in_their_intervals() -> None:
    results = made()
    chosen = picks_by_penalty(results.quality, results.cost)
    first = frontier_figures(results, chosen, resamples=50, seed=4)
    assert first == frontier_figures(results, chosen, resamples=50, seed=4)
    assert first.area.low <= first.area.value <= first.area.high
    assert first.gain.low > 0
    assert set(first.at_equal_cost) == set(results.models)
    assert set(first.at_equal_quality) == set(results.models)


def test_the_cost_at_equal_quality_is_a_share_of_always_using_the_model() -> None:
    # The cheap model answers every second prompt; only the others need the dear one.
    quality = np.array([[1.0, 1.0], [0.0, 1.0]] * 50)
    results = ModelResults(["cheap", "dear"], quality, np.tile([0.1, 1.0], (100, 1)))
    knows = frontier_figures(results, picks_by_penalty(quality, results.cost), resamples=5)
    assert knows.at_equal_quality["dear"].value == pytest.approx(0.55)
    blind = np.zeros((100, 3), dtype=np.intp)
    never = frontier_figures(results, blind, resamples=5)
    assert np.isnan(never.at_equal_quality["dear"].value)
    assert never.at_equal_quality["cheap"].value == pytest.approx(1)


def test_calibration_error_is_how_far_off_predictions_are() -> None:
    draw = np.random.default_rng(1)
    likely = draw.random(20_000)
    quality = (draw.random(20_000) < likely).astype(float)
    assert reliability(likely, quality).error < 0.02
    assert reliability(np.clip(likely + 0.2, 0, 1), quality).error > 0.12
    assert reliability(likely, quality).count.sum() == 20_000


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=40))
def test_auc_is_how_often_a_good_answer_is_above_a_bad_one(answers: list[tuple[int, bool]]) -> None:
    good = [p for p, is_good in answers if is_good]
    bad = [p for p, is_good in answers if not is_good]
    found = auc_of(
        np.array([float(p) for p, _ in answers]), np.array([float(g) for _, g in answers])
    )
    if not good or not bad:
        assert np.isnan(found)
        return
    pairs = [(a > b) + (a == b) / 2 for a in good for b in bad]
    assert found == pytest.approx(np.mean(pairs))
