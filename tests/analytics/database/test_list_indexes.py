"""The lists of requests, decisions and answers find rare rows without sorting or reading all."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection

from analytics.models import CachedResponse, RequestRecord, RoutingMetric
from tests.factories import CachedResponseFactory

pytestmark = pytest.mark.django_db

_REQUESTS = ({}, {"tier": "complex"}, {"strategy": "hybrid"}, {"cache_hit": True},
             {"endpoint": "messages", "tier": "simple"})  # fmt: skip
_DECISIONS = ({}, {"strategy_used": "hybrid"}, {"confidence": "low"}, {"pattern": "code"},
              {"tier": "simple"}, {"provider": "a", "model": "m"})  # fmt: skip


@pytest.fixture(autouse=True)
def _no_whole_tables(db: None) -> None:
    """PostgreSQL reads small tables as a whole unless it is told not to."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off")


@pytest.mark.parametrize(
    ("table", "filters", "index"),
    [
        *((RequestRecord, filters, "requests_filters") for filters in _REQUESTS),
        *((RoutingMetric, filters, "metrics_filters") for filters in _DECISIONS),
    ],
    ids=str,
)
def test_a_list_is_read_in_the_order_of_the_index_that_has_its_filters(
    table: Any, filters: dict[str, Any], index: str
) -> None:
    plan = table.objects.filter(**filters).order_by("-created_at")[:100].explain()
    assert index in plan
    assert "TEMP B-TREE" not in plan
    assert "Sort" not in plan


@pytest.mark.parametrize("status", ["error", "refused"])
def test_failures_have_an_index_of_their_own(status: str) -> None:
    rows = RequestRecord.objects.not_ok().filter(status=status).order_by("-created_at")
    assert "requests_not_ok" in rows[:100].explain()


def test_withdrawn_answers_have_an_index_of_their_own() -> None:
    rows = CachedResponse.objects.filter(invalidated_at__isnull=False).order_by("-invalidated_at")
    assert "cache_withdrawn" in rows[:100].explain()


def test_an_answer_leads_to_its_request_and_to_its_hits_by_index() -> None:
    """All keys have no index: they are random, which costs each request a page of its own."""
    entry = CachedResponseFactory()
    requests = RequestRecord.objects.order_by()
    assert "requests_hits" in requests.hits_of(entry).explain()
    assert "requests_filters" in requests.source_of(entry).explain()
