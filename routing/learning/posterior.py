"""A model's expected quality on a prompt, with its uncertainty.

Before any outcome a model is expected to do what its tier does on this prompt:
``prior``, from the trained predictor or, without one, from a table. Outcomes
are kept by (pattern, tier, model) as sums of scores and of what had been
expected of them. Expectation and outcome meet as in a Beta posterior whose
prior is worth ``strength`` ratings; how far it moves, in logits, is how far
this prompt's expectation is moved. A model better than expected on some
prompts of a kind so is expected better on all of them, the harder ones
included: the additive form of item response theory (Rasch 1960).

Outcomes of the same model on other tiers or patterns count for less and, in
all, never for more than ``NEIGHBOURS_WORTH`` ratings. Old outcomes fade: see
``learn`` and ``faded``.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from routing.models import NO_EVIDENCE, Evidence, EvidenceKey, Tier

PRIOR_STRENGTH = 4.0
"""What the table of priors is worth, in ratings; a trained predictor knows its own worth."""
MEMORY = 0.98
"""Each rating leaves its predecessors of the same kind this share of their weight: some fifty
ratings are remembered, so that a model that turns bad is left after about a dozen."""
SAME_PATTERN = 0.3
OTHER_PATTERN = 0.1
NEIGHBOURS_WORTH = 10.0
Z = 1.2816
"""One-sided 90 % normal quantile: the bound is exceeded by the truth nine times in ten."""

_SURE = 1e-3
_TIER_PRIOR: Mapping[Tier, Mapping[Tier, float]] = {
    "simple": {"simple": 0.80, "moderate": 0.65, "complex": 0.50},
    "moderate": {"simple": 0.85, "moderate": 0.78, "complex": 0.68},
    "complex": {"simple": 0.88, "moderate": 0.85, "complex": 0.80},
}


def tier_prior(model: Tier, prompt: Tier) -> float:
    """Expected quality of a model of a tier on a prompt of a tier, where nothing was trained."""
    return _TIER_PRIOR[model][prompt]


def learn(known: Evidence, score: float, expected: float) -> Evidence:
    """``known`` after one more outcome. Scores are 0-1."""
    return Evidence(
        count=known.count + 1,
        weight=known.weight * MEMORY + 1,
        quality_sum=known.quality_sum * MEMORY + score,
        expected_sum=known.expected_sum * MEMORY + expected,
    )


def faded(known: Evidence, days: float, half_life: float) -> Evidence:
    """``known`` after ``days`` without news: it weighs half after each ``half_life`` days."""
    if half_life <= 0 or days <= 0:
        return known
    keep = 0.5 ** (days / half_life)
    return Evidence(
        known.count, known.weight * keep, known.quality_sum * keep, known.expected_sum * keep
    )


@dataclass(frozen=True, slots=True)
class Observed:
    """What bears on one kind of prompt and model: own outcomes and discounted neighbours.

    ``sample_size`` counts the outcomes of this very kind, undiscounted;
    ``weight`` is what all of them weigh, in ratings, and ``shift`` how much
    better than expected the model is for them, in logits.
    """

    sample_size: int
    weight: float
    shift: float


_NOTHING = Observed(0, 0.0, 0.0)


class QualityEstimate(NamedTuple):
    """Expected quality with an 80 % interval, all 0-1; ``deviation`` is its standard deviation.

    ``sample_size`` counts ratings of this very kind of prompt;
    ``effective_size`` weighs them by age and adds the discounted neighbours.
    """

    mean: float
    low: float
    high: float
    deviation: float
    sample_size: int
    effective_size: float

    @property
    def half_width(self) -> float:
        return (self.high - self.low) / 2


class Posterior:
    """All outcomes at one moment, ready to be asked on every decision. Never changed.

    ``strength`` is what a prior is worth, in ratings.
    """

    def __init__(
        self, evidence: Mapping[EvidenceKey, Evidence], strength: float = PRIOR_STRENGTH
    ) -> None:
        self.evidence = evidence
        self.strength = strength
        self._of_model: dict[tuple[str, str], list[tuple[str, Tier, Evidence]]] = defaultdict(list)
        for (pattern, tier, provider, model), known in evidence.items():
            self._of_model[(provider, model)].append((pattern, tier, known))
        self._observed: dict[EvidenceKey, Observed] = {}

    def observed(self, pattern: str, tier: Tier, provider: str, model: str) -> Observed:
        """What is known of a model on a kind of prompt."""
        key = (pattern, tier, provider, model)
        found = self._observed.get(key)
        if found is None:
            found = self._observed[key] = self._pool(pattern, tier, (provider, model))
        return found

    def _pool(self, pattern: str, tier: Tier, model: tuple[str, str]) -> Observed:
        own = self.evidence.get((pattern, tier, *model))
        near = [0.0, 0.0, 0.0]
        for other_pattern, other_tier, known in sorted(
            self._of_model.get(model, ()), key=lambda cell: cell[:2]
        ):
            if (other_pattern, other_tier) == (pattern, tier):
                continue
            discount = SAME_PATTERN if other_pattern == pattern else OTHER_PATTERN
            near[0] += discount * known.weight
            near[1] += discount * known.quality_sum
            near[2] += discount * known.expected_sum
        if near[0] > NEIGHBOURS_WORTH:
            near = [value * NEIGHBOURS_WORTH / near[0] for value in near]
        own = own or NO_EVIDENCE
        weight = own.weight + near[0]
        if weight <= 0:
            return _NOTHING
        expected = (own.expected_sum + near[2]) / weight
        quality = own.quality_sum + near[1]
        outcome = (self.strength * expected + quality) / (self.strength + weight)
        return Observed(own.count, weight, logit(outcome) - logit(expected))

    def estimate(self, prior: float, seen: Observed) -> QualityEstimate:
        """The quality of a model of which ``prior``, a logit, was expected and ``seen`` seen.

        The interval is mean +/- Z * sd of a Beta of the pooled strength, clipped to [0, 1].
        """
        mean = expit(prior + seen.shift)
        deviation = math.sqrt(mean * (1 - mean) / (self.strength + seen.weight + 1))
        low, high = mean - Z * deviation, mean + Z * deviation
        return QualityEstimate(
            round(mean, 4),
            round(low, 4) if low > 0 else 0.0,
            round(high, 4) if high < 1 else 1.0,
            deviation,
            seen.sample_size,
            seen.weight,
        )


def logit(p: float) -> float:
    p = min(1 - _SURE, max(_SURE, p))
    return math.log(p / (1 - p))


def expit(x: float) -> float:
    if x >= 0:
        return 1 / (1 + math.exp(-x))
    e = math.exp(x)
    return e / (1 + e)
