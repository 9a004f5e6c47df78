"""The ledger as Parquet: every row, exact, a file a month."""

from __future__ import annotations

import io
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from hypothesis import given
from hypothesis import strategies as st

from analytics.exports.parquet import export_requests, months_between
from tests.factories import RequestRecordFactory, RoutingMetricFactory

parquet = pytest.importorskip("pyarrow.parquet")
OCTOBER, NOVEMBER = datetime(2026, 10, 31, 23, 59, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC)


def read(folder: Path) -> list[dict[str, Any]]:
    return parquet.read_table(folder / "requests").to_pylist()


@pytest.mark.django_db
def test_every_request_is_there_exactly(tmp_path: Path) -> None:
    cost = Decimal("0.0000000001")
    one = RequestRecordFactory(
        created_at=OCTOBER, cost=cost, tags=["a", "b"], prompt="a secret", ttft_ms=None
    )
    decision = RoutingMetricFactory(
        request__created_at=NOVEMBER, request__cost=Decimal("12345.0123456789"),
        baseline_cost=Decimal("2.5"), routing_saved=Decimal("-0.5"),
    )  # fmt: skip
    written = list(export_requests(tmp_path, date(2026, 10, 1), date(2026, 11, 30)))
    assert [(w.month, w.rows) for w in written] == [(date(2026, 10, 1), 1), (date(2026, 11, 1), 1)]
    found = {row["id"]: row for row in read(tmp_path)}
    assert found[str(one.pk)]["cost"] == cost
    assert found[str(one.pk)]["created_at"] == OCTOBER
    assert found[str(one.pk)]["tags"] == '["a", "b"]'
    assert found[str(one.pk)]["baseline_cost"] is None
    other = found[str(decision.pk)]
    assert other["cost"] == decision.request.cost
    assert (other["baseline_cost"], other["routing_saved"]) == (Decimal("2.5"), Decimal("-0.5"))
    assert {row["month"] for row in found.values()} == {"2026-10", "2026-11"}
    assert "prompt" not in other
    assert not list(tmp_path.rglob("*.part"))


@pytest.mark.django_db
def test_prompts_only_where_they_are_asked_for(tmp_path: Path) -> None:
    RequestRecordFactory(created_at=NOVEMBER, prompt="What is it?")
    list(export_requests(tmp_path, date(2026, 11, 1), date(2026, 11, 1), prompts=True))
    assert read(tmp_path)[0]["prompt"] == "What is it?"


@pytest.mark.django_db
def test_the_command_says_what_it_wrote_and_replaces_what_was_there(tmp_path: Path) -> None:
    RequestRecordFactory.create_batch(3, created_at=NOVEMBER)
    for _ in range(2):
        out = io.StringIO()
        call_command(
            "export_parquet", str(tmp_path), "--since", "2026-11-01", "--until", "2026-11-02",
            stdout=out,
        )  # fmt: skip
        assert "3 requests" in out.getvalue()
    assert len(read(tmp_path)) == 3
    out = io.StringIO()
    call_command("export_parquet", str(tmp_path), "--since", "2020-01-01", "--until", "2020-01-02",
                 stdout=out)  # fmt: skip
    assert "No request" in out.getvalue()


@pytest.mark.django_db
def test_mistakes_are_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    RequestRecordFactory(created_at=NOVEMBER)
    for args, words in (
        (["--since", "2026-11-02", "--until", "2026-11-01"], "before"),
        (["--since", "soon"], "not a date like"),
    ):
        with pytest.raises(CommandError, match=words):
            call_command("export_parquet", str(tmp_path), *args)
    with pytest.raises(CommandError, match="file"):
        call_command("export_parquet", str(tmp_path / "file"), "--since", "2026-11-01")


days = st.dates(date(2020, 1, 1), date(2030, 1, 1))


@given(days, days)
def test_months_cover_each_day_once(one: date, other: date) -> None:
    since, until = sorted((one, other))
    months = list(months_between(since, until))
    covered = sum((last - first).days + 1 for first, last in months)
    assert covered == (until - since).days + 1
    assert all((a.year, a.month) == (b.year, b.month) for a, b in months)
    assert [first for first, _ in months] == sorted({first for first, _ in months})
