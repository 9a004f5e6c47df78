"""The curve of a router between a weak and a strong model.

Prompts are sorted by the router's score; the point ``k`` sends the ``k`` prompts
with the highest scores to the strong model. PGR (performance gap recovered), APGR
and CPT are those of RouteLLM (Ong et al. 2024, arXiv 2406.18665, section 3): PGR is
``(quality - weak) / (strong - weak)``, APGR its mean over the share of strong
calls, taken at eleven points by the trapezoidal rule, and CPT(x) the smallest
share of strong calls whose PGR reaches x.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
SHARES = (0.5, 0.8, 0.95)
"""Gap shares for which CPT is reported; the last is also the quality share for the cost."""
_ROUNDING = 1e-9
_POINTS = np.linspace(0.0, 1.0, 11)


@dataclass(frozen=True, slots=True)
class Pair:
    """Both models on the same ``n`` prompts: qualities 0-1 and costs in USD, each (n,)."""

    ids: Sequence[str]
    weak_quality: Floats
    strong_quality: Floats
    weak_cost: Floats
    strong_cost: Floats

    def ranked(self, scores: Sequence[float]) -> NDArray[np.intp]:
        """Return the prompts' indices by falling score; ties are in an arbitrary, fixed order."""
        ties = np.array([zlib.crc32(i.encode()) for i in self.ids])
        return np.lexsort((ties, -np.asarray(scores, dtype=float)))


@dataclass(frozen=True, slots=True)
class Figures:
    """A router's figures.

    ``cpt`` maps a gap share to the share of strong calls that reaches it.
    ``cost_at_95`` is the cost at which the mean quality reaches 95 % of the
    strong model's, as a share of always using the strong model, and ``cost_at_equal``
    that at which it reaches all of it. ``nan`` means
    undefined, for example if the strong model is no better than the weak one.
    """

    apgr: float
    cpt: dict[float, float]
    cost_at_95: float
    cost_at_equal: float


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with the 2.5 % and 97.5 % quantiles of its bootstrap distribution."""

    value: float
    low: float
    high: float


def figures(pair: Pair, scores: Sequence[float], weights: Floats | None = None) -> Figures:
    """Return the router's figures; ``weights`` (n,) counts how often each prompt occurs."""
    return _figures(pair, pair.ranked(scores), weights)


def _figures(pair: Pair, order: NDArray[np.intp], weights: Floats | None) -> Figures:
    count = np.ones(len(order)) if weights is None else weights[order]
    share = np.concatenate(([0.0], np.cumsum(count))) / count.sum()
    quality = _along(order, count, pair.weak_quality, pair.strong_quality)
    cost = _along(order, count, pair.weak_cost, pair.strong_cost)
    gap = quality[-1] - quality[0]
    if gap <= 0:
        return Figures(np.nan, dict.fromkeys(SHARES, np.nan), np.nan, np.nan)
    pgr = (quality - quality[0]) / gap
    apgr = float(np.trapezoid(np.interp(_POINTS, share, pgr), _POINTS))
    enough = np.argmax(quality >= SHARES[-1] * quality[-1] - _ROUNDING)
    equal = np.argmax(quality >= quality[-1] - _ROUNDING)
    return Figures(
        apgr,
        {gap_share: float(share[np.argmax(pgr >= gap_share - _ROUNDING)]) for gap_share in SHARES},
        float(cost[enough] / cost[-1]) if cost[-1] > 0 else np.nan,
        float(cost[equal] / cost[-1]) if cost[-1] > 0 else np.nan,
    )


def _along(order: NDArray[np.intp], count: Floats, weak: Floats, strong: Floats) -> Floats:
    """Return the mean over all prompts at each point of the curve, shape (n + 1,)."""
    gained = np.cumsum(count * (strong - weak)[order])
    start = (count * weak[order]).sum()
    return np.concatenate(([start], start + gained)) / count.sum()


def pgr_curve(pair: Pair, scores: Sequence[float]) -> tuple[Floats, Floats]:
    """Return the share of strong calls and the share of the gap recovered, both (n + 1,)."""
    n = len(pair.ids)
    quality = _along(pair.ranked(scores), np.ones(n), pair.weak_quality, pair.strong_quality)
    gap = quality[-1] - quality[0]
    recovered = (quality - quality[0]) / gap if gap > 0 else np.full_like(quality, np.nan)
    return np.linspace(0.0, 1.0, n + 1), recovered


def bootstrap(
    pair: Pair, scores: Sequence[float], *, resamples: int = 1000, seed: int = 0
) -> dict[str, Interval]:
    """Return each figure with its 95 % interval over ``resamples`` draws of the prompts."""
    order = pair.ranked(scores)
    draw = np.random.default_rng(seed)
    n = len(order)
    values = _named(_figures(pair, order, None))
    samples: dict[str, list[float]] = {name: [] for name in values}
    for _ in range(resamples):
        weights = np.bincount(draw.integers(0, n, n), minlength=n).astype(float)
        for name, value in _named(_figures(pair, order, weights)).items():
            if not np.isnan(value):
                samples[name].append(value)
    return {
        name: Interval(value, *np.quantile(samples[name] or [np.nan], (0.025, 0.975)).tolist())
        for name, value in values.items()
    }


def _named(f: Figures) -> dict[str, float]:
    cpt = {f"cpt{round(100 * share)}": value for share, value in f.cpt.items()}
    costs = {"cost_at_95": f.cost_at_95, "cost_at_equal": f.cost_at_equal}
    return {"apgr": f.apgr, **cpt, **costs}
