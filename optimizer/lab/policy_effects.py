"""How a policy changes cost and quality, estimated from the choices and outcomes of the log."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from analytics.reports.cluster_labels import Origin
from routing.evaluation.clustered import Labels
from routing.evaluation.off_policy import (
    Estimate,
    LoggedOutcomes,
    PolicyOutcomes,
    difference,
    estimate,
    interval_of,
    predictions,
    rating_chance,
)

_MIN_COST_PROPENSITY = 0.01


@dataclass(frozen=True, slots=True)
class Change:
    """A figure as it was and under the policy, and the change with its 95 % interval."""

    before: Estimate
    after: Estimate
    change: float
    change_low: float
    change_high: float


class LoggedChoice(NamedTuple):
    """One logged request: the model that answered, and the target of the policy. Costs in USD.

    A model that is asked to reason less than the client asked is another one.
    """

    origin: Origin
    kind: str
    model: str
    target: str
    same_tier: bool
    target_propensity: float
    score: float | None
    cost: float
    target_expected: float
    length_known: bool

    @property
    def agrees(self) -> bool:
        """Whether the policy would choose the model that answered, in the tier that did."""
        return self.model == self.target and self.same_tier


def _indices(names: Iterable[str]) -> dict[str, int]:
    return {name: index for index, name in enumerate(sorted(set(names)))}


def cost_change(logged: Sequence[LoggedChoice], labels: Labels) -> Change:
    """Return the change of the cost in USD per request.

    Raises :class:`routing.evaluation.off_policy.Unsupported`.
    """
    spent = np.array([r.cost for r in logged])
    agreed = np.array([r.agrees for r in logged])
    before = PolicyOutcomes(spent, spent, np.ones(len(spent)))
    # Prices are known for every model, so a prediction needs no correction for the price
    # itself: only extra costs in the log (failed tries, a prompt cache) are corrected for.
    after = PolicyOutcomes(
        np.array([r.target_expected for r in logged]),
        np.where(agreed, spent, np.nan),
        np.array([max(r.target_propensity, _MIN_COST_PROPENSITY) for r in logged]),
    )
    estimates = _cost_estimate(before, labels), _cost_estimate(after, labels)
    return Change(*estimates, *difference(after, before, labels, most=np.inf))


def _cost_estimate(seen: PolicyOutcomes, labels: Labels) -> Estimate:
    mean, low, high = interval_of(seen.phi, labels)
    return Estimate(mean, max(0.0, low), high, float(len(seen.phi)), 1.0)


def quality_change(logged: Sequence[LoggedChoice], labels: Labels) -> Change:
    """Return the change of quality, 0-1.

    Raises :class:`routing.evaluation.off_policy.Unsupported`.
    """
    kinds = _indices(r.kind for r in logged)
    models = _indices(name for r in logged for name in (r.model, r.target))
    kind = np.array([kinds[r.kind] for r in logged])
    model = np.array([models[r.model] for r in logged])
    target = np.array([models[r.target] for r in logged])
    score = np.array([np.nan if r.score is None else r.score for r in logged])
    rated = ~np.isnan(score)
    (at,) = np.nonzero(rated)
    known = LoggedOutcomes(at, kind[at], model[at], score[at], len(logged))
    before = PolicyOutcomes(
        predictions(known, kind, model, labels), score, rating_chance(rated, kind, model)
    )
    after = PolicyOutcomes(
        predictions(known, kind, target, labels),
        np.where(model == target, score, np.nan),
        np.array([r.target_propensity for r in logged])
        * rating_chance(rated, kind, model, of=target),
    )
    estimates = estimate(before, labels), estimate(after, labels)
    return Change(*estimates, *difference(after, before, labels))
