"""What a policy would do to traffic like the logged one: cost, quality and mix, beforehand.

Every logged request that left the choice to us is decided anew under the policy.
Where the log holds the outcome of the model so chosen, that is what counts;
where it does not, doubly robust estimation (:mod:`routing.evaluation.off_policy`)
on the propensities that were written down with each decision. Costs need no
outcome: prices are known, and only the completion's length is estimated, by the
ratio of the models' answers (:mod:`analytics.reports.lengths`).
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
from analytics.reports.lengths import AnswerLengths
from analytics.reports.summing import requests_in
from analytics.reports.sums import RECORDED
from optimizer.lab.past_requests import PastRequests, effect_on
from optimizer.policies.policy import PolicySpec, leaves_choice
from optimizer.policies.rules import ActiveRules
from providers.completion import Usage
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

MOST = 20_000
"""The latest so many requests are decided anew; more make intervals little narrower."""
FEWEST = 100
_LIST_PRICE = 0.01

Step = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Change:
    """A figure as it was, as it would be, and the difference with its 95 % interval."""

    before: Estimate
    after: Estimate
    change: float
    change_low: float
    change_high: float


@dataclass(slots=True)
class Answer:
    """Of ``requests`` that could be decided. ``cost`` is USD a request, ``quality`` 0-1;
    ``no_cost`` and ``no_quality`` say why the log cannot tell. ``lengths_known`` is the share
    of requests whose completion's length on the other model rests on data.
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


@dataclass(slots=True)
class _Logged:
    """One request: who answered and who would, with what is known of it. Costs in USD."""

    kind: str
    model: str
    target: str
    target_propensity: float
    score: float | None
    cost: Decimal
    target_expected: Decimal
    length_known: bool

    @property
    def agrees(self) -> bool:
        return self.model == self.target


class WhatIf:
    """Reads the database: not for the event loop."""

    def __init__(self, past: PastRequests, rules: ActiveRules) -> None:
        self._past = past
        self._rules = rules

    def count(self, since: datetime, until: datetime | None = None) -> int:
        """How many requests :meth:`ask` would decide."""
        return min(MOST, self._requests(since, until).count())

    def ask(
        self,
        policy: PolicySpec,
        since: datetime,
        until: datetime | None = None,
        *,
        most: int = MOST,
        step: Step = lambda: None,
    ) -> Answer:
        """From the latest ``most`` requests of the period; ``step`` is called after each."""
        answer = Answer(policy)
        lengths = AnswerLengths(RECORDED.by("answer", since, until))
        records = list(self._requests(since, until).order_by("-created_at")[:most])
        scores = _mean_verdicts([record.pk for record in records])
        logged = []
        for record in records:
            found = self._one(record, policy, lengths, scores.get(record.pk), answer)
            if found is not None:
                logged.append(found)
            step()
        if len(logged) < FEWEST:
            answer.no_cost = answer.no_quality = (
                f"{len(logged)} requests are too few; {FEWEST} are needed"
            )
            return answer
        logged.reverse()
        _estimate_cost(answer, logged)
        _estimate_quality(answer, logged)
        return answer

    @staticmethod
    def _requests(since: datetime, until: datetime | None) -> Any:
        """Answered by a provider, at a known price, and with the choice left to us."""
        rows = requests_in(since, until).filter(
            cache_hit=False, status=RequestRecord.Status.OK, cost__isnull=False, replayed=False
        )
        return rows.filter(decision__isnull=False).select_related("decision")

    def _one(
        self,
        record: RequestRecord,
        policy: PolicySpec,
        lengths: AnswerLengths,
        score: float | None,
        answer: Answer,
    ) -> _Logged | None:
        if not leaves_choice(record.requested_model):
            return None
        effect = effect_on((*policy.rules, *self._rules.rules), record)
        decided = self._past.decide(record, effect, policy)
        if isinstance(decided, str):
            answer.undecided[decided] += 1
            return None
        model = f"{record.provider}/{record.model}"
        target = f"{decided.provider}/{decided.model}"
        ratio = lengths.ratio(model, target)
        usage = Usage(
            round(record.tokens_in * lengths.input_ratio(model, target).ratio),
            round(record.tokens_out * ratio.ratio),
        )
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
            kind=f"{record.pattern}/{record.tier}",
            model=model,
            target=target,
            target_propensity=propensities(record.decision).get(target, 0.0),
            score=score,
            cost=record.cost,
            target_expected=expected,
            length_known=ratio.known,
        )


def propensities(decision: Any) -> dict[str, float]:
    """The chance that each model had of answering: 1 for who did, unless chance took part.

    Where something else than the strategy had the last word (a rule, the
    conversation's cache, a fallback), chance did not.
    """
    metadata = decision.metadata
    served = f"{decision.provider}/{decision.model}"
    if {"rejected_model", "intended_model"} & metadata.keys():
        return {served: 1.0}
    found = {
        f"{candidate['provider']}/{candidate['model']}": float(candidate["propensity"])
        for candidate in metadata.get("candidates", [])
        if candidate.get("propensity") is not None
    }
    return found or {served: 1.0}


def _mean_verdicts(requests: list[Any]) -> dict[Any, float]:
    """What the answer of each request was found to be worth, 0-1, where anyone said so."""
    verdicts = Feedback.objects.filter(request__in=requests).values("request_id").order_by()
    return {row["request_id"]: row["score"] for row in verdicts.annotate(score=Avg("score"))}


def _places(names: Iterable[str]) -> dict[str, int]:
    return {name: place for place, name in enumerate(sorted(set(names)))}


def _estimate_cost(answer: Answer, logged: list[_Logged]) -> None:
    answer.lengths_known = float(np.mean([r.length_known for r in logged]))
    spent = np.array([float(r.cost) for r in logged])
    agreed = np.array([r.agrees for r in logged])
    before = PolicyOutcomes(spent, spent, np.ones(len(spent)))
    # Prices are known for every model, so a prediction without a correction is no guess:
    # only what the log paid beyond them (failed tries, a prompt cache) is corrected for.
    after = PolicyOutcomes(
        np.array([float(r.target_expected) for r in logged]),
        np.where(agreed, spent, np.nan),
        np.array([max(r.target_propensity, _LIST_PRICE) for r in logged]),
    )
    change, low, high = difference(after, before, most=np.inf)
    answer.cost = Change(_plain(before), _plain(after), change, low, high)


def _plain(seen: PolicyOutcomes) -> Estimate:
    mean, low, high = interval_of(seen.phi)
    return Estimate(mean, max(0.0, low), high, float(len(seen.phi)), 1.0)


def _estimate_quality(answer: Answer, logged: list[_Logged]) -> None:
    kinds = _places(r.kind for r in logged)
    models = _places(name for r in logged for name in (r.model, r.target))
    kind = np.array([kinds[r.kind] for r in logged])
    model = np.array([models[r.model] for r in logged])
    target = np.array([models[r.target] for r in logged])
    score = np.array([np.nan if r.score is None else r.score for r in logged])
    rated = ~np.isnan(score)
    (at,) = np.nonzero(rated)
    known = LoggedOutcomes(at, kind[at], model[at], score[at], len(logged))
    before = PolicyOutcomes(
        predictions(known, kind, model), score, rating_chance(rated, kind, model)
    )
    after = PolicyOutcomes(
        predictions(known, kind, target),
        np.where(model == target, score, np.nan),
        np.array([r.target_propensity for r in logged])
        * rating_chance(rated, kind, model, of=target),
    )
    try:
        estimates = estimate(before), estimate(after)
    except Unsupported as why:
        answer.no_quality = str(why)
        return
    answer.quality = Change(*estimates, *difference(after, before))
