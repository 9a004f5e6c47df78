"""Gathers the values of requests until Prometheus' library counts them together.

The library takes a lock, and searches a list of buckets, for each of some fifteen values of a
request. Here, values with the same labels are gathered, and flushed each second and before each
scrape.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from typing import Any

from analytics.ledger.ledger import LedgerEntry

_MOST_GATHERED = 1_000


class Distribution:
    """The gathered values of a histogram; ``histogram`` returns the library's, with its labels."""

    __slots__ = ("_histogram", "values")

    def __init__(self, histogram: Callable[[], Any]) -> None:
        self._histogram = histogram
        self.values: list[float] = []

    def flush(self) -> None:
        """Count the values in the histogram, as its own ``observe`` would one by one."""
        if not self.values:
            return
        values, counted, child = sorted(self.values), 0, self._histogram()
        self.values.clear()
        # The library has no public way to count several values at once; a test compares both.
        for bound, bucket in zip(child._upper_bounds, child._buckets, strict=True):
            below = bisect_right(values, bound, counted)
            if below > counted:
                bucket.inc(below - counted)
                counted = below
        child._sum.inc(sum(values))


class Tally:
    """The gathered values of requests with the same labels.

    ``tokens`` are those of input, output and the time to the first one, ``None`` where no provider
    answered; ``call`` is ``None`` where none was called.
    """

    __slots__ = (
        "_baseline", "_cache_saved", "_compared", "_cost", "_counters", "_distributions", "call",
        "latency", "overhead", "tokens",
    )  # fmt: skip

    def __init__(
        self,
        counters: tuple[Callable[[], Any], ...],
        latency: Distribution,
        overhead: Distribution,
        call: Distribution | None,
        tokens: tuple[Distribution, Distribution, Distribution] | None,
    ) -> None:
        """``counters`` return those of requests, cost, baseline, compared and cache savings."""
        self._counters = counters
        self._cost = self._baseline = self._compared = self._cache_saved = 0.0
        self.latency, self.overhead, self.call = latency, overhead, call
        self.tokens = tokens
        every = (latency, overhead, call, *(tokens or ()))
        self._distributions = tuple(one for one in every if one is not None)

    def add(self, entry: LedgerEntry) -> None:
        """Gather the values of a request."""
        request, decision = entry.request, entry.decision
        latency, called = request.latency_ms, request.provider_ms or 0.0
        self.latency.values.append(latency / 1000)
        self.overhead.values.append(max(0.0, latency - called) / 1000)
        if request.cost:
            self._cost += float(request.cost)
        if decision is not None:
            if decision.cache_saved:
                self._cache_saved += float(decision.cache_saved)
            by_routing, baseline = decision.routing_saved, decision.baseline_cost
            if by_routing is not None and baseline is not None:
                self._baseline += float(baseline)
                self._compared += max(0.0, float(baseline - by_routing))
        if self.call is not None:
            self.call.values.append((called or latency) / 1000)
            if self.tokens is not None:
                tokens_in, tokens_out, first = self.tokens
                tokens_in.values.append(request.tokens_in)
                tokens_out.values.append(request.tokens_out)
                if request.ttft_ms is not None:
                    first.values.append(request.ttft_ms / 1000)
        if len(self.latency.values) >= _MOST_GATHERED:
            self.flush()

    def flush(self) -> None:
        """Count in the library's metrics what was gathered."""
        amounts = (
            float(len(self.latency.values)), self._cost, self._baseline, self._compared,
            self._cache_saved,
        )  # fmt: skip
        self._cost = self._baseline = self._compared = self._cache_saved = 0.0
        for counter, amount in zip(self._counters, amounts, strict=True):
            if amount:
                counter().inc(amount)
        for distribution in self._distributions:
            distribution.flush()
