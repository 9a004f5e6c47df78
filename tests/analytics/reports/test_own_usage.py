"""What a developer used: found by the index of keys, however many keys they have."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection

from analytics.access.keys import key_make
from analytics.models import ApiKey, Developer, RequestRecord
from analytics.reports.own_usage import Owner, own_usage
from tests.factories import RequestRecordFactory

pytestmark = pytest.mark.django_db
KEYS = 110


@pytest.fixture
def owner() -> Owner:
    developer = Developer.objects.create(name="ann")
    for number in range(KEYS):
        key_make(ApiKey(name=f"key {number}", developer=developer))
    return Owner("", developer=developer.pk)


def test_requests_of_all_keys_count_and_those_without_a_key_do_not(owner: Owner) -> None:
    for prefix in ApiKey.objects.values_list("prefix", flat=True):
        RequestRecordFactory(api_key=prefix)
    RequestRecordFactory(api_key="")
    RequestRecordFactory(api_key="aco_other")
    usage = own_usage(owner, datetime.now(UTC) - timedelta(days=1))
    assert usage["total"]["requests"] == KEYS


@pytest.mark.skipif(connection.vendor != "postgresql", reason="about PostgreSQL's planner")
def test_the_index_of_keys_serves_more_than_a_hundred(owner: Owner) -> None:
    RequestRecordFactory()
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
    rows = RequestRecord.objects.filter(owner.rows()).order_by("-created_at")
    assert "requests_key" in rows.explain()
