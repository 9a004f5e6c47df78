"""Choose by what outcomes have taught: the cheapest model that is surely good enough."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from routing.learning.posterior import QualityEstimate, estimate_quality
from routing.models import Candidate, Confidence, EvidenceSource, ModelOption, RoutingDecision
from routing.strategies.base import Situation
from routing.strategies.complexity import ComplexityStrategy

_HIGH_SAMPLES = 20
_HIGH_HALF_WIDTH = 0.15
_MEDIUM_SAMPLES = 5


@dataclass(frozen=True, slots=True)
class LearningPolicy:
    """What counts as good enough, and how to choose when nothing is.

    ``quality_target`` is 0-1. The weights rank candidates when none clears the
    target: ``quality_weight * low bound - cost_weight * cost / dearest cost``.
    """

    quality_target: float = 0.7
    quality_weight: float = 0.8
    cost_weight: float = 0.2


@dataclass(frozen=True, slots=True)
class _Weighed:
    option: ModelOption
    quality: QualityEstimate
    cost: Decimal | None


class LearningStrategy:
    """Cheapest candidate whose expected quality, less its uncertainty, clears the target."""

    name = "learning"

    def __init__(
        self, source: EvidenceSource, policy: LearningPolicy, fallback: ComplexityStrategy
    ) -> None:
        self._source = source
        self._policy = policy
        self._fallback = fallback

    def decide(self, situation: Situation) -> RoutingDecision:
        evidence = self._source.evidence()
        weighed = [
            _Weighed(
                option,
                estimate_quality(option, situation.analysis, evidence),
                situation.expected_cost(option),
            )
            for option in situation.eligible
        ]
        if not any(w.quality.effective_size for w in weighed):
            return self._without_evidence(situation, weighed)
        target = situation.context.min_quality
        if target is None:
            target = self._policy.quality_target
        clearing = [w for w in weighed if w.quality.low >= target]
        if clearing:
            chosen = min(clearing, key=self._by_cost)
            why = (
                f"cheapest whose quality, less its uncertainty ({chosen.quality.low:.2f}), "
                f"clears {target:.2f}"
            )
        else:
            chosen = max(weighed, key=self._composite(weighed))
            why = f"best of the rest: no model surely clears {target:.2f}"
        samples = chosen.quality.sample_size
        return RoutingDecision(
            provider=chosen.option.provider,
            model=chosen.option.model,
            confidence=self._confidence(chosen.quality),
            strategy_used="learning",
            reasoning=(
                f"For {situation.analysis.tier} {situation.analysis.pattern} prompts "
                f"{chosen.option.ref} is the {why}, from {samples} "
                f"outcome{'' if samples == 1 else 's'}."
            ),
            metadata={
                "cost_estimate": chosen.cost,
                "quality_score": chosen.quality.mean,
                "candidates": self._candidates(weighed, chosen, why, target),
            },
        )

    def _without_evidence(self, situation: Situation, weighed: list[_Weighed]) -> RoutingDecision:
        decision = self._fallback.decide(situation)
        chosen = next(
            w
            for w in weighed
            if (w.option.provider, w.option.model) == (decision.provider, decision.model)
        )
        why = "first by complexity, as no outcome is recorded for this kind of prompt"
        return RoutingDecision(
            provider=decision.provider,
            model=decision.model,
            confidence="low",
            strategy_used="learning",
            reasoning=(
                f"No outcome is recorded yet for {situation.analysis.pattern} prompts; "
                f"{chosen.option.ref} is complexity's choice."
            ),
            fallback_used=True,
            metadata={
                "cost_estimate": chosen.cost,
                "quality_score": None,
                "candidates": self._candidates(weighed, chosen, why, None),
                "fallback_reason": "no evidence for this kind of prompt",
            },
        )

    @staticmethod
    def _by_cost(weighed: _Weighed) -> tuple[bool, Decimal, float, str]:
        """Unknown prices last; equal prices by quality, then by name, never by position."""
        cost = weighed.cost
        return (cost is None, cost or Decimal(0), -weighed.quality.mean, weighed.option.ref)

    def _composite(self, weighed: list[_Weighed]) -> Callable[[_Weighed], tuple[float, str]]:
        dearest = max((w.cost for w in weighed if w.cost is not None), default=Decimal(0))

        def score(candidate: _Weighed) -> tuple[float, str]:
            # An unknown price is taken as the dearest: never as free.
            cost = dearest if candidate.cost is None else candidate.cost
            share = float(cost / dearest) if dearest else 0.0
            return (
                self._policy.quality_weight * candidate.quality.low
                - self._policy.cost_weight * share,
                candidate.option.ref,
            )

        return score

    @staticmethod
    def _confidence(quality: QualityEstimate) -> Confidence:
        if quality.sample_size >= _HIGH_SAMPLES and quality.half_width <= _HIGH_HALF_WIDTH:
            return "high"
        return "medium" if quality.sample_size >= _MEDIUM_SAMPLES else "low"

    @staticmethod
    def _candidates(
        weighed: list[_Weighed], chosen: _Weighed, why: str, target: float | None
    ) -> list[Candidate]:
        def reason(candidate: _Weighed) -> str:
            if candidate is chosen:
                return why
            if target is None:
                return "no outcome recorded"
            if candidate.quality.low < target:
                return f"quality may be as low as {candidate.quality.low:.2f}, below {target:.2f}"
            return "good enough, but dearer or equal"

        return [
            Candidate(
                provider=w.option.provider,
                model=w.option.model,
                tier=w.option.tier,
                expected_quality=w.quality.mean,
                quality_low=w.quality.low,
                quality_high=w.quality.high,
                sample_size=w.quality.sample_size,
                expected_cost=w.cost,
                chosen=w is chosen,
                reason=reason(w),
            )
            for w in weighed
        ]
