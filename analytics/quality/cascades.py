"""Recorded cascades and how good their answers were, for what is expected of the next ones."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.utils import timezone

from analytics.models import Comparison, Feedback, RequestRecord
from routing.cascades import CascadeOutcome
from routing.learning.posterior import expit, logit
from routing.models import ModelRef

_PAST = timedelta(days=90)
_LATEST = 20_000
"""The bound keeps the query's cost the same for any size of the ledger."""
_AT_ONCE = 500


def cascade_outcomes() -> list[CascadeOutcome]:
    """Return the latest cascades whose check gave a result, oldest first.

    The score of an answer is the mean of its ratings. Without any, it is what a comparison
    says: the quality that was expected, more or less by how far the answer was judged better or
    worse than the reference's.
    """
    latest = RequestRecord.objects.filter(
        levers__isnull=False, created_at__gte=timezone.now() - _PAST
    ).order_by("-created_at")
    rows = RequestRecord.objects.filter(
        pk__in=latest.values("pk")[:_LATEST],
        levers__has_key="cascade",
        status=RequestRecord.Status.OK,
    ).order_by("created_at", "pk")
    columns = ("pk", "pattern", "tier", "provider", "model", "levers__cascade")
    tried = [
        (pk, pattern, tier, ModelRef(provider, model), trial)
        for pk, pattern, tier, provider, model, trial in rows.values_list(*columns)
        if trial.get("arm") == "treated" and "escalated" in trial
    ]
    scores = _scores([pk for pk, *_ in tried])
    gains = _gains([pk for pk, *_ in tried if pk not in scores])
    outcomes = (_outcome(row, scores, gains) for row in tried)
    return [outcome for outcome in outcomes if outcome is not None]


def _outcome(
    row: tuple[UUID, str, Any, ModelRef, Mapping[str, Any]],
    scores: Mapping[UUID, float],
    gains: Mapping[UUID, float],
) -> CascadeOutcome | None:
    pk, pattern, tier, answered, trial = row
    try:
        cheap, strong = ModelRef.parse(trial["cheap"]), ModelRef.parse(trial["strong"])
        passed = not trial["escalated"]
        kept, after = float(trial["kept"]), float(trial["after"])
        score = scores.get(pk)
        if score is None and pk in gains:
            score = min(1.0, max(0.0, (kept if passed else after) + gains[pk]))
        if answered != (cheap if passed else strong):
            score = None  # a fallback answered, and says nothing of the two
        return CascadeOutcome(
            pattern, tier, cheap, strong, trial["checked"], passed, float(trial["passes"]),
            kept, after, score,
        )  # fmt: skip
    except (KeyError, TypeError, ValueError):
        return None  # a row of another version


def _scores(requests: Sequence[UUID]) -> dict[UUID, float]:
    """Return the mean rating, 0-1, of each request that has one."""
    ratings: dict[UUID, list[float]] = defaultdict(list)
    for start in range(0, len(requests), _AT_ONCE):
        rows = Feedback.objects.filter(request__in=requests[start : start + _AT_ONCE])
        for request, score in rows.values_list("request_id", "score"):
            ratings[request].append(score)
    return {request: sum(given) / len(given) for request, given in ratings.items()}


def _gains(requests: Sequence[UUID]) -> dict[UUID, float]:
    """Return how much better (-1 to 1) than the reference's each compared answer was."""
    gains: dict[UUID, float] = {}
    for start in range(0, len(requests), _AT_ONCE):
        rows = Comparison.objects.filter(
            request__in=requests[start : start + _AT_ONCE], served=True, score__isnull=False
        )
        for row in rows:
            gain = row.gain
            if row.request_id is not None and gain is not None:
                gains[row.request_id] = gain
    return gains


def selected(expected: float, request: RequestRecord | None) -> float:
    """Return the score (0-1) that was expected of an answer which a check selected.

    ``expected`` is that of any answer of its model. Without this, answers that passed a check
    would make a cheap model look better than it is, and those to the hard rest a strong one worse.
    """
    trial = ((request.levers if request is not None else None) or {}).get("cascade") or {}
    shift = trial.get("shift")
    return expit(logit(expected) + shift) if isinstance(shift, float) else expected
