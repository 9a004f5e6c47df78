"""Gains of a chart's steps: those that are kept are the same as those of the pairs."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.db.models.functions import TruncDay, TruncHour, TruncMonth, TruncWeek
from django.test.utils import CaptureQueriesContext

from analytics.models import Comparison, RequestRecord
from analytics.quality import step_gains
from analytics.quality.pairs import comparisons_in, pair_gain, pairs_by
from analytics.quality.report import quality_by
from tests.factories import ComparisonFactory, RequestRecordFactory

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 10, 20, 9, 30, tzinfo=UTC)
SINCE = NOW - timedelta(days=9, minutes=17)
STEPS = [TruncHour, TruncDay, TruncWeek, TruncMonth]


@pytest.fixture(autouse=True)
def _none_kept() -> None:
    step_gains._kept.clear()


def make(count: int, seed: int) -> None:
    chance = random.Random(seed)
    for number in range(count):
        at = NOW - timedelta(minutes=chance.randint(1, 10 * 24 * 60))
        score = chance.choice([0, 0.5, 1, None])
        ComparisonFactory(
            request=RequestRecordFactory(
                created_at=at, session_id=f"s{number % 40}", user_id=f"u{number % 20}"
            ),
            created_at=at,
            score=score,
            reference_score=None if score is None else 0.5,
            served=chance.random() < 0.9,
        )


def same(step: type) -> bool:
    """Return whether the kept gains are those of the pairs themselves."""
    shown = {at: one.difference for at, one in quality_by(step, SINCE, NOW).items()}
    pairs = pairs_by(step, comparisons_in(SINCE, NOW))
    return {at: mean for at, mean in shown.items() if mean.count} == {
        at: pair_gain(group) for at, group in pairs.items()
    }


@pytest.mark.parametrize("step", STEPS)
def test_they_follow_what_is_added_and_deleted(step: type) -> None:
    make(150, 1)
    assert same(step)
    make(20, 2)
    assert same(step)
    # Sessions and users of deleted requests are not known any more.
    RequestRecord.objects.filter(user_id__in=["u1", "u2", "u3"]).delete()
    assert same(step)
    Comparison.objects.filter(
        pk__in=list(Comparison.objects.values_list("pk", flat=True)[:30])
    ).delete()
    assert same(step)


def test_only_steps_that_changed_are_read() -> None:
    make(60, 1)
    quality_by(TruncDay, SINCE, NOW)
    with CaptureQueriesContext(connection) as queries:
        quality_by(TruncDay, SINCE, NOW)
    assert len(queries) == 1
