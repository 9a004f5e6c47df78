"""Feedback: verdicts on answers, what they do to the cache, what they teach routing."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models import Avg, Count, F, Q
from django.utils import timezone

from analytics.models import CachedResponse, Feedback, RequestRecord
from analytics.quality.evidence import evidence_add
from routing.models import EvidenceKey

VOTES_TO_INVALIDATE = 3
INVALID_BELOW = 0.3
_RATING_SCORES = {-1: 0.0, 0: 0.5, 1: 1.0}

Expectation = Callable[[str, str, str, str], float]
"""The score expected of (prompt, its tier, provider, model) before any outcome, 0-1.
The prompt is empty where it was not stored."""


class UnknownAnswer(LookupError):
    """No request or cache entry has the given id. ``field`` names the one at fault."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True, slots=True)
class FeedbackResult:
    """``quality_score`` is the mean of all scores of the answer, 0-1."""

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
) -> FeedbackResult:
    """Store a verdict, apply it to the cached answer it is about, and learn from it.

    ``rating`` is -1, 0 or 1; ``score`` is 0-1 and wins over it. Three or more
    votes with a mean under 0.3 invalidate the cache entry. ``expect`` says
    which score was to be expected. A ``tenant`` rates only its own requests. Raises
    :class:`UnknownAnswer`.
    """
    if score is None:
        if rating is None:
            raise ValueError("feedback needs a rating or a score")
        score = _RATING_SCORES[rating]
    request: RequestRecord | None = None
    if request_id is not None:
        request = RequestRecord.objects.filter(pk=request_id).first()
        if request is None or (tenant and request.tenant != tenant):
            # Another's is as good as none: its existence is nobody else's business.
            raise UnknownAnswer("request_id", "No request has this id.")
        if request.status != RequestRecord.Status.OK:
            raise UnknownAnswer("request_id", "This request was not answered.")
        cache_key = request.cache_key
    with transaction.atomic():
        entry = CachedResponse.objects.select_for_update().filter(cache_key=cache_key).first()
        if entry is None and request is None:
            raise UnknownAnswer("cache_key", "No cached answer has this key.")
        answer = request or entry
        assert answer is not None
        expected = None
        if expect is not None:
            expected = expect(answer.prompt, answer.tier, answer.provider, answer.model)
        if entry is not None and request is not None and not is_answer_of(entry, request):
            # The entry was answered anew since: this verdict is not about its present text.
            entry = None
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
        )
        kind: EvidenceKey = (answer.pattern, answer.tier, answer.provider, answer.model)  # type: ignore[assignment]
        evidence_add({kind: [(score, expected)]})
        if entry is not None:
            return _apply_to_entry(entry, score)
    verdicts = Feedback.objects.filter(request=request).aggregate(
        mean=Avg("score"), votes=Count("pk")
    )
    return FeedbackResult(round(verdicts["mean"], 4), verdicts["votes"], invalidated=False)


def is_answer_of(entry: CachedResponse, request: RequestRecord) -> bool:
    """Whether the entry, which may have been answered anew, still is what the request got."""
    if request.cache_hit:
        return request.created_at >= entry.created_at
    return abs((entry.created_at - request.created_at).total_seconds()) < 1e-3


def _apply_to_entry(entry: CachedResponse, score: float) -> FeedbackResult:
    entry.vote_count += 1
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
    """Quality by provider and model, best and worst answers, invalidated ones: of one tenant or
    of all.
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
