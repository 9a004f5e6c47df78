"""Opens budgets with what their current period has cost so far, and reads budgets."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal

from django.db import connection, transaction
from django.utils import timezone

from analytics.access.versioned_rows import version_of
from analytics.budgets.claims import Cost, draws, key_origins
from analytics.budgets.periods import window_at
from analytics.models import Budget, BudgetAccount, BudgetUsage, RequestRecord

_READ_TOGETHER = 2000
_COLUMNS = (
    "id", "created_at", "api_key", "user_id", "tenant", "project", "session_id", "endpoint",
    "provider", "model", "cost",
    "failed_cost", "attempts",
)  # fmt: skip


@transaction.atomic
def budget_open(budget: Budget) -> None:
    """Save a new budget, with what its current period has cost so far as its usage.

    Raise Django's ``ValidationError`` if the budget is invalid.
    """
    budget.full_clean()
    budget.save()
    if connection.vendor == "postgresql":
        # Wait for transactions that write requests and do not see the new budget. Later ones
        # wait for this one and then see it, as costs are booked after rows are inserted.
        with connection.cursor() as cursor:
            cursor.execute("LOCK TABLE requests IN SHARE MODE")
    for subject, start, spent, requests in _so_far(budget):
        account, _ = BudgetAccount.objects.get_or_create(budget=budget, subject=subject)
        BudgetUsage.objects.create(account=account, start=start, spent=spent, requests=requests)


def budgets_version() -> tuple[datetime | None, int]:
    """Return a value that changes whenever a budget changes."""
    return version_of(Budget)


def budgets_load() -> list[Budget]:
    """Return the budgets that can refuse a request: enabled, with a limit."""
    return list(Budget.objects.filter(enabled=True, limit__isnull=False))


def _so_far(budget: Budget) -> Iterator[tuple[str, datetime, Decimal, int]]:
    """Yield subject, start of period or step, USD spent and number of requests."""
    since = window_at(budget, timezone.now()).since
    origins = key_origins([budget])
    spent: dict[tuple[str, datetime], list[Decimal]] = defaultdict(list)
    rows = RequestRecord.objects.filter(
        created_at__gte=since, cost__gt=0, cache_hit=False, replayed=False
    )
    for record in rows.order_by().only(*_COLUMNS).iterator(chunk_size=_READ_TOGETHER):
        for draw in draws([budget], Cost.of_record(record), origins):
            spent[draw.subject, draw.window.start].append(draw.amount)
    for (subject, start), amounts in spent.items():
        yield subject, start, sum(amounts, Decimal(0)), len(amounts)
