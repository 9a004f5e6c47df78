"""A model's expected quality on a kind of prompt, with its uncertainty.

Quality is a score in [0, 1]. Each (pattern, tier, model) cell carries a Beta
posterior: a prior from the model's tier, worth ``PRIOR_STRENGTH`` ratings, plus
what was recorded. Outcomes of the same model and pattern on other tiers count
for less, by ``NEIGHBOUR_WEIGHT``. Fractional scores are split between the two
parameters, the usual extension of the Beta-Bernoulli update (Chapelle & Li,
"An Empirical Evaluation of Thompson Sampling", 2011, treat rewards so).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from routing.models import TIERS, Evidence, EvidenceKey, ModelOption, PromptAnalysis, Tier

PRIOR_STRENGTH = 4.0
NEIGHBOUR_WEIGHT = 0.3
Z = 1.2816
"""One-sided 90 % normal quantile: the bound is exceeded by the truth nine times in ten."""

# Prior mean quality: rows are the model's tier, columns the prompt's.
_PRIOR: Mapping[Tier, Mapping[Tier, float]] = {
    "simple": {"simple": 0.80, "moderate": 0.65, "complex": 0.50},
    "moderate": {"simple": 0.85, "moderate": 0.78, "complex": 0.68},
    "complex": {"simple": 0.88, "moderate": 0.85, "complex": 0.80},
}


@dataclass(frozen=True, slots=True)
class QualityEstimate:
    """Expected quality with an 80 % interval, all 0-1.

    ``sample_size`` counts ratings of this very kind of prompt;
    ``effective_size`` adds the discounted ones of neighbouring tiers.
    """

    mean: float
    low: float
    high: float
    sample_size: int
    effective_size: float

    @property
    def half_width(self) -> float:
        return (self.high - self.low) / 2


def estimate_quality(
    option: ModelOption,
    analysis: PromptAnalysis,
    evidence: Mapping[EvidenceKey, Evidence],
) -> QualityEstimate:
    """Posterior of ``option``'s quality on prompts like ``analysis``.

    The interval is mean +/- Z * sd of the Beta posterior, clipped to [0, 1].
    """
    prior_mean = _PRIOR[option.tier][analysis.tier]
    count, quality_sum, sample_size = 0.0, 0.0, 0
    for tier in TIERS:
        found = evidence.get((analysis.pattern, tier, option.provider, option.model))
        if found is None:
            continue
        same = tier == analysis.tier
        weight = 1.0 if same else NEIGHBOUR_WEIGHT
        count += weight * found.count
        quality_sum += weight * found.quality_sum
        if same:
            sample_size = found.count
    strength = PRIOR_STRENGTH + count
    mean = (prior_mean * PRIOR_STRENGTH + quality_sum) / strength
    spread = Z * math.sqrt(max(0.0, mean * (1 - mean)) / (strength + 1))
    return QualityEstimate(
        mean=round(mean, 4),
        low=round(max(0.0, mean - spread), 4),
        high=round(min(1.0, mean + spread), 4),
        sample_size=sample_size,
        effective_size=count,
    )
