"""What the row writer writes is what the ORM would."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.db.models import JSONField, Model
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from analytics.database.bulk_write import RowWriter, maker_of
from analytics.models import CachedResponse, RequestRecord, RoutingMetric
from tests.factories import CachedResponseFactory, RequestRecordFactory

money = st.decimals(min_value=-1000, max_value=1000, places=10)
zones = st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30))])
words = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)

_JSON = frozenset(
    field.column
    for table in (RequestRecord, RoutingMetric)
    for field in table._meta.concrete_fields
    if isinstance(field, JSONField)
)


def stored(table: str, key: str, value: Any) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM {table} WHERE {key} = %s", [value])
        names = [column[0] for column in cursor.description]
        rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    for row in rows:
        for name in _JSON & row.keys():
            # SQLite keeps JSON as it was written; spaces and escapes have no meaning.
            row[name] = row[name] and json.loads(row[name])
    return rows


def as_key(value: uuid.UUID) -> Any:
    return value.hex if connection.vendor == "sqlite" else value


class TestRows(TestCase):
    @given(
        cost=st.none() | money,
        tags=st.lists(words, max_size=3),
        prompt=words,
        complexity=st.floats(0, 1),
        at=st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=zones),
        hit=st.booleans(),
    )
    def test_a_request_stands_as_the_orm_would_write_it(
        self, cost: Any, tags: list[str], prompt: str, complexity: float, at: datetime, hit: bool
    ) -> None:
        fields = {
            "cost": cost, "tags": tags, "prompt": prompt, "complexity": complexity,
            "created_at": at, "cache_hit": hit, "attempts": [{"cost": Decimal("0.1")}],
            "status": RequestRecord.Status.PARTIAL, "max_tokens": None,
        }  # fmt: skip
        one, other = uuid.uuid4(), uuid.uuid4()
        RowWriter(RequestRecord).write([RequestRecordFactory.build(id=one, **fields)])
        RequestRecord.objects.bulk_create([RequestRecordFactory.build(id=other, **fields)])
        written = stored("requests", "id", as_key(one))
        expected = stored("requests", "id", as_key(other))
        assert [{**row, "id": None} for row in written] == [{**row, "id": None} for row in expected]

    @given(saved=st.none() | money, metadata=st.dictionaries(words, words | money, max_size=3))
    def test_so_does_a_decision(self, saved: Any, metadata: dict[str, Any]) -> None:
        request = RequestRecordFactory()
        decision = RoutingMetric(
            request=request, provider="p", model="m", strategy_used="complexity",
            confidence="high", reasoning="why", pattern="general", complexity=0.5, tier="simple",
            routing_saved=saved, metadata=metadata,
        )  # fmt: skip
        RowWriter(RoutingMetric).write([decision])
        written = stored("routing_metrics", "request_id", as_key(request.pk))
        decision.delete()
        decision.request_id = request.pk
        RoutingMetric.objects.bulk_create([decision])
        assert written == stored("routing_metrics", "request_id", as_key(request.pk))


@pytest.mark.parametrize("table", [RequestRecord, RoutingMetric, CachedResponse])
def test_a_row_made_is_what_the_model_would_make(table: type[Model]) -> None:
    values: dict[str, Any] = {"provider": "p", "created_at": datetime.now(UTC)}
    made, expected = maker_of(table)(values), table(**values)
    own = {field.attname for field in table._meta.concrete_fields if callable(field.default)}
    for name, value in vars(expected).items():
        if name == "_state":
            assert vars(made._state) == vars(value)
        elif name not in own or name in values:
            assert getattr(made, name) == value
        else:
            assert type(getattr(made, name)) is type(value)
    assert vars(made).keys() == vars(expected).keys()


def test_rows_share_no_default_that_could_be_changed() -> None:
    make = maker_of(RequestRecord)
    one, other = make({}), make({})
    one.tags.append("changed")
    assert other.tags == []


def test_a_row_of_what_is_no_column_is_not_made() -> None:
    with pytest.raises(TypeError, match="colour"):
        maker_of(RequestRecord)({"colour": "red"})


@pytest.mark.django_db
def test_a_row_takes_another_s_place_but_for_what_is_kept() -> None:
    writer = RowWriter(CachedResponse, unique="cache_key", kept=("hit_count",))
    CachedResponseFactory(cache_key="k" * 64, response="old", hit_count=5)
    writer.write([CachedResponseFactory.build(cache_key="k" * 64, response="new", hit_count=0)])
    found = CachedResponse.objects.get(cache_key="k" * 64)
    assert (found.response, found.hit_count) == ("new", 5)


@pytest.mark.django_db
def test_nothing_to_write_is_nothing_written() -> None:
    RowWriter(RequestRecord).write([])
    assert not RequestRecord.objects.exists()
