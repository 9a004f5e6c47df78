"""What a provider charged by the ledger: the same from its roll-ups and from its requests."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from analytics.ledger.rollups import totals_update
from analytics.models import DailyRollup, HourlyRollup, RequestRecord
from analytics.reconciliation.ledger_charges import Hours, LedgerCharges, ledger_charges
from analytics.reports.rollup_cache import ROLLUP_CACHE
from tests.factories import RequestRecordFactory

pytestmark = pytest.mark.django_db
SINCE = datetime(2026, 10, 5, tzinfo=UTC)
UNTIL = SINCE + timedelta(days=3, minutes=30)


@pytest.fixture(autouse=True)
def _requests() -> None:
    chance = random.Random(4)
    for _ in range(120):
        cost = Decimal(chance.randrange(10**9)) / 10**10
        RequestRecordFactory(
            provider=chance.choice(["openai", "openai2", "claude"]),
            model=chance.choice(["gpt-6-luna", "some/model"]),
            created_at=SINCE + timedelta(minutes=chance.randint(-600, 3 * 24 * 60 + 600)),
            status=chance.choice(["ok", "ok", "partial", "error", "refused"]),
            cache_hit=chance.random() < 0.2,
            replayed=chance.random() < 0.1,
            usage_estimated=chance.random() < 0.3,
            cost=None if chance.random() < 0.2 else cost,
            failed_cost=Decimal("0.01") if chance.random() < 0.3 else Decimal(0),
            tokens_in=chance.randrange(1000),
            tokens_out=chance.randrange(1000),
        )


def counted(provider: str) -> Hours:
    """Count the charges request by request."""
    hours: Hours = {}
    rows = RequestRecord.objects.filter(provider=provider, cache_hit=False, replayed=False)
    for row in rows.filter(status__in=["ok", "partial"]).filter(
        created_at__gte=SINCE, created_at__lt=UNTIL
    ):
        key = row.model, row.created_at.replace(minute=0, second=0, microsecond=0)
        cost = Decimal(0) if row.cost is None else row.cost - row.failed_cost
        hours.setdefault(key, LedgerCharges()).add(
            LedgerCharges(
                1, cost, cost if row.usage_estimated else Decimal(0), int(row.usage_estimated),
                int(row.cost is None), row.tokens_in + row.tokens_out,
            )
        )  # fmt: skip
    return hours


def test_roll_ups_say_what_the_requests_say() -> None:
    expected = {provider: counted(provider) for provider in ("openai", "openai2", "claude")}
    for until in (None, SINCE + timedelta(days=1, hours=5), datetime.now(UTC)):
        for _ in totals_update(until) if until else ():
            pass
        for provider, hours in expected.items():
            assert ledger_charges(provider, SINCE, UNTIL) == hours
    # Hours that were summed before there were sums of charges are read from the requests.
    HourlyRollup.objects.filter(dimension="charge", hour__lt=SINCE + timedelta(days=2)).delete()
    DailyRollup.objects.filter(dimension="charge").delete()
    ROLLUP_CACHE.clear()
    for provider, hours in expected.items():
        assert ledger_charges(provider, SINCE, UNTIL) == hours


def test_months_that_are_summed_are_not_read_from_the_requests() -> None:
    for _ in totals_update():
        pass
    with CaptureQueriesContext(connection) as queries:
        ledger_charges("openai", SINCE, SINCE + timedelta(days=3))
    read = [query["sql"] for query in queries if 'FROM "requests"' in query["sql"]]
    assert all('"failed_cost" > ' in sql for sql in read)
