"""When it pays to ask a cheap model first and a strong one only if a check fails.

A cascade costs the cheap call, its checks and, with the probability that a check fails, the
strong call. Its quality is that of the cheap answers that pass and of the strong answers to the
rest. Both parts are not what the models have on average:

- A check lets good answers through more often than bad ones, so answers that passed are better
  than the cheap model's usual ones.
- Prompts that a cheap model gets wrong are harder for the strong one too, so its answers to the
  rest are worse than its usual ones. Leaving that out makes every cascade look too good.

With the qualities read as probabilities of a good answer, ``c`` of the cheap model and ``s`` of
the strong one, ``a`` and ``b`` the probabilities that a good and a bad answer pass, and the
covariance of both models being right ``v = r sqrt(c (1 - c) s (1 - s))``::

    P(pass) = c a + (1 - c) b                 quality of what passed = c a / P(pass)
    P(strong good | cheap good) = s + v / c   P(strong good | cheap bad) = s - v / (1 - c)

These are expectations before any cascade was tried. What was recorded of cascades shifts each of
the three quantities (how often answers pass, how good those are, how good the strong model's
are after a failed check), as ratings shift a model's quality (:mod:`routing.learning.posterior`).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple

from routing.learning.cascade_outcomes import (
    NOTHING_LEARNED,
    CascadeLearning,
    CascadeOutcome,
    checked_ref,
)
from routing.learning.posterior import PRIOR_STRENGTH, Posterior, QualityEstimate, Z, logit
from routing.models import ModelRef, Tier

__all__ = [
    "CHECK_POWER",
    "NOTHING_LEARNED",
    "Cascade",
    "CascadeLearning",
    "CascadeOutcome",
    "CheckPower",
    "Checking",
    "Single",
    "cascade_of",
    "cascades",
    "frontier",
]

SHARED_DIFFICULTY = 0.35
"""Correlation of two models being right on the same question of a benchmark: its median over
pairs of models is 0.35 in MMLU-Pro (29 models), 0.31 in ZeroEval (55), 0.42 in KOR-Bench (37)."""


class CheckPower(NamedTuple):
    """How often a good and a bad answer pass a check, 0-1 each, before any is recorded."""

    good: float
    bad: float


CHECK_POWER: Mapping[str, CheckPower] = {
    "schema": CheckPower(0.99, 0.90),
    "tool_calls": CheckPower(0.98, 0.85),
    "command": CheckPower(0.97, 0.10),
    "logprobs": CheckPower(0.80, 0.50),
    "agreement": CheckPower(0.80, 0.40),
    "judge": CheckPower(0.85, 0.40),
}
"""First guesses, worth a few trials each. What a form allows says little of whether it is true;
an operator's own test says much; the others lie between."""


class Single(NamedTuple):
    """One model that could answer alone.

    ``quality`` and ``deviation``, its standard deviation, are 0-1, ``cost`` is USD, ``latency``
    seconds or ``None`` if unknown. ``effort`` and ``service_tier`` are how it would be called.
    """

    provider: str
    model: str
    quality: float
    deviation: float
    cost: Decimal
    latency: float | None = None
    effort: str = ""
    service_tier: str = ""

    @property
    def ref(self) -> ModelRef:
        """The model as "provider/model"."""
        return ModelRef(self.provider, self.model)


class Checking(NamedTuple):
    """The checks of a cheap answer, and what they take beside that answer.

    ``more_calls`` are further calls of the cheap model, made at the same time as the first.
    ``cost`` is USD and ``latency`` seconds for the rest, such as a judge's call.
    """

    names: tuple[str, ...]
    more_calls: int = 0
    cost: Decimal = Decimal(0)
    latency: float = 0.0

    @property
    def label(self) -> str:
        """Return the names as one text, in an order of their own."""
        return "+".join(sorted(self.names))


class Cascade(NamedTuple):
    """A cheap model, the strong one after a failed check, and what is expected of both together.

    ``passes`` is the probability that the cheap answer passes, ``kept`` the quality of such
    answers, and ``escalated`` that of the strong model's after a failed check. ``quality`` has
    an 80 % interval. ``cost`` is USD; ``latency`` is the mean in seconds, ``longest`` that of a
    request that needs both calls, ``None`` if a model's is unknown.
    """

    cheap: Single
    strong: Single
    checking: Checking
    passes: float
    kept: float
    escalated: float
    quality: float
    quality_low: float
    quality_high: float
    deviation: float
    cost: Decimal
    latency: float | None
    longest: float | None


def cascades(
    singles: Sequence[Single],
    learned: CascadeLearning,
    checking: Checking,
    *,
    pattern: str,
    tier: Tier,
    cheap: Collection[ModelRef] | None = None,
    strong: Collection[ModelRef] | None = None,
) -> list[Cascade]:
    """Return the cascades of ``singles`` that may be worth their cost, cheapest first.

    Only models count that no other one beats in quality and cost alike. ``checking`` is what
    would check the cheap answer to this request, which is a ``pattern`` prompt of ``tier``.
    ``cheap`` and ``strong`` limit which models may answer first and second. No cascade is
    returned without a check.
    """
    if not checking.names:
        return []
    first = frontier([one for one in singles if cheap is None or one.ref in cheap])
    second = frontier([one for one in singles if strong is None or one.ref in strong])
    made = [
        cascade_of(one, other, learned, checking, pattern=pattern, tier=tier)
        for one in first
        for other in second
        if one.cost < other.cost and one.quality < other.quality
    ]
    made.sort(key=lambda one: (one.cost, -one.quality, one.cheap.ref, one.strong.ref))
    return made


def frontier(singles: Sequence[Single]) -> list[Single]:
    """Return the models that no other one beats in quality and cost alike, cheapest first."""
    best: list[Single] = []
    for single in sorted(singles, key=lambda one: (one.cost, -one.quality, one.ref)):
        if not best or single.quality > best[-1].quality:
            best.append(single)
    return best


def cascade_of(
    cheap: Single,
    strong: Single,
    learned: CascadeLearning,
    checking: Checking,
    *,
    pattern: str,
    tier: Tier,
) -> Cascade:
    """Return what is expected of asking ``cheap`` first and ``strong`` if a check fails."""
    good, bad = _power(checking.names)
    right, wrong = _strong_given_cheap(cheap.quality, strong.quality)
    passes = cheap.quality * good + (1 - cheap.quality) * bad
    kept = cheap.quality * good / passes if passes else 0.0
    still_right = cheap.quality * (1 - good) / (1 - passes) if passes < 1 else 0.0
    escalated = still_right * right + (1 - still_right) * wrong
    of_cheap = checked_ref(cheap.ref, cheap.effort, checking.label)
    of_strong = checked_ref(strong.ref, strong.effort, checking.label)
    kind = (pattern, tier)
    passing = _shifted(learned.passing, kind, of_cheap, passes, PRIOR_STRENGTH)
    keeping = _shifted(learned.kept, kind, of_cheap, kept, _strength(cheap))
    escalating = _shifted(learned.escalated, kind, of_strong, escalated, _strength(strong))
    p = passing.mean
    quality = p * keeping.mean + (1 - p) * escalating.mean
    deviation = math.sqrt(
        (p * keeping.deviation) ** 2
        + ((1 - p) * escalating.deviation) ** 2
        + ((keeping.mean - escalating.mean) * passing.deviation) ** 2
    )
    first = cheap.cost * (1 + checking.more_calls) + checking.cost
    latency = longest = None
    if cheap.latency is not None and strong.latency is not None:
        checked = cheap.latency + checking.latency
        latency, longest = checked + (1 - p) * strong.latency, checked + strong.latency
    return Cascade(
        cheap,
        strong,
        checking,
        passes=p,
        kept=keeping.mean,
        escalated=escalating.mean,
        quality=quality,
        quality_low=max(0.0, quality - Z * deviation),
        quality_high=min(1.0, quality + Z * deviation),
        deviation=deviation,
        cost=first + strong.cost * Decimal(f"{1 - p:.4f}"),
        latency=latency,
        longest=longest,
    )


def _strong_given_cheap(cheap: float, strong: float) -> tuple[float, float]:
    """Return how often the strong model is right where the cheap one is right, and wrong."""
    spread = math.sqrt(cheap * (1 - cheap) * strong * (1 - strong))
    shared = min(SHARED_DIFFICULTY * spread, min(cheap, strong) - cheap * strong)
    right = strong + shared / cheap if cheap else strong
    wrong = strong - shared / (1 - cheap) if cheap < 1 else strong
    return right, wrong


def _power(checks: Sequence[str]) -> CheckPower:
    """Return how often a good and a bad answer pass all ``checks``, each on its own merits."""
    good = bad = 1.0
    for name in checks:
        power = CHECK_POWER[name]
        good *= power.good
        bad *= power.bad
    return CheckPower(good, bad)


def _shifted(
    learned: Posterior, kind: tuple[str, Tier], ref: ModelRef, expected: float, strength: float
) -> QualityEstimate:
    """Return ``expected``, shifted as far as the recorded outcomes differed from theirs."""
    return learned.estimate(logit(expected), learned.observed(*kind, *ref), strength)


def _strength(single: Single) -> float:
    """Return how many ratings the estimate of a model's quality weighs."""
    if single.deviation <= 0:
        return PRIOR_STRENGTH
    slope = single.quality * (1 - single.quality)
    return max(1.0, slope / single.deviation**2 - 1)
