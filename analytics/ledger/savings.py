"""What routing and the cache saved, request by request.

The baseline of a request is the **same request** priced on the model that
complexity would have chosen: its tokens, that model's price. A cache hit saves
what its answer once cost; had routing chosen a cheaper model for it than
complexity, the rest of the baseline is routing's saving.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from analytics.money import percent
from analytics.quality.report import judging_cost
from analytics.reports.figures import Figures, add_figures, no_figures
from analytics.reports.intervals import total_interval
from analytics.reports.sum_sources import RECORDED, ReportSums

_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Savings:
    """USD saved by routing and by the cache; ``None`` where a price is unknown.

    Negative where we cost more than the baseline. ``baseline = cost + routing + cache``.
    """

    routing: Decimal | None
    cache: Decimal | None

    @property
    def total(self) -> Decimal | None:
        """USD saved in all, as far as it is known."""
        if self.routing is None or self.cache is None:
            return self.cache if self.routing is None else self.routing
        return self.routing + self.cache


def savings_of_call(cost: Decimal | None, baseline_cost: Decimal | None) -> Savings:
    """Savings of a request that a provider answered. ``cost`` includes failed attempts."""
    if cost is None or baseline_cost is None:
        return Savings(None, _ZERO)
    return Savings(baseline_cost - cost, _ZERO)


def savings_of_hit(original_cost: Decimal | None, baseline_cost: Decimal | None) -> Savings:
    """Savings of a request answered from the cache."""
    if original_cost is None:
        return Savings(None, None)
    routing = None if baseline_cost is None else baseline_cost - original_cost
    return Savings(routing, original_cost)


def cost_savings(
    since: datetime,
    until: datetime | None = None,
    sums: ReportSums = RECORDED,
    *,
    judging: Decimal | None = None,
) -> dict[str, Any]:
    """Totals over the requests decided in a period, pair by pair, in USD.

    Only requests whose own and baseline price are both known are compared;
    ``unpriced_requests`` counts the others. What requests cost that nobody
    answered is a loss against the baseline, which is taken to have cost nothing
    for them; so is what was spent on judging answers. So ``total_saved`` is exactly
    ``baseline_cost - intelligent_cost``, and ``routing_saved + cache_saved -
    failed_requests_cost - judging_cost``.
    ``saved_low`` and ``saved_high`` bound it with 95 % confidence
    (:mod:`analytics.reports.intervals`), ``None`` where there are too few requests.
    ``judging`` is what judging cost, in USD, where that is not the period's.
    """
    totals = no_figures()
    pairs = []
    # In one order, so that the same requests give the same interval.
    for _, group in sorted(sums.by("group", since, until).items()):
        add_figures(totals, group)
        pairs.append((group["paired"], _saved(group)))
    interval = total_interval(pairs)
    if judging is None:
        judging = judging_cost(since, until)
    baseline, saved = totals["baseline_cost"], _saved(totals) - judging
    return {
        "total_saved": saved,
        "saved_low": interval.low - judging if interval else None,
        "saved_high": interval.high - judging if interval else None,
        "percent_saved": percent(saved, baseline),
        "intelligent_cost": totals["paired_cost"] + totals["lost_cost"] + judging,
        "baseline_cost": baseline,
        "routing_saved": totals["routing_saved"],
        "cache_saved": totals["cache_saved"],
        "failed_requests_cost": totals["lost_cost"],
        "judging_cost": judging,
        "explored_saved": totals["explored_saved"],
        "prompt_cache_saved": totals["prompt_cache_saved"],
        "paired_requests": totals["paired"],
        "unpriced_requests": totals["decided"] - totals["paired"],
    }


def _saved(figures: Figures) -> Decimal:
    return figures["baseline_cost"] - figures["paired_cost"] - figures["lost_cost"]
