"""How long answers are, by model, kind of turn, tier and effort, from the latest requests."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import timedelta
from typing import NamedTuple

from django.db.models import Avg, Count
from django.utils import timezone

from analytics.models import RequestRecord
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


def answer_lengths() -> list[LengthRow]:
    """Return the lengths of the latest complete answers that providers counted."""
    since = timezone.now() - _PAST
    latest = RequestRecord.objects.filter(created_at__gte=since).order_by("-created_at")
    rows = (
        RequestRecord.objects.filter(
            pk__in=latest.values("pk")[:_LATEST],
            status=RequestRecord.Status.OK,
            cache_hit=False,
            replayed=False,
            usage_estimated=False,
            tokens_out__gt=0,
        )
        .values_list("provider", "model", "turn", "tier", "effort")
        .annotate(answers=Count("pk"), mean=Avg("tokens_out"))
        .order_by()
    )
    return [
        LengthRow(ModelRef(provider, model), LengthKind(turn, tier, effort), answers, mean)
        for provider, model, turn, tier, effort, answers, mean in rows
    ]


class ExpectedLengths:
    """Expected lengths of answers, each drawn to a more general one while few are known.

    A model's mean of a kind is drawn to the mean of all models of this kind, that one to the
    usual length of its tier, each as by :data:`_PRIOR_ANSWERS` answers.
    """

    def __init__(self, rows: Iterable[LengthRow] = ()) -> None:
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
        return any(answers >= _LEAST_ANSWERS for answers, _ in self._by_kind.values())

    def expected(self, ref: ModelRef, kind: LengthKind) -> int | None:
        """Return the expected length in tokens, ``None`` while too few answers are known."""
        known = self._by_kind.get(kind)
        if known is None or known[0] < _LEAST_ANSWERS:
            return None
        usual = _drawn(*known, float(EXPECTED_OUTPUT_TOKENS[kind.tier]))  # type: ignore[index]
        answers, mean = self._by_model.get((ref, kind), (0, 0.0))
        return max(1, round(_drawn(answers, mean, usual)))


def _drawn(answers: int, mean: float, prior: float) -> float:
    return (answers * mean + _PRIOR_ANSWERS * prior) / (answers + _PRIOR_ANSWERS)
