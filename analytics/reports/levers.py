"""What levers saved: computed in the background, kept as the latest result of each period."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from analytics.models import LeverResult, RequestRecord
from analytics.reports.lever_rows import TrialLog, TrialReading, read_trials
from routing.evaluation.lever_effects import (
    IntervalOf,
    LeverEffect,
    LeversTogether,
    lever_effect,
    levers_together,
)

LEVER_PERIODS = (1, 7, 30)
"""Lengths of the periods, in days, that results are kept for."""
TOGETHER = ""
"""The name of the result of all levers together."""
LEVER_METHOD: dict[str, str | int] = {"name": "pretended-arms", "version": 1}
"""What a proof says of how these figures are computed."""


def results_update(
    reading: TrialReading,
    harm: Mapping[str, Mapping[str, Any]] | None = None,
    now: datetime | None = None,
) -> None:
    """Compute the results of all periods anew, and keep them in place of the old ones.

    ``harm`` is what the watch on quality knows of each lever, kept with its results.
    """
    now = now or timezone.now()
    if not RequestRecord.objects.filter(levers__isnull=False).exists():
        LeverResult.objects.all().delete()
        return
    log = read_trials(now - timedelta(days=max(LEVER_PERIODS)), None, reading)
    rows = [
        LeverResult(lever=name, days=days, since=now - timedelta(days=days), computed_at=now,
                    figures={**figures, "harm": (harm or {}).get(name)})
        for days in LEVER_PERIODS
        for name, figures in results_of(log, now - timedelta(days=days)).items()
    ]  # fmt: skip
    with transaction.atomic():
        LeverResult.objects.all().delete()
        LeverResult.objects.bulk_create(rows)


def results_kept(days: int) -> dict[str, LeverResult]:
    """Return the latest results of one of :data:`LEVER_PERIODS`, by lever."""
    return {row.lever: row for row in LeverResult.objects.filter(days=days)}


def results_now(
    reading: TrialReading, since: datetime, until: datetime | None = None
) -> dict[str, dict[str, Any]]:
    """Return the figures of each lever, computed now; reads all requests of the period."""
    return results_of(read_trials(since, until, reading), since)


def results_of(log: TrialLog, since: datetime) -> dict[str, dict[str, Any]]:
    """Return the figures of each lever and, under :data:`TOGETHER`, of all, by name."""
    effects = {name: lever_effect(log.of(name, since)) for name in log.names}
    effects = {name: effect for name, effect in effects.items() if effect.eligible}
    together = levers_together(log.together(since), list(effects.values()))
    return {name: lever_figures(effect) for name, effect in effects.items()} | {
        TOGETHER: together_figures(together)
    }


def lever_figures(effect: LeverEffect) -> dict[str, Any]:
    """Return a lever's figures as JSON holds them; intervals are (value, low, high)."""
    return {
        "eligible": effect.eligible,
        "treated": effect.treated,
        "treated_share": effect.treated / max(effect.eligible, 1),
        "measured": effect.measured,
        "control": effect.control,
        "unmeasured": effect.unmeasured,
        "unpriced": effect.unpriced,
        "saving": _interval(effect.saving),
        "per_request": _interval(effect.per_request),
        "share_saved": _interval(effect.share_saved),
        "control_cost": _interval(effect.control_cost),
        "quality": _interval(effect.quality),
        "scored": list(effect.scored),
        "verdict": effect.verdict,
        "quality_verdict": effect.quality_verdict,
        "refused": effect.refused,
    }


def together_figures(together: LeversTogether) -> dict[str, Any]:
    """Return what all levers saved: the total is the sum and the remainder."""
    return {
        "total": _interval(together.total),
        "sum": _interval(together.sum),
        "remainder": _interval(together.remainder),
        "refused": together.refused,
    }


def report_lines(results: Mapping[str, LeverResult]) -> Iterable[dict[str, Any]]:
    """Yield the figures of each lever with its name, then those of all together."""
    for name, row in sorted(results.items(), key=lambda item: (item[0] == TOGETHER, item[0])):
        yield {"lever": name or "together", **row.figures}


def _interval(one: IntervalOf | None) -> list[float] | None:
    return None if one is None else [one.value, one.low, one.high]
