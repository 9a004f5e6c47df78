"""What the row reader reads is what the ORM would."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from analytics.database.bulk_read import RowReader
from analytics.models import CachedResponse
from tests.factories import CachedResponseFactory

ENTRIES = RowReader(CachedResponse, "cache_key")
KEY = "k" * 64

words = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
times = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))
money = st.decimals(min_value=0, max_value=1000, places=10)


def columns(row: CachedResponse) -> dict[str, tuple[type, Any]]:
    return {name: (type(value), value) for name, value in vars(row).items() if name != "_state"}


class TestReading(TestCase):
    @given(
        response=words,
        answer=st.none() | st.dictionaries(words, words | st.integers(0, 9), max_size=3),
        cost=st.none() | money,
        invalidated=st.none() | times,
    )
    def test_a_row_is_as_the_orm_would_read_it(
        self,
        response: str,
        answer: dict[str, Any] | None,
        cost: Decimal | None,
        invalidated: datetime | None,
    ) -> None:
        CachedResponse.objects.all().delete()
        CachedResponseFactory(
            cache_key=KEY, response=response, answer=answer, original_cost=cost,
            invalidated_at=invalidated,
        )  # fmt: skip
        (found,) = ENTRIES.read([KEY])
        expected = CachedResponse.objects.get(cache_key=KEY)
        assert columns(found) == columns(expected)
        assert vars(found._state) == vars(expected._state)


@pytest.mark.django_db
def test_those_that_are_there_are_found_and_no_others() -> None:
    for name in "abc":
        CachedResponseFactory(cache_key=name * 64)
    found = ENTRIES.read(["a" * 64, "c" * 64, "d" * 64])
    assert {row.cache_key for row in found} == {"a" * 64, "c" * 64}
    assert ENTRIES.read(["d" * 64]) == []


@pytest.mark.django_db
def test_a_row_read_can_be_changed_and_saved() -> None:
    CachedResponseFactory(cache_key=KEY)
    (row,) = ENTRIES.read([KEY])
    row.response = "changed"
    row.save()
    assert CachedResponse.objects.get().response == "changed"
