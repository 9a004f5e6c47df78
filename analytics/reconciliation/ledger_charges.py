"""What the ledger says that a provider charged, by model and hour.

Failed attempts count where they were made, which may be another provider than the answer's;
so do judging and the answers that are judged. Cached and replayed answers cost nothing there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from django.db.models import Count, Q
from django.db.models.functions import TruncHour

from analytics.models import Comparison, RequestRecord
from analytics.money import MoneySum
from analytics.reports.figures import FIGURES, KEPT, OWNER_END, ChargeKind, Figures
from analytics.reports.period_sums import SumQuery, sums_together
from analytics.reports.rollup_coverage import HOUR, RollupCoverage, Span, merged_spans
from analytics.reports.sum_queries import Grouped, figures_of, prefixed, requests_in

ZERO = Decimal(0)
_CHARGED = ("requests", "tokens_in", "tokens_out", "cost", "failed_cost")
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
    _add_answers(sums, provider, (since, until))
    rows = RequestRecord.objects.admitted().filter(
        created_at__gte=since, created_at__lt=until, replayed=False
    )
    _add_attempts(sums, rows.filter(failed_cost__gt=0), provider)
    judged = Comparison.objects.filter(created_at__gte=since, created_at__lt=until)
    judged = judged.exclude(source=Comparison.Source.REPLAY)
    _add_comparisons(sums, judged, provider)
    return dict(sums)


def _add_answers(sums: Hours, provider: str, span: Span) -> None:
    """Add what the provider's answers cost, from the hours' roll-ups and the requests after them.

    Hours that were summed before there were sums of charges are read from the requests.
    """
    own, of_provider = f"{provider}/", Q(provider=provider)
    queries = [
        SumQuery([name], *span, begins=own, rows=of_provider, figures=figures)
        for name, figures in (("charge", _CHARGED), ("model", ("requests",)))
    ]
    charges, models = sums_together(queries, RollupCoverage.now(span[0]).by_hours(), TruncHour)
    there, whole = _by_hour(charges["charge"]), _by_hour(models["model"])
    missing = sorted(hour for hour, count in whole.items() if there.get(hour) != count)
    parts = merged_spans([(max(hour, span[0]), min(hour + HOUR, span[1])) for hour in missing])
    rows = [item for part in parts for item in _from_requests(provider, part)]
    absent = set(missing)
    summed = [item for item in charges["charge"].items() if item[0][0] not in absent]
    for (hour, value), figures in (*summed, *rows):
        model, _, kind = value.partition(OWNER_END)
        if kind:
            sums[model.removeprefix(own), hour].add(_charge_of(kind, figures))


def _from_requests(provider: str, span: Span) -> Iterator[tuple[tuple[datetime, str], Figures]]:
    """Yield the figures of the provider's answers by hour and charge, read from the requests."""
    rows: Any = requests_in(*span).filter(provider=provider)
    rows = rows.annotate(at=TruncHour("created_at", tzinfo=UTC), group=KEPT["charge"])
    sums = prefixed({name: FIGURES[name] for name in _CHARGED})
    for row in rows.values("at", "group").annotate(**sums).order_by():
        yield (row["at"], row["group"]), figures_of(row, _CHARGED)


def _by_hour(grouped: Grouped) -> dict[datetime, int]:
    """Return the number of requests of each hour."""
    hours: dict[datetime, int] = defaultdict(int)
    for (hour, _), figures in grouped.items():
        hours[hour] += figures["requests"]
    return hours


def _charge_of(kind: str, figures: Figures) -> LedgerCharges:
    requests, tokens = figures["requests"], figures["tokens_in"] + figures["tokens_out"]
    estimated = kind in (ChargeKind.ESTIMATED, ChargeKind.UNKNOWN_ESTIMATED)
    unknown = kind in (ChargeKind.UNKNOWN, ChargeKind.UNKNOWN_ESTIMATED)
    cost = ZERO if unknown else figures["cost"] - figures["failed_cost"]
    return LedgerCharges(
        requests,
        cost,
        cost if estimated else ZERO,
        requests if estimated else 0,
        requests if unknown else 0,
        tokens,
    )


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
