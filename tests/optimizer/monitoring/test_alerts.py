"""Alerts: told once a period, by webhook and e-mail, until it has arrived."""

from __future__ import annotations

import io
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from django.core import mail
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from analytics.alerts.metrics import read_rule
from analytics.alerts.outbox import notifications_claim
from analytics.alerts.raising import alerts_raise
from analytics.alerts.reading import period_start
from analytics.models import AgentSession, AlertRule, Notification
from optimizer.monitoring.alerts import watch
from tests.factories import ComparisonFactory, DailyTotalFactory, RoutingMetricFactory
from tests.optimizer.monitoring.conftest import Hook

pytestmark = pytest.mark.django_db
D = Decimal


def rule(**fields: object) -> AlertRule:
    values = {"name": "cap", "metric": "spend", "limit": D(10), "period": "day", **fields}
    return AlertRule.objects.create(**values)


def spend(amount: str, day: date | None = None) -> None:
    DailyTotalFactory(date=day or datetime.now(UTC).date(), cost=D(amount), model=f"m{amount}")


@pytest.mark.parametrize(
    ("period", "start"),
    [("day", "2026-11-26"), ("week", "2026-11-23"), ("month", "2026-11-01")],
)
def test_periods_are_calendar_ones(period: str, start: str) -> None:
    assert period_start(period, date(2026, 11, 26)).isoformat() == start


class TestWhatIsWatched:
    def test_spend_of_the_period(self) -> None:
        spend("9.99")
        day, month = rule(), rule(name="month", period="month")
        assert not read_rule(day).passed
        spend("0.02")
        assert read_rule(day).passed
        assert read_rule(month).passed
        assert "spent $10.01, limit $10.00" in read_rule(day).text
        assert not read_rule(day, datetime.now(UTC) + timedelta(days=1)).passed

    def test_one_user_s_or_tag_s_spend(self) -> None:
        RoutingMetricFactory(
            request__user_id="ann", request__tags=["x"], request__cost=D(11), baseline_cost=D(12)
        )
        assert read_rule(rule(user="ann")).passed
        assert read_rule(rule(name="t", tag="x")).passed
        assert not read_rule(rule(name="b", user="bob")).passed

    def test_savings_below_a_share(self) -> None:
        watched = rule(metric="savings", limit=D(30))
        RoutingMetricFactory.create_batch(20, request__cost=D("0.9"), baseline_cost=D(1))
        assert read_rule(watched).value is None
        RoutingMetricFactory.create_batch(20, request__cost=D("0.9"), baseline_cost=D(1))
        assert read_rule(watched).value == D("10.0")
        assert read_rule(watched).passed
        assert not read_rule(rule(name="low", metric="savings", limit=D(5))).passed

    def test_quality_that_is_surely_lower(self) -> None:
        watched = rule(metric="quality", limit=D("0.02"))
        ComparisonFactory.create_batch(200, score=0.5, reference_score=0.5)
        assert not read_rule(watched).passed
        ComparisonFactory.create_batch(400, score=0.1, reference_score=0.5)
        assert read_rule(watched).passed


class TestRunaways:
    def session(self, name: str, cost: str, **fields: object) -> None:
        now = datetime.now(UTC)
        AgentSession.objects.create(**{
            "session_id": name, "agent": "codex", "started_at": now, "last_at": now,
            "cost": D(cost), "runaway_at": now, "runaway_reason": "The same steps.", **fields,
        })  # fmt: skip

    def test_each_session_is_told_of_once(self, hook: Hook) -> None:
        rule(metric="runaway", limit=D(1), webhook=hook.url)
        self.session("cheap", "0.5")
        self.session("calm", "5", runaway_at=None)
        self.session("old", "5", runaway_at=datetime.now(UTC) - timedelta(days=2))
        watch()
        assert hook.told == []
        self.session("dear", "2", user_id="ann")
        watch()
        self.session("dear", "3", tenant="team:a")
        for _ in range(2):
            watch()
        assert [message["subject"] for message in hook.told] == ["/dear", "team:a/dear"]
        assert "the session dear of ann (codex) runs away, $2.00" in hook.told[0]["text"]

    def test_of_one_user_and_as_a_reading(self) -> None:
        self.session("a", "2", user_id="ann")
        assert read_rule(rule(metric="runaway", limit=D(0), user="ann")).passed
        bobs = read_rule(rule(name="b", metric="runaway", limit=D(0), user="bob"))
        assert not bobs.passed
        assert "0 sessions ran away" in bobs.text


class TestTelling:
    def test_once_a_period_by_webhook_and_mail(self, hook: Hook, settings) -> None:
        rule(webhook=hook.url, emails="a@example.com, b@example.com")
        spend("11")
        for _ in range(3):
            watch()
        assert len(hook.told) == len(mail.outbox) == 1
        assert hook.told[0]["alert"] == "cap"
        assert hook.told[0]["value"] == 11.0
        assert "spent $11.00" in hook.told[0]["text"]
        assert mail.outbox[0].to == ["a@example.com", "b@example.com"]
        tomorrow = datetime.now(UTC) + timedelta(days=1)
        spend("12", tomorrow.date())
        assert len(alerts_raise(tomorrow)) == 1

    def test_again_until_it_has_arrived(self, hook: Hook) -> None:
        rule(webhook=hook.url)
        spend("11")
        hook.status = 500
        watch()
        row = Notification.objects.get()
        assert (row.attempts, row.error) == (1, "HTTP 500")
        hook.status = 200
        watch()  # not yet: it waits a minute
        assert len(hook.told) == 1
        Notification.objects.update(due_at=datetime.now(UTC) - timedelta(seconds=1))
        watch()
        row.refresh_from_db()
        assert row.delivered_at is not None
        assert row.error == ""

    def test_a_redirect_is_not_followed(self, hook: Hook) -> None:
        hook.status = 302
        rule(webhook=hook.url)
        spend("11")
        watch()
        assert Notification.objects.get().error == "HTTP 302"

    def test_nobody_listening_is_said(self, settings) -> None:
        settings.EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"
        rule(webhook="http://127.0.0.1:9/", emails="a@example.com")
        spend("11")
        watch()
        errors = Notification.objects.order_by("error").values_list("error", flat=True)
        assert list(errors) == ["ConnectError", "EMAIL_URL is not set"]

    def test_each_is_handed_to_one_worker(self) -> None:
        rule(webhook="http://127.0.0.1:9/")
        spend("11")
        alerts_raise()
        assert len(notifications_claim()) == 1
        assert not notifications_claim()

    def test_what_is_switched_off_is_silent(self) -> None:
        rule(enabled=False, emails="a@example.com")
        spend("11")
        watch()
        assert not Notification.objects.exists()


class TestWriting:
    @pytest.mark.parametrize(
        ("fields", "error"),
        [
            ({"emails": "nobody"}, "is not an e-mail address"),
            ({"webhook": "ftp://x/"}, "valid URL"),
            ({"emails": "a@example.com", "user": "x", "tag": "y"}, "by one of team"),
            (
                {"emails": "a@example.com", "user": "x", "metric": "savings"},
                "cannot be watched by user",
            ),
        ],
    )
    def test_mistakes_are_said(self, fields: dict, error: str) -> None:
        with pytest.raises(ValidationError, match=error):
            AlertRule(name="x", limit=D(1), **fields).full_clean()

    def test_in_the_admin(self, admin_client: Client) -> None:
        form = {
            "name": "cap", "enabled": "on", "metric": "spend", "limit": "10", "period": "day",
            "window_minutes": "15", "webhook": "", "emails": "",
        }  # fmt: skip
        add = reverse("admin:analytics_alertrule_add")
        assert (
            "give a webhook or an e-mail address" in admin_client.post(add, form).content.decode()
        )
        assert admin_client.post(add, {**form, "emails": "a@example.com"}).status_code == 302
        spend("11")
        watch()
        page = admin_client.get(reverse("admin:analytics_alert_changelist")).content.decode()
        assert "spent $11.00" in page


class TestTheCommand:
    def run(self, *arguments: str) -> str:
        out = io.StringIO()
        call_command("alerts", *arguments, stdout=out, stderr=io.StringIO())
        return " ".join(out.getvalue().split())

    def test_it_shows_and_tells(self, hook: Hook) -> None:
        assert "There are no alerts" in self.run()
        rule(webhook=hook.url)
        spend("11")
        assert "spent $11.00" in self.run()
        assert not hook.told
        self.run("--watch")
        assert len(hook.told) == 1
        assert "Sent" in self.run("--test", "cap")
        assert hook.told[1]["test"] is True
        hook.status = 404
        with pytest.raises(CommandError, match="HTTP 404"):
            self.run("--test", "cap")
        with pytest.raises(CommandError, match="no alert 'none'"):
            self.run("--test", "none")
