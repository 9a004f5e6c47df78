"""Stores the lines of providers' statements, and reads them again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from django.db import transaction

from analytics.models import ProviderStatementLine

_TOGETHER = 1_000


@transaction.atomic
def lines_replace(
    lines: Sequence[ProviderStatementLine], provider: str, source: str, since: date, until: date
) -> int:
    """Store the lines of a source in place of those it had for the days; return their number."""
    old = ProviderStatementLine.objects.filter(provider=provider, source=source)
    old.filter(day__gte=since, day__lt=until).delete()
    ProviderStatementLine.objects.bulk_create(lines, batch_size=_TOGETHER)
    return len(lines)


def lines_between(provider: str, since: date, until: date) -> list[ProviderStatementLine]:
    """Return a provider's stored lines of the days from ``since`` until before ``until``."""
    rows = ProviderStatementLine.objects.filter(provider=provider, day__gte=since, day__lt=until)
    return list(rows.order_by("day", "model", "id"))


def stated_providers(since: date, until: date) -> list[str]:
    """Return the providers that have lines of these days."""
    rows = ProviderStatementLine.objects.filter(day__gte=since, day__lt=until)
    return sorted(rows.order_by().values_list("provider", flat=True).distinct())
