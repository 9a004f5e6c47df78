"""How long answers are, by model, kind of turn, tier and effort, from the latest requests.

Before these say enough, the lengths of imported outcomes stand for them, if there are any.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import timedelta
from typing import NamedTuple

from django.db.models import Avg, Count, QuerySet
from django.utils import timezone

from analytics.models import Feedback, RequestRecord
from routing.models import ModelRef
from routing.strategies.base import EXPECTED_OUTPUT_TOKENS

_PAST = timedelta(days=30)
_LATEST = 20_000
"""The bound keeps the query's cost the same for any size of the ledger."""
_PRIOR_ANSWERS = 20
_LEAST_ANSWERS = 30


class LengthKind(NamedTuple):
    """What answers are alike in length: kind of turn, tier of the prompt, effort of reasoning."""

    turn: str
    tier: str
    effort: str


class LengthRow(NamedTuple):
    """The number and the mean length, in tokens, of a model's answers of one kind."""

    ref: ModelRef
    kind: LengthKind
    answers: int
    mean: float


def counted_answers(past: timedelta) -> QuerySet[RequestRecord]:
    """Return the complete answers that providers counted, of the latest requests within ``past``.

    The number of these requests is bounded, so that a query costs the same for any size of the
    ledger.
    """
    since = timezone.now() - past
    latest = RequestRecord.objects.filter(created_at__gte=since).order_by("-created_at")
    return RequestRecord.objects.filter(
        pk__in=latest.values("pk")[:_LATEST],
        status=RequestRecord.Status.OK,
        cache_hit=False,
        replayed=False,
        usage_estimated=False,
        tokens_out__gt=0,
    )


def answer_lengths() -> list[LengthRow]:
    """Return the lengths of the latest complete answers that providers counted."""
    rows = (
        counted_answers(_PAST)
        .values_list("provider", "model", "turn", "tier", "effort")
        .annotate(answers=Count("pk"), mean=Avg("tokens_out"))
        .order_by()
    )
    return [
        LengthRow(ModelRef(provider, model), LengthKind(turn, tier, effort), answers, mean)
        for provider, model, turn, tier, effort, answers, mean in rows
    ]


class ImportedLength(NamedTuple):
    """The number and the mean length, in tokens, of a model's imported answers of one tier."""

    ref: ModelRef
    tier: str
    answers: int
    mean: float


def imported_lengths() -> list[ImportedLength]:
    """Return the lengths of the answers that were imported with outcomes."""
    rows = (
        Feedback.objects.filter(source=Feedback.Source.IMPORT, tokens_out__isnull=False)
        .values_list("provider", "model", "tier")
        .annotate(answers=Count("pk"), mean=Avg("tokens_out"))
        .order_by()
    )
    return [
        ImportedLength(ModelRef(provider, model), tier, answers, mean)
        for provider, model, tier, answers, mean in rows
    ]


class ExpectedLengths:
    """Expected lengths of answers, each drawn to a more general one while few are known.

    A model's mean of a kind is drawn to the mean of all models of this kind, that one to the
    usual length of its tier, each as by :data:`_PRIOR_ANSWERS` answers. The usual length of a
    tier is that of the ``imported`` answers, drawn likewise to a fixed one.
    """

    def __init__(
        self, rows: Iterable[LengthRow] = (), imported: Iterable[ImportedLength] = ()
    ) -> None:
        self._imported = {(row.ref, row.tier): (row.answers, row.mean) for row in imported}
        tiers: dict[str, list[float]] = defaultdict(lambda: [0, 0.0])
        for (_, tier), (answers, mean) in self._imported.items():
            tiers[tier][0] += answers
            tiers[tier][1] += answers * mean
        self._usual = {
            tier: _drawn(int(n), total / n, float(EXPECTED_OUTPUT_TOKENS[tier]))  # type: ignore[index]
            for tier, (n, total) in tiers.items()
        }
        self._by_model: dict[tuple[ModelRef, LengthKind], tuple[int, float]] = {}
        sums: dict[LengthKind, list[float]] = defaultdict(lambda: [0, 0.0])
        for row in rows:
            self._by_model[row.ref, row.kind] = (row.answers, row.mean)
            sums[row.kind][0] += row.answers
            sums[row.kind][1] += row.answers * row.mean
        self._by_kind = {kind: (int(n), total / n) for kind, (n, total) in sums.items()}

    @property
    def any(self) -> bool:
        """Return whether enough answers of any kind are known."""
        known = (*self._by_kind.values(), *self._imported.values())
        return any(answers >= _LEAST_ANSWERS for answers, _ in known)

    def at_effort(self, ref: ModelRef, kind: LengthKind) -> int | None:
        """Return the expected length at this very effort, ``None`` if too few are known of it."""
        known = self._by_kind.get(kind)
        if known is None or known[0] < _LEAST_ANSWERS:
            return None
        return self.expected(ref, kind)

    def expected(self, ref: ModelRef, kind: LengthKind) -> int | None:
        """Return the expected length in tokens, ``None`` while too few answers are known.

        At an effort at which few answers are known, it is that of requests that state none.
        """
        usual = self._usual.get(kind.tier)
        known = self._by_kind.get(kind)
        if known is None or known[0] < _LEAST_ANSWERS:
            if kind.effort:
                return self.expected(ref, kind._replace(effort=""))
            answers, mean = self._imported.get((ref, kind.tier), (0, 0.0))
            if usual is None or answers < _LEAST_ANSWERS:
                return None
            return max(1, round(_drawn(answers, mean, usual)))
        if usual is None:
            usual = float(EXPECTED_OUTPUT_TOKENS[kind.tier])  # type: ignore[index]
        usual = _drawn(*known, usual)
        answers, mean = self._by_model.get((ref, kind), (0, 0.0))
        return max(1, round(_drawn(answers, mean, usual)))


def _drawn(answers: int, mean: float, prior: float) -> float:
    return (answers * mean + _PRIOR_ANSWERS * prior) / (answers + _PRIOR_ANSWERS)
