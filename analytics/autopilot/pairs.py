"""Pairs of a trial: requests that the model on trial and the one in its place both answered."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Collection, Sequence
from datetime import datetime
from itertools import groupby
from operator import itemgetter

import numpy as np
from django.db import transaction
from numpy.typing import NDArray

from analytics.models import AutopilotPair, AutopilotTrial, Comparison
from analytics.quality.comparisons import Judgement, ScoredAnswer, comparison_record

Floats = NDArray[np.float64]
_EVEN = 0.5


def unit_of(tenant: str, session: str, request_id: uuid.UUID) -> str:
    """Return the digest of the session that a pair counts for, or of a request without one."""
    named = f"{tenant}\0{session}" if session else str(request_id)
    return hashlib.blake2b(named.encode(), digest_size=16).hexdigest()


def unit_has_pair(trial: int, unit: str) -> bool:
    """Return whether a session has a pair of the trial already."""
    return AutopilotPair.objects.filter(trial_id=trial, unit=unit).exists()


@transaction.atomic
def pair_record(
    trial: int,
    unit: str,
    request_id: uuid.UUID,
    second: ScoredAnswer,
    served: ScoredAnswer,
    *,
    live: bool,
    saved: float | None,
    judged: Judgement,
) -> AutopilotPair | None:
    """Store a pair and book what it cost; ``None`` if there is no score or none is needed.

    ``live`` says that the client got the answer of the model on trial, so that the second answer
    is that of the model in its place. ``saved`` is USD.
    """
    comparison = comparison_record(
        request_id,
        second,
        served,
        source=Comparison.Source.AUTOPILOT,
        served=False,
        judged=judged,
    )
    if comparison is None or second.score is None or unit_has_pair(trial, unit):
        return None
    if not AutopilotTrial.objects.filter(pk=trial).exists():
        return None
    score = 2 * _EVEN - second.score if live else second.score
    pairs = AutopilotPair.objects.bulk_create(
        [
            AutopilotPair(
                comparison=comparison, trial_id=trial, unit=unit, score=score, saved=saved,
                live=live,
            )
        ],
        ignore_conflicts=True,  # another worker may have had the same session
    )  # fmt: skip
    return pairs[0]


def pair_values(trial: AutopilotTrial, since: datetime | None = None) -> tuple[Floats, Floats]:
    """Return the scores (n,) of a trial and its savings in USD (m,), in their order."""
    rows = AutopilotPair.objects.filter(trial=trial)
    if since is not None:
        rows = rows.filter(at__gte=since)
    return _values(list(rows.order_by("at", "pk").values_list("score", "saved")))


def pair_values_of(trials: Collection[int]) -> dict[int, tuple[Floats, Floats]]:
    """Return what :func:`pair_values` does for each of these trials that has pairs, in a query."""
    rows = AutopilotPair.objects.filter(trial__in=trials).order_by("trial_id", "at", "pk")
    return {
        trial: _values([(score, saved) for _, score, saved in pairs])
        for trial, pairs in groupby(
            rows.values_list("trial_id", "score", "saved"), key=itemgetter(0)
        )
    }


def _values(pairs: Sequence[tuple[float, float | None]]) -> tuple[Floats, Floats]:
    scores = np.array([score for score, _ in pairs], dtype=np.float64)
    savings = np.array([saved for _, saved in pairs if saved is not None], dtype=np.float64)
    return scores, savings


NO_PAIRS = _values(())
