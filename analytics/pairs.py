"""The pairs of answers from which a guarantee is calibrated."""

from __future__ import annotations

import numpy as np
from django.db.models import Max, QuerySet
from numpy.typing import NDArray

from analytics.models import Comparison

Floats = NDArray[np.float64]
MOST = 5_000
"""The latest so many: models and traffic change."""


def latest(reference: tuple[str, str]) -> int:
    """Grows with every pair that is compared with ``reference``; 0 without any."""
    found: int | None = _pairs(reference).aggregate(latest=Max("pk"))["latest"]
    return found or 0


def compared(reference: tuple[str, str]) -> tuple[Floats, Floats]:
    """(n,) expected qualities and (n,) losses against ``reference``, in the order they came.

    A pair of the reference with itself is one too: such requests are part of the traffic.
    """
    rows = list(
        _pairs(reference)
        .order_by("-created_at", "-pk")
        .values_list("expected", "score", "reference_score", "provider", "model")[:MOST]
    )
    known = [
        (0.0 if expected is None else expected, (reference_score or 0.0) - (score or 0.0))
        for expected, score, reference_score, *model in reversed(rows)
        if expected is not None or tuple(model) == reference
    ]
    found = np.array(known, dtype=np.float64).reshape(-1, 2)
    return found[:, 0], found[:, 1]


def _pairs(reference: tuple[str, str]) -> QuerySet[Comparison]:
    return Comparison.objects.filter(
        reference_provider=reference[0], reference_model=reference[1], score__isnull=False
    )
