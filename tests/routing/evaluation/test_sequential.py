"""Confidence sequences: they may be looked at all the time, and find what is there."""

from __future__ import annotations

import random
from math import sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.evaluation.sequential import (
    FEWEST_UNITS,
    ArmSums,
    compare,
    half_width,
    units_needed,
)


def sums(values: list[float], counts: list[int] | None = None) -> ArmSums:
    counts = counts or [1] * len(values)
    return ArmSums(
        len(values),
        sum(values),
        sum(counts),
        sum(v * v for v in values),
        sum(c * c for c in counts),
        sum(v * c for v, c in zip(values, counts, strict=True)),
    )


def test_the_mean_is_a_request_s_and_its_error_the_units() -> None:
    alike = sums([10.0, 20.0] * 50, [10, 20] * 50)
    assert alike.mean == 1.0
    assert alike.variance == pytest.approx(0, abs=1e-12)
    plain = sums([0.0, 1.0] * 50)
    assert plain.mean == 0.5
    assert sqrt(plain.variance) == pytest.approx(0.05)
    assert sums([]).mean is None


def test_before_there_are_enough_units_nothing_is_said() -> None:
    few, many = sums([0.0, 1.0] * 20), sums([0.0, 1.0] * 200)
    found = compare(few, many)
    assert found.difference == 0
    assert found.low is None
    assert compare(sums([]), many).difference is None
    assert few.units < FEWEST_UNITS


def test_what_never_happened_is_no_certainty() -> None:
    found = compare(sums([0.0] * 200), sums([0.0] * 200))
    assert (found.difference, found.low) == (0, None)


def test_without_a_difference_looking_all_the_time_seldom_finds_one() -> None:
    chance = random.Random(4)
    alarms = 0
    for _ in range(200):
        one, other = [], []
        for seen in range(2000):
            (one if chance.random() < 0.5 else other).append(chance.expovariate(1.0))
            if seen % 50 or min(len(one), len(other)) < FEWEST_UNITS:
                continue
            found = compare(sums(one), sums(other))
            if found.low > 0 or found.high < 0:
                alarms += 1
                break
    assert alarms / 200 <= 0.05


def test_a_difference_that_is_there_is_found() -> None:
    chance = random.Random(5)
    one = [chance.gauss(1.0, 0.5) for _ in range(1000)]
    other = [chance.gauss(0.8, 0.5) for _ in range(1000)]
    found = compare(sums(one), sums(other))
    assert found.low < -0.2 < found.high < 0


@given(st.integers(100, 100_000), st.integers(100, 100_000))
def test_it_is_wider_than_a_single_look_and_narrows(units: int, planned: int) -> None:
    error = 1 / sqrt(units)
    half = half_width(units, error, planned)
    assert half > 1.96 * error
    assert half_width(4 * units, error / 2, planned) < half


class TestPlanning:
    def test_smaller_effects_need_more(self) -> None:
        assert units_needed(1.0, 0.05) > 3 * units_needed(1.0, 0.1) > 0
        assert units_needed(1.0, 0.1, share=0.1) > units_needed(1.0, 0.1)
        assert units_needed(0.0, 0.1) == 2 * FEWEST_UNITS
        with pytest.raises(ValueError, match="above zero"):
            units_needed(1.0, 0.0)

    def test_what_was_planned_shows_the_effect_in_four_of_five(self) -> None:
        chance = random.Random(6)
        planned = units_needed(1.0, 0.25)
        shown = 0
        for _ in range(100):
            one = [chance.gauss(0, 1) for _ in range(planned // 2)]
            other = [chance.gauss(0.25, 1) for _ in range(planned // 2)]
            found = compare(sums(one), sums(other), planned)
            shown += found.low > 0
        assert 0.68 <= shown / 100 <= 0.92


def test_a_few_users_who_send_nearly_everything_show_nothing() -> None:
    counts = np.array([400.0] * 5 + [1.0] * 95)
    totals = counts * np.random.default_rng(1).exponential(1, 100)
    sums = ArmSums(
        100, totals.sum(), counts.sum(), (totals**2).sum(), (counts**2).sum(),
        (totals * counts).sum(),
    )  # fmt: skip
    assert sums.effective < 7
    found = compare(sums, sums)
    assert found.difference == 0
    assert found.low is None
