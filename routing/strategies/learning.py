"""Learning: the trained predictor, and every outcome recorded since the training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from routing.learning.domains import with_tools
from routing.learning.exploration import Explorer
from routing.learning.posterior import Posterior, QualityEstimate
from routing.learning.predictor import Expectation, QualityPredictor
from routing.models import Candidate, Confidence, PromptAnalysis, RoutingDecision
from routing.policies import CheapestAboveTarget, Policy
from routing.strategies.base import Situation
from routing.strategies.complexity import ComplexityStrategy
from routing.strategies.weighed import Prior, Weighed, by_cost, in_best_way

_HIGH_SAMPLES = 20
_HIGH_HALF_WIDTH = 0.15
_MEDIUM_SAMPLES = 5


class PosteriorSource(Protocol):
    """Where the strategy reads the recorded outcomes."""

    def posterior(self) -> Posterior:
        """Return the posterior of all recorded outcomes. It must answer from memory."""
        ...


@dataclass(frozen=True, slots=True)
class Learned:
    """The best choice by present knowledge, and another one to explore instead, if any."""

    choice: RoutingDecision
    explored: RoutingDecision | None = None


class LearningStrategy:
    """Applies a policy to each candidate's cost and expected quality, less its uncertainty.

    ``predictor`` estimates quality from the prompt. Without a predictor, estimates come from
    the tiers alone; if no outcome is recorded either, complexity decides.
    """

    name = "learning"

    def __init__(
        self,
        source: PosteriorSource,
        policy: Policy,
        fallback: ComplexityStrategy,
        *,
        predictor: QualityPredictor | None = None,
        explorer: Explorer | None = None,
    ) -> None:
        self._source = source
        self._policy = policy
        self._fallback = fallback
        self._predictor = predictor
        self._latest: tuple[PromptAnalysis, Expectation] | None = None
        self._explorer = explorer

    def decide(self, situation: Situation) -> RoutingDecision:
        """Return the model to explore, if this request explores, else the policy's choice."""
        learned = self.learn_about(situation)
        return learned.explored or learned.choice

    def learn_about(self, situation: Situation) -> Learned:
        """Return the policy's choice and, if this request explores, the model to explore."""
        trained = self._predictor is not None and situation.analysis.text is not None
        policy = self._policy
        if situation.context.min_quality is not None:
            policy = CheapestAboveTarget(situation.context.min_quality)
        weighed = self.weigh(situation, policy)
        if not trained and not any(w.quality.effective_size for w in weighed):
            return Learned(self._without_evidence(situation, weighed))
        costs = [w.cost for w in weighed]
        low = np.array([[w.quality.low for w in weighed]])
        best = int(policy.pick(low, costs)[0])
        if self._explorer is None or not situation.context.explore or not self._explorer.rate:
            return Learned(self._decision(situation, weighed, policy, best))
        exploration = self._explorer.choose(
            policy,
            np.array([w.quality.mean for w in weighed]),
            np.array([w.quality.deviation for w in weighed]),
            costs,
            best,
        )
        choice = self._decision(situation, weighed, policy, best, exploration.propensity)
        if not exploration.explored:
            return Learned(choice)
        explored = self._decision(
            situation, weighed, policy, exploration.choice, exploration.propensity, explored=True
        )
        return Learned(choice, explored)

    def weigh(self, situation: Situation, policy: Policy | None = None) -> list[Weighed]:
        """Return the candidates, cheapest first; equal prices by quality, then by name.

        If levers offer other ways to ask a model, it is asked in the one that ``policy`` picks,
        without a policy in the cheapest that is as good as what the request asks for.
        """
        analysis, posterior = situation.analysis, self._source.posterior()
        pattern, tier = analysis.pattern, analysis.tier
        prior = self._prior(situation)
        timed = situation.context.speed is not None
        weighed = []
        for option in situation.eligible:
            observed = posterior.observed(pattern, tier, option.provider, option.model)
            expected, width = prior.of(option)
            quality = posterior.estimate(expected, observed, prior.strength, width)
            if situation.context.variants is not None:
                weighed.append(
                    in_best_way(situation, option, quality, prior, posterior, observed, policy)
                )
                continue
            latency = situation.expected_latency(option) if timed else None
            weighed.append(Weighed(option, quality, situation.expected_cost(option), latency))
        weighed.sort(key=by_cost)
        return weighed

    def _prior(self, situation: Situation) -> Prior:
        """Return what is expected of the models before any outcome."""
        analysis = situation.analysis
        if self._predictor is None or analysis.text is None:
            return Prior(analysis.tier)
        kept = self._latest
        if kept is not None and kept[0] is analysis:  # decided again, under another policy
            expected = kept[1]
        else:
            expected = self._predictor.expectation(
                analysis.text, analysis.pattern, analysis.complexity
            )
            self._latest = analysis, expected
        strength = self._predictor.strength(expected.nearness)
        loadings = expected.loadings
        if "tools" in situation.context.required_capabilities:
            loadings = with_tools(loadings)
        effort = situation.context.effort
        return Prior(analysis.tier, expected.everyday, strength, loadings, effort)

    def _decision(
        self,
        situation: Situation,
        weighed: list[Weighed],
        policy: Policy,
        index: int,
        propensity: NDArray[np.float64] | None = None,
        *,
        explored: bool = False,
    ) -> RoutingDecision:
        chosen = weighed[index]
        if explored:
            why = "one tried for exploration, within the exploration budget"
        else:
            why = policy.reason(chosen.quality.low)
        return RoutingDecision(
            provider=chosen.option.provider,
            model=chosen.option.model,
            confidence=self._confidence(chosen.quality),
            strategy_used="learning",
            reasoning=self._reasoning(situation, chosen, why),
            metadata={
                "cost_estimate": chosen.cost,
                "quality_score": chosen.quality.mean,
                "candidates": self._candidates(
                    weighed, index, why, policy, propensity, situation.context.effort
                ),
                "explored": explored,
                "propensity": 1.0 if propensity is None else round(float(propensity[index]), 6),
            },
        )

    def _without_evidence(self, situation: Situation, weighed: list[Weighed]) -> RoutingDecision:
        decision = self._fallback.decide(situation)
        refs = [(w.option.provider, w.option.model) for w in weighed]
        index = refs.index((decision.provider, decision.model))
        why = "complexity's choice, because no outcome is recorded for this kind of prompt"
        return RoutingDecision(
            provider=decision.provider,
            model=decision.model,
            confidence="low",
            strategy_used="learning",
            reasoning=(
                f"No outcome is recorded yet for {situation.analysis.pattern} prompts; "
                f"{weighed[index].option.ref} is complexity's choice."
            ),
            fallback_used=True,
            metadata={
                "cost_estimate": weighed[index].cost,
                "quality_score": None,
                "candidates": self._candidates(
                    weighed, index, why, None, None, situation.context.effort
                ),
                "fallback_reason": "no outcome is recorded for this kind of prompt",
            },
        )

    def _reasoning(self, situation: Situation, chosen: Weighed, why: str) -> str:
        samples = chosen.quality.sample_size
        basis = f"{samples} outcome{'' if samples == 1 else 's'}"
        if self._predictor is not None:
            basis = f"the trained predictor and {basis}" if samples else "the trained predictor"
        return (
            f"For this {situation.analysis.tier} {situation.analysis.pattern} prompt, "
            f"{chosen.option.ref} is the {why}. Its expected quality is "
            f"{chosen.quality.mean:.2f} ({chosen.quality.low:.2f}-{chosen.quality.high:.2f}), "
            f"based on {basis}."
        )

    @staticmethod
    def _confidence(quality: QualityEstimate) -> Confidence:
        if quality.sample_size >= _HIGH_SAMPLES and quality.half_width <= _HIGH_HALF_WIDTH:
            return "high"
        return "medium" if quality.sample_size >= _MEDIUM_SAMPLES else "low"

    @staticmethod
    def _candidates(
        weighed: list[Weighed],
        index: int,
        why: str,
        policy: Policy | None,
        propensity: NDArray[np.float64] | None,
        effort: str,
    ) -> list[Candidate]:
        def reason(i: int, quality: QualityEstimate) -> str:
            if i == index:
                return why
            if policy is None:
                return "no outcome is recorded"
            if not policy.reaches(quality.low):
                return f"its quality may be as low as {quality.low:.2f}, which is not enough"
            return "good enough, but not cheaper" if i > index else "cheaper, but not as good"

        candidates = [
            Candidate(
                option.provider,
                option.model,
                option.tier,
                quality.mean,
                quality.low,
                quality.high,
                quality.sample_size,
                cost,
                chosen=i == index,
                reason=reason(i, quality),
                propensity=None if propensity is None else round(float(propensity[i]), 6),
                expected_latency=latency,
                effort=effort,
            )
            for i, (option, quality, cost, latency, _) in enumerate(weighed)
        ]
        if any(w.way is not None for w in weighed):
            return [c.in_way(w.way) for c, w in zip(candidates, weighed, strict=True)]
        return candidates
