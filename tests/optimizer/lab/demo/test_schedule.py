"""What the demo asks: repeatable, in order, of many kinds, and within its days."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from optimizer.lab.demo.company import TEAMS, Company
from optimizer.lab.demo.schedule import SPIKE_DAYS_AGO, PlannedRequest, planned_requests

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def planned() -> list[PlannedRequest]:
    return planned_requests(Company(), requests=1500, days=60, seed=1, now=NOW)


def test_the_same_seed_asks_the_same(planned: list[PlannedRequest]) -> None:
    again = planned_requests(Company(), requests=1500, days=60, seed=1, now=NOW)
    other = planned_requests(Company(), requests=1500, days=60, seed=2, now=NOW)
    assert [(p.at, p.prompt) for p in again] == [(p.at, p.prompt) for p in planned]
    assert [p.prompt for p in other] != [p.prompt for p in planned]


def test_requests_come_in_order_within_the_days(planned: list[PlannedRequest]) -> None:
    times = [request.at for request in planned]
    assert times == sorted(times)
    assert NOW - timedelta(days=60) <= times[0]
    assert times[-1] < NOW
    assert 1350 < len(planned) < 1700
    assert [request.number for request in planned] == list(range(len(planned)))


def test_there_are_a_hundred_prompts_of_all_applications(planned: list[PlannedRequest]) -> None:
    company = Company()
    assert sum(len(app.prompts) for app in company.apps.values()) > 100
    assert {request.app.name for request in planned} == set(company.apps)
    assert {app for team in TEAMS for app in team.apps} == set(company.apps)
    assert not [request.prompt for request in planned if "{{" in request.prompt]


def test_one_night_is_far_dearer_than_others(planned: list[PlannedRequest]) -> None:
    night = (NOW - timedelta(days=SPIKE_DAYS_AGO)).date()
    dear = Counter(
        request.at.date() for request in planned if request.requested_model == "claude-opus-5-5"
    )
    assert dear.most_common(1)[0][0] == night


def test_turns_of_a_session_follow_each_other(planned: list[PlannedRequest]) -> None:
    sessions: dict[str, list[PlannedRequest]] = {}
    for request in planned:
        if request.agent:
            sessions.setdefault(request.session, []).append(request)
    assert len(sessions) > 5
    for turns in sessions.values():
        assert turns[0].turn == "human"
        lengths = [len(turn.messages) for turn in turns]
        assert lengths == sorted(lengths)
