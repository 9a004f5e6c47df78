"""Counts that are gathered before Prometheus' library is told of them."""

from __future__ import annotations

import random

from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.parser import text_string_to_metric_families

from analytics.ledger.ledger import LedgerEntry
from optimizer.monitoring.prometheus import Meter
from optimizer.monitoring.tallies import Distribution
from tests.factories import RequestRecordFactory

_BOUNDS = (0.5, 1, 2, 8)


def histogram() -> Histogram:
    return Histogram("h", "h", ("name",), buckets=_BOUNDS, registry=CollectorRegistry())


def test_values_told_together_count_as_those_told_one_by_one() -> None:
    one_by_one, together = histogram().labels("a"), histogram().labels("a")
    gathered = Distribution(lambda: together)
    draw = random.Random(7)
    for number in (0, 1, 40):
        values = [draw.choice([0.0, 0.5, 1.0, 1.5, 8.0, 9.0, draw.random()]) for _ in range(number)]
        for value in values:
            one_by_one.observe(value)
            gathered.values.append(value)
        gathered.tell()
        ours, theirs = together._child_samples(), one_by_one._child_samples()
        assert [s.labels for s in ours] == [s.labels for s in theirs]
        for ours_one, theirs_one in zip(ours, theirs, strict=True):
            if ours_one.name != "_created":
                assert round(ours_one.value, 9) == round(theirs_one.value, 9)


def samples(meter: Meter) -> dict[str, float]:
    families = text_string_to_metric_families(meter.exposition().decode())
    sums: dict[str, float] = {}
    for family in families:
        for sample in family.samples:
            sums[sample.name] = sums.get(sample.name, 0.0) + sample.value
    return sums


def test_each_scrape_shows_all_requests_until_then() -> None:
    meter = Meter()
    for number in (1, 2):
        meter.observe(LedgerEntry(RequestRecordFactory.build(model="m")))
        assert samples(meter)["optimizer_requests_total"] == number
        assert samples(meter)["optimizer_request_duration_seconds_count"] == number
        assert samples(meter)["gen_ai_client_token_usage_count"] == 2 * number


def test_requests_with_any_number_of_models_are_counted_once_each() -> None:
    meter = Meter()
    for number in range(2_100):
        meter.observe(LedgerEntry(RequestRecordFactory.build(model=f"m{number}")))
    assert samples(meter)["optimizer_requests_total"] == 2_100
