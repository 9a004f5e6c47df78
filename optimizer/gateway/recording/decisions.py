"""Decisions as they turned out: served by a fallback, or by the cache."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

from analytics.models import CachedResponse
from optimizer.domain.analyzed_request import AnalyzedRequest
from providers.completion import Completion
from providers.resilience import Attempt
from routing.models import RoutingDecision


def served_decision(
    decision: RoutingDecision, completion: Completion, attempts: Sequence[Attempt]
) -> RoutingDecision:
    """The decision as it turned out: another model's name in it when the first one failed."""
    if (completion.provider, completion.model) == (decision.provider, decision.model):
        return decision
    tried = ", ".join(dict.fromkeys(f"{a.provider}/{a.model}" for a in attempts))
    served = f"{completion.provider}/{completion.model}"
    return replace(
        decision,
        provider=completion.provider,
        model=completion.model,
        fallback_used=True,
        reasoning=f"{decision.reasoning} It could not answer ({tried}), so {served} did.",
        metadata={
            **decision.metadata,
            "fallback_reason": failure_summary(attempts),
            "intended_model": {"provider": decision.provider, "model": decision.model},
        },
    )


def failure_summary(attempts: Sequence[Attempt]) -> str:
    return "; ".join(f"{a.provider}/{a.model}: {a.message}" for a in attempts)


def shared_decision(analyzed: AnalyzedRequest, served: RoutingDecision) -> RoutingDecision:
    """Of a request that hears what another, asking the same, is being told."""
    return replace(
        served,
        strategy_used="cached",
        confidence="high",
        reasoning=f"The same is being answered by {served.provider}/{served.model} just now.",
        metadata={**served.metadata, "token_count": analyzed.analysis.token_count},
    )


def cached_decision(
    analyzed: AnalyzedRequest, entry: CachedResponse, likeness: float | None
) -> RoutingDecision:
    """``likeness`` is that of the prompts, where they are not the same."""
    before = "The same prompt was"
    if likeness is not None:
        before = f"The same question in other words (likeness {likeness:.2f}) was"
    return RoutingDecision(
        provider=entry.provider,
        model=entry.model,
        confidence="high" if likeness is None else "medium",
        strategy_used="cached",
        reasoning=(
            f"{before} answered by {entry.provider}/{entry.model} before; "
            "that answer is given again at no cost."
        ),
        metadata={
            **({} if likeness is None else {"likeness": round(likeness, 4)}),
            "pattern": analyzed.analysis.pattern,
            "complexity": analyzed.analysis.complexity,
            "tier": analyzed.analysis.tier,
            "token_count": analyzed.analysis.token_count,
            "cost_estimate": Decimal(0),
            "quality_score": entry.quality_score,
            "candidates": [
                {
                    "provider": entry.provider,
                    "model": entry.model,
                    "tier": entry.tier,
                    "expected_quality": entry.quality_score,
                    "quality_low": None,
                    "quality_high": None,
                    "sample_size": entry.vote_count,
                    "expected_cost": Decimal(0),
                    "chosen": True,
                    "reason": "gave this very answer before",
                }
            ],
            "fallback_chain": [],
            "baseline_chain": [],
        },
    )
