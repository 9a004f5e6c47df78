"""The detector of unusual spend, on series whose truth is known."""

from __future__ import annotations

import zoneinfo
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from analytics.alerts.unusual_spend import compare_hours, same_hours
from benchmarks.analytics.unusual_spend import KINDS, WEEK, alarms, episodes, usual

HOUR = timedelta(hours=1)
UTC_ZONE = zoneinfo.ZoneInfo("UTC")
END = datetime(2026, 11, 23, 12, tzinfo=UTC)


def test_false_alarms_are_as_rare_as_stated() -> None:
    """An episode of alarms counts once, as it is raised once: one in a thousand hours at most."""
    hours = range(9 * WEEK, 12 * WEEK)
    count = sum(episodes(alarms(usual(kind, 12, 3), hours)) for kind in KINDS)
    # Of 2,016 hours, 2 episodes are expected at most; 7 or more have a chance below 1 %.
    assert count < 7


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
        assert compare_hours({}, END, UTC_ZONE) is None
        spent = usual("lognormal", 2, 1)
        assert compare_hours(by_hour(spent, END), END, UTC_ZONE) is None
        spent = np.zeros(9 * WEEK)
        spent[::200] = 1.0
        assert compare_hours(by_hour(spent, END), END, UTC_ZONE) is None

    def test_four_weeks_are_enough(self) -> None:
        spent = usual("lognormal", 4, 1)
        calm = compare_hours(by_hour(spent, END), END, UTC_ZONE)
        assert calm is not None
        assert not calm.figures.is_unusual
        spent[-1] = 60.0
        leap = compare_hours(by_hour(spent, END), END, UTC_ZONE)
        assert leap is not None
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
        assert local is not None
        assert not local.figures.is_unusual
        wrong = compare_hours(spent, end, UTC_ZONE)
        assert wrong is not None
        assert wrong.figures.is_unusual
