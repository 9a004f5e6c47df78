"""Choosing from expected qualities and costs, and exploring while doing so."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routing.learning.artifact import SHIPPED, load_artifact
from routing.learning.exploration import DRAWS, MOST, Exploration, Explorer
from routing.learning.posterior import MEMORY, expit, learn
from routing.learning.predictor import logit_of_tier
from routing.models import NO_EVIDENCE, Evidence
from routing.policies import BestUnderCap, CheapestAboveTarget, Policy, QualityMinusCost
from routing.prompt_text import PromptText
from tests.routing.catalogue import (
    EASY,
    HARD,
    OPTIONS,
    Fixed,
    context,
    engine_over,
    option,
    outcomes,
)

COSTS = (Decimal("0.001"), Decimal("0.002"), Decimal("0.05"), None)
PREDICTOR = load_artifact(SHIPPED).predictor
policies = st.one_of(
    st.floats(0, 1).map(CheapestAboveTarget),
    st.decimals(0, 1, places=4).map(BestUnderCap),
    st.decimals(0, 100, places=2).map(QualityMinusCost),
)
qualities = st.lists(st.floats(0, 1), min_size=4, max_size=4)
known = st.dictionaries(
    st.tuples(
        st.just("factual"), st.just("simple"), st.sampled_from("abc"),
        st.sampled_from(["small", "mid", "big", "odd"]),
    ),
    st.tuples(st.integers(1, 60), st.floats(0, 1)).map(lambda r: outcomes(*r)),
)  # fmt: skip


def pick(policy: Policy, quality: list[float], costs: tuple = COSTS) -> int:
    return int(policy.pick(np.array([quality]), costs)[0])


@given(qualities, st.floats(0, 1), st.floats(0, 1))
def test_a_higher_target_never_lowers_the_quality_picked(quality, one, other) -> None:
    low, high = sorted((one, other))
    before = quality[pick(CheapestAboveTarget(low), quality)]
    assert quality[pick(CheapestAboveTarget(high), quality)] >= before


@given(policies, st.floats(0, 1))
def test_a_dearer_model_is_never_picked_over_an_equal_cheaper_one(policy, quality) -> None:
    assert pick(policy, [quality] * 4) == 0


@given(qualities, st.decimals(0, "0.1", places=4))
def test_a_cap_holds_where_anything_is_under_it(quality, cap) -> None:
    cost = COSTS[pick(BestUnderCap(cap), quality)]
    assert cost is not None
    assert cost <= cap or cost == COSTS[0]


def test_a_penalty_trades_quality_for_cost() -> None:
    quality = [0.5, 0.6, 0.9, 0.95]
    assert pick(QualityMinusCost(Decimal(0)), quality) == 3
    assert pick(QualityMinusCost(Decimal(5)), quality) == 3
    assert pick(QualityMinusCost(Decimal(60)), quality) == 1
    assert pick(QualityMinusCost(Decimal(10_000)), quality) == 0


@pytest.mark.parametrize("strategy", ["learning", "hybrid"])
@pytest.mark.parametrize("prompt", [EASY, HARD])
@given(known=known, gone=st.sampled_from(OPTIONS), policy=policies)
def test_a_removed_model_is_never_chosen(strategy, prompt, known, gone, policy) -> None:
    fixed = Fixed(tuple(o for o in OPTIONS if o != gone))
    fixed.known = known
    decision = engine_over(fixed, policy, predictor=PREDICTOR).route(
        context(prompt), strategy=strategy
    )
    assert (decision.provider, decision.model) != (gone.provider, gone.model)


@given(known, st.floats(0, 1), st.floats(0, 1))
def test_a_higher_target_never_lowers_the_assured_quality_of_a_decision(known, one, other) -> None:
    fixed = Fixed()
    fixed.known = known
    engine = engine_over(fixed, predictor=PREDICTOR)

    def assured(target: float) -> float:
        decision = engine.route(context(min_quality=target), strategy="learning")
        return next(c["quality_low"] for c in decision.metadata["candidates"] if c["chosen"])

    low, high = sorted((one, other))
    assert assured(high) >= assured(low)


def test_with_a_predictor_learning_decides_without_any_rating() -> None:
    decision = engine_over(Fixed(), predictor=PREDICTOR).route(context(), strategy="hybrid")
    assert (decision.strategy_used, decision.confidence) == ("hybrid", "low")
    assert decision.metadata["validation"] == "experimental"
    assert "the trained predictor" in decision.reasoning
    assert decision.fallback_used is False


def test_where_nothing_is_good_enough_it_says_so() -> None:
    engine = engine_over(Fixed(), predictor=PREDICTOR)
    decision = engine.route(context(min_quality=0.999), strategy="learning")
    wanted = "is the best available, as no quality, less its uncertainty, clears 1.00"
    assert wanted in decision.reasoning


def test_a_new_model_needs_no_training() -> None:
    newcomer = option("d", "new", "simple", 9, "0.05")
    decision = engine_over(Fixed((*OPTIONS, newcomer)), predictor=PREDICTOR).route(
        context(), strategy="learning"
    )
    found = {c["model"]: c for c in decision.metadata["candidates"]}
    assert found["new"]["expected_quality"] == found["small"]["expected_quality"]


class Scripted:
    """Chance that does what it is told."""

    def __init__(self, normal: np.ndarray, uniform: float, index: int) -> None:
        self.normal, self.uniform, self.index = normal, uniform, index

    def standard_normal(self, shape: tuple[int, int]) -> np.ndarray:
        assert shape == self.normal.shape
        return self.normal

    def random(self) -> float:
        return self.uniform

    def integers(self, high: int) -> int:
        assert self.index < high
        return self.index


class TestExploration:
    def test_propensities_are_the_frequencies(self) -> None:
        explorer = Explorer(rate=0.5, seed=1)
        mean, deviation = np.array([0.68, 0.75, 0.9, 0.5]), np.array([0.08, 0.05, 0.02, 0.2])
        counts, expected = np.zeros(4), np.zeros(4)
        for _ in range(3000):
            tried = explorer.choose(CheapestAboveTarget(0.7), mean, deviation, COSTS, 1)
            counts[tried.choice] += 1
            expected += tried.propensity
        np.testing.assert_allclose(counts / 3000, expected / 3000, atol=0.03)

    @given(qualities, policies, st.floats(0, 1), st.integers(0, 3))
    def test_propensities_add_up_and_what_is_chosen_has_one(self, mean, policy, rate, best) -> None:
        tried = Explorer(rate, seed=0).choose(policy, np.array(mean), np.full(4, 0.1), COSTS, best)
        assert tried.propensity.sum() == pytest.approx(1)
        assert tried.propensity[tried.choice] > 0
        assert tried.propensity[best] >= 1 - rate - 1e-9
        assert tried.explored or tried.choice == best

    @given(
        st.lists(
            st.tuples(qualities, st.floats(0, 0.4), st.integers(0, 3)), min_size=1, max_size=40
        ),
        policies,
        st.floats(0, 1),
    )
    def test_all_requests_together_never_explore_more_than_the_budget(
        self, requests, policy, rate
    ) -> None:
        explorer = Explorer(rate, seed=0)
        spent = 0.0
        for number, (mean, deviation, best) in enumerate(requests, start=1):
            tried = explorer.choose(policy, np.array(mean), np.full(4, deviation), COSTS, best)
            spent += tried.rate
            assert 0 <= tried.rate <= max(MOST, rate)
            assert spent <= rate * number + 1e-9
            assert tried.propensity[best] >= 1 - tried.rate - 1e-9

    @settings(max_examples=30)
    @given(qualities, policies, st.floats(0.01, 1), st.integers(0, 3), st.integers(0, 2**32 - 1))
    def test_replaying_every_draw_gives_the_propensities(
        self, mean, policy, rate, best, seed
    ) -> None:
        normal = np.random.default_rng(seed).standard_normal((DRAWS, 4))

        def replayed(explores: bool, index: int) -> Exploration:
            explorer = Explorer(rate, seed=1)
            # An earlier request, so that the rate of this one is not the mean.
            explorer.choose(policy, np.full(4, 0.5), np.full(4, 0.2), COSTS, 0)
            explorer._random = Scripted(normal, 0.0 if explores else 1.0, index)
            return explorer.choose(policy, np.array(mean), np.full(4, 0.1), COSTS, best)

        explored = [replayed(True, index) for index in range(DRAWS)]
        not_explored = replayed(False, 0)
        one = explored[0].rate
        assert all(tried.rate == one == not_explored.rate for tried in explored)
        exact = np.zeros(4)
        exact[not_explored.choice] += 1 - one
        for tried in explored:
            exact[tried.choice] += one / DRAWS
        for tried in (*explored, not_explored):
            np.testing.assert_allclose(tried.propensity, exact, atol=1e-12)

    def test_more_is_explored_where_more_can_be_gained(self) -> None:
        explorer = Explorer(rate=0.1, seed=4)
        policy = CheapestAboveTarget(0.7)
        unsure = (np.array([0.69, 0.72, 0.9, 0.9]), np.full(4, 0.15), COSTS, 2)
        settled = (np.array([0.3, 0.9, 0.95, 0.9]), np.full(4, 0.01), COSTS, 1)
        rates: dict[int, list[float]] = {0: [], 1: []}
        for number in range(400):
            kind = (unsure, settled)[number % 2]
            rates[number % 2].append(explorer.choose(policy, *kind).rate)
        high, low = np.mean(rates[0][50:]), np.mean(rates[1][50:])
        assert high > 1.2 * low > 0
        assert (high + low) / 2 == pytest.approx(0.1, abs=0.01)

    def test_a_decision_says_by_what_chance_it_was_made(self) -> None:
        fixed = Fixed()
        fixed.known = {
            ("factual", "simple", o.provider, o.model): outcomes(8, 0.8) for o in OPTIONS
        }
        engine = engine_over(fixed, explorer=Explorer(rate=1.0, seed=3))
        models = set()
        for _ in range(60):
            decision = engine.route(context(explore=True), strategy="hybrid")
            meta = decision.metadata
            chosen = next(c for c in meta["candidates"] if c["chosen"])
            assert chosen["model"] == decision.model
            assert chosen["propensity"] == meta["propensity"] > 0
            assert meta["propensity"] >= 1 / DRAWS - 1e-6
            assert meta["explored"] is True
            models.add(decision.model)
        assert len(models) > 1

    def test_nothing_is_tried_unless_the_request_allows_it(self) -> None:
        engine = engine_over(Fixed(), predictor=PREDICTOR, explorer=Explorer(rate=1.0, seed=3))
        decision = engine.route(context(), strategy="hybrid")
        assert (decision.metadata["explored"], decision.metadata["propensity"]) == (False, 1.0)


PRICE = {"small": 0.1, "mid": 1.0, "big": 10.0}
TIER = {"small": "simple", "mid": "moderate", "big": "complex"}
EVERYDAY = PREDICTOR.expectation(PromptText.read(EASY), "factual").everyday
EXPECTED = {model: expit(logit_of_tier(EVERYDAY, tier)) for model, tier in TIER.items()}


class Stream:
    """Prompts of one kind, answered with fixed chances of being good, each answer rated."""

    def __init__(self, chances: dict[str, float], rate: float, seed: int) -> None:
        self.chances = chances
        self.fixed = Fixed(tuple(replace(o, provider="a") for o in OPTIONS if o.model in chances))
        self.draw = np.random.default_rng(seed)
        self.engine = engine_over(self.fixed, explorer=Explorer(rate, seed), predictor=PREDICTOR)

    def ask(self) -> str:
        model = self.engine.route(context(explore=True), strategy="learning").model
        key = ("factual", "simple", "a", model)
        score = float(self.draw.random() < self.chances[model])
        before = self.fixed.known.get(key, NO_EVIDENCE)
        self.fixed.known[key] = learn(before, score, EXPECTED[model])
        return model


@pytest.mark.parametrize("seed", range(3))
def test_regret_falls_below_the_best_fixed_model_s_within_300_requests(seed: int) -> None:
    # The cheapest that is good enough is "mid"; a fixed choice must pay for or suffer the others.
    stream = Stream({"small": 0.3, "mid": 0.95, "big": 0.97}, rate=0.1, seed=seed)
    served = [stream.ask() for _ in range(300)]

    def loss(model: str) -> float:
        short = max(0.0, 0.7 - stream.chances[model])
        return short + 0.02 * PRICE[model]

    known_beforehand = loss("mid")
    ours = np.mean([loss(model) for model in served[100:]])
    others = min(loss("small"), loss("big"))
    assert ours < others
    assert ours - known_beforehand < 0.25 * (others - known_beforehand)


def test_a_model_that_turns_bad_is_left_within_25_ratings() -> None:
    stream = Stream({"small": 0.97, "mid": 0.95, "big": 0.97}, rate=0.0, seed=1)
    for _ in range(300):
        stream.ask()
    assert stream.ask() == "small"
    stream.chances["small"] = 0.05
    asked = 0
    while stream.ask() == "small":
        asked += 1
        assert asked <= 25


def test_true_abilities_are_recovered_from_ratings() -> None:
    draw = np.random.default_rng(2)
    truth = {"small": 0.35, "mid": 0.6, "big": 0.9}
    fixed = Fixed()
    for model, chance in truth.items():
        found = NO_EVIDENCE
        for _ in range(400):
            found = learn(found, float(draw.random() < chance), EXPECTED[model])
        fixed.known[("factual", "simple", "b" if model == "big" else "a", model)] = found
    decision = engine_over(fixed, predictor=PREDICTOR).route(context(), strategy="learning")
    seen = {(c["provider"], c["model"]): c for c in decision.metadata["candidates"]}
    for ref in (("a", "small"), ("a", "mid"), ("b", "big")):
        assert seen[ref]["expected_quality"] == pytest.approx(truth[ref[1]], abs=0.15)


@given(st.lists(st.floats(0, 1), max_size=200))
def test_memory_is_bounded_and_sums_stay_in_range(scores: list[float]) -> None:
    found = NO_EVIDENCE
    for score in scores:
        found = learn(found, score, 0.5)
    assert found.count == len(scores)
    assert found.weight <= 1 / (1 - MEMORY)
    assert 0 <= found.quality_sum <= found.weight + 1e-9
    assert isinstance(found, Evidence)
