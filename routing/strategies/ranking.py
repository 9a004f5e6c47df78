"""A decision from models that are ranked, best first."""

from __future__ import annotations

from collections.abc import Callable

from routing.models import Candidate, Confidence, RoutingDecision, StrategyName
from routing.strategies.weighed import Weighed


def ranked_decision(
    strategy: StrategyName,
    weighed: list[Weighed],
    confidence: Confidence,
    reasoning: str,
    exclusion_reason: Callable[[Weighed], str],
    effort: str = "",
) -> RoutingDecision:
    """Return the decision for the first of ``weighed``; the others follow if it fails.

    ``exclusion_reason`` says why one of the others was not chosen. ``effort`` is how much the
    model is to reason.
    """
    chosen = weighed[0]
    candidates = [
        Candidate(
            w.option.provider,
            w.option.model,
            w.option.tier,
            w.quality.mean,
            w.quality.low,
            w.quality.high,
            w.quality.sample_size,
            w.cost,
            chosen=w is chosen,
            reason=f"the {strategy}" if w is chosen else exclusion_reason(w),
            expected_latency=w.latency,
            effort=effort,
        )
        for w in weighed
    ]
    if chosen.way is not None:
        candidates = [c.in_way(w.way) for c, w in zip(candidates, weighed, strict=True)]
    return RoutingDecision(
        provider=chosen.option.provider,
        model=chosen.option.model,
        confidence=confidence,
        strategy_used=strategy,
        reasoning=reasoning,
        metadata={
            "cost_estimate": chosen.cost,
            "quality_score": chosen.quality.mean,
            "order": [{"provider": w.option.provider, "model": w.option.model} for w in weighed],
            "candidates": candidates,
        },
    )
