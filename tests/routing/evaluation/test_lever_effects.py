"""What a lever saved, measured against the requests that it left alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from benchmarks.levers.traffic import TRAFFIC, one_lever, several_levers
from routing.evaluation.arm_prediction import FEWEST_ARM_UNITS
from routing.evaluation.lever_effects import TrialRows, lever_effect, levers_together


def a_log(seed: int = 1, n: int = 2000, traffic: str = "saves 30 %") -> tuple[TrialRows, float]:
    return one_lever(TRAFFIC[traffic], np.random.default_rng(seed), n)


@pytest.mark.parametrize("traffic", ["heavy-tailed costs", "cascade"])
def test_the_interval_nearly_always_holds_what_was_truly_saved(traffic: str) -> None:
    held = []
    for seed in range(100):
        rows, truth = a_log(seed, 1000, traffic)
        saving = lever_effect(rows).saving
        assert saving is not None
        held.append(saving.low <= truth <= saving.high)
    assert np.mean(held) >= 0.89


@given(st.integers(0, 10**6), st.floats(0.001, 1000))
@hypothesis_settings(max_examples=20, deadline=None)
def test_order_and_currency_do_not_count(seed: int, rate: float) -> None:
    rows, _ = a_log(seed, 600)
    order = np.random.default_rng(seed).permutation(600)
    mixed = rows.of(order)
    mixed = replace(mixed, cost=mixed.cost * rate, expected=mixed.expected * rate)
    one, other = lever_effect(rows).saving, lever_effect(mixed).saving
    if one is None or other is None:
        assert one is other
        return
    assert other.value == pytest.approx(one.value * rate, rel=1e-6)
    assert (other.low, other.high) == pytest.approx((one.low * rate, one.high * rate), rel=1e-6)


def test_a_known_expected_cost_narrows_the_interval_and_a_useless_one_does_no_harm() -> None:
    rows, _ = a_log(2)
    unknown = replace(rows, expected=np.full(len(rows.cost), np.nan))
    useless = replace(rows, expected=np.random.default_rng(0).exponential(1, len(rows.cost)))
    widths = []
    for one in (rows, unknown, useless):
        saving = lever_effect(one).saving
        assert saving is not None
        widths.append(saving.high - saving.low)
    assert widths[0] < 0.8 * widths[1]
    assert widths[2] < 1.2 * widths[1]


def test_what_the_figures_are_about() -> None:
    rows, _ = a_log(3)
    n = len(rows.cost)
    joint = ~rows.treated & (np.arange(n) % 2 == 0)
    cost = np.where(np.arange(n) % 100 == 1, np.nan, rows.cost)
    always = np.arange(n) % 4 == 3
    propensity = np.where(always & rows.treated, 1.0, rows.propensity)
    effect = lever_effect(replace(rows, joint=joint, cost=cost, propensity=propensity))
    own = ~joint
    assert effect.eligible == own.sum()
    assert effect.treated == rows.treated.sum()
    assert effect.control == (own & ~rows.treated).sum()
    assert effect.unmeasured == (always & rows.treated).sum()
    assert effect.unpriced == (own & np.isnan(cost)).sum()
    assert effect.measured == (rows.treated & ~np.isnan(cost) & (propensity < 1)).sum()
    assert effect.saving is not None
    assert effect.per_request is not None
    assert effect.per_request.value == pytest.approx(effect.saving.value / effect.measured)
    assert effect.verdict == "saves"


def test_the_control_costs_what_the_lever_would_have_saved_on_it() -> None:
    effect = lever_effect(a_log(4, 20_000, "half is left alone")[0])
    assert effect.saving is not None
    assert effect.control_cost is not None
    assert effect.control_cost.value == pytest.approx(effect.saving.value, rel=0.1)


@pytest.mark.parametrize(
    ("share", "reason"),
    [(1.0, "no request was left alone"), (0.999, f"{FEWEST_ARM_UNITS} are needed")],
)
def test_without_enough_units_there_is_no_figure(share: float, reason: str) -> None:
    rows, _ = a_log(5)
    treated = np.arange(len(rows.cost)) >= round((1 - share) * len(rows.cost))
    chance = np.full(len(rows.cost), share)
    effect = lever_effect(replace(rows, treated=treated, propensity=chance))
    assert effect.saving is None
    assert reason in effect.refused
    assert effect.verdict == effect.quality_verdict == "too few"


def test_sessions_count_once() -> None:
    rows, _ = a_log(6, 2000)
    repeated = replace(rows.of(np.repeat(np.arange(2000), 5)), unit=np.repeat(np.arange(2000), 5))
    one, five = lever_effect(rows).saving, lever_effect(repeated).saving
    assert one is not None
    assert five is not None
    assert (five.high - five.low) / 5 == pytest.approx(one.high - one.low, rel=1e-6)


def test_the_levers_and_what_they_do_together_add_up_to_the_total() -> None:
    logs, _, every, truth = several_levers(TRAFFIC["saves 30 %"], np.random.default_rng(7), 20_000)
    effects = [lever_effect(log) for log in logs]
    together = levers_together(every, effects)
    assert together.total is not None
    assert together.remainder is not None
    parts = sum(effect.saving.value for effect in effects if effect.saving is not None)
    assert parts + together.remainder.value == pytest.approx(together.total.value)
    assert together.total.low <= truth <= together.total.high


@pytest.mark.parametrize(("lost", "verdict"), [(0.0, "not shown"), (0.2, "worse")])
def test_quality_is_compared_between_the_arms(lost: float, verdict: str) -> None:
    rows, _ = a_log(8, 4000)
    rng = np.random.default_rng(8)
    score = np.clip(0.8 - lost * rows.treated + rng.normal(0, 0.1, 4000), 0, 1)
    score[rng.random(4000) < 0.6] = np.nan
    effect = lever_effect(replace(rows, score=score))
    assert effect.quality is not None
    assert effect.quality.low <= -lost <= effect.quality.high
    assert effect.quality_verdict == verdict
