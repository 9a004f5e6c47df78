"""What outcomes of a kind of prompt say of the kind, for models that nobody rated there."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.routing.new_kinds import errors, made_kinds
from routing.learning.kind_levels import KindLevels
from routing.learning.posterior import Posterior, expit, logit
from routing.models import TIERS, Evidence
from routing.patterns import PATTERNS
from tests.routing.catalogue import outcomes

keys = st.tuples(
    st.sampled_from(PATTERNS), st.sampled_from(TIERS), st.just("p"), st.sampled_from("abcd")
)
shares = st.floats(0, 1)
anything = st.dictionaries(
    keys, st.builds(outcomes, st.integers(1, 60), shares, st.floats(0.05, 0.95)), max_size=20
)


def rated(count: int, mean: float, *models: str, pattern: str = "code") -> dict:
    return {(pattern, "simple", "p", model): outcomes(count, mean) for model in models}


def expected_of(posterior: Posterior, model: str, pattern: str = "code") -> float:
    seen = posterior.observed(pattern, "simple", "p", model)
    return posterior.estimate(logit(0.8), seen).mean


def test_a_few_ratings_of_a_new_kind_pull_in_models_that_nobody_rated() -> None:
    posterior = Posterior(rated(5, 0.2, "a", "b"))
    assert expected_of(posterior, "never rated") < 0.7
    more = Posterior(rated(20, 0.2, "a", "b"))
    assert expected_of(more, "never rated") < expected_of(posterior, "never rated")
    assert more.observed("code", "simple", "p", "never rated").sample_size == 0


def test_a_model_that_fails_where_others_do_well_lowers_itself_alone() -> None:
    known = {**rated(30, 0.8, "a", "b", "c"), **rated(30, 0.2, "bad")}
    posterior = Posterior(known)
    assert expected_of(posterior, "bad") < 0.4
    assert expected_of(posterior, "a") > 0.75
    assert expected_of(posterior, "never rated") > 0.7


def test_other_kinds_move_less_than_the_one_that_was_rated() -> None:
    levels = KindLevels(rated(20, 0.2, "a", "b"))
    own, tier, other = (
        levels.shift("code", "simple"), levels.shift("code", "complex"),
        levels.shift("factual", "simple"),
    )  # fmt: skip
    assert own < tier < other <= 0


def test_outcomes_as_expected_move_nothing() -> None:
    known = {
        **rated(40, 0.8, "a", "b", "c"),
        **rated(40, 0.8, "a", "b", pattern="factual"),
    }
    assert KindLevels(known).shift("code", "simple") == pytest.approx(0, abs=0.02)
    assert KindLevels({}).shift("code", "simple") == 0


@given(anything, st.randoms())
def test_levels_are_finite_and_do_not_depend_on_the_order(known, random) -> None:
    levels = KindLevels(known)
    items = list(known.items())
    random.shuffle(items)
    again = KindLevels(dict(items))
    for pattern in PATTERNS:
        for tier in TIERS:
            shift = levels.shift(pattern, tier)
            assert math.isfinite(shift)
            assert abs(shift) < 12
            assert again.shift(pattern, tier) == pytest.approx(shift, abs=1e-9)


@given(anything, keys)
def test_the_estimate_stays_a_quality_and_a_better_outcome_never_lowers_its_model(
    known, key
) -> None:
    pattern, tier, provider, model = key
    worse = known.get(key, outcomes(5, 0.5))
    before = Posterior({**known, key: worse})
    better = replace(
        worse, quality_sum=worse.quality_sum + 0.5 * (worse.weight - worse.quality_sum)
    )
    after = Posterior({**known, key: better})
    one, other = (
        p.estimate(0.7, p.observed(pattern, tier, provider, model)) for p in (before, after)
    )
    assert 0 <= one.low <= one.mean <= one.high <= 1
    assert other.mean >= one.mean - 0.02


@given(st.floats(0.05, 0.95), st.integers(1, 50))
def test_without_evidence_of_weight_nothing_moves(quality, count) -> None:
    forgotten = Evidence(count, 0.0, 0.0, 0.0)
    posterior = Posterior({("code", "simple", "p", "a"): forgotten})
    seen = posterior.observed("code", "simple", "p", "b")
    assert seen.shift == 0
    assert posterior.estimate(logit(quality), seen).mean == pytest.approx(
        expit(logit(quality)), abs=1e-4
    )


def test_the_simulation_shows_both() -> None:
    kinds = list(made_kinds(np.random.default_rng(1), 60, 1.0))
    alone, shared = (
        errors(np.random.default_rng(2), kinds, 9.0, levels=levels) for levels in (False, True)
    )
    for is_rated in (True, False):
        assert shared[20, is_rated] < shared[5, is_rated] < shared[0, is_rated]
        assert shared[20, is_rated] < alone[20, is_rated]
    as_expected = list(made_kinds(np.random.default_rng(1), 60, 0.0))
    alone, shared = (
        errors(np.random.default_rng(2), as_expected, 9.0, levels=levels)
        for levels in (False, True)
    )
    assert shared[20, False] < alone[20, False] + 0.02
