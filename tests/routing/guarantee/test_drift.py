"""The guarantee while the routed model changes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from benchmarks.routing.guarantee_drift import broken, now
from routing.guarantee.betting import is_smaller
from routing.guarantee.calibration import Promise, calibrate_now, window_of, window_start
from routing.guarantee.drift import CHANGE, DOUBT, drift_of

PROMISE = Promise(0.05)


def verdicts(rng: np.random.Generator, n: int, loss: float) -> tuple[np.ndarray, np.ndarray]:
    """Expected qualities above 0.5, and losses of that mean, whatever was expected."""
    draw = rng.random(n)
    losses = np.where(draw < 0.3 + loss, 0.5, np.where(draw > 0.7 + loss, -0.5, 0.0))
    return rng.uniform(0.5, 1, n), losses


@given(arrays(np.float64, st.integers(1, 200), elements=st.floats(0, 1)), st.floats(0.05, 0.79))
@hypothesis_settings(max_examples=100)
def test_the_detector_is_that_of_its_recursion(values: np.ndarray, limit: float) -> None:
    products, peaks = np.ones(3), []
    for value in values:
        products = np.maximum(products, 1) * (1 + np.array([0.1, 0.4, 1.2]) * (value - limit))
        peaks.append(products.mean())
    found = drift_of(values, limit)
    assert found.evidence == pytest.approx(peaks[-1])
    assert (found.since > 0) <= (max(peaks) >= CHANGE * 0.999)
    assert 0 <= found.since <= len(values)


def test_a_change_is_noticed_where_it_was() -> None:
    rng = np.random.default_rng(1)
    values = np.concatenate((rng.uniform(0, 0.6, 1000), rng.uniform(0.4, 1, 300)))
    found = drift_of(values, 0.525)
    assert found.evidence > CHANGE
    assert abs(found.since - 1000) < 30


def test_values_within_the_limit_raise_no_doubt() -> None:
    rng = np.random.default_rng(2)
    doubts = [drift_of((verdicts(rng, 2000, 0)[1] + 1) / 2, 0.525).evidence for _ in range(300)]
    assert np.mean(np.array(doubts) >= DOUBT) < 0.01


def test_no_values_are_no_evidence() -> None:
    assert (drift_of(np.empty(0), 0.5).evidence, drift_of(np.empty(0), 0.5).since) == (1.0, 0)


def test_a_sequential_test_may_be_repeated_with_every_value() -> None:
    rng = np.random.default_rng(3)
    wrong = 0
    for _ in range(200):
        values = rng.binomial(1, 0.5, 400).astype(float)
        wrong += any(is_smaller(values[:n], 0.5, 0.1, sequential=True) for n in range(10, 401, 10))
    assert wrong / 200 <= 0.13


def test_the_reference_answers_while_the_promise_is_in_doubt() -> None:
    rng = np.random.default_rng(4)
    before, after = verdicts(rng, 900, 0.0), verdicts(rng, 60, 0.3)
    assert calibrate_now(*before, PROMISE).threshold == pytest.approx(0.0)
    pairs = [np.concatenate(both) for both in zip(before, after, strict=True)]
    found = calibrate_now(*pairs, PROMISE)
    assert found.doubt
    assert found.routed < 0.3


def test_it_is_certain_again_after_a_change_for_the_better() -> None:
    rng = np.random.default_rng(5)
    worse, better = verdicts(rng, 300, 0.3), verdicts(rng, 1300, 0.0)
    pairs = [np.concatenate(both) for both in zip(worse, better, strict=True)]
    found = calibrate_now(*(of[window_start(1600, PROMISE) :] for of in pairs), PROMISE)
    assert found.threshold is not None
    assert found.routed > 0.9


@given(st.integers(0, 10**6), st.floats(0.005, 0.5))
def test_the_window_is_long_enough_and_keeps_its_start(pairs: int, tolerance: float) -> None:
    promise = Promise(tolerance)
    window, start = window_of(promise), window_start(pairs, promise)
    assert start == 0 or window <= pairs - start < window + window // 4
    assert start % (window // 4) == 0


def test_a_stricter_promise_looks_further_back() -> None:
    lengths = [window_of(Promise(tolerance)) for tolerance in (0.1, 0.05, 0.02, 0.01)]
    assert lengths == sorted(lengths)
    assert window_of(PROMISE) < 1500


@pytest.mark.parametrize(
    "study", ["none", "sudden: 0.3 worse at once", "daily: 0 to 0.16 worse by the hour"]
)
def test_the_promise_is_kept_while_traffic_changes(study: str) -> None:
    share, _, before, _ = broken(study, now, 2, 1)
    assert share == 0
    assert before > 0.9
