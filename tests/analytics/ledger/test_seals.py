"""Seals: each row of the ledger has one, and any change of a row or a seal is noticed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from typing import Any

import pytest
from django.db import models, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analytics.ledger.ledger import LedgerEntry, write_entries
from analytics.ledger.retention import prune
from analytics.ledger.seals import canonical_json, leaves_of, row_hash
from analytics.ledger.settlement import BackgroundOutcome, request_settle
from analytics.ledger.undo_replay import replayed_remove
from analytics.models import (
    LedgerDay,
    LedgerSeal,
    ProviderObject,
    RequestRecord,
    RoutingMetric,
)
from analytics.proof.day_roots import days_close, days_sign
from analytics.proof.ledger_check import DayCheck, ledger_check, ledger_span, unsealed_adopt
from tests.factories import RequestRecordFactory, RoutingMetricFactory

D = Decimal
DAY = datetime(2026, 10, 5, 12, tzinfo=UTC)


def entry(**columns: Any) -> LedgerEntry:
    columns = {"created_at": DAY, **columns}
    decision = RoutingMetricFactory.build(request=RequestRecordFactory.build(**columns))
    return LedgerEntry(decision.request, decision)


def write(*entries: LedgerEntry) -> Sequence[LedgerEntry]:
    write_entries(entries)
    return entries


def checks() -> list[DayCheck]:
    span = ledger_span()
    return [] if span is None else list(ledger_check(*span))


def disagreements() -> list[DayCheck]:
    return [check for check in checks() if not check.agrees]


@pytest.mark.django_db
def test_rows_agree_with_their_seals() -> None:
    write(entry(), entry(prompt="é\u2028😀", tags=["b", "a"], cost=None, latency_ms=3))
    write(entry(status="refused", http_status=429), entry(created_at=DAY + timedelta(days=1)))
    assert [(check.rows, check.agrees) for check in checks()] == [(3, True), (1, True)]


@pytest.mark.django_db(transaction=True)
def test_the_seals_of_a_worker_are_linked_and_a_rollback_begins_another_chain() -> None:
    write(entry())
    write(entry())
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        write(entry())
        raise ZeroDivisionError
    write(entry())
    first, second, third = LedgerSeal.objects.all()
    assert (second.chain, second.number, second.previous) == (first.chain, 1, first.hash)
    assert (third.chain != first.chain, third.number, third.previous) == (True, 0, "")
    assert disagreements() == []


def other(field: models.Field, value: Any) -> Any:
    """Return another value for the column."""
    if isinstance(field, models.BooleanField):
        return not value
    if isinstance(field, models.DecimalField):
        return (value or D(0)) + D("0.0000000001")
    if isinstance(field, models.DateTimeField):
        return value + timedelta(microseconds=1)
    if isinstance(field, models.JSONField):
        return [*value, "x"] if isinstance(value, list) else {**(value or {}), "x": 1}
    if isinstance(field, models.FloatField):
        return (value or 0.0) + 0.5
    if isinstance(field, models.IntegerField):
        return (value or 0) + 1
    return "x" if not value else value[:-1] + ("y" if value[-1] != "y" else "z")


COLUMNS = [
    (table, field.name)
    for table in (RequestRecord, RoutingMetric)
    for field in table._meta.concrete_fields
    if not field.primary_key
]


@pytest.mark.django_db
@pytest.mark.parametrize(("table", "column"), COLUMNS, ids=lambda value: str(value))
def test_a_change_of_any_column_is_noticed(table: Any, column: str) -> None:
    changed, _ = write(entry(), entry())
    row = table.objects.get(pk=changed.request.pk)
    setattr(row, column, other(table._meta.get_field(column), getattr(row, column)))
    row.save()
    (check,) = disagreements()
    assert (check.changed, check.missing, check.unsealed) == ([changed.request.pk], [], [])


@pytest.mark.django_db
def test_rows_that_are_gone_or_were_added_or_have_lost_their_decision_are_noticed() -> None:
    gone, undecided = write(entry(), entry(), entry())[:2]
    RequestRecord.objects.filter(pk=gone.request.pk).delete()
    RoutingMetric.objects.filter(pk=undecided.request.pk).delete()
    added = RequestRecordFactory(created_at=DAY)
    (check,) = disagreements()
    assert (check.missing, check.unsealed) == ([gone.request.pk], [added.pk])
    assert check.changed == [undecided.request.pk]


@pytest.mark.django_db
def test_what_was_written_before_there_were_seals_can_be_adopted() -> None:
    RoutingMetricFactory(request__created_at=DAY)
    assert len(disagreements()[0].unsealed) == 1
    span = ledger_span()
    assert span is not None
    assert list(unsealed_adopt(*span)) == [1]
    assert (disagreements(), list(unsealed_adopt(*span))) == ([], [])


@pytest.mark.django_db
def test_removed_replayed_requests_leave_a_seal() -> None:
    write(entry(replayed=True), entry())
    assert sum(replayed_remove()) == 1
    assert disagreements() == []


@pytest.mark.django_db
def test_signed_roots_notice_changed_seals_and_roots() -> None:
    kept, gone = write(entry()), write(entry())
    days_close(DAY + timedelta(days=2))
    root = LedgerDay.objects.get(day=DAY.date())
    assert (root.rows, root.revision, disagreements()) == (2, 1, [])
    assert days_close(DAY + timedelta(days=2)) == []

    # With its row and its seal, a request leaves no other trace than the root.
    RequestRecord.objects.filter(pk=gone[0].request.pk).delete()
    lost = LedgerSeal.objects.last()
    assert lost is not None
    number = lost.pk
    lost.delete()
    assert disagreements()[0].broken == ["the seals do not agree with the signed root of the day"]
    lost.pk = number
    lost.save()
    assert disagreements()[0].missing == [gone[0].request.pk]

    LedgerDay.objects.filter(day=DAY.date()).update(rows=1)
    assert "root 1 of the day was changed" in disagreements()[0].broken[0]
    assert kept[0].request.pk not in disagreements()[0].missing


@pytest.mark.django_db
def test_days_without_rows_have_a_root_too() -> None:
    write(entry())
    write(entry(created_at=DAY + timedelta(days=3)))
    days_close(DAY + timedelta(days=6))
    roots = list(LedgerDay.objects.all())
    assert [(root.day - DAY.date()).days for root in roots] == list(range(6))
    assert [root.rows for root in roots] == [1, 0, 0, 1, 0, 0]
    assert {root.root for root in roots if not root.rows} == {sha256(b"").hexdigest()}
    assert disagreements() == []
    # Rows that come late, from a journal, get another root.
    write(entry(created_at=DAY + timedelta(days=1)))
    (late,) = days_close(DAY + timedelta(days=6))
    assert (late.rows, late.revision, disagreements()) == (1, 2, [])
    LedgerDay.objects.filter(day=DAY.date() + timedelta(days=2)).delete()
    assert any(
        "no signed root" in text or "is gone" in text
        for check in disagreements()
        for text in check.broken
    )


@pytest.mark.django_db
def test_rows_that_come_after_a_day_was_closed_get_another_root() -> None:
    write(entry())
    days_close(DAY + timedelta(days=2))
    write(entry())
    assert [day.revision for day in days_sign(DAY.date())] == [2]
    first, second = LedgerDay.objects.filter(day=DAY.date())
    before = LedgerDay.objects.filter(pk__lt=second.pk).last()
    assert before is not None
    assert (second.previous, second.rows, first.root != second.root) == (before.hash, 2, True)
    assert disagreements() == []


scalars = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5)
numbers = st.floats(allow_nan=False, allow_infinity=False, min_value=-1e12, max_value=1e12)
documents = st.recursive(
    scalars | numbers,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=4), documents, max_size=4))
def test_canonical_json_does_not_depend_on_order_or_spaces(document: dict[str, Any]) -> None:
    turned = json.loads(json.dumps(dict(reversed(document.items())), indent=1))
    assert canonical_json(turned) == canonical_json(document)


@pytest.mark.django_db
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    metadata=st.dictionaries(
        st.text("abé😀", max_size=4), numbers | st.text("x\n\"\\é", max_size=4)
    ),
    cost=st.none() | st.decimals(0, 1000, places=10),
    latency=st.floats(0, 1e7) | st.integers(0, 1000),
)  # fmt: skip
def test_a_row_that_is_read_back_has_the_hash_that_was_sealed(
    metadata: dict[str, Any], cost: Decimal | None, latency: float
) -> None:
    sent = entry(cost=cost, latency_ms=latency)
    assert sent.decision is not None
    sent.decision.metadata = metadata
    write(sent)
    leaf, nonce = leaves_of(LedgerSeal.objects.all())[sent.request.pk]
    request = RequestRecord.objects.select_related("decision").get(pk=sent.request.pk)
    assert row_hash((request, request.decision), nonce).leaf == leaf


@pytest.mark.django_db
def test_retention_keeps_the_roots_of_what_it_deletes() -> None:
    old, later = DAY - timedelta(days=40), DAY
    write(entry(created_at=old), entry(created_at=old + timedelta(days=1)))
    write(entry(created_at=later))
    for _ in prune(before=old + timedelta(days=1)):
        pass
    assert [day.day for day in LedgerDay.objects.all()][:2] == [
        old.date(), (old + timedelta(days=1)).date(),
    ]  # fmt: skip
    assert not LedgerSeal.objects.filter(day=old.date()).exists()
    assert [(check.rows, check.pruned, check.agrees) for check in checks()] == [
        (0, 1, True), (1, 0, True), (1, 0, True),
    ]  # fmt: skip


@pytest.mark.django_db
def test_the_usage_of_a_background_response_is_another_seal_of_its_row() -> None:
    (sent,) = write(entry(status="ok", cost=None, tokens_in=0))
    kept = ProviderObject.objects.create(
        object_id="resp_1",
        kind="response",
        provider="openai",
        request_id=sent.request.pk,
        recorded=False,
    )
    outcome = BackgroundOutcome(tokens_in=7, cost=D("0.5"), baseline_cost=D(1))
    assert request_settle(kept, "completed", outcome) is not None
    assert [seal.kind for seal in LedgerSeal.objects.all()] == ["written", "changed"]
    assert disagreements() == []
