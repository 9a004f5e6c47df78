"""What the ledger says that a provider charged, by model and hour.

Failed attempts count where they were made, which may be another provider than the answer's;
so do judging and the answers that are judged. Cached and replayed answers cost nothing there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from django.db.models import Count, F, Q, Sum
from django.db.models.functions import TruncHour

from analytics.models import Comparison, RequestRecord
from analytics.money import MoneySum

ZERO = Decimal(0)
Hours = dict[tuple[str, datetime], "LedgerCharges"]
"""Charges by model and the start of their hour in UTC."""


@dataclass(slots=True)
class LedgerCharges:
    """Sums of calls: ``cost`` in USD, of which ``estimated`` rests on estimates.

    ``unpriced`` calls have no known cost.
    """

    requests: int = 0
    cost: Decimal = ZERO
    estimated: Decimal = ZERO
    estimates: int = 0
    unpriced: int = 0
    tokens: int = 0

    def add(self, other: LedgerCharges) -> None:
        """Add the sums of other calls."""
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


def ledger_charges(provider: str, since: datetime, until: datetime) -> Hours:
    """Return what was charged by ``provider`` in ``[since, until)``."""
    sums: Hours = defaultdict(LedgerCharges)
    rows = RequestRecord.objects.admitted().filter(
        created_at__gte=since, created_at__lt=until, replayed=False
    )
    _add_answers(sums, rows.filter(provider=provider, cache_hit=False))
    _add_attempts(sums, rows.filter(failed_cost__gt=0), provider)
    judged = Comparison.objects.filter(created_at__gte=since, created_at__lt=until)
    judged = judged.exclude(source=Comparison.Source.REPLAY)
    _add_comparisons(sums, judged, provider)
    return dict(sums)


def _add_answers(sums: Hours, rows: Any) -> None:
    estimated = Q(usage_estimated=True)
    hours = (
        rows.exclude(status=RequestRecord.Status.ERROR)
        .order_by()
        .values("model", hour=TruncHour("created_at", tzinfo=UTC))
        .annotate(
            n=Count("pk"),
            spent=MoneySum(F("cost") - F("failed_cost")),
            guessed=MoneySum(F("cost") - F("failed_cost"), filter=estimated),
            guesses=Count("pk", filter=estimated),
            unknown=Count("pk", filter=Q(cost=None)),
            tokens=Sum("tokens_in", default=0) + Sum("tokens_out", default=0),
        )
    )
    for row in hours:
        sums[row["model"], row["hour"]].add(
            LedgerCharges(
                row["n"], row["spent"], row["guessed"], row["guesses"], row["unknown"],
                row["tokens"],
            )
        )  # fmt: skip


def _add_attempts(sums: Hours, rows: Any, provider: str) -> None:
    for created_at, attempts in rows.values_list("created_at", "attempts").iterator():
        hour = created_at.replace(minute=0, second=0, microsecond=0)
        for attempt in attempts:
            if attempt.get("provider") == provider:
                sums[attempt.get("model", ""), hour].add(_attempt(attempt))


def _attempt(attempt: Mapping[str, Any]) -> LedgerCharges:
    cost = Decimal(str(attempt.get("cost") or 0))
    guessed = bool(attempt.get("estimated"))
    tokens = int(attempt.get("tokens_in") or 0) + int(attempt.get("tokens_out") or 0)
    return LedgerCharges(bool(cost), cost, cost if guessed else ZERO, int(guessed), 0, tokens)


def _add_comparisons(sums: Hours, rows: Any, provider: str) -> None:
    alike = ("judge", "served", "provider", "model", "reference_provider", "reference_model")
    hours = (
        rows.order_by()
        .values(*alike, hour=TruncHour("created_at", tzinfo=UTC))
        .annotate(
            judged=Count("pk", filter=Q(judge_cost__gt=0)),
            judging=MoneySum("judge_cost"),
            answered=Count("pk", filter=Q(answer_cost__gt=0)),
            answers=MoneySum("answer_cost"),
        )
    )
    for row in hours:
        # The second answer, which was paid for to compare, is that of the model that did not serve.
        other = "reference_" if row["served"] else ""
        judge_provider, _, judge_model = row["judge"].partition("/")
        if judge_provider == provider and row["judged"]:
            sums[judge_model, row["hour"]].add(LedgerCharges(row["judged"], row["judging"]))
        if row[f"{other}provider"] == provider and row["answered"]:
            model = row[f"{other}model"]
            sums[model, row["hour"]].add(LedgerCharges(row["answered"], row["answers"]))
