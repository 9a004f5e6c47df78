"""How long whole answers are of which nothing has arrived yet, from the latest requests.

The longer a call takes, the likelier it is in progress when its worker dies. So what is usual of
calls in progress is not what is usual of calls: each counts by its duration.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta
from decimal import Decimal

from django.utils import timezone

from analytics.models import RequestRecord

_PAST = timedelta(days=30)
_LATEST = 20_000
"""The bound keeps the query's cost the same for any size of the ledger."""
_LEAST_ANSWERS = 30
_SHARE = 0.75
"""Of the calls in progress, so many may use no more than the expected part of their limit."""

_Answer = tuple[float, float]
"""The part of its limit that an answer used, and its duration in milliseconds."""


class AnswersInProgress:
    """The part of their limit that whole answers in progress will use.

    It reads the ledger when it is first asked. A call that failed and may have been charged
    counts as an answer that used its whole limit, which is its estimate.
    """

    def __init__(self) -> None:
        self._answers: defaultdict[tuple[str, int], list[_Answer]] | None = None

    def part_of_limit(self, model: str, limit: int) -> Decimal:
        """Return the part of ``limit`` tokens that an answer of ``model`` is expected to use.

        ``model`` is "provider/model". The part is the mean or the third quartile of answers with
        a limit of this size, whichever is more, as what may have been charged must not be less
        than what was. It is 1 while too few answers are known, and above 1 for a model that does
        not keep to its limit.
        """
        if self._answers is None:
            self._answers = _read()
        answers = self._answers[model, limit.bit_length()]
        if len(answers) < _LEAST_ANSWERS:
            return Decimal(1)
        answers.sort()
        seconds = sum(duration for _, duration in answers)
        mean = sum(part * duration for part, duration in answers) / seconds
        left = seconds * _SHARE
        for part, duration in answers:
            left -= duration
            if left <= 0:
                return Decimal(max(part, mean))
        return Decimal(mean)


def _read() -> defaultdict[tuple[str, int], list[_Answer]]:
    since = timezone.now() - _PAST
    latest = RequestRecord.objects.filter(created_at__gte=since).order_by("-created_at")
    rows = RequestRecord.objects.filter(
        pk__in=latest.values("pk")[:_LATEST],
        streamed=False,
        cache_hit=False,
        replayed=False,
        max_tokens__gt=0,
        latency_ms__gt=0,
        cost__gt=0,
    ).order_by()
    answers: defaultdict[tuple[str, int], list[_Answer]] = defaultdict(list)
    for provider, model, status, limit, written, duration in rows.values_list(
        "provider", "model", "status", "max_tokens", "tokens_out", "latency_ms"
    ).iterator():
        part = 1.0 if status == RequestRecord.Status.ERROR else written / limit
        answers[f"{provider}/{model}", limit.bit_length()].append((part, duration))
    return answers
