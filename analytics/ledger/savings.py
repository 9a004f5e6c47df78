"""Savings of routing and of the cache, request by request.

The baseline of a request is the **same request** priced on the model that complexity would
have chosen: its tokens at that model's price. A cache hit saves what its answer cost
originally. If routing chose a cheaper model for that answer than complexity, the rest of the
baseline is a saving of routing.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from analytics.money import percent
from analytics.quality.report import judging_cost
from analytics.reports.figures import Figures
from analytics.reports.intervals import savings_interval
from analytics.reports.sum_sources import RECORDED, ReportSums, total_of
from routing.values import frozen

_ZERO = Decimal(0)


@frozen
class Savings:
    """USD saved by routing and by the cache; ``None`` if a price is unknown.

    A saving is negative if the cost is above the baseline. ``baseline = cost + routing + cache``.
    """

    routing: Decimal | None
    cache: Decimal | None

    @property
    def total(self) -> Decimal | None:
        """Return the USD saved in all, as far as it is known."""
        if self.routing is None or self.cache is None:
            return self.cache if self.routing is None else self.routing
        return self.routing + self.cache


def savings_of_call(cost: Decimal | None, baseline_cost: Decimal | None) -> Savings:
    """Return the savings of a request that a provider answered.

    ``cost`` (USD) includes failed attempts.
    """
    if cost is None or baseline_cost is None:
        return Savings(None, _ZERO)
    return Savings(baseline_cost - cost, _ZERO)


def savings_of_hit(original_cost: Decimal | None, baseline_cost: Decimal | None) -> Savings:
    """Return the savings of a request answered from the cache; both costs are USD."""
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
    """Return the totals of the requests decided in a period, compared pair by pair, in USD.

    Only requests whose own price and baseline price are both known are compared;
    ``unpriced_requests`` counts the others. The cost of requests that no provider answered is
    a loss, as their baseline is assumed to be zero; the cost of judging answers is a loss too.
    So ``total_saved`` is exactly ``baseline_cost - intelligent_cost``, and also
    ``routing_saved + cache_saved - failed_requests_cost - judging_cost``.
    ``saved_low`` and ``saved_high`` bound the expected total of as many requests with 95 %
    confidence, ``next_saved_low`` and ``next_saved_high`` the total that as many new requests of
    the same traffic will have; ``varies_by`` names the clusters that vary most
    (:mod:`analytics.reports.intervals`). They are ``None`` if the log cannot say, and
    ``no_interval`` says why. ``judging`` is the cost of judging in USD; by default that of the
    period.
    """
    totals = total_of(sums.by("strategy", since, until))
    if judging is None:
        judging = judging_cost(since, until)
    interval = savings_interval(sums, since, until).less(judging)
    baseline, saved = totals["baseline_cost"], _saved(totals) - judging
    return {
        "total_saved": saved,
        "saved_low": interval.low,
        "saved_high": interval.high,
        "next_saved_low": interval.next_low,
        "next_saved_high": interval.next_high,
        "varies_by": interval.by,
        "no_interval": interval.refused,
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
