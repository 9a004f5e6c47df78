"""JSON out: what is written reads back as what it was."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from analytics.models import RequestRecord
from optimizer.api.http.json_out import as_json

characters = st.characters(codec="utf-8")
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(characters),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(characters), inner),
)


@given(values)
def test_what_is_written_reads_back_the_same_integers_of_any_size_too(value: Any) -> None:
    assert json.loads(as_json(value)) == value


@given(st.decimals(min_value=0, max_value=10_000, places=10))
def test_money_reads_back_to_the_same_ten_places(cost: Decimal) -> None:
    read = json.loads(as_json({"cost": cost}), parse_float=str, parse_int=str)["cost"]
    assert Decimal(read) == cost


def test_times_keys_and_choices_are_written_as_the_contract_has_them() -> None:
    key = uuid.uuid4()
    at = datetime(2026, 11, 24, 12, 30, 1, 500_000, tzinfo=UTC)
    written = {"at": at, "id": key, "status": RequestRecord.Status.PARTIAL, 1: ("a",)}
    assert json.loads(as_json(written)) == {
        "at": "2026-11-24T12:30:01.500000Z",
        "id": str(key),
        "status": "partial",
        "1": ["a"],
    }


def test_what_is_no_number_is_written_as_json_can_say_it() -> None:
    assert as_json([float("nan"), float("inf")]) == b"[null,null]"
