"""The interval of the savings, from the sums of the database."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from analytics.ledger.rollups import totals_update
from analytics.ledger.savings import cost_savings
from analytics.models import DailyRollup, HourlyRollup, RequestRecord
from analytics.reports.figures import KEPT
from analytics.reports.intervals import GROUPED_BY
from analytics.reports.sum_sources import RECORDED
from analytics.reports.usage import routing_metrics
from tests.factories import RoutingMetricFactory

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 20, 15, 30, tzinfo=UTC)
SINCE = NOW - timedelta(days=40)


def request(saved: float, **fields: Any) -> None:
    usd = Decimal(str(round(saved, 6)))
    RoutingMetricFactory(
        request__id=uuid.UUID(bytes=np.random.default_rng(RequestRecord.objects.count()).bytes(16)),
        request__cost=Decimal("0.1"), actual_cost=Decimal("0.1"),
        baseline_cost=Decimal("0.1") + usd, routing_saved=usd, cache_saved=Decimal(0),
        **{"request__created_at": NOW, **{f"request__{name}": v for name, v in fields.items()}},
    )  # fmt: skip


def test_it_is_taken_over_whole_pairs() -> None:
    for number in range(40):
        RoutingMetricFactory(
            request__cost=Decimal("0.1"), baseline_cost=Decimal("0.1") + Decimal(number % 5) / 10
        )
    RoutingMetricFactory(request__cost=None)
    savings = cost_savings(datetime.now(UTC) - timedelta(days=1))
    assert (savings["paired_requests"], savings["unpriced_requests"]) == (40, 1)
    assert savings["total_saved"] == Decimal("8.0")
    assert (savings["varies_by"], savings["no_interval"]) == ("request", "")
    # Forty savings of 0 to 0.4: a standard error of about 0.9 in all.
    assert Decimal(5) < savings["saved_low"] < Decimal(7)
    assert Decimal(9) < savings["saved_high"] < Decimal(11)
    assert savings["next_saved_low"] < savings["saved_low"]
    assert savings["next_saved_high"] > savings["saved_high"]


def test_few_requests_have_no_interval_and_the_report_says_why() -> None:
    for _ in range(29):
        RoutingMetricFactory()
    savings = cost_savings(datetime.now(UTC) - timedelta(days=1))
    assert savings["saved_low"] is savings["next_saved_high"] is savings["varies_by"] is None
    assert savings["no_interval"] == "29 requests are too few; 30 are needed"


@pytest.mark.parametrize(
    ("column", "by"), [("session_id", "session"), ("user_id", "user"), ("api_key", "key")]
)
def test_what_varies_most_is_found_from_the_log(column: str, by: str) -> None:
    rng = np.random.default_rng(4)
    for n, saved in enumerate(np.repeat(rng.uniform(0, 2, 30), 5)):
        request(saved + rng.normal(0, 0.1), **{column: f"one-{n // 5}"})
    alike = cost_savings(SINCE)
    RequestRecord.objects.update(**{column: ""})
    alone = cost_savings(SINCE)
    assert (alike["varies_by"], alone["varies_by"]) == (by, "request")
    width, other = (found["saved_high"] - found["saved_low"] for found in (alike, alone))
    # Five requests that are alike say as much as one.
    assert 1.7 < width / other < 2.8


def test_days_that_differ_are_found_too() -> None:
    rng = np.random.default_rng(5)
    for n in range(150):
        at = NOW - timedelta(days=n % 30)
        request(1 + 0.5 * ((n % 30) // 15) + rng.normal(0, 0.1), created_at=at)
    assert cost_savings(SINCE)["varies_by"] == "day"


def test_ten_agent_loops_are_too_few() -> None:
    for n in range(120):
        request(1 + n % 7, session_id=f"loop-{n // 12}")
    savings = cost_savings(SINCE)
    assert savings["saved_low"] is None
    assert savings["no_interval"].endswith("sessions; 12 are needed")
    assert savings["total_saved"] > 0


def test_requests_without_a_user_are_grouped_by_session_or_alone() -> None:
    request(1, user_id="ann", session_id="s1")
    request(1, user_id="ann", session_id="s2")
    request(1, session_id="s2")
    request(1)
    counts = {name: RECORDED.by(name, SINCE) for name in ("sessions", "users", "keys")}
    assert sorted((group[0], f["requests"]) for group, f in counts["users"].items()) == [
        ("r", 1), ("s", 1), ("u", 2),
    ]  # fmt: skip
    assert counts["keys"] == counts["users"]
    assert sorted((group[0], f["requests"]) for group, f in counts["sessions"].items()) == [
        ("r", 1), ("s", 1), ("s", 2),
    ]  # fmt: skip


def test_totals_and_requests_give_the_same_interval() -> None:
    rng = np.random.default_rng(6)
    for n, saved in enumerate(rng.exponential(1, 120)):
        at = NOW - timedelta(hours=7 * (n % 100))
        request(saved, created_at=at, session_id=f"s{n // 4}", user_id=f"u{n % 31}", api_key="k")
    read = cost_savings(SINCE)
    list(totals_update(NOW + timedelta(days=1)))
    assert set(DailyRollup.objects.values_list("dimension", flat=True)) == set(KEPT)
    assert cost_savings(SINCE) == read
    assert read["saved_low"] is not None


def test_requests_pruned_before_sessions_were_counted_leave_no_interval() -> None:
    for n in range(60):
        request(n % 5, session_id=f"s{n}")
    list(totals_update(NOW + timedelta(days=1)))
    for totals in (HourlyRollup, DailyRollup):
        totals.objects.filter(dimension__in=set(GROUPED_BY.values()) - {"group"}).delete()
    assert cost_savings(SINCE)["no_interval"].startswith(
        "the sessions and users of 60 requests are not known"
    )


def test_a_tenant_has_an_interval_of_its_own() -> None:
    for n in range(80):
        request(n % 5, tenant="acme" if n % 2 else "other")
    found = routing_metrics(365, tenant="acme")["cost_savings"]
    assert found["paired_requests"] == 40
    assert found["saved_low"] < found["total_saved"] < found["saved_high"]
