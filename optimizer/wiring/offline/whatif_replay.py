"""Replays a policy on prompts for which every model's outcome is recorded: nothing is estimated."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal

import numpy as np

from optimizer.gateway.model_options import AvailableModels
from optimizer.lab.policy_effects import Change
from optimizer.lab.replay import PROVIDER, ReplayProvider, replay_catalogue
from optimizer.lab.whatif.study import Answer
from optimizer.policies.policy import PolicySpec
from optimizer.wiring.routing import installed_predictor, learned_evidence, routing_engine
from providers.pricing import PriceBook
from providers.resilience import ResiliencePolicy, ResilientCaller
from routing.engine import RoutingEngine
from routing.evaluation.off_policy import Estimate, PolicyOutcomes, difference, interval_of
from routing.models import ModelRef, NoEligibleModel, RoutingContext
from routing.outcomes import Outcome, Prices, RecordedPrompt

_BEFORE = PolicySpec("complexity", "complexity")
_MILLION = Decimal(1_000_000)


def ask_outcomes(
    policy: PolicySpec,
    prompts: Sequence[RecordedPrompt],
    prices: Prices,
    step: Callable[[], None] = lambda: None,
) -> Answer:
    """Return how ``policy`` compares with complexity on the recorded prompts of one benchmark.

    Prompts for which the model of one of them has no recorded outcome or price are left out
    and counted. A policy that names a model means a model of the file. ``step`` is called for
    each prompt.
    """
    engine = _engine(prompts, prices)
    answer = Answer(policy)
    rows: list[tuple[Decimal, Decimal, float, float]] = []
    for prompt in prompts:
        step()
        models = [_choose(engine, prompt, choice) for choice in (_BEFORE, policy)]
        outcomes = [prompt.outcomes.get(model or "") for model in models]
        costs = [_cost(prices, m, o) for m, o in zip(models, outcomes, strict=True)]
        before, after = outcomes
        if before is None or after is None or costs[0] is None or costs[1] is None:
            answer.undecided["no outcome or price of its model is recorded"] += 1
            continue
        answer.requests += 1
        answer.rated += 1
        answer.changed += models[0] != models[1]
        answer.before[str(models[0])] += 1
        answer.after[str(models[1])] += 1
        rows.append((costs[0], costs[1], before.quality, after.quality))
    if len(rows) < 2:
        answer.no_cost = answer.no_quality = "there are no prompts to compare"
        return answer
    figures = np.array([[float(value) for value in row] for row in rows])
    answer.cost = _change(figures[:, 0], figures[:, 1])
    answer.quality = _change(figures[:, 2], figures[:, 3])
    return answer


def of_recorded(policy_text: str, prompts: Sequence[RecordedPrompt]) -> PolicySpec | None:
    """Return a policy that always uses a model of the recording; ``None`` if it names none."""
    if any(policy_text in prompt.outcomes for prompt in prompts):
        only = frozenset({ModelRef(PROVIDER, policy_text)})
        return PolicySpec(policy_text, "named", only)
    return None


def _engine(prompts: Sequence[RecordedPrompt], prices: Prices) -> RoutingEngine:
    catalogue = replay_catalogue(prompts, prices)
    provider = ReplayProvider(prompts)
    caller = ResilientCaller({provider.name: provider}, ResiliencePolicy(retries=0))
    options = AvailableModels(catalogue, PriceBook(catalogue), caller)
    predictor = installed_predictor()
    return routing_engine(options, learned_evidence(predictor), predictor)


def _choose(engine: RoutingEngine, prompt: RecordedPrompt, policy: PolicySpec) -> str | None:
    context = RoutingContext(
        prompt=prompt.prompt,
        max_tokens=4000,
        max_cost=policy.cost_cap,
        min_quality=policy.quality_target,
        only=policy.only,
    )
    try:
        return engine.route(context, strategy=policy.strategy).model
    except NoEligibleModel:
        return None


def _cost(prices: Prices, model: str | None, outcome: Outcome | None) -> Decimal | None:
    if model is None or model not in prices or outcome is None:
        return None
    if outcome.input_tokens is None or outcome.output_tokens is None:
        return None
    input_price, output_price = prices[model]
    return (input_price * outcome.input_tokens + output_price * outcome.output_tokens) / _MILLION


def _change(before: np.ndarray, after: np.ndarray) -> Change:
    certain = np.ones(len(before))
    old, new = (PolicyOutcomes(values, values, certain) for values in (before, after))
    was, will = (Estimate(*interval_of(run.phi), float(len(before)), 1.0) for run in (old, new))
    return Change(was, will, *difference(new, old))
