"""The admin's home: the report's own figures, what is broken, and the rows behind it all."""

from __future__ import annotations

import html
import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from analytics.budgets.periods import window_at
from analytics.budgets.report import AccountStanding
from analytics.models import (
    Alert,
    AlertRule,
    BudgetAccount,
    BudgetHold,
    DailyTotal,
    Notification,
    RefusalTotal,
    RequestRecord,
)
from analytics.money_shown import rounded_dollars
from analytics.reports.report import routing_report
from optimizer.control_room.pages.home.details import cost_breakdown, details
from optimizer.control_room.pages.home.overview import overview
from optimizer.control_room.pages.period import ReportPeriod
from tests.factories import BudgetFactory, RequestRecordFactory, RoutingMetricFactory
from tests.optimizer.control_room.test_budget_pages import spend

pytestmark = pytest.mark.django_db
HOME, DETAILS, WHOSE, CHARTS = (
    reverse(f"admin:{name}") for name in ("index", "details", "whose", "charts")
)
NOW = datetime.now(UTC)


def some_requests() -> None:
    for n in range(6):
        request = RequestRecordFactory(
            user_id=f"user {n % 2}", tags=["docs"], latency_ms=100.0 * n, cost=Decimal("0.01"),
            cache_hit=n == 0, created_at=NOW - timedelta(hours=n),
        )  # fmt: skip
        RoutingMetricFactory(request=request, baseline_cost=Decimal("0.03"))
    RequestRecordFactory(status="error", cost=Decimal(0), created_at=NOW - timedelta(hours=1))
    RequestRecordFactory(cost=Decimal("0.02"), created_at=NOW - timedelta(days=10))


def test_figures_are_the_report_s(admin_client: Client) -> None:
    some_requests()
    room, report = overview(ReportPeriod.last_days(7), {"claude": "closed"}), routing_report(7)
    cards = {card.label: card for card in room["cards"]}
    assert cards["Spent"].value == rounded_dollars(report["totals"]["cost"])
    line = room["headline"]
    assert line.spent == rounded_dollars(report["totals"]["cost"])
    assert line.saved == rounded_dollars(report["savings"]["total_saved"])
    assert not line.worse
    assert cards["Requests"].value == "7"
    assert cards["From the cache"].value == f"{report['cache']['hit_rate_percent']:.1f} %"
    assert cards["Failed"].value == "14.3 %"
    assert cards["Failed"].alarming
    assert cards["Spent"].note == "+200 % on the previous period"
    page = admin_client.get(HOME).content.decode()
    for card in cards.values():
        assert card.label in page
        assert card.value in page


def test_every_figure_leads_to_rows(admin_client: Client) -> None:
    some_requests()
    BudgetFactory(scope="user", limit=Decimal(1))
    spend("ann", "0.5")
    page = admin_client.get(f"{HOME}?days=30").content.decode()
    more = "".join(
        admin_client.get(f"{part}?days=30").content.decode() for part in (DETAILS, WHOSE)
    )
    links = set(map(html.unescape, re.findall(r'href="([^"]+)"', room_of(page) + more)))
    assert len(links) > 10
    for link in links:
        assert admin_client.get(link if link.startswith("/") else HOME + link).status_code == 200


def test_the_rows_behind_a_figure_are_those_it_counts(admin_client: Client) -> None:
    some_requests()
    RequestRecordFactory(user_id="é ann", tags=["a b&c", 'say "so"'], created_at=NOW)
    period = ReportPeriod.last_days(7)
    room, lists = details(period, {}), cost_breakdown(period)["lists"]
    counted = [*room["models"], *room["strategies"], *(row for _, _, rows in lists for row in rows)]
    counted += [{"requests": row.requests, "query": row.query} for row in room["providers"]]
    leading = [row for row in counted if row["query"]]
    assert len(leading) >= 9
    requests = reverse("admin:analytics_requestrecord_changelist")
    for row in leading:
        listed = admin_client.get(f"{requests}?{row['query']}").context["cl"]
        assert listed.result_count == row["requests"], row


def test_what_needs_a_look_stands_on_top(admin_client: Client) -> None:
    some_requests()
    budget = BudgetFactory(name="Day", limit=Decimal("0.5"))
    spend("ann", "0.5")
    RoutingMetricFactory(baseline_cost=None, routing_saved=None)
    failed = RequestRecordFactory(status="error", cost=Decimal(0))
    RoutingMetricFactory(request=failed, baseline_cost=None, routing_saved=None, cache_saved=None)
    room = overview(ReportPeriod.last_days(7), {"claude": "open", "gemini": "closed"})
    problems = room["problems"]
    assert [problem.text for problem in problems] == [
        "claude failed too often: its circuit is open.",
        "The budget Day is used up.",
        "1 answer has no known price, or no baseline with one; no savings are counted.",
        "2 requests failed (22.2 %).",
    ]
    assert problems[1].page == reverse("admin:analytics_budget_change", args=[budget.pk])
    # Each link shows exactly what the sentence counts.
    assert admin_client.get(problems[2].page).context["cl"].result_count == 1
    assert admin_client.get(problems[3].page).context["cl"].result_count == 2


def test_refused_requests_are_shown_from_the_day_on_that_totals_count(admin_client: Client) -> None:
    RequestRecordFactory(created_at=NOW)
    day = (NOW - timedelta(days=7)).replace(hour=0, minute=1)
    RequestRecordFactory(status="refused", http_status=402, error_code="budget", created_at=day)
    RefusalTotal.objects.create(
        date=day.date(), endpoint="complete", http_status=402, reason="budget", count=1
    )
    (problem,) = overview(ReportPeriod.last_days(7), {})["problems"]
    assert problem.text == f"1 request was refused since {day:%b %-d}."
    assert admin_client.get(problem.page).context["cl"].result_count == 1


def test_what_workers_left_and_what_was_not_delivered(admin_client: Client) -> None:
    RequestRecordFactory(created_at=NOW)
    account = BudgetAccount.objects.create(budget=BudgetFactory(limit=Decimal(1000)))
    for lost_at in (NOW, None):
        BudgetHold.objects.create(
            request_id=uuid4(), account=account, start=NOW, amount=Decimal("0.1"), model="m",
            worker="w", lost_at=lost_at,
        )  # fmt: skip
    for error, delivered_at in (("timed out", None), ("", None), ("late", NOW)):
        alert = Alert.objects.create(
            rule=AlertRule.objects.create(name=f"{error}{delivered_at}", limit=1, emails="a@b.c"),
            period_start=NOW.date(), value=2, text="spent",
        )  # fmt: skip
        Notification.objects.create(
            alert=alert, event="raised", direct="email", error=error, delivered_at=delivered_at
        )
    firing, holds, alerts = overview(ReportPeriod.last_days(7), {})["problems"]
    assert (firing.text, firing.page) == ("3 alerts are firing.", reverse("admin:alerts"))
    assert holds.text.startswith("1 hold belongs to workers that stopped")
    assert alerts.text == "1 notification could not be delivered."
    for problem in (holds, alerts):
        assert admin_client.get(problem.page).context["cl"].result_count == 1


def test_a_dear_day_is_told_from_usual_ones(admin_client: Client) -> None:
    today = datetime.now(UTC).date()
    for ago in range(1, 15):
        cost = Decimal(10) if ago == 3 else Decimal(1)
        DailyTotal.objects.create(
            date=today - timedelta(days=ago), provider="claude", model="m", strategy="hybrid",
            requests=1, cost=cost,
        )  # fmt: skip
    RequestRecordFactory(
        provider="claude", model="m", created_at=NOW - timedelta(days=3), cost=Decimal(10)
    )
    RequestRecordFactory(provider="gemini", created_at=NOW - timedelta(days=3), cost=Decimal(0))
    RequestRecordFactory(provider="claude", model="m", created_at=NOW - timedelta(days=2))
    (problem,) = overview(ReportPeriod.last_days(7), {})["problems"]
    assert "cost $10.00, 10 times as much as a usual day, mostly for claude/m." in problem.text
    assert admin_client.get(problem.page).context["cl"].result_count == 1


def test_a_loss_says_what_it_comes_from(admin_client: Client) -> None:
    request = RequestRecordFactory(cost=Decimal("0.09"), created_at=NOW)
    RoutingMetricFactory(
        request=request, actual_cost=Decimal("0.09"), baseline_cost=Decimal("0.03"),
        routing_saved=Decimal("-0.06"), cache_saved=Decimal(0),
    )  # fmt: skip
    line = overview(ReportPeriod.last_days(7), {})["headline"]
    assert line.worse
    assert line.share.startswith("200 % more than")
    assert "the models that answered cost $0.06 more than the baseline would have" in line.why
    page = admin_client.get(HOME).content.decode()
    assert "$0.06 more</strong> than the baseline would have cost" in page
    assert line.why in page


def test_other_periods_and_nonsense(admin_client: Client) -> None:
    RequestRecordFactory(created_at=NOW - timedelta(days=60), user_id="long ago")
    for page, name in ((DETAILS, "claude-haiku-5-5"), (WHOSE, "long ago")):
        assert name not in admin_client.get(page).content.decode()
        assert name in admin_client.get(f"{page}?days=90").content.decode()
        for nonsense in ("x", "-1", "0", "99999999999"):
            assert admin_client.get(f"{page}?days={nonsense}").status_code == 200


def room_of(page: str) -> str:
    """The page's figures, without the rest of the admin."""
    return page[page.find('class="control-room"') : page.find('id="footer"')]


def test_any_dates_beside_as_many_before(admin_client: Client) -> None:
    for day, cost in ((1, "9"), (3, "1"), (5, "2"), (6, "4")):
        at = datetime(2026, 3, day, 12, tzinfo=UTC)
        RoutingMetricFactory(
            request__created_at=at,
            request__cost=Decimal(cost),
            created_at=at,
            actual_cost=Decimal(cost),
        )  # fmt: skip
    room = overview(ReportPeriod.between(date(2026, 3, 4), date(2026, 3, 5)), {})
    cards = {card.label: card for card in room["cards"]}
    assert (cards["Spent"].value, cards["Requests"].value) == ("$2.00", "1")
    assert cards["Spent"].note == "+100 % on the previous period"
    dates = "?from=2026-03-04&to=2026-03-05"
    page = html.unescape(admin_client.get(HOME + dates).content.decode())
    assert page.count("from=2026-03-04&to=2026-03-05") == 5
    listed = admin_client.get(re.findall(r'class="card" href="([^"]+)"', page)[0])
    assert listed.context["cl"].result_count == 1
    assert "$2.00" in admin_client.get(WHOSE + dates).content.decode()


@pytest.mark.parametrize(
    ("dates", "trouble"),
    [
        ("from=2026-03-05&to=2026-03-04", "ends before it begins"),
        ("from=x&to=2026-03-04", "Give both dates"),
        ("from=2026-03-04", "Give both dates"),
        ("from=2020-03-04&to=2026-03-04", "At most 366 days"),
        ("from=0001-01-01&to=0001-01-02", "At most 366 days"),
    ],
)
def test_dates_that_make_no_period_are_said(admin_client: Client, dates: str, trouble: str) -> None:
    assert trouble in admin_client.get(f"{HOME}?{dates}").content.decode()


def test_a_budget_says_when_it_is_used_up_at_this_pace() -> None:
    noon = datetime(2026, 3, 4, 12, tzinfo=UTC)
    budget = BudgetFactory(period="day", limit=Decimal(10))
    window = window_at(budget, noon)

    def runs_out(spent: str) -> datetime | None:
        return AccountStanding(budget, "", window, Decimal(spent)).runs_out_at(noon)

    assert runs_out("8") == noon + timedelta(hours=3)
    assert runs_out("10") == noon
    assert runs_out("5") is runs_out("0") is None


def test_who_and_what_the_money_went_to_comes_after(admin_client: Client) -> None:
    some_requests()
    dear = RoutingMetricFactory(request__cost=Decimal(3), request__prompt="The dearest of all")
    shown = admin_client.get(HOME).content.decode()
    for part in (DETAILS, WHOSE):
        assert f'data-from="{part}?days=7&amp;baseline=recorded"' in shown
    page = admin_client.get(WHOSE).content.decode()
    for text in ("user 0", "docs", "factual", "The dearest of all", "$3.00"):
        assert text in page
    assert reverse("admin:analytics_routingmetric_change", args=[dear.pk]) in page


def test_durations_are_those_of_answered_calls_and_streams(admin_client: Client) -> None:
    for took, first, fields in (
        (100.0, 30.0, {}),
        (104.0, 31.0, {}),
        (5000.0, None, {}),
        (None, None, {"cache_hit": True, "latency_ms": 9000.0}),
        (9000.0, 9000.0, {"status": "error"}),
    ):
        RequestRecordFactory(provider_ms=took, ttft_ms=first, **fields)
    (row,) = details(ReportPeriod.last_days(7), {"claude": "closed"})["providers"]
    assert row.latency is not None
    assert row.latency.median == pytest.approx(104, rel=0.2)
    assert row.latency.p95 == pytest.approx(5000, rel=0.3)
    assert row.first_token is not None
    assert row.first_token.p95 == pytest.approx(31, rel=0.42)
    page = admin_client.get(DETAILS).content.decode()
    assert f"<td>{row.latency.p95:.0f} ms</td>" in page


def test_no_page_asks_the_database_much(admin_client: Client) -> None:
    some_requests()
    RoutingMetricFactory(baseline_cost=None, routing_saved=None)
    for each in (True, False):
        BudgetFactory(scope="user" if each else "everything", limit=Decimal(1))
    pages = (HOME, DETAILS, WHOSE, CHARTS, reverse("admin:models"), reverse("admin:start"))
    for page in pages:
        with CaptureQueriesContext(connection) as found:
            assert admin_client.get(page).status_code == 200
        assert len(found) <= 15, page


def test_a_new_operator_is_told_what_to_do(admin_client: Client) -> None:
    page = admin_client.get(HOME).content.decode()
    assert "No requests yet" in page
    assert "curl -s" in page
    assert reverse("admin:demo_make") in page
    # One next step, and no empty boxes.
    assert "$0.00" not in page
    assert 'class="card"' not in page
    RequestRecordFactory(created_at=NOW - timedelta(days=60))
    assert "The latest request arrived on" in admin_client.get(HOME).content.decode()


def test_figures_are_for_those_who_may_see_requests() -> None:
    RequestRecordFactory(user_id="somebody")
    client = Client()
    client.force_login(User.objects.create_user("ann", is_staff=True))
    assert "somebody" not in client.get(HOME).content.decode()
    for page in (CHARTS, DETAILS, WHOSE):
        assert client.get(page).status_code == 403
        assert Client().get(page).status_code == 302


def test_no_number_of_requests_makes_for_more_queries(admin_client: Client) -> None:
    def queries() -> int:
        with CaptureQueriesContext(
            connection,
        ) as found:
            admin_client.get(HOME)
        return len(found)

    some_requests()
    before = queries()
    some_requests()
    assert queries() == before
    assert RequestRecord.objects.count() == 16


def test_savings_are_compared_with_what_is_picked(admin_client: Client) -> None:
    RoutingMetricFactory(request__tokens_in=1000, request__tokens_out=1000)
    page = admin_client.get(f"{HOME}?days=30").content.decode()
    assert '<option value="recorded" selected>' in page
    assert '<option value="claude/claude-opus-5-5">always claude/claude-opus-5-5' in page
    picked = admin_client.get(f"{HOME}?days=30&baseline=claude/claude-opus-5-5")
    room = picked.context["room"]
    line = room["headline"]
    assert "always claude/claude-opus-5-5" in line.share
    assert line.saved != overview(room["period"], {})["headline"].saved
    assert "days=90&amp;baseline=claude/claude-opus-5-5" in picked.content.decode()
    assert (
        admin_client.get(f"{HOME}?baseline=nonsense").context["room"]["compared"].name == "recorded"
    )
