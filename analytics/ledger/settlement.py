"""Records what an object of a provider cost once it has ended, exactly once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from django.db import transaction

from analytics.budgets.claims import Charge, Cost, Payer
from analytics.budgets.holding import book, release
from analytics.ledger.daily_totals import totals_add, totals_take_back
from analytics.ledger.ledger import LedgerEntry, write_entries
from analytics.ledger.rollups import mark_late
from analytics.ledger.savings import savings_of_call
from analytics.ledger.seals import rows_seal
from analytics.ledger.sessions import sessions_add, sessions_take_back
from analytics.models import LedgerSeal, ProviderObject, RequestRecord, RoutingMetric


@dataclass(frozen=True, slots=True)
class BackgroundOutcome:
    """How a request ended that a provider worked on in the background.

    ``cost`` and ``baseline_cost`` are USD, ``None`` if they are unknown.
    """

    status: str = RequestRecord.Status.OK
    error_code: str = ""
    finish_reason: str = ""
    tokens_in: int = 0
    tokens_out: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    usage_estimated: bool = False
    price_basis: str = RequestRecord.PriceBasis.UNKNOWN
    list_cost: Decimal | None = None
    billed_units: Mapping[str, Any] | None = None
    cost: Decimal | None = None
    baseline_cost: Decimal | None = None


_USAGE = (
    "status", "error_code", "finish_reason", "tokens_in", "tokens_out", "cache_read_tokens",
    "cache_write_tokens", "reasoning_tokens", "usage_estimated", "price_basis", "list_cost",
    "billed_units",
)  # fmt: skip


@transaction.atomic
def object_close(kept: ProviderObject, state: str, entries: Sequence[LedgerEntry]) -> bool:
    """Write the rows of an object that has ended; return whether nobody had before."""
    if not _close(kept, state):
        return False
    if entries:
        write_entries(entries)
    if kept.request_id is not None:
        release([kept.request_id])
    return True


@transaction.atomic
def request_settle(
    kept: ProviderObject, state: str, outcome: BackgroundOutcome
) -> LedgerEntry | None:
    """Add usage and cost to the row of a request that has ended; return it as it is now.

    ``None`` means that it was done before, or that the row still waits in the journal.
    """
    request = RequestRecord.objects.select_for_update().filter(pk=kept.request_id).first()
    if request is None or not _close(kept, state):
        return None
    decision = RoutingMetric.objects.filter(pk=request.pk).first()
    sessions_take_back([(request, decision)])
    totals_take_back([(request, decision)])
    for name in _USAGE:
        setattr(request, name, getattr(outcome, name))
    if outcome.cost is not None:
        request.cost = outcome.cost + request.failed_cost
        _charge(request, outcome.cost)
    if decision is not None:
        savings = savings_of_call(request.cost, outcome.baseline_cost)
        decision.actual_cost, decision.baseline_cost = request.cost, outcome.baseline_cost
        decision.routing_saved, decision.cache_saved = savings.routing, savings.cache
        request.savings = savings.total
        decision.save()
    request.save()
    rows_seal([(request, decision)], LedgerSeal.Kind.CHANGED)
    sessions_add([(request, decision)])
    totals_add([(request, decision)])
    mark_late([request.created_at])
    return LedgerEntry(request, decision)


def _close(kept: ProviderObject, state: str) -> bool:
    still_open = ProviderObject.objects.filter(pk=kept.pk, recorded=False)
    now = datetime.now(UTC)
    return bool(still_open.update(recorded=True, state=state[:40], checked_at=now))


def _charge(request: RequestRecord, amount: Decimal) -> None:
    """Book the cost in the budgets; what failed attempts cost was booked with the row."""
    charge = Charge(request.provider, request.model, amount)
    book([Cost(request.pk, request.created_at, Payer.of_record(request), (charge,))])
