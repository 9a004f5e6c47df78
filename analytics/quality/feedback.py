"""Feedback: verdicts on answers, and their effect on the cache and on learned routing."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models import Avg, Count, F, Q
from django.utils import timezone

from analytics.models import CachedResponse, Feedback, RequestRecord
from analytics.models.requests import SAME_MOMENT
from analytics.quality.cascades import selected
from analytics.quality.evidence import evidence_add, evidence_change
from routing.models import EvidenceKey

VOTES_TO_INVALIDATE = 3
INVALID_BELOW = 0.3
_RATING_SCORES = {-1: 0.0, 0: 0.5, 1: 1.0}

Expectation = Callable[[str, str, str, str, str], float]
"""Returns the score (0-1) expected of (prompt, tier, provider, model, effort) before any outcome.

The prompt is empty if it was not stored, the effort of reasoning if it was not stated."""


class UnknownAnswer(LookupError):
    """No answer has the given id; ``field`` names the input that is wrong."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True, slots=True)
class FeedbackResult:
    """The effect of a verdict; ``quality_score`` is the mean of the answer's scores, 0-1."""

    quality_score: float
    votes: int
    invalidated: bool


def feedback_record(
    *,
    request_id: uuid.UUID | None = None,
    cache_key: str | None = None,
    rating: int | None = None,
    score: float | None = None,
    comment: str = "",
    source: str = Feedback.Source.CLIENT,
    expect: Expectation | None = None,
    tenant: str = "",
    voter: str = "",
) -> FeedbackResult:
    """Store a verdict, apply it to the cached answer, and add it to the evidence.

    ``rating`` is -1, 0 or 1; a ``score`` (0-1) takes precedence. Three or more votes
    with a mean below 0.3 invalidate the cache entry. ``expect`` returns the score that
    was expected. A ``tenant`` can rate only its own answers: others are unknown to it.
    ``voter`` is the beginning of the client's API key: its later vote on an answer replaces
    the earlier one; without a key, every vote counts. Raises :class:`UnknownAnswer`, and
    ``ValueError`` with neither a rating nor a score.
    """
    if score is None:
        if rating is None:
            raise ValueError("feedback needs a rating or a score")
        score = _RATING_SCORES[rating]
    request: RequestRecord | None = None
    if request_id is not None:
        request = _request_to_rate(request_id, tenant)
        cache_key = request.cache_key
    with transaction.atomic():
        entry = _locked_entry(cache_key, tenant)
        answer = request or entry
        if answer is None:
            raise UnknownAnswer("cache_key", "No cached answer has this key.")
        expected = None
        if expect is not None:
            effort = request.effort if request is not None else ""
            expected = expect(answer.prompt, answer.tier, answer.provider, answer.model, effort)
            expected = selected(expected, request)
        if entry is not None and request is not None and not is_answer_of(entry, request):
            # The entry has a newer answer now, which this verdict is not about.
            entry = None
        if voter:
            own = _request_of(voter, entry) if request is None and entry is not None else None
            if (earlier := _earlier_vote(voter, entry, request, own)) is not None:
                return _replace_vote(earlier, entry, rating=rating, score=score, comment=comment)
            # The vote is found again by the request through which the client got the answer.
            request = request or own
        Feedback.objects.create(
            request=request,
            cache_entry=entry,
            rating=rating,
            score=score,
            expected=expected,
            source=source,
            comment=comment,
            provider=answer.provider,
            model=answer.model,
            pattern=answer.pattern,
            tier=answer.tier,
            tenant=tenant,
        )
        kind: EvidenceKey = (answer.pattern, answer.tier, answer.provider, answer.model)  # type: ignore[assignment]
        evidence_add({kind: [(score, expected)]}, tenant=tenant)
        if entry is not None:
            return _apply_to_entry(entry, score, votes=1)
    return _result_of(request)


def _request_to_rate(request_id: uuid.UUID, tenant: str) -> RequestRecord:
    requests = RequestRecord.objects.filter(pk=request_id)
    # Another tenant's request is not even read, so that neither the answer nor its time differs.
    request = (requests.filter(tenant=tenant) if tenant else requests).first()
    if request is None:
        raise UnknownAnswer("request_id", "No request has this id.")
    if request.status != RequestRecord.Status.OK:
        raise UnknownAnswer("request_id", "This request was not answered.")
    return request


def _locked_entry(cache_key: str | None, tenant: str) -> CachedResponse | None:
    entries = CachedResponse.objects.select_for_update().filter(cache_key=cache_key)
    # Another tenant's answer is as unknown as one that does not exist: its key can be computed.
    return (entries.filter(tenant=tenant) if tenant else entries).first()


def _result_of(request: RequestRecord | None) -> FeedbackResult:
    """Return the effect of the verdicts on a request whose answer is not in the cache."""
    verdicts = Feedback.objects.filter(request=request).aggregate(
        mean=Avg("score"), votes=Count("pk")
    )
    return FeedbackResult(round(verdicts["mean"], 4), verdicts["votes"], invalidated=False)


def _request_of(voter: str, entry: CachedResponse) -> RequestRecord | None:
    """Return the latest request through which the client got the answer that ``entry`` keeps."""
    own = RequestRecord.objects.filter(api_key=voter, status=RequestRecord.Status.OK)
    return own.hits_of(entry).order_by("-created_at").first() or own.source_of(entry).first()


def _earlier_vote(
    voter: str,
    entry: CachedResponse | None,
    request: RequestRecord | None,
    own: RequestRecord | None,
) -> Feedback | None:
    """Return the client's vote on the same answer, if it has given one.

    ``request`` is what it rates, and where it rates a cached answer instead, ``own`` its request
    for that. A key that serves several users has one vote for each user that it names.
    """
    votes = Feedback.objects.filter(source=Feedback.Source.CLIENT).order_by("-pk")
    if entry is None:
        # The lock makes votes on one request wait for each other.
        if request is not None:
            RequestRecord.objects.select_for_update().filter(pk=request.pk).first()
        return votes.filter(request=request).first()
    votes = votes.filter(cache_entry=entry, created_at__gte=entry.created_at)
    if request is not None:
        # The key of the request, not the voter's: else each vote on another key's request counts.
        same = Q(request__api_key=request.api_key, request__user_id=request.user_id)
        return votes.filter(same).first()
    if own is not None:
        return votes.filter(request__api_key=voter).first()
    # The answer was given to other clients of the tenant only: such voters share one vote.
    return votes.filter(request=None).first()


def _replace_vote(
    vote: Feedback, entry: CachedResponse | None, *, rating: int | None, score: float, comment: str
) -> FeedbackResult:
    """Give ``vote`` another score; it keeps its place among the verdicts."""
    change = score - vote.score
    vote.rating, vote.score, vote.comment = rating, score, comment
    vote.save(update_fields=["rating", "score", "comment"])
    evidence_change(vote, change)
    if entry is not None:
        return _apply_to_entry(entry, change, votes=0)
    return _result_of(vote.request)


def is_answer_of(entry: CachedResponse, request: RequestRecord) -> bool:
    """Return whether ``entry`` still holds the answer of ``request``, not a newer one."""
    if request.cache_hit:
        return request.created_at >= entry.created_at
    return abs(entry.created_at - request.created_at) < SAME_MOMENT


def _apply_to_entry(entry: CachedResponse, score: float, *, votes: int) -> FeedbackResult:
    """Add ``votes`` (0 for a changed vote) and ``score`` to the entry's sums."""
    entry.vote_count += votes
    entry.vote_sum += score
    entry.quality_score = round(entry.vote_sum / entry.vote_count, 4)
    if (
        entry.invalidated_at is None
        and entry.vote_count >= VOTES_TO_INVALIDATE
        and entry.quality_score < INVALID_BELOW
    ):
        entry.invalidated_at = timezone.now()
        entry.invalidation_reason = (
            f"{entry.vote_count} votes with a mean of {entry.quality_score:.2f}"
        )
    entry.save(
        update_fields=[
            "vote_count",
            "vote_sum",
            "quality_score",
            "invalidated_at",
            "invalidation_reason",
        ]
    )
    return FeedbackResult(entry.quality_score, entry.vote_count, entry.invalidated_at is not None)


def quality_stats(*, shown: int = 10, tenant: str | None = None) -> dict[str, Any]:
    """Return the quality statistics of one tenant or of all.

    They are: mean scores overall, by provider and by model, and the best, worst and
    invalidated answers, at most ``shown`` of each.
    """
    feedback, answers = Feedback.objects.all(), CachedResponse.objects.all()
    if tenant is not None:
        feedback = feedback.filter(request__tenant=tenant)
        answers = answers.filter(tenant=tenant)
    by_model = (
        feedback.values("provider", "model")
        .annotate(count=Count("pk"), quality=Avg("score"))
        .order_by("-quality", "provider", "model")
    )
    by_provider = (
        feedback.values("provider")
        .annotate(count=Count("pk"), quality=Avg("score"))
        .order_by("-quality", "provider")
    )
    overall = feedback.aggregate(
        count=Count("pk"),
        quality=Avg("score"),
        positive=Count("pk", filter=Q(score__gte=0.7)),
        negative=Count("pk", filter=Q(score__lt=INVALID_BELOW)),
    )
    rated = answers.filter(vote_count__gt=0)
    return {
        "overall": overall,
        "by_provider": list(by_provider),
        "by_model": list(by_model),
        "best": [
            _answer(e)
            for e in rated.filter(invalidated_at=None).order_by("-quality_score", "-vote_count")[
                :shown
            ]
        ],
        "worst": [_answer(e) for e in rated.order_by("quality_score", "-vote_count")[:shown]],
        "invalidated": [
            {**_answer(e), "invalidated_at": e.invalidated_at, "reason": e.invalidation_reason}
            for e in answers.filter(invalidated_at__isnull=False).order_by(
                F("invalidated_at").desc()
            )[:shown]
        ],
    }


def _answer(entry: CachedResponse) -> dict[str, Any]:
    return {
        "cache_key": entry.cache_key,
        "prompt": entry.prompt[:200],
        "provider": entry.provider,
        "model": entry.model,
        "quality_score": entry.quality_score,
        "votes": entry.vote_count,
    }
