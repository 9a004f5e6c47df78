"""Feedback: verdicts, what they do to a cached answer, and that none is lost."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext

from analytics.models import CachedResponse, Feedback, LearnedEvidence
from analytics.quality.evidence import evidence_rebuild
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


RED, BLUE, KEY = "team:red", "team:blue", "aco_12345678"


@pytest.mark.django_db
def test_another_tenant_s_answer_is_unknown_and_stays_as_it_is() -> None:
    entry = CachedResponseFactory(tenant=RED)
    with pytest.raises(UnknownAnswer) as unknown:
        feedback_record(cache_key="0" * 64, rating=-1, tenant=BLUE, voter=KEY)
    for _ in range(4):
        with pytest.raises(UnknownAnswer) as other:
            feedback_record(cache_key=entry.cache_key, rating=-1, tenant=BLUE, voter=KEY)
        assert (other.value.field, str(other.value)) == (unknown.value.field, str(unknown.value))
    entry.refresh_from_db()
    assert (entry.vote_count, entry.invalidated_at) == (0, None)
    assert not Feedback.objects.exists()
    assert feedback_record(cache_key=entry.cache_key, rating=-1, tenant=RED, voter=KEY).votes == 1


@pytest.mark.django_db
@pytest.mark.parametrize("cached", [True, False])
@pytest.mark.parametrize("asked", [True, False])
def test_a_later_vote_of_a_key_replaces_its_earlier_one(cached: bool, asked: bool) -> None:
    if not (cached or asked):
        return
    entry = CachedResponseFactory(tenant=RED) if cached else None
    fields = {"cache_key": entry.cache_key, "created_at": entry.created_at} if entry else {}
    request = RequestRecordFactory(tenant=RED, api_key=KEY, **fields) if asked else None
    rated = [{"request_id": request.pk}] if request else []
    rated += [{"cache_key": entry.cache_key}] if entry else []
    for rating in (1, -1, 0, -1):
        for answer in rated:
            result = feedback_record(**answer, rating=rating, tenant=RED, voter=KEY)
    assert (result.votes, result.quality_score, result.invalidated) == (1, 0.0, False)
    assert Feedback.objects.get().rating == -1
    learned = LearnedEvidence.objects.get()
    assert (learned.count, learned.quality_sum) == (1, pytest.approx(0.0, abs=1e-6))


@pytest.mark.django_db
def test_each_key_and_each_of_its_users_has_a_vote() -> None:
    entry = CachedResponseFactory(tenant=RED)
    for voter, user in ((KEY, "ann"), (KEY, "bob"), ("aco_other", "")):
        request = RequestRecordFactory(
            tenant=RED, api_key=voter, user_id=user, cache_key=entry.cache_key,
            created_at=entry.created_at,
        )  # fmt: skip
        result = feedback_record(request_id=request.pk, rating=-1, tenant=RED, voter=voter)
    assert (result.votes, result.invalidated) == (3, True)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("hit", "seconds", "own"),
    [(False, 0, True), (True, 0, True), (True, 90, True), (True, -90, False), (False, -90, False)],
)
def test_a_vote_by_key_belongs_to_the_client_s_request_for_the_answer_kept_now(
    hit: bool, seconds: int, own: bool
) -> None:
    """A client that got an earlier answer of this key has not seen the one that it rates."""
    entry = CachedResponseFactory(tenant=RED)
    request = RequestRecordFactory(
        tenant=RED, api_key=KEY, cache_key=entry.cache_key, cache_hit=hit,
        created_at=entry.created_at + timedelta(seconds=seconds),
    )  # fmt: skip
    feedback_record(cache_key=entry.cache_key, rating=1, tenant=RED, voter=KEY)
    assert Feedback.objects.get().request == (request if own else None)


@pytest.mark.django_db
def test_a_replaced_vote_weighs_as_if_it_had_been_so_from_the_start() -> None:
    requests = [RequestRecordFactory(tenant=RED, api_key=KEY) for _ in range(5)]
    for request in requests:
        feedback_record(request_id=request.pk, rating=1, tenant=RED, voter=KEY)
    feedback_record(request_id=requests[1].pk, rating=-1, tenant=RED, voter=KEY)
    changed = LearnedEvidence.objects.get().quality_sum
    evidence_rebuild()
    assert changed == pytest.approx(LearnedEvidence.objects.get().quality_sum, abs=1e-6)


@pytest.mark.django_db
@pytest.mark.parametrize("by", ["request_id", "cache_key"])
def test_another_tenant_s_answer_takes_the_same_queries_as_an_unknown_one(by: str) -> None:
    request = RequestRecordFactory(tenant=RED)
    CachedResponseFactory(tenant=RED, cache_key=request.cache_key)
    theirs = request.pk if by == "request_id" else request.cache_key
    unknown = uuid.uuid4() if by == "request_id" else "0" * 64
    queries = []
    for value in (theirs, unknown):
        with CaptureQueriesContext(connections["default"]) as seen, pytest.raises(UnknownAnswer):
            feedback_record(**{by: value}, rating=-1, tenant=BLUE, voter=KEY)  # type: ignore[arg-type]
        queries.append(len(seen))
    assert queries[0] == queries[1]
