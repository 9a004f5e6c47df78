"""What each strategy chooses, and why."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.learning.posterior import Posterior, QualityEstimate, logit
from routing.models import CONFIDENCES, TIERS, Evidence, EvidenceKey, RoutingDecision
from tests.routing.catalogue import (
    EASY,
    HARD,
    OPTIONS,
    Fixed,
    analysis,
    context,
    engine_over,
    outcomes,
)

KEY = ("factual", "simple")


def learned(**records: tuple[int, float]) -> Fixed:
    """Evidence on simple factual prompts; ``a_small=(count, mean quality)``."""
    fixed = Fixed()
    for name, (count, mean) in records.items():
        provider, model = name.split("_")
        fixed.known[(*KEY, provider, model)] = outcomes(count, mean)
    return fixed


def decide(fixed: Fixed, strategy: str, prompt: str = EASY, **more: object) -> RoutingDecision:
    return engine_over(fixed).route(context(prompt, **more), strategy=strategy)


def estimate(known: dict[EvidenceKey, Evidence]) -> QualityEstimate:
    """Of a/small on simple factual prompts, 0.8 being expected of it."""
    posterior = Posterior(known)
    return posterior.estimate(logit(0.8), posterior.observed(*KEY, "a", "small"))


def test_complexity_takes_the_first_of_the_prompt_s_tier() -> None:
    assert decide(Fixed(), "complexity").model == "small"
    assert decide(Fixed(), "complexity", HARD).model == "big"


def test_complexity_prefers_a_stronger_tier_to_a_weaker_one() -> None:
    without_mid = tuple(o for o in OPTIONS if o.tier != "moderate")
    decision = engine_over(Fixed(without_mid)).route(
        context(), strategy="complexity", analysis=analysis("moderate")
    )
    assert (decision.model, decision.confidence) == ("big", "low")
    assert "no model of that tier is available" in decision.reasoning


def test_without_evidence_learning_says_so() -> None:
    decision = decide(Fixed(), "learning")
    assert (decision.confidence, decision.fallback_used) == ("low", True)
    assert "No outcome is recorded" in decision.reasoning


def test_learning_takes_the_cheapest_that_surely_clears_the_target() -> None:
    decision = decide(learned(a_small=(50, 0.4), b_small=(50, 0.95), b_big=(50, 0.99)), "learning")
    assert (decision.provider, decision.model) == ("b", "small")
    assert decision.confidence == "high"
    rejected = next(
        c for c in decision.metadata["candidates"] if c["provider"] == "a" and c["model"] == "small"
    )
    assert rejected["quality_low"] < 0.7
    assert "not enough" in rejected["reason"]


def test_a_higher_quality_target_buys_a_dearer_model() -> None:
    fixed = learned(a_small=(60, 0.85), b_big=(200, 0.99))
    assert decide(fixed, "learning").model == "small"
    assert decide(fixed, "learning", min_quality=0.93).model == "big"


def test_an_unknown_price_is_never_taken_for_cheap() -> None:
    fixed = learned(c_odd=(100, 0.99), b_small=(100, 0.99))
    assert decide(fixed, "learning").provider != "c"


def test_hybrid_without_evidence_falls_back_to_complexity() -> None:
    decision = decide(Fixed(), "hybrid")
    assert decision.strategy_used == "hybrid_fallback"
    assert decision.model == decide(Fixed(), "complexity").model


def test_hybrid_validates_what_is_sure_and_near() -> None:
    decision = decide(learned(b_small=(60, 0.95), a_small=(60, 0.2)), "hybrid")
    assert decision.metadata["validation"] == "validated"
    assert (decision.provider, decision.confidence) == ("b", "high")


def test_hybrid_overrides_what_is_sure_but_far() -> None:
    dear = Fixed(tuple(o for o in OPTIONS if o.model != "mid"))
    for name in ("a", "b"):
        dear.known[(*KEY, name, "small")] = outcomes(50, 0.1)
    dear.known[(*KEY, "b", "big")] = outcomes(50, 0.98)
    dear.known[(*KEY, "c", "odd")] = outcomes(50, 0.1)
    decision = decide(dear, "hybrid")
    assert decision.metadata["validation"] == "overridden"
    assert decision.metadata["rejected_model"] == {"provider": "b", "model": "big"}
    assert decision.model == "small"


@pytest.mark.parametrize(("samples", "confidence"), [(1, "low"), (6, "medium"), (19, "medium")])
def test_hybrid_marks_thin_evidence_as_an_experiment(samples: int, confidence: str) -> None:
    everyone = {str(o.ref).replace("/", "_"): (samples, 0.9) for o in OPTIONS}
    decision = decide(learned(**everyone), "hybrid")
    assert decision.metadata["validation"] == "experimental"
    assert decision.confidence == confidence


records = st.tuples(st.integers(1, 500), st.floats(0, 1))
evidence = st.dictionaries(
    st.tuples(
        st.just("factual"), st.sampled_from(TIERS), st.sampled_from("abc"),
        st.sampled_from(["small", "mid", "big", "odd"]),
    ),
    records,
    max_size=12,
)  # fmt: skip


@given(evidence, st.sampled_from(["complexity", "learning", "hybrid"]), st.randoms())
def test_a_decision_is_valid_deterministic_and_blind_to_the_order_of_candidates(
    known: dict, strategy: str, shuffle: random.Random
) -> None:
    fixed = Fixed()
    fixed.known = {key: outcomes(n, mean) for key, (n, mean) in known.items()}
    first = decide(fixed, strategy)
    mixed = list(OPTIONS)
    shuffle.shuffle(mixed)
    fixed.now = tuple(mixed)
    second = decide(fixed, strategy)
    assert (first.provider, first.model) == (second.provider, second.model)
    assert first.confidence in CONFIDENCES
    chosen = [c for c in first.metadata["candidates"] if c["chosen"]]
    assert [(c["provider"], c["model"]) for c in chosen] == [(first.provider, first.model)]
    assert len(first.metadata["candidates"]) == len(OPTIONS)
    for candidate in first.metadata["candidates"]:
        if candidate["expected_quality"] is not None:
            low, mean, high = (
                candidate[k] for k in ("quality_low", "expected_quality", "quality_high")
            )
            assert 0 <= low <= mean <= high <= 1


@given(st.integers(0, 300), st.integers(1, 300), st.floats(0, 1))
def test_more_evidence_of_the_same_kind_narrows_the_interval(few, more, mean) -> None:
    def width(n: int) -> float:
        known = {(*KEY, "a", "small"): outcomes(n, mean)} if n else {}
        return estimate(known).half_width

    # From 20 outcomes on the mean has settled; before, it may still move towards 1/2.
    assert width(20 + few + more) <= width(20 + few) + 0.02


def test_the_posterior_starts_at_the_prior_and_ends_at_the_evidence() -> None:
    assert estimate({}).mean == 0.80
    known = {(*KEY, "a", "small"): outcomes(10_000, 0.3)}
    assert estimate(known).mean == pytest.approx(0.3, abs=0.001)


def test_outcomes_of_other_tiers_count_for_less() -> None:
    other = {("code", "simple", "a", "small"): outcomes(10, 0.0)}
    near = {("factual", "moderate", "a", "small"): outcomes(10, 0.0)}
    here = {(*KEY, "a", "small"): outcomes(10, 0.0)}
    means = [estimate(known).mean for known in (here, near, other, {})]
    assert means == sorted(set(means))
