"""RouterArena's score, by its own formula."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.evaluation.arena import ArenaOutcome, arena_result, arena_score, robustness


def test_the_score_of_the_constants() -> None:
    # C is 1 at the least cost, so S = 1.1 A / (0.1 A + 1); it is 0 at the greatest cost.
    assert arena_score(Decimal("0.0044"), 0.8) == pytest.approx(1.1 * 0.8 / 1.08)
    assert arena_score(Decimal(200), 0.8) == 0.0


def test_the_score_between_the_constants() -> None:
    # By hand: log2(200 / 1) = 7.643856, log2(200 / 0.0044) = 15.472150, C = 0.494040;
    # S = 1.1 * 0.7 * 0.494040 / (0.07 + 0.494040) = 0.674440.
    assert arena_score(Decimal(1), 0.7) == pytest.approx(0.674440, abs=1e-6)


@given(
    st.decimals(0, 1000, places=4), st.decimals(0, 1000, places=4), st.floats(0, 1), st.floats(0, 1)
)
def test_more_accuracy_never_lowers_it_and_more_cost_never_raises_it(
    a: Decimal, b: Decimal, x: float, y: float
) -> None:
    cheap, dear = sorted((a, b))
    worse, better = sorted((x, y))
    assert 0 <= arena_score(dear, worse) <= arena_score(cheap, better) + 1e-12 <= 1 + 1e-9


@pytest.mark.parametrize("accuracy", [-0.1, 1.1, float("nan")])
def test_an_accuracy_that_is_none_is_refused(accuracy: float) -> None:
    with pytest.raises(ValueError, match="accuracy"):
        arena_score(Decimal(1), accuracy)


OUTCOMES = {
    ("p1", "small"): ArenaOutcome(1.0, Decimal("0.001")),
    ("p1", "big"): ArenaOutcome(1.0, Decimal("0.010")),
    ("p2", "small"): ArenaOutcome(0.0, Decimal("0.001")),
    ("p2", "big"): ArenaOutcome(1.0, Decimal("0.010")),
    ("p3", "big"): ArenaOutcome(0.0, Decimal("0.010")),
}


def test_the_figures_of_a_router() -> None:
    result = arena_result({"p1": "small", "p2": "big"}, OUTCOMES)
    assert result is not None
    assert result.accuracy == 1.0
    assert result.cost == Decimal("5.5")
    assert result.best_cost == Decimal("5.5")
    assert result.score == arena_score(Decimal("5.5"), 1.0)


def test_prompts_without_an_outcome_of_the_chosen_model_are_counted() -> None:
    result = arena_result({"p1": "small", "p3": "small", "p4": "big"}, OUTCOMES)
    assert result is not None
    assert (result.prompts, result.missing) == (1, 2)
    assert arena_result({"p4": "big"}, OUTCOMES) is None


def test_the_best_answers_are_the_bound() -> None:
    result = arena_result({"p1": "big", "p2": "small"}, OUTCOMES)
    assert result is not None
    assert result.accuracy == 0.5
    assert result.best_accuracy == 1.0
    assert result.best_cost == Decimal("5.5")


def test_the_share_of_reworded_prompts_that_keep_their_model() -> None:
    choices = {"p1": "small", "p2": "big"}
    assert robustness(choices, {"p1": "small", "p2": "small", "p9": "big"}) == 0.5
    assert robustness(choices, {"p9": "big"}) is None
