"""The pictures of the admin's home: their figures, and the rows that each step leads to."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from analytics.reports.report import routing_report
from optimizer.control_room.pages.home.charts import charts
from optimizer.control_room.pages.period import ReportPeriod
from tests.factories import ComparisonFactory, RequestRecordFactory, RoutingMetricFactory

pytestmark = pytest.mark.django_db
NOW = datetime.now(UTC)


def some_days() -> None:
    for n in range(8):
        asked = NOW - timedelta(days=n % 4, minutes=n)
        cost = Decimal("0.005") if n == 1 else Decimal("0.01")
        RoutingMetricFactory(
            request__created_at=asked, request__cost=cost, request__model=f"model {n}",
            request__provider="claude" if n % 2 else "gemini", request__cache_hit=n == 1,
            request__provider_ms=None if n == 1 else 100.0 * n, request__ttft_ms=20.0 * n,
            created_at=asked, actual_cost=cost, baseline_cost=Decimal("0.03"),
            routing_saved=Decimal("0.02"), cache_saved=Decimal("0.005") if n == 1 else Decimal(0),
        )  # fmt: skip
    RequestRecordFactory(
        status="error", provider="", model="", cost=Decimal("0.001"), created_at=NOW
    )
    RequestRecordFactory(cost=Decimal("0.5"), created_at=NOW - timedelta(days=10))


def drawn(**query: str) -> dict[str, Any]:
    found = charts(ReportPeriod.from_query(query))
    return {chart["id"]: chart for chart in found["charts"]}


def series(chart: dict[str, Any], name: str) -> Any:
    (found,) = (one["values"] for one in chart["series"] if one["name"] == name)
    return found


def total(values: list[Any]) -> Decimal:
    return sum((Decimal(value) for value in values if value is not None), Decimal(0))


def test_they_show_what_the_report_says() -> None:
    some_days()
    found, report = drawn(days="7"), routing_report(7)
    assert total(series(found["spend"], "Spent")) == report["totals"]["cost"]
    assert total(series(found["spend"], "Spent, previous period")) == Decimal("0.5")
    saved = report["savings"]["total_saved"]
    assert total(series(found["spend"], "Saved")) == saved
    assert sum(total(one["values"]) for one in found["causes"]["series"]) == saved
    assert total(series(found["causes"], "Response cache")) == Decimal("0.005")
    assert total(series(found["causes"], "Failed requests")) == Decimal("-0.001")
    assert sum(series(found["failures"], "none")) == 1


def test_many_models_are_summed_up_to_what_can_be_told_apart() -> None:
    some_days()
    chart = drawn(days="7")["models"]
    assert len(chart["series"]) == 6
    assert chart["series"][-1]["name"] == "others"
    assert sum(total(one["values"]) for one in chart["series"]) == 9


def test_durations_are_those_of_calls_and_rates_those_of_answers() -> None:
    some_days()
    found = drawn(days="7")
    slowest = max(filter(None, series(found["latency"], "claude")))
    assert slowest == pytest.approx(700, rel=0.42)
    assert max(filter(None, series(found["hits"], "Hit rate"))) == 50
    assert max(filter(None, series(found["first-token"], "gemini"))) == pytest.approx(120, rel=0.42)


def test_quality_stands_beside_what_is_tolerated(settings: Any) -> None:
    some_days()
    settings.QUALITY_TOLERANCE = 0.03
    assert [one["name"] for one in drawn()["quality"]["series"]] == ["Rating"]
    ComparisonFactory(created_at=NOW, score=0.5, reference_score=0.75)
    chart = drawn()["quality"]
    assert set(series(chart, "Tolerance")) == {-0.03}
    assert series(chart, "Difference")[-1] == -0.25


@pytest.mark.parametrize("days", ["1", "7", "90"])
def test_each_step_leads_to_the_rows_that_it_counts(admin_client: Client, days: str) -> None:
    some_days()
    for name, counted in (("models", "requests"), ("failures", "failed")):
        chart = drawn(days=days)[name]
        steps = zip(*(one["values"] for one in chart["series"]), strict=True)
        for count, page in zip(map(sum, steps), chart["rows"], strict=True):
            listed = admin_client.get(page).context["cl"].result_count
            assert listed == count, f"{counted} of {page}"


def test_money_is_told_to_the_last_place(admin_client: Client) -> None:
    cost = Decimal("7.0000000001")
    RequestRecordFactory(cost=cost, created_at=NOW)
    answer = admin_client.get(reverse("admin:charts"))
    assert answer["Content-Type"] == "application/json"
    spent = answer.json()["charts"][0]["series"][0]
    assert Decimal(spent["values"][-1]) == cost
    assert answer.json()["step"] == "day"


def test_nothing_asked_is_nothing_drawn() -> None:
    for chart in charts(ReportPeriod.last_days(7))["charts"]:
        values = [value for one in chart["series"] for value in one["values"]]
        assert not any(Decimal(str(value)) for value in values if value is not None)
