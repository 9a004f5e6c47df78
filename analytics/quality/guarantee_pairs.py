"""The compared answers from which a guarantee is calibrated."""

from __future__ import annotations

import numpy as np
from django.db.models import Max, QuerySet
from numpy.typing import NDArray

from analytics.models import Comparison
from routing.adjustments.guarantee import COVERED
from routing.models import ModelRef

Floats = NDArray[np.float64]
MAX_PAIRS = 5_000
"""Only the latest pairs count, as models and traffic change."""


def latest(reference: ModelRef) -> int:
    """Return the id of the latest pair compared with ``reference``; 0 without any."""
    newest: int | None = _pairs(reference).aggregate(latest=Max("pk"))["latest"]
    return newest or 0


def compared(reference: ModelRef) -> tuple[Floats, Floats]:
    """Return (n,) expected qualities and (n,) losses against ``reference``, oldest first."""
    rows = list(
        _pairs(reference)
        .order_by("-created_at", "-pk")
        .values_list("expected", "score", "reference_score")[:MAX_PAIRS]
    )
    pairs = np.array(rows[::-1], dtype=np.float64).reshape(-1, 3)
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
