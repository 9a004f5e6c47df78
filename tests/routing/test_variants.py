"""Other ways to ask a model: weighed with the models, within floor, limits and prompt cache."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.adjustments.guarantee import Guarantee
from routing.answer_speed import AnswerSpeed
from routing.cache_keeping import leaving_cost
from routing.engine import RoutingEngine
from routing.learning.posterior import Posterior
from routing.models import (
    CachedConversation,
    ModelOption,
    ModelRef,
    PromptAnalysis,
    RoutingContext,
    RoutingDecision,
    SessionState,
)
from routing.policies import CheapestAboveTarget
from routing.strategies.cheapest import CheapestStrategy
from routing.strategies.complexity import ComplexityStrategy
from routing.strategies.learning import LearningStrategy
from routing.strategies.named import NamedStrategy
from routing.variants import Variant, VariantOffer

LENGTHS = {"": 1000, "low": 600, "medium": 800}
PLACES = {"low": (0.6, 0.01), "medium": (0.8, 0.01)}


def option(name: str, price: float, place: float, **more: object) -> ModelOption:
    return ModelOption(
        "p", name, "moderate", 0, Decimal(str(price)), Decimal(str(5 * price)), 1_000_000,
        place=place, place_width=0.01, cache_read_price=Decimal(str(price / 10)),
        cache_write_price=Decimal(str(price * 1.25)), **more,  # type: ignore[arg-type]
    )  # fmt: skip


BIG = option("big", 2, 1.0, efforts=PLACES)
SMALL = option("small", 1, 0.45)


@dataclass
class Offers:
    """Offers of one model, as levers make them."""

    efforts: Mapping[str, bool] = field(default_factory=dict)
    flex: bool = False
    lengths: Mapping[str, int] = field(default_factory=lambda: LENGTHS)

    def offers(self, asked: ModelOption) -> list[VariantOffer]:
        if asked.model != "big":
            return []
        half = replace(
            asked, input_price=asked.input_price / 2, output_price=asked.output_price / 2
        )
        tiers = [("", asked), *([("flex", half)] if self.flex else [])]
        return [
            VariantOffer(
                Variant(effort, tier), priced, self.length(effort), speed, as_good
            )
            for effort, as_good in {**self.efforts, "": True}.items()
            for tier, priced in tiers
            if effort or tier
        ]  # fmt: skip

    def length(self, effort: str) -> Callable[[ModelRef, str], int]:
        return lambda ref, tier: self.lengths[effort]


def speed(ref: ModelRef) -> AnswerSpeed:
    return AnswerSpeed(1.0, 0.01)


def route(
    offers: Offers | None, *, floor: float = 0.5, strategy: str = "learning",
    options: tuple[ModelOption, ...] = (BIG, SMALL), guarantee: Guarantee | None = None,
    tokens: int = 1000, **context: object,
) -> RoutingDecision:  # fmt: skip
    predictor = SimpleNamespace(
        expectation=lambda *_: SimpleNamespace(everyday=(-2.0, 2.0), nearness=1.0, loadings=()),
        strength=lambda nearness: 1e9,
    )
    learning = LearningStrategy(
        SimpleNamespace(posterior=lambda: Posterior({})),  # type: ignore[arg-type]
        CheapestAboveTarget(floor), ComplexityStrategy(), predictor=predictor,  # type: ignore[arg-type]
    )  # fmt: skip
    engine = RoutingEngine(
        SimpleNamespace(options=lambda: options, named=lambda refs: options),  # type: ignore[arg-type]
        {
            "learning": learning, "cheapest": CheapestStrategy(learning),
            "complexity": ComplexityStrategy(), "named": NamedStrategy(),
        },
        guarantees=SimpleNamespace(active=guarantee, guarantee=lambda: guarantee),
    )  # fmt: skip
    given = RoutingContext(
        "", max_tokens=5000, variants=offers, output_tokens=Offers().length(""), speed=speed,
        **context,  # type: ignore[arg-type]
    )  # fmt: skip
    analysis = PromptAnalysis("code", 0.5, "moderate", tokens, text=SimpleNamespace())  # type: ignore[arg-type]
    return engine.route(given, strategy=strategy, analysis=analysis)


def variant(decision: RoutingDecision) -> dict[str, object]:
    found = dict(decision.metadata.get("variant", {}))
    found.pop("as_asked", None)
    return found


def test_an_effort_is_chosen_with_the_model_within_the_floor() -> None:
    """Qualities: small 0.45 -> 0.46, big low 0.6 -> 0.60, medium 0.8 -> 0.77, as asked 0.88."""
    efforts = Offers({"low": False, "medium": False})
    assert variant(route(efforts, floor=0.55)) == {"effort": "low"}
    assert variant(route(efforts, floor=0.7)) == {"effort": "medium"}
    asked = route(efforts, floor=0.85)
    assert (asked.model, variant(asked)) == ("big", {})
    assert route(efforts, floor=0.4).model == "small"


def test_without_known_lengths_nothing_is_risked_for_nothing() -> None:
    unknown = Offers({"low": False}, lengths={"low": 1000, "": 1000})
    assert variant(route(unknown, floor=0.5)) == {}
    # What counts as good is taken all the same: its savings are what the lever measures.
    assert variant(route(replace(unknown, efforts={"low": True}), floor=0.5)) == {"effort": "low"}


def test_effort_and_tier_combine_and_the_decision_says_what_it_would_cost_without() -> None:
    decision = route(Offers({"low": True}, flex=True), floor=0.5)
    assert variant(decision) == {"effort": "low", "service_tier": "flex"}
    asked = BIG.expected_cost(1000, 1000)
    assert decision.metadata["variant"]["as_asked"] == asked
    assert decision.metadata["cost_estimate"] == BIG.expected_cost(1000, 600) / 2
    (chosen,) = [c for c in decision.metadata["candidates"] if c["chosen"]]
    assert (chosen["effort"], chosen["service_tier"]) == ("low", "flex")
    assert "at low effort and in the flex tier" in decision.reasoning


@pytest.mark.parametrize("strategy", ["named", "complexity", "cheapest"])
def test_strategies_that_weigh_no_quality_take_only_ways_that_count_as_good(strategy: str) -> None:
    offers = Offers({"low": False}, flex=True)
    decision = route(offers, strategy=strategy, options=(BIG,))
    assert variant(decision) == {"service_tier": "flex"}


def test_a_tier_promises_no_speed_and_less_effort_is_faster() -> None:
    # As asked, 1000 tokens take 11 s; at low effort, 600 take 7 s.
    limited = route(Offers({"low": True}, flex=True), max_latency=8.0, options=(BIG,))
    assert variant(limited) == {"effort": "low"}
    assert variant(route(Offers(flex=True), max_latency=20.0, options=(BIG,))) == {}


CACHED = CachedConversation("p", "big", 50_000)


def test_a_cached_conversation_is_not_left_for_a_few_tokens() -> None:
    offers = Offers({"low": True}, flex=False)
    warm = route(offers, options=(BIG,), cached_conversation=CACHED, tokens=50_000)
    assert variant(warm) == {}
    # Where the cache lies at the low effort, to go back to the asked one is what costs.
    low = replace(CACHED, effort="low")
    assert variant(
        route(offers, options=(BIG,), cached_conversation=low, tokens=50_000)
    ) == {"effort": "low"}  # fmt: skip
    # Half the price of all input is worth less than a tenth of it.
    assert variant(route(Offers(flex=True), options=(BIG,), cached_conversation=CACHED,
                         tokens=50_000)) == {}  # fmt: skip
    in_flex = replace(CACHED, service_tier="flex")
    assert variant(route(Offers(flex=True), options=(BIG,), cached_conversation=in_flex,
                         tokens=50_000)) == {"service_tier": "flex"}  # fmt: skip


@given(st.integers(0, 200_000), st.floats(0, 40))
def test_leaving_a_cache_never_pays_and_costs_more_the_more_turns_follow(
    cached: int, turns: float
) -> None:
    once, more = leaving_cost(BIG, cached, 0), leaving_cost(BIG, cached, turns)
    assert 0 <= once <= more <= 2 * once
    assert leaving_cost(replace(BIG, input_price=None), cached, turns) == 0


@pytest.mark.parametrize(
    ("length", "goes_on", "effort"),
    [(50, True, "low"), (300, False, "low"), (300, True, ""), (600, False, "")],
)
def test_a_session_that_goes_on_loses_its_cache_twice(
    length: int, goes_on: bool, effort: str
) -> None:
    """To write 2000 tokens costs 0.0046 USD more than to read them; 1000 tokens of output 0.01."""
    session = SessionState("p", "big", "moderate", 2_000, expected_turns=5.0 if goes_on else 0.0)
    decision = route(
        Offers({"low": True}, lengths={"": 1000, "low": length}),
        options=(BIG,),
        cached_conversation=replace(CACHED, cached_tokens=2_000),
        session=session,
        tokens=2_000,
    )
    assert variant(decision).get("effort", "") == effort


def test_the_guarantee_s_reference_answers_as_the_request_asks() -> None:
    offers = Offers({"low": False}, flex=True)
    good = route(offers, floor=0.5, guarantee=_guarantee(0.55))
    assert variant(good) == {"effort": "low", "service_tier": "flex"}
    strict = route(offers, floor=0.5, guarantee=_guarantee(0.8))
    assert variant(strict) == {"service_tier": "flex"}
    assert "The guarantee requires" in strict.reasoning


def _guarantee(threshold: float) -> Guarantee:
    calibration = SimpleNamespace(threshold=threshold, samples=500, doubt=False)
    return SimpleNamespace(  # type: ignore[return-value]
        reference=ModelRef("p", "big"), promise=None, calibration=calibration
    )


class Broken:
    def offers(self, asked: ModelOption) -> list[VariantOffer]:
        raise RuntimeError("no offers")


def test_levers_that_fail_do_not_fail_the_request() -> None:
    decision = route(Broken(), floor=0.5)  # type: ignore[arg-type]
    assert decision.fallback_used
    assert variant(decision) == {}
