"""The prices of a proof's rows, by hour, and which costs are usage times price."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from itertools import pairwise
from typing import Any

from analytics.ledger.seals import Pair
from analytics.models import RequestRecord
from providers.completion import Usage
from providers.pricing import PriceBook, cost_at
from providers.rates import Rate, Rates
from routing.models import ModelRef

_ZERO = Decimal(0)


class ProofPrices:
    """Collects the prices at which rows were charged, from the price book of today.

    A cost is "equal" if it is the row's tokens times these prices. It is "reported" if the
    provider named it, "estimated" if the tokens are estimates, "no price" or "unpriced" if
    nothing is known, and else of "other units": another service tier, searches, audio, tokens
    cached for an hour, or a price that was set after the call.
    """

    def __init__(self, book: PriceBook) -> None:
        self._book = book
        self._hours: dict[ModelRef, dict[str, datetime]] = {}
        self._sums: dict[str, dict[str, list[Any]]] = {"answers": {}, "baselines": {}}

    def add(self, pair: Pair) -> None:
        """Take in a row and its baseline."""
        row, decision = pair
        if row.cache_hit or row.status in {RequestRecord.Status.ERROR, "refused"}:
            return
        charged = None if row.cost is None else row.cost - row.failed_cost
        self._add("answers", ModelRef(row.provider, row.model), row, charged)
        if decision is not None and decision.baseline_model:
            baseline = ModelRef(decision.baseline_provider, decision.baseline_model)
            self._add("baselines", baseline, row, decision.baseline_cost)

    def _add(self, kind: str, ref: ModelRef, row: RequestRecord, cost: Decimal | None) -> None:
        at = row.created_at
        self._hours.setdefault(ref, {}).setdefault(f"{at:%Y-%m-%dT%H}", at)
        rates = self._book.rates(*ref, at)
        sums = self._sums[kind].setdefault(_basis(row, cost, _expected(rates, row)), [0, _ZERO])
        sums[0] += 1
        sums[1] += cost or _ZERO

    def sums(self) -> dict[str, Any]:
        """Return, for answers and baselines, [number, USD] by how the cost came about."""
        return self._sums

    def records(self) -> list[dict[str, Any]]:
        """Return the prices by model and span of hours, in USD per million tokens."""
        records = []
        for ref, hours in sorted(self._hours.items()):
            priced = [
                (hour, self._book.source(*ref, at), _steps_of(self._book.rates(*ref, at)))
                for hour, at in sorted(hours.items())
            ]
            starts = [0, *(at + 1 for at, (one, two) in enumerate(pairwise(priced))
                           if one[1:] != two[1:])]  # fmt: skip
            for start, end in pairwise([*starts, len(priced)]):
                hour, source, rates = priced[start]
                records.append({
                    "provider": ref.provider, "model": ref.model, "from": hour,
                    "to": priced[end - 1][0], "source": source, "rates": rates,
                })  # fmt: skip
        return records


def _expected(rates: Rates | None, row: RequestRecord) -> Decimal | None:
    if rates is None:
        return None
    return cost_at(
        rates,
        Usage(
            input_tokens=row.tokens_in,
            output_tokens=row.tokens_out,
            cache_read_tokens=row.cache_read_tokens,
            cache_write_tokens=row.cache_write_tokens,
        ),
    )


def _basis(row: RequestRecord, cost: Decimal | None, expected: Decimal | None) -> str:
    if cost is None:
        return "unpriced"
    if cost == expected:
        return "equal"
    if getattr(row, "price_basis", "") == "reported":
        return "reported"
    if row.usage_estimated:
        return "estimated"
    return "no price" if expected is None else "other units"


def _steps_of(rates: Rates | None) -> dict[str, Any] | None:
    """Return each rate as [tokens above which it holds, USD per million], from the lowest."""
    if rates is None:
        return None
    known: dict[str, Rate | None] = {
        "input": rates.input, "output": rates.output, "cache_read": rates.cache_read,
        "cache_write": rates.cache_write,
    }  # fmt: skip
    steps: dict[str, Any] = {
        name: [[-1, f"{rate.base:f}"], *([above, f"{price:f}"] for above, price in rate.tiers)]
        for name, rate in known.items()
        if rate is not None
    }
    if rates.fees.requests is not None:
        steps["request"] = f"{rates.fees.requests[''] / 1000:f}"
    return steps
