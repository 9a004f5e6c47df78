"""What-if: estimate cost, quality and model mix of a policy on logged traffic.

Every logged request that left the choice of the model to the service is decided again
under the policy. If the log has the outcome of the chosen model, that outcome counts. If
not, it is estimated by doubly robust estimation (:mod:`routing.evaluation.off_policy`)
with the propensities that were recorded with each decision. Costs need no outcome: prices
are known, and only the completion's length is estimated, by the ratio of the lengths of
the models' answers (:mod:`analytics.reports.token_ratios`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import inf
from time import monotonic
from typing import Any

from django.db.models import Avg

from analytics.models import Feedback, RequestRecord
from analytics.quality.rated_answers import propensities
from analytics.reports.cluster_labels import origin_of
from analytics.reports.sum_queries import requests_in
from optimizer.lab.past_requests import PastRequests, analysis_of, effect_on
from optimizer.lab.past_ways import AskedWay, effort_asked, effort_lowered, effort_propensity
from optimizer.lab.policy_effects import LoggedChoice
from optimizer.lab.session_caches import SimulatedCaches
from optimizer.lab.whatif.log_pace import log_facts
from optimizer.lab.whatif.study import Answer, PolicyCourse, WhatIfStudy
from optimizer.policies.policy import PolicySpec, leaves_choice
from optimizer.policies.rules import ActiveRules
from routing.models import PromptAnalysis
from routing.rules import Effect

MAX_REQUESTS = 20_000
"""The number of latest requests that are decided; more hardly narrow the intervals."""
_READ_TOGETHER = 1_000
"""How many decisions are made of the requests that are read at once."""

Step = Callable[[], None]


@dataclass(frozen=True, slots=True)
class _Past:
    """A request of the log, with what is the same for all policies."""

    record: RequestRecord
    analysis: PromptAnalysis
    effect: Effect
    score: float | None


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
        return min(MAX_REQUESTS, self._requests(since, until)[:MAX_REQUESTS].count())

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
        study = self.begin(policies, since, until, most=most, named=named)
        self.go_on(study, step=step)
        return study.answers()

    def begin(
        self,
        policies: Sequence[PolicySpec],
        since: datetime,
        until: datetime | None = None,
        *,
        most: int = MAX_REQUESTS,
        named: bool = False,
    ) -> WhatIfStudy:
        """Choose the requests to decide: the latest ``most`` of them. None is decided yet."""
        rows = self._requests(since, until)
        latest = list(rows.order_by("-created_at").values_list("pk", "created_at")[:most])
        latest.reverse()  # sessions go on from turn to turn
        first = latest[0][1] if latest else None
        if len(latest) == most:
            first = rows.order_by("created_at").values_list("created_at", flat=True).first()
        facts = log_facts([at for _, at in latest], first, since, until, whole=len(latest) < most)
        return WhatIfStudy(
            [key for key, _ in latest],
            [PolicyCourse(Answer(policy)) for policy in policies],
            facts.lengths,
            self._rules.rules,
            named,
            facts.monthly,
            facts.days,
            until or datetime.now(UTC),
        )

    def go_on(
        self, study: WhatIfStudy, seconds: float | None = None, step: Step = lambda: None
    ) -> None:
        """Decide more requests of the study, for so many seconds and at least one, or else all.

        Call ``step`` after each.
        """
        ends = inf if seconds is None else monotonic() + seconds
        together = max(1, _READ_TOGETHER // max(1, len(study.courses)))
        while not study.done:
            keys = study.requests[study.decided : study.decided + together]
            records = RequestRecord.objects.select_related("decision").in_bulk(keys)
            scores = _mean_scores(keys)
            for key in keys:
                # A request may have been deleted since the study began.
                if (record := records.get(key)) is not None:
                    self._decide_all(record, scores.get(key), study)
                study.decided += 1
                step()
                if monotonic() >= ends:
                    return

    def _decide_all(self, record: RequestRecord, score: float | None, study: WhatIfStudy) -> None:
        """Decide one request under all policies."""
        study.tier_seen |= bool(_tier(record))
        if not (study.named or leaves_choice(record.requested_model)):
            return
        # What no policy changes is found once: the text takes longest to read.
        effect = effect_on(study.rules, record)
        past = _Past(record, analysis_of(record), effect, score)
        for course in study.courses:
            decided = self._decide(past, study, course)
            if decided is not None:
                course.logged.append(decided)

    @staticmethod
    def _requests(since: datetime, until: datetime | None) -> Any:
        """Return requests with a decision that a provider answered at a known price."""
        rows = requests_in(since, until).filter(
            cache_hit=False, status=RequestRecord.Status.OK, cost__isnull=False, replayed=False
        )
        return rows.filter(decision__isnull=False).select_related("decision")

    def _decide(self, past: _Past, study: WhatIfStudy, course: PolicyCourse) -> LoggedChoice | None:
        record, answer = past.record, course.answer
        caches = SimulatedCaches(self._wire_of, course.sessions)
        policy, lengths, score = answer.policy, study.lengths, past.score
        effect = past.effect
        if policy.rules:
            effect = effect_on((*policy.rules, *study.rules), record)
        decided = self._past.decide(
            record, effect, policy, caches.find(record), over_named=study.named,
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
            cost=float(record.cost),
            target_expected=float(expected),
            length_known=ratio.known,
        )


def _named(model: str, effort: str) -> str:
    return f"{model} at {effort} effort" if effort else model


def _tier(record: RequestRecord) -> str:
    """Return the service tier that answered, "" for the standard one."""
    return str((record.billed_units or {}).get("service_tier", ""))


def _mean_scores(requests: Sequence[Any]) -> dict[Any, float]:
    """Return the mean score, 0-1, of each rated request's answer."""
    feedback = Feedback.objects.filter(request__in=requests).values("request_id").order_by()
    return {row["request_id"]: row["score"] for row in feedback.annotate(score=Avg("score"))}
