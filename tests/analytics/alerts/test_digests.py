"""Digests: due in their own time zone, made once, honest about empty periods."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.core.exceptions import ValidationError

from analytics.alerts.digest_issues import DigestPeriod, digests_issue
from analytics.models import (
    AlertRule,
    Digest,
    DigestIssue,
    Notification,
    NotificationChannel,
)
from tests.factories import BudgetFactory, RoutingMetricFactory

pytestmark = pytest.mark.django_db
D = Decimal
MONDAY = datetime(2026, 11, 23, 9, tzinfo=UTC)


def digest(**fields: object) -> Digest:
    values = {
        "name": "Weekly",
        "emails": "a@example.com",
        "created_at": MONDAY - timedelta(weeks=9),
    }
    return Digest.objects.create(**{**values, **fields})


def request(at: datetime, cost: str = "1", **fields: object) -> None:
    RoutingMetricFactory(
        created_at=at, actual_cost=D(cost), baseline_cost=2 * D(cost), routing_saved=D(cost),
        request__created_at=at, request__cost=D(cost), **fields,
    )  # fmt: skip


def facts(issue: DigestIssue) -> dict[str, str]:
    return dict(issue.content["facts"])


def test_periods_begin_and_end_at_local_midnights() -> None:
    berlin = digest(period="month", time_zone="Europe/Berlin", hour=8)
    period = DigestPeriod.latest(berlin, datetime(2026, 11, 5, tzinfo=UTC))
    assert period.first.isoformat() == "2026-10-01"
    # October begins in summer time and ends in winter time.
    assert period.since == datetime(2026, 9, 30, 22, tzinfo=UTC)
    assert period.until == datetime(2026, 10, 31, 23, tzinfo=UTC)
    assert period.due_at == datetime(2026, 11, 1, 7, tzinfo=UTC)
    week = DigestPeriod.latest(
        digest(name="w", time_zone="Europe/Berlin"), datetime(2026, 10, 26, tzinfo=UTC)
    )
    assert week.until - week.since == timedelta(hours=7 * 24 + 1)
    auckland = digest(name="a", time_zone="Pacific/Auckland")
    # There, Monday has begun while it is Sunday in UTC.
    assert DigestPeriod.latest(auckland, datetime(2026, 11, 22, 12, tzinfo=UTC)).first.day == 16


def test_it_is_made_once_when_it_is_due() -> None:
    digest(hour=8)
    assert digests_issue(MONDAY.replace(hour=7, minute=59)) == []
    (issue,) = digests_issue(MONDAY.replace(hour=8))
    assert issue.period_start.isoformat() == "2026-11-16"
    assert digests_issue(MONDAY) == []
    assert digests_issue(MONDAY + timedelta(days=3)) == []
    (row,) = Notification.objects.all()
    assert (row.event, row.direct, row.due_at is not None) == ("digest", "email", True)
    assert len(digests_issue(MONDAY + timedelta(days=7))) == 1


def test_a_new_digest_waits_for_its_time_and_a_late_service_makes_up() -> None:
    digest(name="new", created_at=MONDAY + timedelta(days=1))
    assert digests_issue(MONDAY + timedelta(days=2)) == []
    digest(name="old")
    assert [str(one.digest) for one in digests_issue(MONDAY + timedelta(days=4))] == ["old"]
    digest(name="off", enabled=False)
    assert digests_issue(MONDAY + timedelta(days=4)) == []


def test_an_empty_week_is_called_empty() -> None:
    digest()
    (issue,) = digests_issue(MONDAY)
    assert issue.content["text"] == "There were no requests in this week."
    assert facts(issue)["Spent"] == "$0.00"
    assert "Saved" not in facts(issue)
    assert facts(issue)["Forecast of November"].startswith("unknown")
    assert issue.content["sections"] == []


def test_what_it_says_of_everything() -> None:
    for day in range(7):
        for _ in range(6):
            request(MONDAY - timedelta(days=day + 1), "2", request__tenant="team:Research")
            request(MONDAY - timedelta(days=day + 8), "1", request__tenant="team:Research")
    BudgetFactory(limit=D(1), name="All")
    rule = AlertRule.objects.create(name="Cap", limit=1)
    rule.alerts.create(period_start=MONDAY.date(), value=2, text="Cap: passed.")
    channel = NotificationChannel.objects.create(name="s", kind="slack", address="https://x.test/1")
    digest().channels.add(channel)
    (issue,) = digests_issue(MONDAY)
    known = facts(issue)
    assert known["Spent"] == "$84.00, +100 % against $42.00 before"
    assert known["Saved"].startswith("$84.00, 50 % of the baseline")
    assert "interval" in known["Saved"] or "95 %" in known["Saved"]
    assert known["Quality"].startswith("not shown")
    assert known["Requests"] == "42, 0 % failed"
    sections = {one["heading"]: one["lines"] for one in issue.content["sections"]}
    assert any("$84.00 (+$42.00)" in line for line in sections["Models that moved"])
    assert sections["Teams that moved"] == ["Research: $84.00 (+$42.00)"]
    assert any("Cap: passed." in line for line in sections["Needs a look"])
    assert Notification.objects.filter(channel=channel).count() == 1


def test_a_team_hears_of_itself_alone() -> None:
    at = MONDAY - timedelta(days=2)
    request(at, "3", request__tenant="team:Care", request__user_id="ann")
    request(at, "5", request__tenant="team:Research")
    AlertRule.objects.create(name="Cap", limit=1).alerts.create(
        period_start=MONDAY.date(), value=2, text="Cap: passed."
    )
    digest(scope="team", subject="Care")
    (issue,) = digests_issue(MONDAY)
    assert facts(issue)["Spent"].startswith("$3.00")
    assert issue.content["text"] == "Team Care spent $3.00."
    assert facts(issue)["Quality"] == "not known: no answers were rated"
    headings = [one["heading"] for one in issue.content["sections"]]
    assert "Needs a look" not in headings
    assert "Research" not in str(issue.content)


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"scope": "team"}, "Name the team"),
        ({"subject": "x"}, "Leave it empty"),
        ({"time_zone": "Mars/Olympus"}, "Unknown time zone"),
        ({"hour": 24}, "less than or equal to 23"),
    ],
)
def test_mistakes_are_named(fields: dict[str, object], error: str) -> None:
    with pytest.raises(ValidationError, match=error):
        Digest(name="x", emails="a@example.com", **fields).full_clean()
