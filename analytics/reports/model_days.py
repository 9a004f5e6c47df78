"""The figures of one team, project, key, user and so on, by UTC day and model."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime

from django.db.models import Q
from django.db.models.functions import TruncDay

from analytics.access.keys import team_of, tenant_of_team
from analytics.reports.figures import DIRECT, KEPT, MIXES, OWNER_END, Figures
from analytics.reports.period_sums import SumQuery, sums_together
from analytics.reports.rollup_coverage import DAY, RollupCoverage, Span, merged_spans
from analytics.reports.sum_queries import Grouped, rows_by

_FIGURES = (
    "requests", "failed", "cache_hits", "tokens_in", "tokens_out", "cost", "lost_cost",
    "baseline_cost", "routing_saved", "cache_saved",
)  # fmt: skip
ModelDays = dict[tuple[datetime, str], Figures]
"""Figures by the start of a UTC day and the model."""


def model_days(by: str, value: str, span: Span) -> tuple[ModelDays, bool]:
    """Return the figures of the requests with one value of ``by``, and whether they are complete.

    "" is no value. They are incomplete where requests were deleted that no sums by model hold.
    """
    owner = _owner_of(by, value)
    if owner is None:
        return stored_model_days(by, value, span)
    dimension, name = owner
    mix, owned = MIXES[dimension], Q(**{KEPT[dimension].name: name})
    whole, models = sums_together(
        [
            SumQuery([dimension], *span, TruncDay, among=[name]),
            SumQuery([mix], *span, TruncDay, begins=f"{name}{OWNER_END}", rows=owned),
        ],
        RollupCoverage.now(span[0]),
        None,
        _FIGURES,
    )
    days = {(day, model_of(value)): figures for (day, value), figures in models[mix].items()}
    # Hours that were summed before there were sums by model have none.
    missing = sorted(_by_day(whole[dimension]).items() - _by_day(days).items())
    for part in merged_spans([(day, day + DAY) for day, _ in missing]):
        days = {key: figures for key, figures in days.items() if not part[0] <= key[0] < part[1]}
        days |= rows_by(by, value, part, _FIGURES)
    return days, _by_day(whole[dimension]).items() <= _by_day(days).items()


def stored_model_days(by: str, value: str, span: Span) -> tuple[ModelDays, bool]:
    """Return :func:`model_days` of the requests that are still stored."""
    days = rows_by(by, value, span, _FIGURES)
    return days, _is_complete(by, value, span, days)


def model_of(mix: str) -> str:
    """Return the model of a value of a mix."""
    model = mix.rpartition(OWNER_END)[2]
    return "" if model == "/" else model


def _owner_of(by: str, value: str) -> tuple[str, str] | None:
    """Return the dimension and the value whose sums by model are kept; ``None`` if none are."""
    if by == "team":
        # All tenants that are no team are in no team.
        return ("tenant", tenant_of_team(value)) if value else None
    return (by, value) if by in MIXES else None


def _by_day(grouped: Grouped | ModelDays) -> dict[datetime, int]:
    """Return the number of requests of each day."""
    days: dict[datetime, int] = defaultdict(int)
    for (day, _), figures in grouped.items():
        days[day] += figures["requests"]
    return days


def _is_complete(by: str, value: str, span: Span, days: ModelDays) -> bool:
    """Return whether the requests that were read are all that were summed, if any were."""
    if by in DIRECT:
        return True
    dimension = "tenant" if by == "team" else by
    query = SumQuery([dimension], *span, among=None if by == "team" else [value])
    (sums,) = sums_together([query], RollupCoverage.now(span[0]), None, ("requests",))
    # All tenants that are no team are in no team.
    names = {name for _, name in sums[dimension] if by != "team" or not team_of(name)}
    summed = sum(sums[dimension][None, name]["requests"] for name in names)
    return summed in (0, sum(_by_day(days).values()))
