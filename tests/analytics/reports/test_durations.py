"""Percentiles of what was only counted in classes."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from math import ceil, sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.models import RequestRecord
from analytics.reports.durations import BOUNDS, Spread, classes, counts_by_provider, quantile
from tests.factories import RequestRecordFactory

_DURATIONS = st.floats(BOUNDS[0] / sqrt(2), BOUNDS[-1])


@given(st.lists(_DURATIONS, min_size=1, max_size=200), st.floats(0.01, 1))
def test_a_quantile_is_no_farther_off_than_its_class_is_wide(
    durations: list[float], share: float
) -> None:
    counts = dict(Counter(bisect_left(BOUNDS, one) for one in durations))
    true = sorted(durations)[ceil(round(share * len(durations), 9)) - 1]
    assert true / 1.42 <= quantile(counts, share) <= true * 1.42


@given(st.dictionaries(st.integers(0, len(BOUNDS)), st.integers(0, 50), min_size=1))
def test_the_95th_percentile_is_not_below_the_median(counts: dict[int, int]) -> None:
    spread = Spread.of(counts)
    if not any(counts.values()):
        assert spread is None
        return
    assert spread is not None
    assert 0 < spread.median <= spread.p95 <= BOUNDS[-1]


@pytest.mark.django_db
def test_the_database_counts_by_provider_and_class() -> None:
    for took in (0.0, 10.0, BOUNDS[3] - 0.01, BOUNDS[3] + 0.01, 10_000_000.0, None):
        RequestRecordFactory(provider="a>b", provider_ms=took)
    RequestRecordFactory(provider="claude", provider_ms=50.0, status="error")
    values = RequestRecord.objects.annotate(value=classes("provider_ms")).values_list(
        "value", flat=True
    )
    sums = {value: {"requests": count} for value, count in Counter(values).items()}
    assert counts_by_provider(sums) == {"a>b": {0: 2, 3: 1, 4: 1, len(BOUNDS): 1}}
