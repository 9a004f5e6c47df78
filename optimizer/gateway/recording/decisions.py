"""The decisions to record if a fallback, the cache or a shared stream answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

from analytics.models import CachedResponse
from optimizer.domain.analyzed_request import AnalyzedRequest
from providers.attempts import UNSERVED
from providers.completion import Completion
from providers.resilience import Attempt
from routing.models import RoutingDecision


def served_decision(
    decision: RoutingDecision, completion: Completion, attempts: Sequence[Attempt]
) -> RoutingDecision:
    """Return the decision with the model that answered: a fallback if the first choice failed."""
    if (completion.provider, completion.model) == (decision.provider, decision.model):
        return decision
    failed = [attempt for attempt in attempts if attempt.error not in UNSERVED]
    tried = ", ".join(dict.fromkeys(f"{a.provider}/{a.model}" for a in failed))
    served = f"{completion.provider}/{completion.model}"
    return replace(
        decision,
        provider=completion.provider,
        model=completion.model,
        fallback_used=True,
        reasoning=f"{decision.reasoning} It failed ({tried}), so {served} answered.",
        metadata={
            **decision.metadata,
            "fallback_reason": failure_summary(failed),
            "intended_model": {"provider": decision.provider, "model": decision.model},
        },
    )


def failure_summary(attempts: Sequence[Attempt]) -> str:
    """Return one line with the model and the message of each failed attempt."""
    return "; ".join(f"{a.provider}/{a.model}: {a.message}" for a in attempts)


def shared_decision(analyzed: AnalyzedRequest, served: RoutingDecision) -> RoutingDecision:
    """Return the decision recorded for a request that shares another request's stream."""
    return replace(
        served,
        strategy_used="cached",
        confidence="high",
        reasoning=f"{served.ref} is answering the same request now.",
        metadata={**served.metadata, "token_count": analyzed.analysis.token_count},
    )


def cached_decision(
    analyzed: AnalyzedRequest, entry: CachedResponse, likeness: float | None
) -> RoutingDecision:
    """Return the decision recorded for an answer from the cache.

    ``likeness`` is the similarity of the prompts (-1 to 1), ``None`` if they are the same.
    """
    question = "the same prompt"
    if likeness is not None:
        question = f"the same question in other words (likeness {likeness:.2f})"
    return RoutingDecision(
        provider=entry.provider,
        model=entry.model,
        confidence="high" if likeness is None else "medium",
        strategy_used="cached",
        reasoning=(
            f"{entry.ref} answered {question} before. The cache returns that answer at no cost."
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
                    "reason": "gave the cached answer",
                }
            ],
            "fallback_chain": [],
            "baseline_chain": [],
        },
    )
