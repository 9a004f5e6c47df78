"""Spending explored: kept sums and requests agree, and what is read is bounded."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest
from django.db.models.functions import TruncDay

from analytics.ledger.rollups import totals_update
from analytics.reports.exploration import cells as cells_module
from analytics.reports.exploration.cells import is_kept, kept_cells, row_cells
from analytics.reports.exploration.dimensions import DIMENSIONS
from analytics.reports.exploration.explore import explore
from analytics.reports.exploration.question import MEASURES, SpendQuestion
from analytics.reports.exploration.scans import CellQuery
from analytics.reports.rollup_coverage import RollupCoverage
from tests.factories import FeedbackFactory, RequestRecordFactory, RoutingMetricFactory

pytestmark = pytest.mark.django_db
NOW = datetime.now(UTC).replace(minute=30, second=0, microsecond=0)
DAY = timedelta(days=1)
WEEK = SpendQuestion(NOW - 14 * DAY, NOW - 7 * DAY, NOW)


@pytest.fixture
def traffic() -> None:
    """Eighty requests over twelve days, with few or no values of every dimension."""
    for n in range(80):
        named = n % 5 > 0
        request = RequestRecordFactory(
            created_at=NOW - timedelta(hours=3.6 * n + 0.1), cost=Decimal(n % 7) / 10,
            tenant=f"team:t{n % 2}" if named else "", project=f"p{n % 3}" if named else "",
            api_key=f"aco_{n % 2}", user_id=f"u{n % 4}" if named else "",
            endpoint=["messages", "complete"][n % 2], agent="codex" if n % 3 else "",
            session_id=f"s{n % 6}",
            tags=[[], ["a"], ["a", "b"]][n % 3], pattern=["code", "factual"][n % 2],
            turn=["human", "tool_result", ""][n % 3], provider=["claude", "openrouter"][n % 2],
            model=["claude-haiku-5-5", "deepseek/deepseek-coder"][n % 2],
            cache_hit=n % 9 == 0, status="error" if n % 11 == 0 else "ok", tokens_in=100 + n,
        )  # fmt: skip
        RoutingMetricFactory(request=request)
        if n % 4 == 0:
            FeedbackFactory(request=request, score=n % 8 / 8)
    list(totals_update())


KEPT = [
    *((name,) for name in DIMENSIONS if name != "session"),
    ("model", "provider"), ("kind", "model"), ("provider", "kind"),
]  # fmt: skip


@pytest.mark.usefixtures("traffic")
def test_kept_sums_are_those_of_the_requests() -> None:
    horizon = RollupCoverage.now(WEEK.before)
    for by in KEPT:
        assert is_kept(by)
        queries = [
            CellQuery(by, WEEK.since, WEEK.until),
            CellQuery(by, WEEK.before, WEEK.since, TruncDay),
        ]
        kept, read = kept_cells(queries, {}, horizon)[0], row_cells(queries, {})
        assert kept == read, by
        assert len(kept[0]) > 1, by
        for values in list(kept[0])[:3]:
            filters = dict(zip(by, values[1], strict=True))
            query = [CellQuery((by[0],), WEEK.since, WEEK.until)]
            (narrow,), _ = kept_cells(query, filters, horizon)
            assert narrow == row_cells(query, filters)[0], filters
            if by != ("tag",):
                assert narrow == {(None, values[1][:1]): kept[0][values]}


@pytest.mark.usefixtures("traffic")
def test_parts_add_up_to_the_whole() -> None:
    for by in (("team", "model"), ("time", "user"), ("session",), ("tag", "agent"), ()):
        _parts_add_up(by)


def _parts_add_up(by: tuple[str, ...]) -> None:
    answer = explore(SpendQuestion(WEEK.before, WEEK.since, WEEK.until, {}, by))
    assert not answer.is_shortened
    measure = MEASURES["spend"]
    assert answer.why.change == answer.total.change(measure)
    assert sum(answer.why.effects.values()) == answer.why.change
    assert sum(answer.steps.all) == measure.of(answer.total.now)
    if "tag" not in by:
        for figure in ("cost", "requests", "tokens_in"):
            for period in ("now", "before"):
                parts = sum(getattr(group, period)[figure] for group in answer.groups)
                assert parts == getattr(answer.total, period)[figure]
        rated = sum(group.now["ratings"].count for group in answer.groups)
        assert rated == answer.total.now["ratings"].count > 0
    moved = [abs(group.change(measure)) for group in answer.movers(measure)]
    assert moved == sorted(moved, reverse=True)


@pytest.mark.usefixtures("traffic")
def test_requests_are_read_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cells_module, "MOST_REQUESTS", 20)
    by = SpendQuestion(WEEK.before, WEEK.since, WEEK.until, {}, ("team", "agent"))
    answer = explore(by)
    assert answer.is_shortened
    counted = answer.total.now["requests"] + answer.total.before["requests"]
    assert 10 < counted <= 20
    assert answer.question.until == WEEK.until
    # What sums hold is never shortened; only the explanation may be.
    user = explore(
        SpendQuestion(WEEK.before, WEEK.since, WEEK.until, {"agent": "codex"}, ("agent",))
    )
    assert not user.is_shortened
    assert user.why.question.since > WEEK.since


@pytest.mark.usefixtures("traffic")
@pytest.mark.parametrize("measure", ["spend", "latency"])
def test_by_time_the_largest_values_are_read(measure: str) -> None:
    by_time = SpendQuestion(WEEK.before, WEEK.since, WEEK.until, {}, ("time", "user"), measure)
    all_of_them = explore(by_time, most_timed=None)
    few = explore(by_time, most_timed=2)
    names = {group.values for group in few.groups}
    assert (len(names), few.left_out, all_of_them.left_out) == (2, 3, 0)
    assert few.total == all_of_them.total
    assert {(g.at, g.values): g for g in few.groups} == {
        (g.at, g.values): g for g in all_of_them.groups if g.values in names
    }
    by_user = explore(SpendQuestion(WEEK.before, WEEK.since, WEEK.until, {}, ("user",), measure))
    figure = "cost" if measure == "spend" else "requests"
    largest = sorted(by_user.groups, key=lambda g: -max(g.now[figure], g.before[figure]))
    assert largest[0].values in names


@pytest.mark.usefixtures("traffic")
def test_one_user_s_requests_are_counted_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cells_module, "MOST_REQUESTS", 20)
    answer = explore(SpendQuestion(WEEK.before, WEEK.since, WEEK.until, {"user": "u1"}, ("model",)))
    assert not answer.is_shortened
    assert {group.values for group in answer.groups} == {("openrouter/deepseek/deepseek-coder",)}


def test_an_empty_period_has_an_answer() -> None:
    answer = explore(SpendQuestion(WEEK.before, WEEK.since, WEEK.until, {}, ("model",)))
    assert answer.why.change == 0
    assert list(answer.groups) == []


def test_periods_meet() -> None:
    short = WEEK.within(NOW - timedelta(hours=11))
    assert [b - a for a, b in pairwise((short.before, short.since, short.until))] == [
        timedelta(hours=5)
    ] * 2
