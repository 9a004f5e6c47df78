"""How far the level of each kind of prompt lies from what was expected, shared by all models.

A few ratings of a new kind say more of the kind than of the model that was rated: graders may be
strict, or the kind harder than it looks. The difference between outcome and expectation, in
logits, is therefore split into effects with normal priors (a crossed random-effects model,
Gelman & Hill 2007, chapters 12-15):

    difference(pattern, tier, model) = all + pattern + (pattern, tier) + model + the rest

``the rest``, of a model on a kind, is left to :class:`routing.learning.posterior.Posterior`, as
is the effect of the model, which is estimated here only to keep it out of the others. All effects
are found together by Newton's method, on the logistic likelihood of the sums of outcomes. How
much kinds differ at all is learned too: the result is the mean over :data:`SCALES` of their
deviations, each weighed by how likely it makes the outcomes (Laplace's approximation).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from routing.models import Evidence, EvidenceKey, ModelRef, Tier

Floats = NDArray[np.float64]

ALL, PATTERN, TIER, MODEL, REST = 1.0, 1.0, 0.4, 0.5, 0.5
"""Standard deviations of the effects, in logits.

From 41 kinds of public benchmarks with 5 to 28 models each: kinds differ by 1.5 in all, tiers of
one benchmark by 0.4, and models within a kind by 0.2 to 0.6 for most.
"""
SCALES = (0.25, 0.5, 1.0, 1.5)
"""What the deviations of kinds are multiplied by: raters may be as strict as was expected."""
_STEPS = 8
_LONGEST_STEP = 2.0
_LEAST_WEIGHT = 1e-3
_LEAST_SLOPE = 0.01

Kind = tuple[str, Tier]


class KindLevels:
    """The effects of kinds; 0 for all of them while nothing is known."""

    def __init__(self, evidence: Mapping[EvidenceKey, Evidence]) -> None:
        self._everywhere = 0.0
        self._patterns: dict[str, float] = {}
        self._kinds: dict[Kind, float] = {}
        cells = [cell for cell in sorted(evidence.items()) if cell[1].weight > _LEAST_WEIGHT]
        if cells:
            self._fit(cells)

    def shift(self, pattern: str, tier: Tier) -> float:
        """Return how far this kind lies from what was expected of it, in logits."""
        return (
            self._everywhere
            + self._patterns.get(pattern, 0.0)
            + self._kinds.get((pattern, tier), 0.0)
        )

    def _fit(self, cells: Sequence[tuple[EvidenceKey, Evidence]]) -> None:
        patterns = sorted({key[0] for key, _ in cells})
        kinds = sorted({key[:2] for key, _ in cells})
        models = sorted({ModelRef(*key[2:]) for key, _ in cells})
        sizes = [1, len(patterns), len(kinds), len(models)]
        starts = np.cumsum([0, *sizes])
        members = np.array(
            [
                (
                    0,
                    starts[1] + patterns.index(key[0]),
                    starts[2] + kinds.index(key[:2]),
                    starts[3] + models.index(ModelRef(*key[2:])),
                )
                for key, _ in cells
            ]
        )
        deviations = np.repeat([ALL, PATTERN, TIER, MODEL], sizes)
        is_level = np.arange(starts[4]) < starts[3]
        sums = _Sums.of([known for _, known in cells], members, int(starts[4]))
        fits: list[_Fit] = []
        for scale in SCALES:
            start = fits[-1].effects if fits else np.zeros(len(deviations))
            fits.append(sums.fit(np.where(is_level, scale, 1.0) * deviations, start))
        evidence = np.array([fit.evidence for fit in fits])
        likely = np.exp(evidence - evidence.max())
        effects = (likely / likely.sum()) @ np.array([fit.effects for fit in fits])
        self._everywhere = float(effects[0])
        self._patterns = dict(zip(patterns, effects[starts[1] :].tolist(), strict=False))
        self._kinds = dict(zip(kinds, effects[starts[2] :].tolist(), strict=False))


class _Fit(NamedTuple):
    """The effects, and the logarithm of how likely their deviations make the outcomes."""

    effects: Floats
    evidence: float


class _Sums(NamedTuple):
    """The outcomes of each model on each kind, (n,), and which effects they have, (n, effects)."""

    weight: Floats
    mean: Floats
    offset: Floats
    design: Floats

    @classmethod
    def of(cls, known: Sequence[Evidence], members: NDArray[np.intp], effects: int) -> _Sums:
        """Build the sums; ``members`` are the columns of each one's effects."""
        weight = np.array([one.weight for one in known])
        mean = np.array([one.quality_sum for one in known]) / weight
        expected = np.array([one.expected_sum for one in known]) / weight
        expected = np.clip(expected, 1e-3, 1 - 1e-3)
        design = np.zeros((len(known), effects))
        np.put_along_axis(design, members, 1.0, axis=1)
        return cls(weight, mean, np.log(expected / (1 - expected)), design)

    def fit(self, deviations: Floats, start: Floats) -> _Fit:
        """Return the effects whose priors have these deviations, beginning at ``start``."""
        precision = 1 / deviations**2
        effects = start
        for _ in range(_STEPS):
            trust, toward = self._toward(effects)
            gradient = self.design.T @ (trust * toward) - precision * effects
            hessian = (self.design.T * trust) @ self.design + np.diag(precision)
            step = np.linalg.solve(hessian, gradient)
            effects = effects + step
            if np.abs(step).max() < 1e-3:
                break
        trust, toward = self._toward(effects)
        hessian = (self.design.T * trust) @ self.design + np.diag(precision)
        evidence = (
            np.log(trust).sum() - trust @ toward**2
            + np.log(precision).sum() - precision @ effects**2
            - np.linalg.slogdet(hessian)[1]
        ) / 2  # fmt: skip
        return _Fit(effects, float(evidence))

    def _toward(self, effects: Floats) -> tuple[Floats, Floats]:
        """Return how much the outcomes say of their kind, and how far they lie from it (logits)."""
        now = 1 / (1 + np.exp(-(self.offset + self.design @ effects)))
        slope = np.maximum(now * (1 - now), _LEAST_SLOPE)
        information = self.weight * slope
        # What is particular to a model on a kind makes its outcomes say less of the kind.
        trust = information / (1 + REST**2 * information)
        return trust, np.clip((self.mean - now) / slope, -_LONGEST_STEP, _LONGEST_STEP)
