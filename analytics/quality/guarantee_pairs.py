"""The pairs of answers from which a guarantee is calibrated."""

from __future__ import annotations

import numpy as np
from django.db.models import Max, QuerySet
from numpy.typing import NDArray

from analytics.models import Comparison
from routing.adjustments.guard import COVERED

Floats = NDArray[np.float64]
MOST = 5_000
"""The latest so many: models and traffic change."""


def latest(reference: tuple[str, str]) -> int:
    """Grows with every pair that is compared with ``reference``; 0 without any."""
    found: int | None = _pairs(reference).aggregate(latest=Max("pk"))["latest"]
    return found or 0


def compared(reference: tuple[str, str]) -> tuple[Floats, Floats]:
    """(n,) expected qualities and (n,) losses against ``reference``, in the order they came."""
    rows = list(
        _pairs(reference)
        .order_by("-created_at", "-pk")
        .values_list("expected", "score", "reference_score")[:MOST]
    )
    found = np.array(rows[::-1], dtype=np.float64).reshape(-1, 3)
    return found[:, 0], found[:, 2] - found[:, 1]


def _pairs(reference: tuple[str, str]) -> QuerySet[Comparison]:
    """Of requests that the guarantee covers, and of which something had been expected. Others,
    at no loss, would only make the covered ones look better.
    """
    return Comparison.objects.filter(
        reference_provider=reference[0],
        reference_model=reference[1],
        strategy__in=COVERED,
        expected__isnull=False,
        score__isnull=False,
    )
