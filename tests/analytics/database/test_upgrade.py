"""The database of the first release becomes today's, and says the same as before."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection, models
from django.db.migrations.executor import MigrationExecutor

from analytics.ledger.rollups import totals_differ, totals_update
from analytics.models import CachedResponse, RequestRecord, RoutingMetric
from analytics.reports.usage import usage_stats
from tests.analytics.database.test_migrations import migrate_to

ROWS = 300


def filled(table: Any, /, **given: Any) -> Any:
    """A row of a model as it was then, whatever columns it had."""
    values: dict[str, Any] = {}
    for field in table._meta.concrete_fields:
        if field.name in given or field.has_default() or field.null or field.auto_created:
            continue
        if field.choices:
            values[field.name] = field.choices[0][0]
        elif isinstance(field, models.CharField | models.TextField):
            values[field.name] = "x"
        elif isinstance(field, models.IntegerField | models.FloatField | models.DecimalField):
            values[field.name] = 0
    return table(**values, **given)


@pytest.mark.django_db(transaction=True)
def test_nothing_is_lost_between_the_first_release_and_today() -> None:
    now = datetime.now(UTC)
    ids = [uuid.uuid4() for _ in range(ROWS)]
    costs = [Decimal(n) / 1000 for n in range(ROWS)]
    try:
        first = migrate_to(("analytics", "0001_initial"))
        request, metric, cached, daily = (
            first.get_model("analytics", name)
            for name in ("RequestRecord", "RoutingMetric", "CachedResponse", "DailyTotal")
        )
        request.objects.bulk_create(
            filled(
                request, id=pk, cost=cost, provider="p", model="m", strategy="complexity",
                created_at=now - timedelta(hours=n % 60), tokens_in=5, tokens_out=7,
            )
            for n, (pk, cost) in enumerate(zip(ids, costs, strict=True))
        )  # fmt: skip
        metric.objects.bulk_create(
            filled(metric, request_id=pk, provider="p", model="m", routing_saved=Decimal("0.5"))
            for pk in ids
        )
        cached.objects.create(**vars_of(filled(cached, cache_key="k" * 64, response="Paris.")))
        daily.objects.create(
            **vars_of(filled(daily, date=now.date(), provider="p", model="m",
                             strategy="complexity", requests=ROWS, cost=sum(costs)))
        )  # fmt: skip
    finally:
        migrate_to(*MigrationExecutor(connection).loader.graph.leaf_nodes("analytics"))
    assert dict(RequestRecord.objects.values_list("pk", "cost")) == dict(
        zip(ids, costs, strict=True)
    )
    assert RoutingMetric.objects.filter(routing_saved=Decimal("0.5")).count() == ROWS
    assert CachedResponse.objects.get().response == "Paris."
    assert usage_stats()["overall"]["total_cost"] == sum(costs)
    # And what is summed from now on holds the old rows too.
    for _ in totals_update():
        pass
    assert list(totals_differ()) == []
    call_command("rebuild_totals")
    call_command("rebuild_totals", "--check")


def vars_of(row: Any) -> dict[str, Any]:
    return {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields
            if not field.auto_created}  # fmt: skip
