"""The quality gained in each step of a chart, computed anew only where its comparisons changed.

Comparisons are never changed, only added and deleted, and lose their request when that is
deleted. So each process keeps the gains of steps under the number of a step's comparisons, of
those with a request, and the sum of their ids.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from django.db.models.functions.datetime import TruncBase

from analytics.models import Comparison
from analytics.quality.means import Mean
from analytics.quality.pairs import pair_gain, pairs_by
from analytics.reports.rollup_coverage import merged_spans
from analytics.reports.steps import step_end
from analytics.reports.sum_queries import within

_MOST_KEPT = 2_000
_Key = tuple[str, type[TruncBase], datetime, "ComparedRows"]
_kept: OrderedDict[_Key, Mean] = OrderedDict()
_lock = threading.Lock()


class ComparedRows(NamedTuple):
    """Which comparisons a step has: how many, how many with a request, and their ids' sum."""

    number: int
    with_request: int
    ids: int


def step_gains(
    step: type[TruncBase], comparisons: Any, steps: Mapping[datetime, ComparedRows]
) -> dict[datetime, Mean]:
    """Return the mean difference of each step with pairs among ``comparisons``, by its start."""
    database = Comparison.objects.db
    keys: dict[datetime, _Key] = {at: (database, step, at, rows) for at, rows in steps.items()}
    with _lock:
        gains = {at: _kept[key] for at, key in keys.items() if key in _kept}
    missing = sorted(steps.keys() - gains.keys())
    if missing:
        spans = merged_spans([(at, step_end(step, at)) for at in missing])
        pairs = pairs_by(step, comparisons.filter(within("created_at", spans)))
        computed = {at: pair_gain(pairs.get(at, ())) for at in missing}
        gains |= computed
        with _lock:
            for at, gain in computed.items():
                _kept[keys[at]] = gain
            while len(_kept) > _MOST_KEPT:
                _kept.popitem(last=False)
    return {at: gain for at, gain in gains.items() if gain.count}
