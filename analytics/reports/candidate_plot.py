"""The candidates of a decision as points: what each is expected to cost and to be worth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from routing.models import TIERS


def candidate_plot(
    candidates: Sequence[dict[str, Any]], baseline: tuple[str, str] | None = None
) -> dict[str, Any]:
    """``points`` of ``cost`` (USD, exact, as text) against ``worth``, for a script to draw.

    ``candidates`` are as a decision's metadata has them; ``baseline`` is the (provider, model)
    that complexity would have chosen. ``worth`` is the expected quality (0-1) with ``low`` and
    ``high``; where no strategy expected any, the place of its tier in ``tiers``. Candidates
    without a price, or without a quality beside others that have one, are left out.
    """
    priced = [one for one in candidates if one.get("expected_cost") not in (None, "")]
    judged = any(one.get("expected_quality") is not None for one in priced)
    points = [_point(one, judged, baseline) for one in priced]
    return {
        "points": [point for point in points if point["worth"] is not None],
        "tiers": None if judged else list(TIERS),
    }


def _point(one: dict[str, Any], judged: bool, baseline: tuple[str, str] | None) -> dict[str, Any]:
    role = "baseline" if (one["provider"], one["model"]) == baseline else "other"
    return {
        "name": one["model"].rpartition("/")[2],
        "cost": str(one["expected_cost"]),
        "worth": one.get("expected_quality") if judged else TIERS.index(one["tier"]),
        "low": one.get("quality_low") if judged else None,
        "high": one.get("quality_high") if judged else None,
        "tier": one["tier"],
        "role": "chosen" if one["chosen"] else role,
    }
