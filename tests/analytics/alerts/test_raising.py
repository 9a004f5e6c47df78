"""Alerts are raised once and are over once, do not flap, and can be muted."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction

from analytics.alerts.metrics import read_rule
from analytics.alerts.outbox import notifications_add, notifications_claim
from analytics.alerts.raising import alerts_raise, rule_mute
from analytics.models import (
    Alert,
    AlertRule,
    BudgetAccount,
    BudgetUsage,
    DailyTotal,
    Notification,
    NotificationChannel,
)
from tests.factories import BudgetFactory, DailyTotalFactory, RequestRecordFactory

pytestmark = pytest.mark.django_db
D = Decimal
NOW = datetime(2026, 11, 18, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def rule(**fields: object) -> AlertRule:
    values = {"name": "watched", "metric": "errors", "limit": D(10), "emails": "a@example.com"}
    return AlertRule.objects.create(**{**values, **fields})


def traffic(at: datetime, ok: int, failed: int, **fields: object) -> None:
    RequestRecordFactory.create_batch(ok, created_at=at, **fields)
    RequestRecordFactory.create_batch(failed, created_at=at, status="error", **fields)


def events() -> list[str]:
    return list(Notification.objects.order_by("pk").values_list("event", flat=True))


class TestEpisodes:
    def test_it_is_raised_once_and_over_once(self) -> None:
        rule()
        traffic(NOW - MINUTE, ok=20, failed=10)
        for minute in range(3):
            alerts_raise(NOW + minute * MINUTE)
        alert = Alert.objects.get()
        assert "33.3 % of 30 requests failed in the last 15 minutes" in alert.text
        assert events() == ["raised"]
        # The failures leave the window after fifteen minutes; ten more must be calm.
        for minute in range(15, 26):
            alerts_raise(NOW + minute * MINUTE)
        alert.refresh_from_db()
        assert alert.resolved_at == NOW + 25 * MINUTE
        assert alert.end_text.startswith("Resolved: watched: 0 of 0 requests failed")
        for minute in range(26, 40):
            alerts_raise(NOW + minute * MINUTE)
        assert events() == ["raised", "resolved"]
        traffic(NOW + 60 * MINUTE, ok=20, failed=10)
        alerts_raise(NOW + 61 * MINUTE)
        assert events() == ["raised", "resolved", "raised"]
        assert [one.episode for one in Alert.objects.order_by("pk")] == [0, 1]

    def test_a_figure_around_its_limit_does_not_flap(self) -> None:
        rule(window_minutes=5, limit=D(12))
        for step in range(8):
            at = NOW + step * 6 * MINUTE
            traffic(at, ok=19 + step % 2 * 4, failed=3)  # 13.6 %, 11.5 %, 13.6 %, ...
            alerts_raise(at + MINUTE)
        assert events() == ["raised"]

    def test_few_requests_are_no_alarm(self) -> None:
        watched = rule()
        traffic(NOW - MINUTE, ok=0, failed=10)
        assert read_rule(watched, NOW).value is None
        traffic(NOW - MINUTE, ok=18, failed=0)
        assert read_rule(watched, NOW).passed
        assert alerts_raise(NOW - timedelta(days=1)) == []

    def test_a_cap_on_spend_is_over_with_its_day(self) -> None:
        rule(metric="spend", period="day")
        DailyTotalFactory(date=NOW.date(), cost=D(11))
        alerts_raise(NOW)
        DailyTotal.objects.update(cost=D(5))  # such as by an invoice; a day is raised once
        for minute in range(1, 20):
            alerts_raise(NOW + minute * MINUTE)
        DailyTotal.objects.update(cost=D(12))
        alerts_raise(NOW + 20 * MINUTE)
        assert events() == ["raised", "resolved"]
        tomorrow = NOW + timedelta(days=1)
        DailyTotalFactory(date=tomorrow.date(), cost=D(11), model="b")
        alerts_raise(tomorrow)
        after = tomorrow + timedelta(days=1)
        DailyTotalFactory(date=after.date(), cost=D(11), model="c")
        alerts_raise(after)
        assert events() == ["raised", "resolved", "raised", "resolved", "raised"]
        assert Alert.objects.filter(resolved_at=None).get().period_start == after.date()

    def test_the_end_is_not_sent_where_nobody_wants_it(self) -> None:
        rule(metric="spend", notify_resolved=False)
        DailyTotalFactory(date=NOW.date(), cost=D(11))
        alerts_raise(NOW)
        alerts_raise(NOW + timedelta(days=1))
        alerts_raise(NOW + timedelta(days=1, minutes=11))
        assert Alert.objects.get().resolved_at is not None
        assert events() == ["raised"]

    def test_what_is_switched_off_is_over_in_silence(self) -> None:
        watched = rule(metric="spend")
        DailyTotalFactory(date=NOW.date(), cost=D(11))
        alerts_raise(NOW)
        AlertRule.objects.filter(pk=watched.pk).update(enabled=False)
        alerts_raise(NOW + MINUTE)
        assert Alert.objects.get().resolved_at == NOW + MINUTE
        assert events() == ["raised"]


class TestMute:
    def test_what_still_fires_after_a_mute_is_sent_then(self) -> None:
        watched = rule(metric="spend")
        rule_mute(watched, NOW + 30 * MINUTE)
        DailyTotalFactory(date=NOW.date(), cost=D(11))
        alerts_raise(NOW)
        assert Alert.objects.count() == 1
        assert events() == []
        for minute in (30, 31):
            alerts_raise(NOW + minute * MINUTE)
        assert events() == ["raised"]

    def test_what_is_over_by_then_is_never_sent(self) -> None:
        watched = rule(metric="circuit")
        rule_mute(watched, NOW + 60 * MINUTE)
        alerts_raise(NOW, {"openai": "open"})
        for minute in (10, 25, 70):
            alerts_raise(NOW + minute * MINUTE, {"openai": "closed"})
        assert Alert.objects.get().resolved_at is not None
        assert events() == []


class TestSubjects:
    def test_each_circuit_is_an_alert_of_its_own(self) -> None:
        rule(metric="circuit")
        alerts_raise(NOW, {"openai": "open", "claude": "closed", "gemini": "half_open"})
        states = ["half_open", "open", "closed", "open"]  # a probe failed, one worked, ...
        for minute, state in enumerate(states, 1):
            alerts_raise(NOW + minute * MINUTE, {"openai": state, "gemini": "closed"})
        assert events() == ["raised", "raised"]
        texts = sorted(Alert.objects.values_list("text", flat=True))
        assert texts[0] == "watched: gemini failed too often: its circuit is half open."
        alerts_raise(NOW + 30 * MINUTE, {})
        alerts_raise(NOW + 41 * MINUTE, {})
        assert events().count("resolved") == 2
        assert not Alert.objects.filter(resolved_at=None).exists()

    def test_one_provider_s_circuit(self) -> None:
        watched = rule(metric="circuit", provider="claude")
        alerts_raise(NOW, {"openai": "open"})
        assert not Alert.objects.exists()
        assert not read_rule(watched, NOW, {"openai": "open"}).passed
        assert read_rule(watched, NOW, {"claude": "open"}).passed

    def test_a_budget_at_50_80_and_100_percent(self) -> None:
        rule(metric="budget", limit=D(50))
        budget = BudgetFactory(limit=D(100), name="All", period="month")
        account = BudgetAccount.objects.create(budget=budget)
        usage = BudgetUsage.objects.create(account=account, start=NOW.replace(day=1, hour=0))
        sent = []
        for spent in (40, 55, 60, 101, 102):
            BudgetUsage.objects.filter(pk=usage.pk).update(spent=D(spent))
            alerts_raise(NOW)
            sent.append(Notification.objects.count())
        # From 60 % to 101 %, people hear of the hundred alone.
        assert sent == [0, 1, 1, 2, 2]
        assert Alert.objects.count() == 3
        assert (
            "used to 101 %: $101.00 of $100.00 a month"
            in Alert.objects.get(subject__endswith=" at 100 %").text
        )
        alerts_raise(NOW + timedelta(days=20))
        assert Alert.objects.filter(resolved_at=None).count() == 0
        assert events() == ["raised", "raised", "resolved"]


class TestFigures:
    def test_latency_against_a_limit_and_its_own_past(self) -> None:
        limit = rule(metric="latency", limit=D(500))
        slower = rule(name="slower", metric="slower", limit=D(2))
        for day in range(1, 6):
            RequestRecordFactory.create_batch(
                20, created_at=NOW - timedelta(days=day, minutes=1), latency_ms=200
            )
        assert read_rule(limit, NOW).value is None
        RequestRecordFactory.create_batch(20, created_at=NOW - MINUTE, latency_ms=300)
        assert not read_rule(limit, NOW).passed
        assert read_rule(slower, NOW).value == D("1.5")
        RequestRecordFactory.create_batch(2, created_at=NOW - MINUTE, latency_ms=900)
        assert read_rule(limit, NOW).passed
        assert read_rule(slower, NOW).value == D("4.5")
        assert "4.5 times the usual 200 ms" in read_rule(slower, NOW).text

    def test_only_the_filtered_requests_count(self) -> None:
        traffic(NOW - MINUTE, ok=0, failed=20, tenant="team:a", provider="p", model="m")
        traffic(NOW - MINUTE, ok=40, failed=0, tenant="team:b", provider="p", model="n")
        assert read_rule(rule(team="a"), NOW).value == 100
        assert read_rule(rule(name="2", team="b", provider="p"), NOW).value == 0
        assert read_rule(rule(name="3", model="p/m"), NOW).value == 100
        assert "of team a in the last 15" in read_rule(rule(name="4", team="a"), NOW).text

    def test_spend_and_forecast_of_a_project(self) -> None:
        for day in range(10):
            RequestRecordFactory(
                created_at=NOW - timedelta(days=day, minutes=1), project="bot", cost=D(2)
            )
        RequestRecordFactory(created_at=NOW, project="other", cost=D(50))
        spent = read_rule(rule(metric="spend", project="bot", period="week"), NOW)
        assert spent.value == 6
        assert "project bot has spent $6.00, limit $10.00" in spent.text
        forecast = read_rule(rule(name="f", metric="forecast", project="bot", limit=D(40)), NOW)
        assert forecast.value == D(20) + 2 * D("12.5")
        assert forecast.passed


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"metric": "spend", "team": "a", "project": "b"}, "by one of team"),
        ({"metric": "quality", "team": "a"}, "cannot be watched by team"),
        ({"metric": "circuit", "model": "p/m"}, "belongs to a provider"),
        ({"model": "m"}, "provider/model"),
        ({"limit": D(0)}, "above 0"),
        ({"limit": D(101)}, "at most 100"),
        ({"window_minutes": 1}, "greater than or equal to 5"),
    ],
)
def test_mistakes_are_named(fields: dict[str, object], error: str) -> None:
    values = {"name": "x", "metric": "errors", "limit": D(1), "emails": "a@example.com"}
    with pytest.raises(ValidationError, match=error):
        AlertRule(**{**values, **fields}).full_clean()


def test_a_model_may_name_its_provider_too() -> None:
    AlertRule(name="x", metric="spend", limit=D(1), model="p/m", provider="p").full_clean()


class TestWorkers:
    def test_nobody_can_open_a_second_alert(self) -> None:
        watched = rule()
        values = {"rule": watched, "value": D(1), "text": "x"}
        Alert.objects.create(**values, period_start=NOW.date())
        with pytest.raises(IntegrityError), transaction.atomic():
            Alert.objects.create(**values, period_start=NOW.date() + timedelta(days=1))

    @pytest.mark.django_db(transaction=True)
    @pytest.mark.skipif("connection.vendor == 'sqlite'", reason="SQLite has one writer")
    def test_workers_that_look_at_once_raise_and_take_each_once(self) -> None:
        for number in range(5):
            rule(name=f"r{number}", metric="spend")
        DailyTotalFactory(date=NOW.date(), cost=D(11))
        barrier, raised, taken = threading.Barrier(4), [], []

        def work() -> None:
            barrier.wait()
            raised.extend(alerts_raise(NOW))
            barrier.wait()
            taken.extend(notifications_claim(NOW + MINUTE + timedelta(days=999)))
            connection.close()

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(raised) == Alert.objects.count() == 5
        assert len({row.pk for row in taken}) == len(taken) == 5

    def test_what_cannot_be_written_whole_is_not_written(self, monkeypatch) -> None:
        """A worker that stops between raising and writing who is notified leaves nothing."""
        rule(metric="spend")
        DailyTotalFactory(date=NOW.date(), cost=D(11))

        def stop(*_: object, **__: object) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr("analytics.alerts.raising.notifications_add", stop)
            with pytest.raises(KeyboardInterrupt):
                alerts_raise(NOW)
        assert not Alert.objects.exists()
        alerts_raise(NOW + MINUTE)
        assert events() == ["raised"]

    def test_a_rule_that_cannot_be_read_keeps_no_other_one_back(self, monkeypatch) -> None:
        rule(name="a", metric="quality")
        rule(name="b", metric="spend")
        DailyTotalFactory(date=NOW.date(), cost=D(11))
        monkeypatch.setattr("analytics.alerts.period_figures.quality_report", lambda *_: 1 / 0)
        with pytest.raises(ExceptionGroup, match="alert rules cannot be read"):
            alerts_raise(NOW)
        assert Alert.objects.get().rule.name == "b"

    def test_what_a_stopped_worker_had_taken_is_taken_again(self) -> None:
        watched = rule(webhook="https://x.test/hook")
        channel = NotificationChannel.objects.create(name="c", kind="slack", address="https://x.y/")
        off = NotificationChannel.objects.create(
            name="off", kind="slack", address="https://x.y/", enabled=False
        )
        watched.channels.add(channel, off)
        alert = watched.alerts.create(period_start=NOW.date(), value=1, text="x")
        notifications_add(watched, "raised", alert=alert)
        now = datetime.now(UTC) + MINUTE
        assert [row.place for row in notifications_claim(now)] == ["c", "webhook", "e-mail"]
        assert notifications_claim(now + MINUTE) == []
        assert len(notifications_claim(now + 3 * MINUTE)) == 3
