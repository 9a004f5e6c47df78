"""The detector of unusual spend, on series whose truth is known."""

from __future__ import annotations

import zoneinfo
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest

from analytics.alerts.metrics import read_rule
from analytics.alerts.unusual_spend import compare_hours, same_hours
from analytics.models import AlertRule, RequestRecord
from benchmarks.analytics.unusual_spend import KINDS, WEEK, alarms, episodes, usual
from tests.factories import RequestRecordFactory

HOUR = timedelta(hours=1)
UTC_ZONE = zoneinfo.ZoneInfo("UTC")
END = datetime(2026, 11, 23, 12, tzinfo=UTC)


def test_false_alarms_are_as_rare_as_stated() -> None:
    """An episode of alarms counts once, as it is raised once: one in a thousand hours at most."""
    hours = range(9 * WEEK, 11 * WEEK)
    count = sum(episodes(alarms(usual(kind, 11, 3), hours)) for kind in KINDS)
    # Of 1,344 hours, 1.3 episodes are expected at most; 6 or more have a chance below 1 %. The
    # benchmark watches ten times as many.
    assert count < 6


def test_what_is_unusual_is_noticed() -> None:
    leaps = rises = 0
    for seed in range(8):
        spent = usual("lognormal", 13, seed)
        spent[10 * WEEK + 36] *= 20
        leaps += bool(alarms(spent, range(10 * WEEK + 36, 10 * WEEK + 37))[0])
        spent = usual("lognormal", 13, seed)
        spent[11 * WEEK :] *= 2.5
        rises += bool(alarms(spent, range(11 * WEEK, 11 * WEEK + 24)).any())
    assert leaps >= 7  # one hour, at twenty times the usual spend
    assert rises == 8  # a lasting rise to two and a half times, within a day


def test_an_incident_of_the_past_does_not_hide_the_next_one() -> None:
    spent = usual("lognormal", 13, 1)
    spent[9 * WEEK + 30 : 9 * WEEK + 42] *= 20
    spent[11 * WEEK + 60] *= 20
    assert alarms(spent, range(11 * WEEK + 60, 11 * WEEK + 61), (1,))[0]


def by_hour(spent: np.ndarray, end: datetime) -> dict[datetime, float]:
    return {end - HOUR * (spent.size - n): float(one) for n, one in enumerate(spent)}


class TestHours:
    def test_too_little_of_the_past_says_nothing(self) -> None:
        assert compare_hours({}, END, UTC_ZONE) == []
        spent = usual("lognormal", 2, 1)
        assert compare_hours(by_hour(spent, END), END, UTC_ZONE) == []
        spent = np.zeros(9 * WEEK)
        spent[::200] = 1.0
        assert compare_hours(by_hour(spent, END), END, UTC_ZONE) == []

    def test_four_weeks_are_enough(self) -> None:
        spent = usual("lognormal", 4, 1)
        calm = compare_hours(by_hour(spent, END), END, UTC_ZONE)
        assert sorted(one.hours for one in calm) == [1, 6, 24]
        assert not any(one.figures.is_unusual for one in calm)
        spent[-1] = 60.0
        leap = compare_hours(by_hour(spent, END), END, UTC_ZONE)[0]
        assert leap.hours == 1
        assert leap.figures.is_unusual
        assert leap.excess > 50
        assert leap.until == END

    @pytest.mark.parametrize("zone", ["Europe/Berlin", "Australia/Lord_Howe", "Asia/Kolkata"])
    def test_the_same_local_hour_is_compared(self, zone: str) -> None:
        berlin = zoneinfo.ZoneInfo(zone)
        places = same_hours(END, 9 * WEEK, berlin)
        start = END - HOUR * 9 * WEEK
        for own in range(5 * WEEK, 9 * WEEK, 7):
            local = (start + HOUR * own).astimezone(berlin)
            for week, place in enumerate(places[own][1:], 1):
                there = (start + HOUR * int(place)).astimezone(berlin)
                assert (local.date() - there.date()).days == 7 * week
                # Where the clock moves by half an hour, the nearest hour is taken.
                assert abs(local.hour * 60 + local.minute - there.hour * 60 - there.minute) <= 30

    def test_a_change_of_the_clock_is_no_alarm(self) -> None:
        """A job at 9:00 in Berlin comes at 7:00 UTC in summer and at 8:00 in winter."""
        berlin = zoneinfo.ZoneInfo("Europe/Berlin")
        end = datetime(2026, 10, 26, 9, tzinfo=UTC)  # the clock was put back the day before
        spent = {}
        for n in range(9 * WEEK, 0, -1):
            hour = end - HOUR * n
            noise = 1 + 0.05 * ((n * 7919) % 13) / 13
            spent[hour] = (50.0 if hour.astimezone(berlin).hour == 9 else 1.0) * noise
        local = compare_hours(spent, end, berlin)
        assert len(local) == 3
        assert not any(one.figures.is_unusual for one in local)
        assert compare_hours(spent, end, UTC_ZONE)[0].figures.is_unusual


@pytest.mark.django_db
def test_a_rule_reads_the_ledger() -> None:
    hours = 4 * WEEK
    rows = [
        RequestRecordFactory.build(
            created_at=END - HOUR * n + timedelta(minutes=5), tenant="team:a",
            cost=Decimal(10 + n * 37 % 11) / 10,
        )
        for n in range(hours, 0, -1)
    ]  # fmt: skip
    RequestRecord.objects.bulk_create(rows)
    values = {"metric": "unusual", "limit": Decimal(3), "team": "a"}
    rule = AlertRule.objects.create(name="unusual", **values)
    now = END + timedelta(minutes=20)
    calm = read_rule(rule, now)
    assert (calm.passed, calm.calm) == (False, True)
    RequestRecordFactory(created_at=END - timedelta(minutes=9), tenant="team:a", cost=Decimal(30))
    RequestRecordFactory(created_at=now, tenant="team:a", cost=Decimal(900))
    leap = read_rule(rule, now)
    assert leap.passed
    assert "the hour until 2026-11-23 12:00 UTC of team a cost $3" in leap.text
    # Another team's spending is its own, and three weeks of nothing say nothing.
    other = AlertRule.objects.create(name="other", **{**values, "team": "b"})
    assert read_rule(other, now).value is None
    # What is unusual, but too little money to be worth a look, raises nothing.
    rule.limit = Decimal(50)
    assert not read_rule(rule, now).passed
