"""Judges, as a periodic task, whether sessions that were moved up went on."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from analytics.models import RequestRecord
from analytics.quality.session_moves import stalls_judge
from providers.completion import Usage
from providers.pricing import PriceBook, cost_at
from routing.models import ModelRef


def moves_judge(prices: PriceBook) -> Callable[[], None]:
    """Return the task that judges the stalls of sessions that have gone on far enough."""

    def price_of(record: RequestRecord, ref: ModelRef) -> Decimal | None:
        rates = prices.rates(*ref, record.created_at)
        if rates is None:
            return None
        usage = Usage(
            record.tokens_in,
            record.tokens_out,
            cache_read_tokens=record.cache_read_tokens,
            cache_write_tokens=record.cache_write_tokens,
        )
        return cost_at(rates, usage)

    def run() -> None:
        stalls_judge(price_of)

    return run
