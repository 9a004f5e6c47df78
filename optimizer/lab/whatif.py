"""What-if: estimate cost, quality and model mix of a policy on logged traffic.

Every logged request that left the choice of the model to the service is decided again
under the policy. If the log has the outcome of the chosen model, that outcome counts. If
not, it is estimated by doubly robust estimation (:mod:`routing.evaluation.off_policy`)
with the propensities that were recorded with each decision. Costs need no outcome: prices
are known, and only the completion's length is estimated, by the ratio of the lengths of
the models' answers (:mod:`analytics.reports.token_ratios`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

import numpy as np
from django.db.models import Avg

from analytics.models import Feedback, RequestRecord
from analytics.quality.rated_answers import propensities
from analytics.reports.cluster_labels import Origin, labels_of, origin_of
from analytics.reports.sum_queries import requests_in
from analytics.reports.sum_sources import RECORDED
from analytics.reports.token_ratios import AnswerLengths
from optimizer.lab.past_requests import PastRequests, effect_on
from optimizer.lab.past_ways import AskedWay, effort_asked, effort_lowered, effort_propensity
from optimizer.lab.session_caches import SimulatedCaches
from optimizer.policies.policy import PolicySpec, leaves_choice
from optimizer.policies.rules import ActiveRules
from routing.evaluation.clustered import Labels
from routing.evaluation.off_policy import (
    Estimate,
    LoggedOutcomes,
    PolicyOutcomes,
    Unsupported,
    difference,
    estimate,
    interval_of,
    predictions,
    rating_chance,
)

MAX_REQUESTS = 20_000
"""The number of latest requests that are decided; more hardly narrow the intervals."""
MIN_REQUESTS = 100
_MIN_COST_PROPENSITY = 0.01

Step = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Change:
    """A figure as it was and under the policy, and the change with its 95 % interval."""

    before: Estimate
    after: Estimate
    change: float
    change_low: float
    change_high: float


@dataclass(slots=True)
class Answer:
    """The estimate for a policy, over ``requests`` that could be decided.

    ``cost`` is USD per request, ``quality`` 0-1; ``no_cost`` and ``no_quality`` are the
    reasons if the log cannot tell. ``lengths_known`` is the share of requests for which
    the completion's length on the other model is based on data. ``less_effort`` requests would
    reason less, ``in_tier`` would be asked in a cheaper tier; ``tier_seen`` is whether the log has
    calls in it, so that it is known to take calls.
    """

    policy: PolicySpec
    requests: int = 0
    rated: int = 0
    changed: int = 0
    undecided: Counter[str] = field(default_factory=Counter)
    before: Counter[str] = field(default_factory=Counter)
    after: Counter[str] = field(default_factory=Counter)
    cost: Change | None = None
    no_cost: str = ""
    lengths_known: float = 1.0
    quality: Change | None = None
    no_quality: str = ""
    less_effort: int = 0
    in_tier: int = 0
    tier_seen: bool = True


@dataclass(slots=True)
class _Logged:
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
    cost: Decimal
    target_expected: Decimal
    length_known: bool

    @property
    def agrees(self) -> bool:
        """Whether the policy would choose the model that answered, in the tier that did."""
        return self.model == self.target and self.same_tier


class WhatIf:
    """Estimates policies on the log. Reads the database: not for the event loop."""

    def __init__(
        self, past: PastRequests, rules: ActiveRules, wire_of: Callable[[str], str]
    ) -> None:
        self._past = past
        self._rules = rules
        self._wire_of = wire_of

    def count(self, since: datetime, until: datetime | None = None) -> int:
        """Return how many requests :meth:`ask` would decide."""
        return min(MAX_REQUESTS, self._requests(since, until).count())

    def ask(
        self,
        policy: PolicySpec,
        since: datetime,
        until: datetime | None = None,
        *,
        most: int = MAX_REQUESTS,
        step: Step = lambda: None,
    ) -> Answer:
        """Estimate ``policy`` on the latest ``most`` requests; ``step`` is called after each."""
        answer = Answer(policy)
        lengths = AnswerLengths(RECORDED.by("answer", since, until))
        records = list(self._requests(since, until).order_by("-created_at")[:most])
        records.reverse()  # sessions go on from turn to turn
        caches = SimulatedCaches(self._wire_of)
        answer.tier_seen = any(_tier(record) for record in records)
        scores = _mean_scores([record.pk for record in records])
        logged = []
        for record in records:
            decided = self._decide(record, policy, lengths, scores.get(record.pk), answer, caches)
            if decided is not None:
                logged.append(decided)
            step()
        if len(logged) < MIN_REQUESTS:
            answer.no_cost = answer.no_quality = (
                f"{len(logged)} requests are too few; {MIN_REQUESTS} are needed"
            )
            return answer
        labels = labels_of(request.origin for request in logged)
        _estimate_cost(answer, logged, labels)
        _estimate_quality(answer, logged, labels)
        return answer

    @staticmethod
    def _requests(since: datetime, until: datetime | None) -> Any:
        """Return requests with a decision that a provider answered at a known price."""
        rows = requests_in(since, until).filter(
            cache_hit=False, status=RequestRecord.Status.OK, cost__isnull=False, replayed=False
        )
        return rows.filter(decision__isnull=False).select_related("decision")

    def _decide(
        self,
        record: RequestRecord,
        policy: PolicySpec,
        lengths: AnswerLengths,
        score: float | None,
        answer: Answer,
        caches: SimulatedCaches,
    ) -> _Logged | None:
        if not leaves_choice(record.requested_model):
            return None
        effect = effect_on((*policy.rules, *self._rules.rules), record)
        decided = self._past.decide(record, effect, policy, caches.find(record))
        way = AskedWay()
        if not isinstance(decided, str) and self._past.ways is not None:
            asked = self._past.ways.asked(record, decided)
            if isinstance(asked, str):
                decided = asked
            else:
                way = asked
        if isinstance(decided, str):
            answer.undecided[decided] += 1
            return None
        model = str(record.ref)
        target = str(decided.ref)
        ratio = lengths.ratio(model, target)
        tokens = (
            round(record.tokens_in * lengths.input_ratio(model, target).ratio),
            round(record.tokens_out * ratio.ratio * way.length),
        )
        effort = way.effort or effort_asked(record)
        usage = caches.usage(record, decided.ref, effort, way.service_tier, tokens)
        answer.less_effort += bool(way.effort)
        answer.in_tier += bool(way.service_tier)
        propensity = propensities(record.decision).get(target, 0.0)
        propensity *= effort_propensity(record, way.effort)
        model, target = _named(model, effort_lowered(record)), _named(target, way.effort)
        expected = self._past.prices.cost(decided.provider, decided.model, usage)
        if expected is None:
            answer.undecided["the price of its model is unknown"] += 1
            return None
        answer.requests += 1
        answer.rated += score is not None
        answer.changed += model != target
        answer.before[model] += 1
        answer.after[target] += 1
        assert record.cost is not None
        return _Logged(
            origin=origin_of(record),
            kind=f"{record.pattern}/{record.tier}",
            model=model,
            target=target,
            same_tier=_tier(record) == way.service_tier,
            target_propensity=propensity,
            score=score,
            cost=record.cost,
            target_expected=expected,
            length_known=ratio.known,
        )


def _named(model: str, effort: str) -> str:
    return f"{model} at {effort} effort" if effort else model


def _tier(record: RequestRecord) -> str:
    """Return the service tier that answered, "" for the standard one."""
    return str((record.billed_units or {}).get("service_tier", ""))


def _mean_scores(requests: list[Any]) -> dict[Any, float]:
    """Return the mean score, 0-1, of each rated request's answer."""
    feedback = Feedback.objects.filter(request__in=requests).values("request_id").order_by()
    return {row["request_id"]: row["score"] for row in feedback.annotate(score=Avg("score"))}


def _indices(names: Iterable[str]) -> dict[str, int]:
    return {name: index for index, name in enumerate(sorted(set(names)))}


def _estimate_cost(answer: Answer, logged: list[_Logged], labels: Labels) -> None:
    answer.lengths_known = float(np.mean([r.length_known for r in logged]))
    spent = np.array([float(r.cost) for r in logged])
    agreed = np.array([r.agrees for r in logged])
    before = PolicyOutcomes(spent, spent, np.ones(len(spent)))
    # Prices are known for every model, so a prediction needs no correction for the price
    # itself: only extra costs in the log (failed tries, a prompt cache) are corrected for.
    after = PolicyOutcomes(
        np.array([float(r.target_expected) for r in logged]),
        np.where(agreed, spent, np.nan),
        np.array([max(r.target_propensity, _MIN_COST_PROPENSITY) for r in logged]),
    )
    try:
        estimates = _cost_estimate(before, labels), _cost_estimate(after, labels)
        answer.cost = Change(*estimates, *difference(after, before, labels, most=np.inf))
    except Unsupported as error:
        answer.no_cost = str(error)


def _cost_estimate(seen: PolicyOutcomes, labels: Labels) -> Estimate:
    mean, low, high = interval_of(seen.phi, labels)
    return Estimate(mean, max(0.0, low), high, float(len(seen.phi)), 1.0)


def _estimate_quality(answer: Answer, logged: list[_Logged], labels: Labels) -> None:
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
    try:
        estimates = estimate(before, labels), estimate(after, labels)
        answer.quality = Change(*estimates, *difference(after, before, labels))
    except Unsupported as error:
        answer.no_quality = str(error)
