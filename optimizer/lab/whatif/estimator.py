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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import Avg, Count, Min

from analytics.models import Feedback, RequestRecord
from analytics.quality.rated_answers import propensities
from analytics.reports.cluster_labels import labels_of, origin_of
from analytics.reports.sum_queries import requests_in
from analytics.reports.sum_sources import RECORDED
from analytics.reports.token_ratios import AnswerLengths
from optimizer.lab.past_requests import PastRequests, analysis_of, effect_on
from optimizer.lab.past_ways import AskedWay, effort_asked, effort_lowered, effort_propensity
from optimizer.lab.policy_effects import Change, LoggedChoice, cost_change, quality_change
from optimizer.lab.session_caches import SimulatedCaches
from optimizer.policies.policy import PolicySpec, leaves_choice
from optimizer.policies.rules import ActiveRules
from routing.evaluation.off_policy import Unsupported
from routing.models import PromptAnalysis
from routing.rules import Effect

MAX_REQUESTS = 20_000
"""The number of latest requests that are decided; more hardly narrow the intervals."""
MIN_REQUESTS = 100
_MONTH = timedelta(days=30.4375)
"""The mean month."""
_SHORTEST = timedelta(days=1)
"""The least time over which requests are counted to tell how many a month has."""

Step = Callable[[], None]


@dataclass(slots=True)
class Answer:
    """The estimate for a policy, over ``requests`` that could be decided.

    ``cost`` is USD per request, ``quality`` 0-1; ``no_cost`` and ``no_quality`` are the
    reasons if the log cannot tell. ``lengths_known`` is the share of requests for which
    the completion's length on the other model is based on data. ``less_effort`` requests would
    reason less, ``in_tier`` would be asked in a cheaper tier; ``tier_seen`` is whether the log has
    calls in it, so that it is known to take calls.

    ``monthly`` is how many such requests a month has at the pace of the log, ``days`` how much
    time that pace is of. ``named`` of the requests name a model of their own.
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
    named: int = 0
    monthly: float = 0.0
    days: float = 0.0


@dataclass(frozen=True, slots=True)
class _Log:
    """What is read of the log once for all policies.

    ``monthly`` counts the requests of a month at the pace of the last ``days``.
    """

    records: Sequence[RequestRecord]
    scores: Mapping[Any, float]
    lengths: AnswerLengths
    named: bool
    monthly: float
    days: float


@dataclass(frozen=True, slots=True)
class _Past:
    """A request of the log, with what is the same for all policies."""

    record: RequestRecord
    analysis: PromptAnalysis
    effect: Effect


@dataclass(slots=True)
class _Course:
    """How the log would have gone under one policy."""

    answer: Answer
    caches: SimulatedCaches
    logged: list[LoggedChoice] = field(default_factory=list)


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
        named: bool = False,
    ) -> Answer:
        """Estimate ``policy`` on the latest ``most`` requests; ``step`` is called after each.

        With ``named``, also on the requests that name a model, as if they left the choice open.
        """
        return self.compare([policy], since, until, most=most, step=step, named=named)[0]

    def compare(
        self,
        policies: Sequence[PolicySpec],
        since: datetime,
        until: datetime | None = None,
        *,
        most: int = MAX_REQUESTS,
        step: Step = lambda: None,
        named: bool = False,
    ) -> list[Answer]:
        """Estimate each of ``policies`` on the same requests, as :meth:`ask` does."""
        lengths = AnswerLengths(RECORDED.by("answer", since, until))
        rows = self._requests(since, until)
        records = list(rows.order_by("-created_at")[:most])
        records.reverse()  # sessions go on from turn to turn
        scores = _mean_scores([record.pk for record in records])
        pace = _pace(rows, until or datetime.now(UTC)) if records else (0.0, 0.0)
        log = _Log(records, scores, lengths, named, *pace)
        tier_seen = any(_tier(record) for record in records)
        courses = [
            _Course(Answer(policy, tier_seen=tier_seen), SimulatedCaches(self._wire_of))
            for policy in policies
        ]
        for record in records:
            if not (named or leaves_choice(record.requested_model)):
                for _ in courses:
                    step()
                continue
            # What no policy changes is found once: the text takes longest to read.
            past = _Past(record, analysis_of(record), effect_on(self._rules.rules, record))
            for course in courses:
                decided = self._decide(past, log, course)
                if decided is not None:
                    course.logged.append(decided)
                step()
        return [_estimated(course.answer, course.logged, log) for course in courses]

    @staticmethod
    def _requests(since: datetime, until: datetime | None) -> Any:
        """Return requests with a decision that a provider answered at a known price."""
        rows = requests_in(since, until).filter(
            cache_hit=False, status=RequestRecord.Status.OK, cost__isnull=False, replayed=False
        )
        return rows.filter(decision__isnull=False).select_related("decision")

    def _decide(self, past: _Past, log: _Log, course: _Course) -> LoggedChoice | None:
        record, answer, caches = past.record, course.answer, course.caches
        policy = answer.policy
        lengths, score = log.lengths, log.scores.get(record.pk)
        effect = past.effect
        if policy.rules:
            effect = effect_on((*policy.rules, *self._rules.rules), record)
        decided = self._past.decide(
            record, effect, policy, caches.find(record), over_named=log.named,
            analysis=past.analysis,
        )  # fmt: skip
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
        answer.named += not leaves_choice(record.requested_model)
        answer.rated += score is not None
        answer.changed += model != target
        answer.before[model] += 1
        answer.after[target] += 1
        assert record.cost is not None
        return LoggedChoice(
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


def _estimated(answer: Answer, logged: Sequence[LoggedChoice], log: _Log) -> Answer:
    if log.records:
        answer.days = log.days
        answer.monthly = log.monthly * len(logged) / len(log.records)
    if len(logged) < MIN_REQUESTS:
        few = "1 request is" if len(logged) == 1 else f"{len(logged)} requests are"
        answer.no_cost = answer.no_quality = f"{few} too few; {MIN_REQUESTS} are needed"
        return answer
    answer.lengths_known = sum(choice.length_known for choice in logged) / len(logged)
    labels = labels_of(choice.origin for choice in logged)
    try:
        answer.cost = cost_change(logged, labels)
    except Unsupported as error:
        answer.no_cost = str(error)
    try:
        answer.quality = quality_change(logged, labels)
    except Unsupported as error:
        answer.no_quality = str(error)
    return answer


def _named(model: str, effort: str) -> str:
    return f"{model} at {effort} effort" if effort else model


def _tier(record: RequestRecord) -> str:
    """Return the service tier that answered, "" for the standard one."""
    return str((record.billed_units or {}).get("service_tier", ""))


def _mean_scores(requests: list[Any]) -> dict[Any, float]:
    """Return the mean score, 0-1, of each rated request's answer."""
    feedback = Feedback.objects.filter(request__in=requests).values("request_id").order_by()
    return {row["request_id"]: row["score"] for row in feedback.annotate(score=Avg("score"))}


def _pace(rows: Any, until: datetime) -> tuple[float, float]:
    """Return how many of ``rows`` a month has at their pace, and the days that the pace is of."""
    counts = rows.order_by().aggregate(n=Count("pk"), first=Min("created_at"))
    span = max(until - counts["first"], _SHORTEST)
    return counts["n"] * (_MONTH / span), span / timedelta(days=1)
