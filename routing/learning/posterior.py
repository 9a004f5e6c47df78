"""A model's expected quality on a prompt, with its uncertainty.

Before any outcome, a model is expected to have the quality of its tier on this
prompt: ``prior``, from the trained predictor or, without one, from a table.
Outcomes are stored by (pattern, tier, model) as sums of scores and of the scores
that were expected. Both are combined in a Beta posterior whose prior weighs
``strength`` ratings; the shift of its mean, in logits, is the shift applied to
this prompt's expectation. A model that does better than expected on some prompts
of a kind is thus expected to do better on all of them, the harder ones included:
the additive form of item response theory (Rasch 1960).

First, what all models' outcomes say of the kind itself is added to what is expected of every
model on it, rated or not: :mod:`routing.learning.kind_levels`. Only what is left is the model's.

Outcomes of the same model on other tiers or patterns count less, and together
never more than ``NEIGHBOURS_WORTH`` ratings. Old outcomes lose weight: see
``learn`` and ``faded``.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from routing.learning.kind_levels import KindLevels
from routing.models import NO_EVIDENCE, Evidence, EvidenceKey, ModelRef, Tier

PRIOR_STRENGTH = 4.0
"""Weight of the table of priors, in ratings; a trained predictor carries its own weight."""
MEMORY = 0.98
"""Share of their weight that earlier ratings of the same kind keep at each new rating. About fifty
ratings are remembered, so that a model that turns bad is dropped after about a dozen."""
SAME_PATTERN = 0.3
OTHER_PATTERN = 0.1
NEIGHBOURS_WORTH = 10.0
Z = 1.2816
"""One-sided 90 % normal quantile: the truth is above the lower bound nine times in ten."""

_SURE = 1e-3
_TIER_PRIOR: Mapping[Tier, Mapping[Tier, float]] = {
    "simple": {"simple": 0.80, "moderate": 0.65, "complex": 0.50},
    "moderate": {"simple": 0.85, "moderate": 0.78, "complex": 0.68},
    "complex": {"simple": 0.88, "moderate": 0.85, "complex": 0.80},
}


def tier_prior(model: Tier, prompt: Tier) -> float:
    """Return the quality (0-1) expected of a tier's model on a tier's prompt, untrained."""
    return _TIER_PRIOR[model][prompt]


def learn(known: Evidence, score: float, expected: float) -> Evidence:
    """Return the evidence ``known`` with one more outcome added. Scores are 0-1."""
    return Evidence(
        count=known.count + 1,
        weight=known.weight * MEMORY + 1,
        quality_sum=known.quality_sum * MEMORY + score,
        expected_sum=known.expected_sum * MEMORY + expected,
    )


def faded(known: Evidence, days: float, half_life: float) -> Evidence:
    """Return the evidence ``known`` aged by ``days``; its weight halves each ``half_life`` days."""
    if half_life <= 0 or days <= 0:
        return known
    keep = 0.5 ** (days / half_life)
    return Evidence(
        known.count, known.weight * keep, known.quality_sum * keep, known.expected_sum * keep
    )


@dataclass(frozen=True, slots=True)
class Observed:
    """The evidence for one model and kind of prompt: its outcomes and discounted neighbours.

    ``sample_size`` counts the outcomes of exactly this kind, undiscounted. ``weight``
    is the weight of all outcomes, in ratings, and ``shift`` how much better than
    expected the model is to do, in logits: the kind's level and the model's own part.
    """

    sample_size: int
    weight: float
    shift: float


class QualityEstimate(NamedTuple):
    """Expected quality with an 80 % interval, all 0-1; ``deviation`` is its standard deviation.

    ``sample_size`` counts ratings of exactly this kind of prompt;
    ``effective_size`` weights them by age and adds the discounted neighbours.
    """

    mean: float
    low: float
    high: float
    deviation: float
    sample_size: int
    effective_size: float

    @property
    def half_width(self) -> float:
        """Return half the width of the interval."""
        return (self.high - self.low) / 2


class Posterior:
    """An immutable snapshot of all outcomes, for use by every decision.

    ``strength`` is the weight of a prior, in ratings. ``levels`` are those of the kinds of
    prompts, by default what the evidence says of them.
    """

    def __init__(
        self,
        evidence: Mapping[EvidenceKey, Evidence],
        strength: float = PRIOR_STRENGTH,
        levels: KindLevels | None = None,
    ) -> None:
        self.evidence = evidence
        self.strength = strength
        self._levels = KindLevels(evidence) if levels is None else levels
        self._of_model: dict[ModelRef, list[tuple[str, Tier, Evidence]]] = defaultdict(list)
        for (pattern, tier, provider, model), known in evidence.items():
            known = self._at_level(pattern, tier, known)
            self._of_model[ModelRef(provider, model)].append((pattern, tier, known))
        self._observed: dict[EvidenceKey, Observed] = {}

    def observed(self, pattern: str, tier: Tier, provider: str, model: str) -> Observed:
        """Return the evidence for a model on a kind of prompt."""
        key = (pattern, tier, provider, model)
        observed = self._observed.get(key)
        if observed is None:
            observed = self._observed[key] = self._pool(pattern, tier, ModelRef(provider, model))
        return observed

    def _at_level(self, pattern: str, tier: Tier, known: Evidence) -> Evidence:
        """Return the evidence with what was expected moved to the level of its kind."""
        if known.weight <= 0:
            return known
        expected = expit(
            logit(known.expected_sum / known.weight) + self._levels.shift(pattern, tier)
        )
        return replace(known, expected_sum=known.weight * expected)

    def _pool(self, pattern: str, tier: Tier, model: ModelRef) -> Observed:
        level = self._levels.shift(pattern, tier)
        own = NO_EVIDENCE
        near = [0.0, 0.0, 0.0]
        for other_pattern, other_tier, known in sorted(
            self._of_model.get(model, ()), key=lambda cell: cell[:2]
        ):
            if (other_pattern, other_tier) == (pattern, tier):
                own = known
                continue
            discount = SAME_PATTERN if other_pattern == pattern else OTHER_PATTERN
            near[0] += discount * known.weight
            near[1] += discount * known.quality_sum
            near[2] += discount * known.expected_sum
        if near[0] > NEIGHBOURS_WORTH:
            near = [value * NEIGHBOURS_WORTH / near[0] for value in near]
        weight = own.weight + near[0]
        if weight <= 0:
            return Observed(0, 0.0, level)
        expected = (own.expected_sum + near[2]) / weight
        quality = own.quality_sum + near[1]
        outcome = (self.strength * expected + quality) / (self.strength + weight)
        return Observed(own.count, weight, level + logit(outcome) - logit(expected))

    def estimate(
        self, prior: float, seen: Observed, strength: float | None = None, width: float = 0.0
    ) -> QualityEstimate:
        """Return the quality expected from ``prior``, a logit, and the evidence ``seen``.

        ``strength`` is what the prior of this prompt weighs, if that is not the usual weight.
        ``width`` is how uncertain the model's ability is, as a standard deviation of ``prior``;
        it fades as outcomes show it. The interval is mean +/- Z * sd of a Beta of the pooled
        strength, clipped to [0, 1].
        """
        mean = expit(prior + seen.shift)
        if strength is None:
            strength = self.strength
        slope = mean * (1 - mean)
        variance = slope / (strength + seen.weight + 1)
        if width:
            variance += (slope * width * self.strength / (self.strength + seen.weight)) ** 2
        deviation = math.sqrt(variance)
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
    """Return the log-odds of ``p``, which is first clipped away from 0 and 1."""
    p = min(1 - _SURE, max(_SURE, p))
    return math.log(p / (1 - p))


def expit(x: float) -> float:
    """Return the probability whose log-odds are ``x``, without overflow."""
    if x >= 0:
        return 1 / (1 + math.exp(-x))
    e = math.exp(x)
    return e / (1 + e)
