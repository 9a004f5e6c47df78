"""How fast models answer, by model and effort of reasoning, from the latest requests."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from django.db.models import F, Window
from django.db.models.functions import RowNumber

from analytics.reports.answer_lengths import counted_answers
from routing.answer_speed import AnswerSpeed, TimedAnswer
from routing.learning.speed_fit import fit_speed
from routing.models import ModelRef

_PAST = timedelta(days=7)
"""Providers change their hardware and their load, so that older answers say little."""
_MOST_OF_A_KIND = 100

SpeedRow = tuple[ModelRef, str, TimedAnswer]
"""A model, the effort that the request stated, and the time of its answer."""


def timed_answers() -> list[SpeedRow]:
    """Return the latest complete answers whose first call succeeded, newest first."""
    rank = Window(
        RowNumber(), partition_by=[F("provider"), F("model"), F("effort")],
        order_by=F("created_at").desc(),
    )  # fmt: skip
    rows: Any = (
        counted_answers(_PAST)
        .filter(provider_ms__gt=0, attempts=[])
        .annotate(rank=rank)
        .filter(rank__lte=_MOST_OF_A_KIND)
        .order_by("-created_at")
        .values_list(
            "provider", "model", "effort", "tokens_out", "provider_ms", "ttft_ms",
            "reasoning_tokens",
        )
    )  # fmt: skip
    return [
        (ModelRef(provider, model), effort, _timed(tokens, total, first, reasoning))
        for provider, model, effort, tokens, total, first, reasoning in rows
    ]


def _timed(tokens: int, total: float, first: float | None, reasoning: int) -> TimedAnswer:
    seconds = total / 1000
    # A stream's first content is timed since the request came, which is a little earlier.
    begun = None if first is None else min(first / 1000, seconds)
    return TimedAnswer(tokens, seconds, begun, min(reasoning, tokens))


class AnswerSpeeds:
    """The speed of each model at each effort; that of all its answers where these are too few."""

    def __init__(self, rows: Iterable[SpeedRow] = ()) -> None:
        by_effort: dict[tuple[ModelRef, str], list[TimedAnswer]] = defaultdict(list)
        by_model: dict[ModelRef, list[TimedAnswer]] = defaultdict(list)
        for ref, effort, answer in rows:
            by_effort[ref, effort].append(answer)
            by_model[ref].append(answer)
        self._by_effort = {
            key: speed
            for key, answers in by_effort.items()
            if (speed := fit_speed(answers)) is not None
        }
        self._by_model = {
            ref: speed
            for ref, answers in by_model.items()
            if (speed := fit_speed(answers)) is not None
        }

    @property
    def any(self) -> bool:
        """Return whether the speed of any model is known."""
        return bool(self._by_model)

    def at(self, ref: ModelRef, effort: str) -> AnswerSpeed | None:
        """Return the model's speed at this very effort, ``None`` if too few answers are known."""
        return self._by_effort.get((ref, effort))

    def of(self, ref: ModelRef, effort: str = "") -> AnswerSpeed | None:
        """Return the model's speed at this effort, ``None`` if too few answers are known."""
        speed = self._by_effort.get((ref, effort))
        return self._by_model.get(ref) if speed is None else speed
