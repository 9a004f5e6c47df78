"""Watches whether levers make answers worse, and stops those that do."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from django.db.models import Max
from django.utils import timezone

from analytics.levers import HARM_BUDGET, lever_stop, ramp_end
from analytics.models import Comparison, Feedback, Lever, RequestRecord
from analytics.reports.lever_rows import scores_of
from routing.evaluation.harm_watch import (
    HARM_MARGIN,
    Observations,
    ScoredUnits,
    harm_bounds,
    harm_verdict,
    pair_observations,
    smallest_harm,
)

logger = logging.getLogger(__name__)

WATCHER = "the watch on quality"
"""Who has stopped a lever, in the record of changes."""
MAX_WATCHED = 20_000
"""The first scores and pairs that are watched; more hardly narrow the bounds."""
_LONGEST = timedelta(days=90)


@dataclass(frozen=True, slots=True)
class LeverScores:
    """What is known of the quality of a lever's answers since it was switched on.

    ``treated`` and ``eligible`` are requests, ``scored`` and ``paired`` how many have a score or
    a pair of scores. ``control`` is the share left alone now.
    """

    sources: tuple[Observations, ...]
    treated: int
    eligible: int
    scored: int
    paired: int
    score_variance: float
    pair_variance: float
    control: float

    def smallest_harm(self, budget: float) -> float:
        """Return the smallest harm, in points an answer, that is stopped within the budget."""
        requests = max(self.eligible, 1)
        return smallest_harm(
            budget, self.scored / requests, self.score_variance, self.control,
            paired=self.paired / requests, pair_variance=self.pair_variance,
        )  # fmt: skip

    def as_json(self, budget: float) -> dict[str, Any]:
        """Return the bounds of the harm, and what the watch can notice."""
        bounds, smallest = harm_bounds(self.sources), self.smallest_harm(budget)
        return {
            "low": bounds.low,
            "high": bounds.high,
            "budget": budget,
            "scored": self.scored,
            "paired": self.paired,
            "treated": self.treated,
            "smallest": smallest if smallest < 1 else None,
        }


class HarmWatch:
    """Looks at the scores of levers' answers; ``by_request`` names levers with an arm a request.

    Treated requests are counted on from the last look, as they may be millions.
    """

    def __init__(self, by_request: frozenset[str]) -> None:
        self._by_request = by_request
        self._counted: dict[str, tuple[datetime, datetime, int, int]] = {}
        self._read: dict[str, tuple[datetime, int, ScoredUnits, Any]] = {}

    def stop_harmful(self, used: Iterable[tuple[str, float]]) -> list[str]:
        """Stop the levers that do harm; return their names.

        ``used`` are the names of the levers that are being proven, with the share left alone.
        """
        rows = {row.name: row for row in Lever.objects.all()}
        return [name for name, control in used if self._look(name, control, rows.get(name))]

    def scores(self, name: str, control: float, row: Lever | None) -> LeverScores:
        """Return what is known of a lever's answers since it was switched on."""
        now = timezone.now()
        since = row.started_at if row is not None and row.started_at else now - _LONGEST
        eligible, treated = self._requests(name, since, now)
        units, pairs = self._scores_since(name, max(since, now - _LONGEST), bool(row))
        return LeverScores(
            (units.observations(), pair_observations(*pairs)),
            treated,
            eligible,
            len(units.score),
            len(pairs[0]),
            float(units.score.var()) if len(units.score) > 1 else 0.0,
            float((pairs[0] - pairs[1]).var()) if len(pairs[0]) > 1 else 0.0,
            control,
        )

    def _look(self, name: str, control: float, row: Lever | None) -> bool:
        known = self.scores(name, control, row)
        budget = HARM_BUDGET if row is None else row.harm_budget
        ramping = row is not None and row.ramping
        verdict = harm_verdict(
            known.sources, known.treated, budget, ramping=ramping,
            release=min(max(known.smallest_harm(budget), HARM_MARGIN), 0.99),
        )  # fmt: skip
        if verdict.stop:
            logger.warning("The lever %s is stopped: %s", name, verdict.stop)
            return lever_stop(name, verdict.stop, who=WATCHER)
        if ramping and verdict.released:
            ramp_end(name, who=WATCHER)
        return False

    def _requests(self, name: str, since: datetime, now: datetime) -> tuple[int, int]:
        """Return how many requests the lever would change since then, and how many it did."""
        start, until, eligible, treated = self._counted.get(name, (since, since, 0, 0))
        if start != since:
            until, eligible, treated = since, 0, 0
        # What is younger may not be committed yet, and is counted the next time.
        upto = now - timedelta(seconds=30)
        if upto > until:
            of_lever = RequestRecord.objects.filter(
                created_at__gte=until, created_at__lt=upto, levers__isnull=False
            ).filter(**{f"levers__{name}__isnull": False})
            eligible += of_lever.count()
            treated += of_lever.filter(**{f"levers__{name}__arm": "treated"}).count()
            self._counted[name] = (since, upto, eligible, treated)
        return eligible, treated

    def _scores_since(self, name: str, since: datetime, fixed: bool) -> tuple[ScoredUnits, Any]:
        """Return the scores of units and pairs, read anew once there is a hundredth more of them.

        Reading tens of thousands takes seconds, and one score more hardly matters to them.
        """
        latest = sum(
            table.objects.aggregate(last=Max("pk"))["last"] or 0 for table in (Feedback, Comparison)
        )
        if (kept := self._read.get(name)) is not None:
            start, mark, units, pairs = kept
            if (start == since or not fixed) and latest - mark <= len(units.score) // 100:
                return units, pairs
        units, pairs = self._units(name, since), _pairs(name, since)
        self._read[name] = since, latest, units, pairs
        return units, pairs

    def _units(self, name: str, since: datetime) -> ScoredUnits:
        """Return the mean score of each unit, in the order of their first scored requests."""
        scores = scores_of(since, None)
        rows = RequestRecord.objects.filter(pk__in=list(scores)[-MAX_WATCHED:])
        columns = ("id", "created_at", "session_id", "tenant", "levers")
        units: dict[tuple[Any, ...], list[float]] = defaultdict(list)
        for pk, _, session, tenant, stored in sorted(
            rows.values_list(*columns), key=lambda row: row[1]
        ):
            trial = stored.get(name)
            if trial is None or trial.get("joint") or not 0 < trial["p"] < 1:
                continue
            whose = f"{tenant}\0{session}" if session and name not in self._by_request else str(pk)
            units[whose, trial["arm"] == "treated", trial["p"]].append(scores[pk])
        return ScoredUnits(
            np.array([sum(of) / len(of) for of in units.values()], dtype=np.float64),
            np.array([treated for _, treated, _ in units], dtype=np.bool_),
            np.array([p for _, _, p in units], dtype=np.float64),
        )


def _pairs(name: str, since: datetime) -> tuple[Any, Any]:
    """Return scores of answers with the lever and without it to the same prompts."""
    judged = Comparison.objects.filter(
        strategy=name, created_at__gte=since, score__isnull=False, reference_score__isnull=False
    ).order_by("created_at", "pk")
    scores = list(judged.values_list("score", "reference_score")[:MAX_WATCHED])
    with_lever, without = np.array(scores, dtype=np.float64).reshape(-1, 2).T
    return with_lever, without
