"""Feedback: verdicts, what they do to a cached answer, and that none is lost."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connections

from analytics.models import CachedResponse, Feedback
from analytics.quality.feedback import UnknownAnswer, feedback_record
from tests.factories import CachedResponseFactory, RequestRecordFactory


@pytest.mark.django_db(transaction=True)
def test_concurrent_verdicts_are_all_counted() -> None:
    key = CachedResponseFactory().cache_key

    def vote(number: int) -> None:
        try:
            feedback_record(cache_key=key, score=(number % 2) * 1.0)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(vote, range(40)))
    entry = CachedResponse.objects.get()
    assert (entry.vote_count, entry.vote_sum, entry.quality_score) == (40, 20.0, 0.5)
    assert Feedback.objects.count() == 40


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("scores", "invalidated"),
    [
        ([0.0, 0.0], False),
        ([0.0, 0.0, 0.0], True),
        ([0.0, 0.0, 0.9], False),
        ([0.3, 0.3, 0.3], False),
        ([1.0, 0.0, 0.0, 0.0], True),
    ],
)
def test_three_votes_under_0_3_invalidate(scores: list[float], invalidated: bool) -> None:
    entry = CachedResponseFactory()
    for score in scores:
        result = feedback_record(cache_key=entry.cache_key, score=score)
    entry.refresh_from_db()
    assert result.invalidated is invalidated is (entry.invalidated_at is not None)
    assert result.votes == len(scores)
    assert result.quality_score == pytest.approx(sum(scores) / len(scores), abs=1e-4)


@pytest.mark.django_db
@pytest.mark.parametrize(("rating", "score"), [(-1, 0.0), (0, 0.5), (1, 1.0)])
def test_a_rating_is_a_score(rating: int, score: float) -> None:
    feedback_record(request_id=RequestRecordFactory().pk, rating=rating)
    stored = Feedback.objects.get()
    assert (stored.rating, stored.score) == (rating, score)
    assert (stored.pattern, stored.tier, stored.provider) == ("factual", "simple", "claude")


@pytest.mark.django_db
def test_failed_and_unknown_requests_cannot_be_rated() -> None:
    failed = RequestRecordFactory(status="error")
    for request_id in (failed.pk, uuid.uuid4()):
        with pytest.raises(UnknownAnswer):
            feedback_record(request_id=request_id, rating=1)
    assert Feedback.objects.count() == 0
