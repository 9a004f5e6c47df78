"""Kept sums of roll-ups: the same as those in the database, also once these are written anew."""

from __future__ import annotations

import pickle
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection, transaction
from django.db.models.functions import TruncDay
from django.test.utils import CaptureQueriesContext

from analytics.ledger.rollups import mark_stale, totals_rebuild
from analytics.reports.figures import KEPT, Figures, no_figures
from analytics.reports.period_sums import SumQuery, sums_together
from analytics.reports.rollup_cache import ROLLUP_CACHE, RollupCache
from analytics.reports.rollup_coverage import RollupCoverage
from analytics.reports.sum_queries import row_sums
from tests.analytics.ledger.test_rollups import NOW, SINCE, make, sum_up
from tests.factories import RoutingMetricFactory

DIMENSIONS = tuple(sorted(KEPT))


@pytest.fixture(autouse=True)
def _empty() -> None:
    ROLLUP_CACHE.clear()


def kept() -> dict[str, dict[str, Figures]]:
    queries = [SumQuery(DIMENSIONS, SINCE, NOW), SumQuery(["strategy"], SINCE, NOW, TruncDay)]
    sums, days = sums_together(queries, RollupCoverage.now(SINCE))
    assert sum(f["cost"] for f in days["strategy"].values()) == sum(
        f["cost"] for f in sums["strategy"].values()
    )
    return {name: {value: f for (_, value), f in sums[name].items()} for name in DIMENSIONS}


def from_requests() -> dict[str, dict[str, Figures]]:
    return {
        name: {value: f for (_, value), f in row_sums(name, (SINCE, NOW)).items()}
        for name in DIMENSIONS
    }


@pytest.mark.django_db
class TestSums:
    def test_they_are_read_once(self) -> None:
        make(60)
        sum_up()
        assert kept() == from_requests()
        with CaptureQueriesContext(connection) as queries:
            assert kept() == from_requests()
        read = [query["sql"] for query in queries]
        assert not any('"day_sums"' in sql or '"hourly_totals"' in sql for sql in read)

    def test_a_request_that_comes_late_counts_at_once_and_after_its_hour_is_summed(self) -> None:
        make(60)
        sum_up()
        before = kept()["strategy"]
        at = NOW - timedelta(days=1, hours=2)
        late = RoutingMetricFactory(request__created_at=at, request__cost=Decimal("0.123"))
        with transaction.atomic():
            mark_stale([at])
        for summed in (False, True):
            if summed:
                sum_up()
            now = kept()
            assert now == from_requests(), summed
            assert sum(f["cost"] for f in now["strategy"].values()) == Decimal("0.123") + sum(
                f["cost"] for f in before.values()
            )
        late.request.delete()
        with transaction.atomic():
            mark_stale([at])
        assert kept() == from_requests()

    def test_what_was_summed_wrongly_is_read_anew_after_a_rebuild(self) -> None:
        make(40)
        sum_up()
        assert kept() == from_requests()
        make(10, seed=2)  # behind the roll-ups' back
        for _ in totals_rebuild():
            pass
        assert kept() == from_requests()

    def test_fewer_figures_are_those_of_all(self) -> None:
        make(40)
        sum_up()
        few = SumQuery(["group", "users"], SINCE, NOW, figures=("paired", "cost"))
        for _ in range(2):
            part, whole = sums_together(
                [few, SumQuery(["user"], SINCE, NOW)], RollupCoverage.now(SINCE)
            )
            everything = kept()
            for name in few.dimensions:
                assert {value: f for (_, value), f in part[name].items()} == {
                    value: {"paired": f["paired"], "cost": f["cost"]}
                    for value, f in everything[name].items()
                }
            assert all(f.keys() == no_figures().keys() for f in whole["user"].values())


class TestTheCache:
    def test_it_forgets_what_was_not_used_for_longest(self) -> None:
        rows = [("user", None, "ann", (1, Decimal("0.5")))]
        cache = RollupCache(most_bytes=10 * len(pickle.dumps(rows, pickle.HIGHEST_PROTOCOL)))
        for key in range(100):
            cache.put(key, rows)
            assert cache.get(0) == rows
        assert cache.get(99) == rows
        assert cache.get(1) is None

    def test_entries_without_rows_are_forgotten_as_well(self) -> None:
        cache = RollupCache(most_entries=10)
        for key in range(11):
            cache.put(key, [])
        assert cache.get(0) is None
        assert all(cache.get(key) == [] for key in range(1, 11))

    def test_it_keeps_nothing_too_large(self) -> None:
        cache = RollupCache(most_bytes=800)
        cache.put("key", [("x" * 200,)])
        assert cache.get("key") is None
