"""The guarantee: kept on whatever data, and the reference where it cannot be."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from routing.adjustments.guarantee import Guarantee, apply_guarantee
from routing.analysis import analyze_prompt
from routing.eligibility import find_eligible
from routing.guarantee.betting import is_smaller, upper_bound
from routing.guarantee.calibration import NO_EVIDENCE, Calibration, Promise, calibrate
from routing.models import Candidate, RoutingDecision
from tests.routing.catalogue import EASY, OPTIONS, Fixed, context, engine_over

BIG, SMALL = ("b", "big"), ("a", "small")


class TestBetting:
    @pytest.mark.parametrize("population", [np.inf, 400.0])
    def test_it_is_seldom_wrong(self, population: float) -> None:
        rng = np.random.default_rng(1)
        wrong = 0
        for _ in range(1000):
            if np.isinf(population):
                values, truth = (rng.random(150) < 0.1).astype(float), 0.1
            else:
                everything = (rng.random(400) < 0.1).astype(float)
                values, truth = everything[:150], float(everything.mean())
            wrong += is_smaller(values, truth, 0.05, population)
        assert wrong / 1000 <= 0.05

    def test_it_sees_what_is_plainly_smaller(self) -> None:
        rng = np.random.default_rng(2)
        assert is_smaller(rng.normal(0.5, 0.05, 400).clip(0, 1), 0.52, 0.05)
        assert upper_bound(rng.normal(0.5, 0.05, 2000).clip(0, 1), 0.05) < 0.51

    def test_nothing_shows_nothing(self) -> None:
        assert not is_smaller(np.array([]), 0.5, 0.05)
        assert upper_bound(np.array([]), 0.05) == pytest.approx(1.0)

    @hypothesis_settings(max_examples=50, deadline=None)
    @given(st.lists(st.floats(0, 1), min_size=5, max_size=60))
    def test_a_bound_lies_above_the_mean_and_within_reason(self, values: list[float]) -> None:
        found = upper_bound(np.array(values), 0.05)
        assert np.mean(values) <= found + 1e-9
        assert found <= 1

    def test_all_that_is_to_come_being_known_leaves_no_doubt(self) -> None:
        values = np.array([0.0, 1.0] * 100)
        assert upper_bound(values, 0.05, population=201.0) < 0.53
        assert upper_bound(values, 0.05) > 0.55


def traffic(rng: np.random.Generator, n: int, sharpness: float = 1.0):
    """Scores, and losses that are likelier the lower the score."""
    scores = rng.random(n)
    worse = rng.random(n) < 0.4 * (1 - sharpness * scores)
    better = rng.random(n) < 0.05
    return scores, worse.astype(float) - better.astype(float) * ~worse


class TestCalibration:
    @pytest.mark.parametrize("sharpness", [1.0, 0.0])
    def test_the_promise_is_kept_however_good_the_scores(self, sharpness: float) -> None:
        rng = np.random.default_rng(3)
        true_scores, true_losses = traffic(rng, 200_000, sharpness)
        broken = 0
        for _ in range(200):
            scores, losses = traffic(rng, 800, sharpness)
            found = calibrate(scores, losses, Promise(0.05))
            if found.threshold is not None:
                sent = true_scores >= found.threshold
                broken += float((true_losses * sent).mean()) > 0.05
        assert broken / 200 <= 0.05

    def test_more_evidence_sends_more_elsewhere(self) -> None:
        rng = np.random.default_rng(4)
        few, many = (
            [calibrate(*traffic(rng, n), Promise(0.05)) for _ in range(12)] for n in (300, 4000)
        )
        assert np.mean([c.routed for c in few]) < np.mean([c.routed for c in many])
        for found in many:
            assert found.loss <= found.bound <= 0.05

    def test_too_little_of_it_sends_nothing(self) -> None:
        rng = np.random.default_rng(5)
        assert calibrate(*traffic(rng, 20), Promise(0.02)).threshold is None

    def test_a_stricter_promise_sends_less(self) -> None:
        scores, losses = traffic(np.random.default_rng(6), 4000)
        routed = [calibrate(scores, losses, Promise(t)).routed for t in (0.01, 0.03, 0.1)]
        assert routed == sorted(routed)

    def test_harmless_models_may_answer_everything(self) -> None:
        found = calibrate(np.full(1000, 0.4), np.zeros(1000), Promise(0.02))
        assert found.routed == 1.0
        assert found.bound <= 0.02


def decided(expected: float | None = 0.8, strategy: str = "hybrid") -> RoutingDecision:
    chosen = Candidate(*SMALL, "simple", expected, 0.0, 1.0, 9, None, chosen=True, reason="cheap")
    return RoutingDecision(*SMALL, "high", strategy, "Because.", metadata={"candidates": [chosen]})


def promised(threshold: float | None) -> Guarantee:
    calibration = NO_EVIDENCE if threshold is None else Calibration(threshold, 0.02, 0.01, 0.5, 900)
    return Guarantee(BIG, Promise(0.02), calibration)


class TestGuard:
    @pytest.fixture
    def situation(self):
        return find_eligible(OPTIONS, context(), analyze_prompt(EASY))

    @pytest.mark.parametrize(
        ("expected", "threshold", "kept"),
        [(0.8, 0.7, True), (0.7, 0.7, True), (0.69, 0.7, False), (None, 0.7, False),
         (0.99, None, False)],
    )  # fmt: skip
    def test_what_is_not_sure_enough_goes_to_the_reference(
        self, situation, expected, threshold, kept
    ) -> None:
        found = apply_guarantee(decided(expected), situation, promised(threshold))
        assert ((found.provider, found.model) == SMALL) == kept
        told = found.metadata["guarantee"]
        assert (told["threshold"], told["expected"]) == (threshold, expected)
        if not kept:
            assert (found.provider, found.model) == BIG
            assert told["instead_of"] == {"provider": "a", "model": "small"}
            assert "guarantee" in found.reasoning

    @pytest.mark.parametrize("strategy", ["complexity", "named", "cheapest", "best"])
    def test_what_the_client_chose_stands(self, situation, strategy: str) -> None:
        decision = decided(0.1, strategy)
        assert apply_guarantee(decision, situation, promised(0.7)) is decision

    def test_the_reference_s_own_choice_stands(self, situation) -> None:
        decision = replace(decided(), provider="b", model="big")
        found = apply_guarantee(decision, situation, promised(0.7))
        assert (found.provider, found.model) == BIG
        assert "instead_of" not in found.metadata["guarantee"]
        assert apply_guarantee(decided(), situation, None).model == "small"

    def test_a_request_that_the_reference_cannot_serve_is_told_apart(self, situation) -> None:
        others = tuple(o for o in situation.eligible if (o.provider, o.model) != BIG)
        found = apply_guarantee(decided(0.1), replace(situation, eligible=others), promised(0.7))
        assert found.model == "small"
        assert "cannot serve" in found.metadata["guarantee"]["outside"]
        assert len(others) < len(OPTIONS)


def test_the_engine_keeps_it() -> None:
    class Source:
        active = promised(None)

        def guarantee(self) -> Guarantee:
            return promised(None)

    engine = engine_over(Fixed())
    engine._guarantees = Source()
    decision = engine.route(context(), auto_route=True)
    assert (decision.provider, decision.model) == BIG
    assert {"provider": "a", "model": "small"} in decision.metadata["fallback_chain"]
    assert engine.route(context()).model == "small"
