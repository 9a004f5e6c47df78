"""For which requests a cascade is planned, and which."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from optimizer.domain.analyzed_request import AnalyzedRequest, Assignment
from optimizer.domain.request import GatewayRequest
from optimizer.gateway.levers.cascade.checks.command_check import CommandCheck
from optimizer.gateway.levers.cascade.outcomes import CascadeOutcomes
from optimizer.gateway.levers.cascade.plan import CascadePlan, CascadePlanner
from optimizer.gateway.levers.cascade.story import cascaded
from providers.chat import Chat, JsonOutput, Message, Text, Tool
from routing.analysis import analyze_prompt
from routing.cascades import CascadeLearning, CascadeOutcome
from routing.models import ModelOption, ModelRef, RoutingDecision
from routing.rules import Effect

SMALL, LARGE, LARGEST = (ModelRef("maker", name) for name in ("small", "large", "largest"))
PROMPT = "Write a Python function that merges two sorted lists, with tests."


class Models:
    """Three models that can be asked; one reports probabilities."""

    def __init__(self) -> None:
        prices = {SMALL: 1, LARGE: 20, LARGEST: 60}
        self._options = {
            ref: ModelOption(*ref, "simple", 0, Decimal(price), Decimal(price), 100_000)
            for ref, price in prices.items()
        }

    def named(self, models: frozenset[ModelRef]) -> tuple[ModelOption, ...]:
        return tuple(option for ref, option in self._options.items() if ref in models)

    def features(self, provider: str, model: str) -> frozenset[str]:
        return frozenset({"logprobs"} if model == "small" else ())


def candidate(ref: ModelRef, quality: float, cost: str, **more: Any) -> dict[str, Any]:
    return {
        "provider": ref.provider, "model": ref.model, "tier": "simple", "chosen": ref == LARGEST,
        "expected_quality": quality, "quality_low": quality - 0.05, "quality_high": quality + 0.05,
        "expected_cost": Decimal(cost), "reason": "", "expected_latency": 2.0, **more,
    }  # fmt: skip


def decided(**metadata: Any) -> RoutingDecision:
    return RoutingDecision(
        *LARGEST, "high", "hybrid", "It is the best.",
        metadata={
            "candidates": [
                candidate(SMALL, 0.82, "0.001"), candidate(LARGE, 0.87, "0.02"),
                candidate(LARGEST, 0.88, "0.06"),
            ],
            "fallback_chain": [{"provider": "maker", "model": "small"}],
            **metadata,
        },
    )  # fmt: skip


def asked(chat: Chat | None = None, effect: Effect | None = None, **fields: Any) -> AnalyzedRequest:
    chat = chat or Chat.of_prompt(PROMPT, 400)
    request = GatewayRequest(chat, PROMPT, "", **{"strategy": "hybrid", **fields})
    analyzed = AnalyzedRequest(request, analyze_prompt(PROMPT))
    return analyzed if effect is None else replace(analyzed, effect=effect)


COMMAND = CommandCheck(["true"], 1)


def plan_of(
    analyzed: AnalyzedRequest | None = None,
    decision: RoutingDecision | None = None,
    learned: CascadeLearning | None = None,
    command: CommandCheck | None = COMMAND,
    **options: Any,
) -> CascadePlan | None:
    outcomes = CascadeOutcomes()
    if learned is not None:
        outcomes.learned = learned
    planner = CascadePlanner(Models(), outcomes, command)  # type: ignore[arg-type]
    return planner.plan(analyzed or asked(), decision or decided(), options)


def test_the_cheapest_pair_that_is_good_enough_is_planned_with_its_fallbacks() -> None:
    plan = plan_of()
    assert plan is not None
    assert (plan.cascade.cheap.ref, plan.cascade.strong.ref) == (SMALL, LARGE)
    assert plan.alone.ref == LARGEST
    assert plan.chain == (LARGE, LARGEST)  # the first model is not asked a second time
    assert [check.name for check in plan.checks] == ["ending", "command"]
    assert plan.cascade.cost < plan.alone.cost
    assert plan.cascade.quality >= plan.alone.quality


CONVERSATION = (
    Message("user", (Text("Read this. " * 900),)), Message("assistant", (Text("Done."),)),
    Message("user", (Text(PROMPT),)),
)  # fmt: skip


@pytest.mark.parametrize(
    ("analyzed", "decision"),
    [
        (asked(strategy="complexity"), None),
        (asked(only=frozenset({LARGEST})), None),
        (asked(streamed=True), None),
        (replace(asked(), assignment=Assignment("trial", "a")), None),
        (asked(turn="compaction"), None),
        (asked(Chat(CONVERSATION)), None),
        (asked(replace(Chat.of_prompt(PROMPT), sealed=True)), None),
        (asked(replace(Chat.of_prompt(PROMPT), native=("tools.web_search",))), None),
        (asked(replace(Chat.of_prompt(PROMPT), extras=("conversation",))), None),
        (asked(max_latency=3.0), None),  # both calls after one another take four seconds
        (asked(min_quality=0.99, effect=None), None),
        (asked(max_cost=Decimal("0.006")), None),
        (asked(effect=Effect(cost_cap=Decimal("0.006"))), None),
        (None, decided(explored=True)),
        (None, decided(rejected_model={"provider": "maker", "model": "small"})),
        (None, decided(guarantee={"threshold": None, "expected": 0.91})),
        (None, decided(guarantee={"threshold": 0.99, "expected": 0.91})),
        (None, replace(decided(), metadata={"candidates": [], "fallback_chain": []})),
    ],
    ids=[
        "complexity", "named", "stream", "experiment", "compaction", "cached conversation",
        "sealed", "provider's tool", "kept conversation", "latency", "quality", "cost",
        "rule's cap", "explored", "a rule's model", "no threshold yet", "below the threshold",
        "no estimates",
    ],
)  # fmt: skip
def test_other_requests_go_to_one_model(
    analyzed: AnalyzedRequest | None, decision: RoutingDecision | None
) -> None:
    if analyzed is not None and analyzed.request.min_quality is not None:
        # The one model reaches what the client asks for, and the cascade might not.
        sure = decided()
        sure.metadata["candidates"][2] |= {"quality_low": 0.995, "quality_high": 1.0}
        sure.metadata["candidates"][2]["expected_quality"] = 0.9975
        decision = sure
    assert plan_of(analyzed, decision) is None


def test_a_cascade_keeps_the_guarantee_by_what_is_expected_of_it_as_a_whole() -> None:
    replaced = {"provider": "maker", "model": "small"}
    decision = decided(
        guarantee={"threshold": 0.8, "expected": 0.75, "instead_of": replaced},
        rejected_model=replaced,
    )
    plan = plan_of(None, decision)
    assert plan is not None
    made = cascaded(decision, plan)
    assert made.ref == SMALL
    quality = round(plan.cascade.quality, 4)
    # The judge takes the answer for one that was served, whichever model it comes from.
    assert made.metadata["guarantee"] == {"threshold": 0.8, "expected": quality}
    assert made.metadata["quality_score"] == quality
    reasons = {one["model"]: one["reason"] for one in made.metadata["candidates"]}
    assert reasons["largest"] == "would have answered alone"
    assert [one["model"] for one in made.metadata["candidates"] if one["chosen"]] == ["small"]


@pytest.mark.parametrize(
    ("chat", "options", "checks"),
    [
        ({}, {}, []),
        ({"output": JsonOutput({})}, {}, ["schema"]),
        ({"output": JsonOutput({})}, {"schema": False}, []),
        ({"tools": (Tool("t"),)}, {"judge": "maker/large"}, ["tool_calls"]),
        ({}, {"agreement": 0.8}, ["agreement"]),
        ({"temperature": 0.0}, {"agreement": 0.8}, []),
        ({}, {"judge": "maker/large"}, ["judge"]),
        ({}, {"judge": "maker/unknown"}, []),  # without a price, nothing can be promised
        ({}, {"judge": "maker/small", "cheap": ["maker/small"]}, []),  # none judges itself
        ({}, {"logprobs": 0.5}, ["logprobs"]),
        ({}, {"logprobs": 0.5, "cheap": ["maker/large"]}, []),  # it reports none
    ],
)
def test_checks_follow_from_the_request_and_the_options(
    chat: dict[str, Any], options: dict[str, Any], checks: list[str]
) -> None:
    analyzed = asked(replace(Chat.of_prompt(PROMPT, 400), **chat))
    plan = plan_of(analyzed, None, None, None, loss=0.3, **options)
    made = [] if plan is None else [check.name for check in plan.checks[1:]]
    assert made == checks
    if plan is not None:
        assert plan.asks_logprobs == ("logprobs" in checks)
        assert (plan.judge is not None) == ("judge" in checks)


def test_a_command_may_be_for_some_kinds_of_prompts_alone() -> None:
    pattern = analyze_prompt(PROMPT).pattern
    other = "creative" if pattern != "creative" else "code"
    planner = CascadePlanner(Models(), CascadeOutcomes(), COMMAND)  # type: ignore[arg-type]
    assert planner.plan(asked(), decided(), {"command": [pattern]}) is not None
    assert planner.plan(asked(), decided(), {"command": [other]}) is None


def test_a_check_that_has_let_bad_answers_through_is_not_trusted_again() -> None:
    analysis = analyze_prompt(PROMPT)
    bad = CascadeOutcome(
        analysis.pattern, analysis.tier, SMALL, LARGE, "command", True, 0.75, 0.97, 0.85, 0.0
    )
    learned = CascadeLearning.of([bad] * 20)
    plan = plan_of(learned=learned)
    assert plan is None or plan.cascade.cheap.ref != SMALL
