"""Learning expects of each model what its place says."""

from __future__ import annotations

from dataclasses import replace

import pytest

from routing.learning.artifact import SHIPPED, load_artifact
from routing.learning.posterior import Posterior
from routing.models import ModelOption, RoutingDecision
from tests.routing.catalogue import EASY, HARD, Fixed, context, engine_over, option, outcomes

PREDICTOR = load_artifact(SHIPPED).predictor
CHEAP = option("a", "cheap", "simple", 0, "0.1")
DEAR = option("b", "dear", "complex", 1, "10")


def decide(
    *options: ModelOption, prompt: str = HARD, fixed: Fixed | None = None
) -> RoutingDecision:
    engine = engine_over(fixed or Fixed(options), predictor=PREDICTOR)
    return engine.route(context(prompt), strategy="learning")


def quality(decision: RoutingDecision, model: str) -> tuple[float, float]:
    """The expected quality of a candidate, and how low it may be."""
    chosen = next(c for c in decision.metadata["candidates"] if c["model"] == model)
    return chosen["expected_quality"], chosen["quality_low"]


def test_without_a_place_the_tier_counts() -> None:
    by_tier = decide(CHEAP, DEAR)
    by_place = decide(replace(CHEAP, place=0.0), replace(DEAR, place=1.0))

    assert by_tier.metadata["candidates"] == by_place.metadata["candidates"]


def test_the_order_of_places_is_that_of_expected_qualities() -> None:
    places = (-0.5, 0.3, 1.0, 1.5, 2.5)
    options = [option("a", f"m{n}", "simple", n, place=p) for n, p in enumerate(places)]
    decision = decide(*options)

    means = [quality(decision, f"m{n}")[0] for n in range(len(places))]
    assert means == sorted(set(means))


def test_an_able_cheap_model_gets_the_hard_prompt() -> None:
    assert decide(CHEAP, DEAR).model == "dear"
    assert decide(replace(CHEAP, place=2.3, place_width=0.2), DEAR).model == "cheap"


@pytest.mark.parametrize("prompt", [EASY, "What is 2+2?"])
def test_easy_prompts_stay_with_the_cheap_model(prompt: str) -> None:
    cheap = replace(CHEAP, place=1.1, place_width=0.25)
    dear = replace(DEAR, place=2.6, place_width=0.16)

    assert decide(cheap, dear, prompt=prompt).model == "cheap"


def test_a_wide_place_lowers_what_is_sure_and_not_what_is_expected() -> None:
    sure = quality(decide(replace(CHEAP, place=1.0), DEAR), "cheap")
    unsure = quality(decide(replace(CHEAP, place=1.0, place_width=0.5), DEAR), "cheap")

    assert unsure[0] == sure[0]
    assert unsure[1] < sure[1]


def test_ratings_make_up_for_a_wide_place() -> None:
    fixed = Fixed((replace(CHEAP, place=1.0, place_width=1.0), DEAR))
    before = quality(decide(fixed=fixed, prompt=EASY), "cheap")
    fixed.known[("factual", "simple", "a", "cheap")] = outcomes(50, before[0])

    after = quality(decide(fixed=fixed, prompt=EASY), "cheap")

    assert after[0] - after[1] < before[0] - before[1]


def test_the_width_fades_with_the_weight_of_the_outcomes() -> None:
    posterior = Posterior({}, strength=9.0)
    unseen = posterior.observed("code", "simple", "a", "m")
    seen = replace(unseen, weight=30.0)

    widened = posterior.estimate(0.5, unseen, 40.0, 1.0).deviation
    narrow = posterior.estimate(0.5, unseen, 40.0).deviation
    assert widened > 2 * narrow
    assert posterior.estimate(0.5, seen, 40.0, 1.0).deviation < widened / 2


@pytest.mark.parametrize("prompt", [EASY, "What is 2+2?", HARD])
def test_a_tiny_model_is_clearly_below_the_weak_one_on_easy_prompts_too(prompt: str) -> None:
    tiny, weak = replace(CHEAP, model="tiny", place=-0.84), replace(CHEAP, place=0.0)
    decision = decide(tiny, weak, DEAR, prompt=prompt)

    assert quality(decision, "tiny")[0] < quality(decision, "cheap")[0] - 0.1
