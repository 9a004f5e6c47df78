"""The compared answers from which a guarantee is calibrated."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
from django.db.models import Max, QuerySet
from numpy.typing import NDArray

from analytics.models import Comparison
from routing.adjustments.guarantee import COVERED
from routing.guarantee.calibration import Promise, window_start
from routing.models import ModelRef

Floats = NDArray[np.float64]
MOST_PAIRS = 10_000
"""The most pairs that a threshold is chosen from, so that choosing it stays fast."""


def latest(reference: ModelRef) -> int:
    """Return the id of the latest pair compared with ``reference``; 0 without any."""
    newest: int | None = _pairs(reference).aggregate(latest=Max("pk"))["latest"]
    return newest or 0


def count(reference: ModelRef) -> int:
    """Return how many pairs were compared with ``reference``."""
    return _pairs(reference).count()


def compared(reference: ModelRef, promise: Promise) -> tuple[Floats, Floats]:
    """Return (n,) expected qualities and (n,) losses against ``reference``, oldest first.

    They are the pairs of the moving window (:func:`routing.guarantee.calibration.window_start`),
    and those of the last day, so that a window covers all hours; at most :data:`MOST_PAIRS`,
    evenly spread.
    """
    every = _pairs(reference)
    latest = every.aggregate(at=Max("created_at"))["at"]
    if latest is None:
        return np.empty(0), np.empty(0)
    older = every.filter(created_at__lt=latest - timedelta(days=1)).count()
    start = min(window_start(every.count(), promise), older)
    rows = every.order_by("created_at", "pk").values_list("expected", "score", "reference_score")
    pairs = np.array(list(rows[start:]), dtype=np.float64).reshape(-1, 3)
    pairs = pairs[:: 1 + (len(pairs) - 1) // MOST_PAIRS]
    return pairs[:, 0], pairs[:, 2] - pairs[:, 1]


def _pairs(reference: ModelRef) -> QuerySet[Comparison]:
    """Return the pairs of requests that the guarantee covers and that had an expected quality.

    Other requests have no loss, and would only make the covered ones look better.
    """
    return Comparison.objects.filter(
        reference_provider=reference[0],
        reference_model=reference[1],
        strategy__in=COVERED,
        expected__isnull=False,
        score__isnull=False,
    )
