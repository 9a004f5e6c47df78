"""The engine: hard constraints, validation of decisions, fallbacks."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from routing.models import ModelRef, NoEligibleModel, RoutingDecision
from routing.strategies.base import Situation
from tests.routing.catalogue import EASY, OPTIONS, Fixed, context, engine_over


def test_auto_route_chooses_hybrid_and_the_default_is_complexity() -> None:
    engine = engine_over(Fixed())
    assert engine.route(context()).strategy_used == "complexity"
    assert engine.route(context(), auto_route=True).strategy_used == "hybrid_fallback"


def test_metadata_is_complete_whichever_strategy_decided() -> None:
    for strategy in ("complexity", "learning", "hybrid"):
        decision = engine_over(Fixed()).route(context(), strategy=strategy)
        assert {
            "pattern", "complexity", "tier", "cost_estimate", "quality_score", "candidates",
            "fallback_chain", "baseline_chain", "token_count",
        } <= set(decision.metadata)  # fmt: skip
        assert decision.reasoning.endswith(".")
        chain = decision.metadata["fallback_chain"]
        assert {"provider": decision.provider, "model": decision.model} not in chain
        assert len(chain) == len(OPTIONS) - 1


@pytest.mark.parametrize(
    ("needs", "left"),
    [
        ({"available_providers": frozenset({"b"})}, {"b/small", "b/big"}),
        ({"required_capabilities": frozenset({"vision"})}, {"b/big"}),
        ({"max_cost": Decimal("0.0002")}, {"a/small"}),
        ({"max_tokens": 99_990}, {str(o.ref) for o in OPTIONS}),
    ],
)
def test_hard_constraints_hold(needs: dict, left: set[str]) -> None:
    decision = engine_over(Fixed()).route(context(**{"max_tokens": 1000, **needs}))
    chain = [decision.metadata["baseline_chain"][0], *decision.metadata["fallback_chain"]]
    assert {f"{r['provider']}/{r['model']}" for r in chain} == left
    assert f"{decision.provider}/{decision.model}" in left


def test_excluded_models_are_listed_with_the_reason() -> None:
    decision = engine_over(Fixed()).route(context(max_cost=Decimal("0.0002")))
    reasons = {
        f"{c['provider']}/{c['model']}": c["reason"] for c in decision.metadata["candidates"]
    }
    assert "above the cap" in reasons["b/big"]
    assert "price is unknown" in reasons["c/odd"]


def test_whoever_takes_no_calls_now_is_passed_over_with_the_reason() -> None:
    decision = engine_over(Fixed()).route(context(available_providers=frozenset({"b"})))
    reasons = {
        f"{c['provider']}/{c['model']}": c["reason"] for c in decision.metadata["candidates"]
    }
    assert decision.provider == "b"
    assert reasons["a/small"] == "its provider failed too often recently and is not called for now"


def test_a_model_that_limits_its_rate_is_passed_over_with_the_reason() -> None:
    cooling = {("a", "small"): 16.4}
    decision = engine_over(Fixed()).route(context(cooling=cooling))
    reasons = {
        f"{c['provider']}/{c['model']}": c["reason"] for c in decision.metadata["candidates"]
    }
    assert reasons["a/small"] == "its provider limits the rate of its calls for 17 s more"
    assert "a/small" not in {
        f"{r['provider']}/{r['model']}" for r in decision.metadata["fallback_chain"]
    }
    # A client that names it gets it: its answer tells how long to wait.
    named = engine_over(Fixed()).route(context(cooling=cooling, only=frozenset({("a", "small")})))
    assert (named.provider, named.model) == ("a", "small")


@pytest.mark.parametrize(
    ("needs", "chosen"),
    [
        ({"only": frozenset({("a", "small")})}, "a/small"),
        ({"required_capabilities": frozenset({"vision"})}, "b/big"),
        ({"available_providers": frozenset()}, "a/small"),
    ],
)
def test_whoever_alone_could_serve_is_named_even_if_it_takes_no_calls(
    needs: dict, chosen: str
) -> None:
    decision = engine_over(Fixed()).route(context(**{"available_providers": {"c"}, **needs}))
    assert f"{decision.provider}/{decision.model}" == chosen


def test_when_nobody_can_serve_each_reason_is_given() -> None:
    with pytest.raises(NoEligibleModel) as caught:
        engine_over(Fixed()).route(context(required_capabilities=frozenset({"telepathy"})))
    assert len(caught.value.excluded) == len(OPTIONS)
    assert "lacks telepathy" in str(caught.value)


class Broken:
    """A strategy that returns or raises what it is given."""

    name = "broken"

    def __init__(self, outcome: RoutingDecision | Exception) -> None:
        self._outcome = outcome

    def decide(self, situation: Situation) -> RoutingDecision:
        if isinstance(self._outcome, Exception):
            raise self._outcome
        return self._outcome


GOOD = RoutingDecision("a", "small", "high", "learning", "Because.")


@pytest.mark.parametrize(
    "outcome",
    [
        RuntimeError("secret words"),
        replace(GOOD, model="unheard-of"),
        replace(GOOD, confidence="certain"),
        replace(GOOD, strategy_used="dice"),
        replace(GOOD, reasoning=""),
    ],
    ids=["raises", "unknown model", "unknown confidence", "unknown strategy", "no reasoning"],
)
def test_whatever_a_strategy_does_wrong_ends_in_complexity(
    outcome: RoutingDecision | Exception, caplog: pytest.LogCaptureFixture
) -> None:
    engine = engine_over(Fixed())
    engine._strategies["hybrid"] = Broken(outcome)
    decision = engine.route(context(), auto_route=True)
    assert decision.strategy_used == "hybrid_fallback"
    assert decision.fallback_used
    assert decision.metadata["fallback_reason"].startswith("hybrid strategy failed")
    assert decision.model == engine.route(context()).model
    assert len(caplog.records) == 1
    assert "secret" not in caplog.text


def test_a_decision_that_is_valid_stands() -> None:
    engine = engine_over(Fixed())
    engine._strategies["hybrid"] = Broken(GOOD)
    assert engine.route(context(EASY), auto_route=True).strategy_used == "learning"


def test_a_model_has_one_text_form_and_one_reader() -> None:
    ref = ModelRef("openrouter", "deepseek/deepseek-coder")
    assert str(ref) == f"{ref}" == "openrouter/deepseek/deepseek-coder"
    assert ModelRef.parse(str(ref)) == ref == ("openrouter", "deepseek/deepseek-coder")
    for wrong in ("", "a", "/a", "a/"):
        with pytest.raises(ValueError, match="provider/model"):
            ModelRef.parse(wrong)
