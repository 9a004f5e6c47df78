"""Deadlines: how they are written, what is refused, and where they come from."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.api.compat.extensions import read_request_options
from optimizer.api.http.body_reader import BodyReader, InvalidField
from optimizer.api.http.delivery import read_delivery
from optimizer.domain.deadlines import Delivery, prefers_later, read_deadline
from routing.durations import duration_text, read_duration
from routing.rule_parser import RuleError, read_rule
from routing.rules import Subject, effect_of

NOW = datetime(2026, 12, 1, 5, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (90, 90), (1.5, 1.5), ("90s", 90), ("30m", 1800), ("6h", 21_600), ("2d", 172_800),
        (" 1.5 H ", 5400), ("600", 600), ("2026-12-01T06:00:00Z", 3600),
        ("2026-12-01T06:00:00+01:00", 0), ("2026-12-01 08:00:00+02:00", 3600),
    ],
)  # fmt: skip
def test_a_deadline_is_seconds_a_duration_or_a_time(value: Any, seconds: float) -> None:
    if not seconds:
        with pytest.raises(ValueError, match="passed already"):
            read_deadline(value, NOW)
        return
    assert read_deadline(value, NOW) == seconds


@pytest.mark.parametrize(
    "value",
    [0, -1, True, None, "", "soon", "6 hours", "2026-12-01T06:00:00", "2026-13-01T06:00:00Z", [],
     8 * 86_400, "8d", float("nan"), float("inf"), "9" * 40, 10**400],
)  # fmt: skip
def test_anything_else_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match=r"\.$"):
        read_deadline(value, NOW)


@given(st.integers(1, 7 * 86_400))
def test_a_duration_is_read_as_it_is_written(seconds: int) -> None:
    assert read_duration(duration_text(seconds)) == seconds


@pytest.mark.parametrize(
    ("prefer", "later"),
    [("respond-async", True), ("wait=10, Respond-Async; x=1", True), ("", False),
     ("return=minimal", False), ("respond-asynchronous", False)],
)  # fmt: skip
def test_a_preference_for_a_later_answer(prefer: str, later: bool) -> None:
    assert prefers_later(prefer) is later


def test_the_body_counts_before_the_headers() -> None:
    headers = {"x-optimizer-deadline": "3600", "prefer": "respond-async"}
    assert read_delivery(Delivery(), lambda name: headers.get(name, "")) == Delivery(3600, True)
    own = Delivery(60, False, "https://a.example/")
    assert read_delivery(own, lambda name: headers.get(name, "")) == Delivery(60, True, own.webhook)
    assert read_delivery(own, lambda name: "") is own
    with pytest.raises(InvalidField) as refused:
        read_delivery(Delivery(), lambda name: "soon" if name == "x-optimizer-deadline" else "")
    assert refused.value.param == "x-optimizer-deadline"


def test_the_extension_of_other_apis_has_them() -> None:
    body = {"optimizer": {"deadline": "6h", "async": True, "webhook": "https://a.example/"}}
    options = read_request_options(BodyReader(body), "")
    assert options.delivery == Delivery(21_600, True, "https://a.example/")
    with pytest.raises(InvalidField) as refused:
        read_request_options(BodyReader({"optimizer": {"deadline": "soon"}}), "")
    assert refused.value.param == "optimizer.deadline"


def test_a_rule_has_a_deadline_for_requests_that_name_none() -> None:
    rule = read_rule({"name": "nightly", "tags": ["nightly"], "deadline": "12h"})
    subject = Subject("Hi", "general", "simple", 1, NOW, tags=("nightly",))
    assert effect_of([rule], subject).deadline == 43_200
    with pytest.raises(RuleError, match="deadline"):
        read_rule({"name": "nightly", "deadline": "30d"})
