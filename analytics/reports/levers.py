"""What levers saved: computed in the background, kept as the latest result of each period."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
from django.db import transaction
from django.utils import timezone

from analytics.models import LeverResult, RequestRecord
from analytics.money import SMALLEST_USD
from analytics.reports.lever_rows import TrialLog, TrialReading, read_trials
from routing.evaluation.arm_prediction import (
    DRAWS,
    FEWEST_ARM_UNITS,
    FEWEST_DRAWS,
    FEWEST_NONZERO,
    LARGEST_DRAW,
)
from routing.evaluation.clustered import LEVEL
from routing.evaluation.lever_effects import (
    FEWEST_KNOWN,
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


def lever_method(reading: TrialReading) -> dict[str, Any]:
    """Return what a proof says of how the savings of levers are computed."""
    return {
        "name": "pretended-arms", "version": 2, "order": list(reading.order),
        "by_request": sorted(reading.by_request), "joint_share": reading.joint_share,
        "draws": DRAWS, "fewest_draws": FEWEST_DRAWS, "largest": LARGEST_DRAW,
        "fewest": FEWEST_ARM_UNITS, "nonzero": FEWEST_NONZERO, "known": FEWEST_KNOWN,
        "level": LEVEL,
    }  # fmt: skip


def proof_figures(
    reading: TrialReading, since: datetime, until: datetime
) -> dict[str, dict[str, Any]]:
    """Return the savings that a proof states of each lever and, under "", of all together."""
    log = read_trials(since, until, reading)
    rows = {name: log.of(name, since) for name in log.names}
    together = log.together(since)
    if len(together.cost):
        rows[TOGETHER] = replace(together, joint=np.zeros(len(together.cost), dtype=np.bool_))
    return {name: _proof_line(lever_effect(of)) for name, of in sorted(rows.items())}


def _proof_line(effect: LeverEffect) -> dict[str, Any]:
    saving = effect.saving
    ends = (None, None, None) if saving is None else (saving.value, saving.low, saving.high)
    saved, low, high = (None if end is None else usd_of(end) for end in ends)
    return {
        "eligible": effect.eligible, "treated": effect.treated, "measured": effect.measured,
        "saved": saved, "saved_low": low, "saved_high": high,
    }  # fmt: skip


def usd_of(value: float) -> Decimal:
    """Return a computed amount as money, to its ten places."""
    return Decimal(repr(value)).quantize(SMALLEST_USD)


def lever_lines(days: int) -> list[dict[str, Any]]:
    """Return a line for each lever, and those that make their sum the total, as last computed.

    There are none for a period that no results are kept for.
    """
    rows = LeverResult.objects.filter(days=days)
    lines = [{"lever": row.lever, **_line(row.figures["saving"]),
              "eligible": row.figures["eligible"], "treated": row.figures["treated"],
              "quality": row.figures["quality"], "computed_at": row.computed_at}
             for row in rows if row.lever != TOGETHER]  # fmt: skip
    for row in rows:
        if row.lever == TOGETHER and lines:
            lines += [{"lever": name, **_line(row.figures[name]), "computed_at": row.computed_at}
                      for name in ("sum", "remainder", "total")]  # fmt: skip
    return lines


def _line(figure: list[float] | None) -> dict[str, Decimal | None]:
    names = ("saved", "saved_low", "saved_high")
    if figure is None:
        return dict.fromkeys(names)
    return dict(zip(names, map(usd_of, figure), strict=True))


def _interval(one: IntervalOf | None) -> list[float] | None:
    return None if one is None else [one.value, one.low, one.high]
