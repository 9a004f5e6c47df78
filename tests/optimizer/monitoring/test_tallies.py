"""Values that are gathered before Prometheus' library counts them."""

from __future__ import annotations

import random
import threading

import pytest
from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.parser import text_string_to_metric_families

from analytics.ledger.ledger import LedgerEntry
from optimizer.monitoring.prometheus import Meter
from optimizer.monitoring.tallies import Distribution
from optimizer.wiring.build import forget_services, get_services
from tests.factories import RequestRecordFactory

_BOUNDS = (0.5, 1, 2, 8)


def histogram() -> Histogram:
    return Histogram("h", "h", ("name",), buckets=_BOUNDS, registry=CollectorRegistry())


def test_values_that_are_flushed_count_as_those_observed_one_by_one() -> None:
    one_by_one, together = histogram().labels("a"), histogram().labels("a")
    gathered = Distribution(lambda: together)
    draw = random.Random(7)
    for number in (0, 1, 40):
        values = [draw.choice([0.0, 0.5, 1.0, 1.5, 8.0, 9.0, draw.random()]) for _ in range(number)]
        for value in values:
            one_by_one.observe(value)
            gathered.values.append(value)
        gathered.flush()
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


@pytest.mark.django_db
def test_what_the_background_thread_records_while_the_service_ends_is_counted() -> None:
    services = get_services()
    ending = threading.Event()

    def record() -> None:
        ending.wait(5)
        services.meter.observe(LedgerEntry(RequestRecordFactory.build(model="m")))

    services.background.submit(record)
    threading.Timer(0.2, ending.set).start()
    forget_services()
    services.close()
    counted = [
        sample.value
        for family in services.meter.registry.collect()
        for sample in family.samples
        if sample.name == "optimizer_requests_total"
    ]
    assert counted == [1]
