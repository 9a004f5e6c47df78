"""The detector of unusual spend, on series whose truth is known."""

from __future__ import annotations

import zoneinfo
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from analytics.alerts.detector import check_amount
from analytics.alerts.unusual_spend import FALSE_ALARMS, WINDOWS, compare_hours, same_hours

WEEK = 168
HOUR = timedelta(hours=1)
UTC_ZONE = zoneinfo.ZoneInfo("UTC")
END = datetime(2026, 11, 23, 12, tzinfo=UTC)


def usual(kind: str, weeks: int, seed: int) -> np.ndarray:
    """Spending by hour that holds nothing unusual: with a daily and a weekly course."""
    rng = np.random.default_rng(seed)
    hours = np.arange(weeks * WEEK)
    course = (1 + 0.8 * np.sin(2 * np.pi * hours / 24)) * np.where(hours % WEEK >= 120, 0.3, 1)
    if kind == "lognormal":
        return course * rng.lognormal(0, 0.4, hours.size)
    if kind == "power law":
        return course * (1 + rng.pareto(2.0, hours.size))
    if kind == "growing by 10 % a week":
        return course * rng.lognormal(0, 0.4, hours.size) * 1.1 ** (hours / WEEK)
    assert kind == "office hours"
    open_ = (hours % 24 >= 8) & (hours % 24 < 19) & (hours % WEEK < 120)
    return np.where(open_, course * rng.lognormal(0, 0.5, hours.size), 0.0)


def alarms(spent: np.ndarray, hours: range, windows: tuple[int, ...] = WINDOWS) -> np.ndarray:
    """Which of the hours are called unusual, as the service looks at them hour by hour."""
    raised = np.zeros(len(hours), dtype=bool)
    for width in windows:
        amounts = np.convolve(spent, np.ones(width))[: spent.size]
        table = np.stack([np.roll(amounts, WEEK * back) for back in range(5)], axis=1)
        for place, hour in enumerate(hours):
            past = table[hour - 4 * WEEK : hour]
            past = past[past.any(axis=1)]
            if np.count_nonzero(past[:, 0]) >= 0.75 * len(past):
                check = check_amount(past, table[hour], FALSE_ALARMS / len(windows))
                raised[place] |= check is not None and check.is_unusual
    return raised


@pytest.mark.parametrize(
    "kind", ["lognormal", "power law", "growing by 10 % a week", "office hours"]
)
def test_false_alarms_are_as_rare_as_stated(kind: str) -> None:
    """An episode of alarms counts once, as it is raised once: one in a thousand hours at most."""
    hours = range(9 * WEEK, 13 * WEEK)
    episodes = watched = 0
    for seed in range(4):
        raised = alarms(usual(kind, 13, seed), hours)
        episodes += int(raised[0]) + np.count_nonzero(raised[1:] & ~raised[:-1])
        watched += len(hours)
    # Of 2,688 hours, 2.7 episodes are expected at most; 8 or more have a chance below 1 %.
    assert episodes < 8
    assert watched == 2688


def test_what_is_unusual_is_noticed() -> None:
    leaps = rises = 0
    for seed in range(8):
        spent = usual("lognormal", 13, seed)
        spent[10 * WEEK + 36] *= 12
        leaps += bool(alarms(spent, range(10 * WEEK + 36, 10 * WEEK + 37))[0])
        spent = usual("lognormal", 13, seed)
        spent[11 * WEEK :] *= 2.5
        rises += bool(alarms(spent, range(11 * WEEK, 11 * WEEK + 24)).any())
    assert leaps >= 7  # one hour, at twelve times the usual spend
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
