"""A candidate with its expected quality and cost: what is expected of it, and its best way."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

import numpy as np

from routing.learning.domains import Loadings
from routing.learning.places import place_at_effort, place_on
from routing.learning.posterior import Observed, Posterior, QualityEstimate, logit, tier_prior
from routing.learning.predictor import logit_at, logit_of_tier
from routing.models import ModelOption, Tier
from routing.policies import Policy
from routing.strategies.base import Situation, by_weighed_cost
from routing.variants import Way

_ZERO = Decimal(0)


class Weighed(NamedTuple):
    """A candidate with its expected quality, its cost in USD, and its latency in seconds.

    ``way`` is how it is asked, ``None`` for as the request asks.
    """

    option: ModelOption
    quality: QualityEstimate
    cost: Decimal | None
    latency: float | None = None
    way: Way | None = None


class Prior(NamedTuple):
    """What is expected of models on a prompt of ``tier``, and what it weighs in ratings.

    ``anchors`` are the logits of the weak and the strong model, ``None`` without a predictor, and
    ``loadings`` the prompt's shares of the domains. ``strength`` is ``None`` for the usual weight:
    less, the further the prompt lies from those that the predictor was trained on. ``effort`` is
    how much the models are to reason, empty if the request does not say.
    """

    tier: Tier
    anchors: tuple[float, float] | None = None
    strength: float | None = None
    loadings: Loadings = ()
    effort: str = ""

    def of(self, option: ModelOption) -> tuple[float, float]:
        """Return the logit expected of a model, and its standard deviation by the model's place."""
        if self.anchors is None:
            return logit(tier_prior(option.tier, self.tier)), 0.0
        if option.place is None:
            return logit_of_tier(self.anchors, option.tier), 0.0
        lead = self.anchors[1] - self.anchors[0]
        place, width = option.place, option.place_width
        if self.effort:
            place, width, _ = place_at_effort(option.efforts, self.effort, place, width)
        place = place_on(place, option.place_by_domain, self.loadings)
        return logit_at(self.anchors, place), width * lead


def in_best_way(
    situation: Situation,
    option: ModelOption,
    quality: QualityEstimate,
    prior: Prior,
    posterior: Posterior,
    observed: Observed,
    policy: Policy | None,
) -> Weighed:
    """Return the model as ``policy`` asks it; ``quality`` is that of the request as it asks."""
    if policy is None:
        way = situation.cheapest_way(option)
        return Weighed(option, quality, way.cost, way.latency, way)
    # Of equal ways, one that cannot be worse comes first, so that nothing is risked for nothing.
    ways = sorted(situation.ways(option), key=lambda way: (*by_weighed_cost(way), not way.as_good))
    qualities = []
    for way in ways:
        if way.as_good:
            qualities.append(quality)
            continue
        expected, width = prior._replace(effort=way.effort).of(option)
        qualities.append(posterior.estimate(expected, observed, prior.strength, width))
    low = np.array([[one.low for one in qualities]])
    best = int(policy.pick(low, [way.weighed_cost for way in ways])[0])
    return Weighed(option, qualities[best], ways[best].cost, ways[best].latency, ways[best])


def by_cost(weighed: Weighed) -> tuple[bool, Decimal, float, float, str, str]:
    """Return the key that sorts the cheapest first; equal prices by quality, then by name."""
    option, quality, cost, *_ = weighed
    ref = (option.provider, option.model)
    return (cost is None, cost or _ZERO, -quality.low, -quality.mean, *ref)
