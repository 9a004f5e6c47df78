"""What is known of policies on past requests, while these are decided again and at the end."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from analytics.reports.cluster_labels import labels_of
from analytics.reports.token_ratios import AnswerLengths
from optimizer.lab.policy_effects import Change, LoggedChoice, cost_change, quality_change
from optimizer.lab.session_caches import CachedSessions
from optimizer.policies.policy import PolicySpec
from routing.evaluation.off_policy import Unsupported
from routing.rules import Rule

MIN_REQUESTS = 100


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


@dataclass(slots=True)
class PolicyCourse:
    """How the log would have gone under one policy, as far as it is decided."""

    answer: Answer
    sessions: CachedSessions = field(default_factory=OrderedDict)
    logged: list[LoggedChoice] = field(default_factory=list)


@dataclass(slots=True)
class WhatIfStudy:
    """Requests of the log that are decided again, the earliest first; ``decided`` of them are.

    It can be pickled, and go on elsewhere. ``monthly`` counts the requests of a month at the pace
    of the last ``days``, until ``made_at``. ``rules`` are those in force when it began.
    """

    requests: Sequence[Any]
    courses: Sequence[PolicyCourse]
    lengths: AnswerLengths
    rules: tuple[Rule, ...]
    named: bool
    monthly: float
    days: float
    made_at: datetime
    decided: int = 0
    tier_seen: bool = False

    @property
    def done(self) -> bool:
        """Return whether all requests are decided."""
        return self.decided >= len(self.requests)

    def answers(self) -> list[Answer]:
        """Return the estimate of each policy on the requests that are decided."""
        return [self._estimated(course.answer, course.logged) for course in self.courses]

    def _estimated(self, answer: Answer, logged: Sequence[LoggedChoice]) -> Answer:
        answer.tier_seen = self.tier_seen
        answer.no_cost = answer.no_quality = ""
        answer.cost = answer.quality = None
        if self.decided:
            answer.days = self.days
            answer.monthly = self.monthly * len(logged) / self.decided
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
