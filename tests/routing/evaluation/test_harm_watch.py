"""The watch on a lever's quality."""

from __future__ import annotations

from math import inf

import numpy as np
import pytest

from routing.evaluation.harm_watch import (
    HARM_MARGIN,
    ScoredUnits,
    harm_bounds,
    harm_verdict,
    pair_observations,
    smallest_harm,
)


def units(seed: int, n: int, harm: float, p: float = 0.5) -> ScoredUnits:
    rng = np.random.default_rng(seed)
    treated = rng.random(n) < p
    score = (rng.random(n) < 0.8 - harm * treated).astype(float)
    return ScoredUnits(score, treated, np.full(n, p))


@pytest.mark.parametrize("p", [0.5, 0.95])
def test_a_harmless_lever_is_hardly_ever_stopped_however_often_one_looks(p: float) -> None:
    stopped = 0
    for seed in range(60):
        seen = units(seed, 1200, 0.0, p)
        for upto in range(50, 1201, 115):
            part = ScoredUnits(seen.score[:upto], seen.treated[:upto], seen.propensity[:upto])
            verdict = harm_verdict([part.observations()], upto * 10, 1e9)
            stopped += bool(verdict.stop)
    assert stopped <= 3


def test_harm_is_certain_after_enough_scores_and_pairs_tell_sooner() -> None:
    harmful = units(1, 3000, 0.2)
    verdict = harm_verdict([harmful.observations()], 3000, 1e9)
    assert "each answer is worse by" in verdict.stop
    bounds = harm_bounds([harmful.observations()])
    assert HARM_MARGIN < bounds.low < 0.2 < bounds.high
    rng = np.random.default_rng(2)
    without = rng.uniform(0.6, 1, 200)
    pairs = pair_observations(without - 0.2 + rng.normal(0, 0.05, 200), without)
    assert harm_bounds([pairs]).low > 0.1
    both = harm_bounds([units(3, 200, 0.2).observations(), pairs])
    assert both.low > harm_bounds([units(3, 200, 0.2).observations()]).low


def test_a_ramp_stops_what_it_cannot_insure_and_ends_when_harm_is_ruled_out() -> None:
    few = [units(4, 10, 0.0).observations()]
    assert "not ruled out" in harm_verdict(few, 200, 50, ramping=True).stop
    assert not harm_verdict(few, 200, 50).stop
    assert not harm_verdict(few, 40, 50, ramping=True).stop
    many = [units(5, 20_000, -0.02).observations()]
    verdict = harm_verdict(many, 100_000, 500, ramping=True)
    assert verdict.released
    assert not verdict.stop


def test_without_scores_nothing_is_known() -> None:
    bounds = harm_bounds([units(6, 0, 0.0).observations()])
    assert (bounds.low, bounds.high) == (-1, 1)
    assert smallest_harm(50, 0, 0.1, 0.05) == inf


def test_a_larger_budget_and_more_scores_let_smaller_harm_be_stopped_in_time() -> None:
    usual = smallest_harm(500, 0.1, 0.06, 0.05)
    assert smallest_harm(1000, 0.1, 0.06, 0.05) < usual
    assert smallest_harm(500, 0.2, 0.06, 0.05) < usual
    assert smallest_harm(500, 0.1, 0.06, 0.5) < usual
    assert smallest_harm(500, 0.1, 0.06, 0.05, paired=0.1, pair_variance=0.05) < usual
