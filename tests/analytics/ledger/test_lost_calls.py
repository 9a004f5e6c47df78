"""What nobody will finish is given back if no call began; else it is a row with an estimate."""

from __future__ import annotations

import os
import uuid
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from analytics.budgets import begun_calls
from analytics.budgets.begun_calls import BegunCalls, CallProgress, Proof, proof_of
from analytics.budgets.claims import Charge, Claim, Payer
from analytics.budgets.holding import hold
from analytics.budgets.opening import budget_open
from analytics.budgets.workers import LONGEST_REQUEST, worker_heartbeat
from analytics.ledger.journal import Journal
from analytics.ledger.lost_calls import LOST, calls_settle, lost_calls_settle
from analytics.models import Budget, BudgetHold, BudgetUsage, RequestRecord
from tests.factories import RequestRecordFactory

pytestmark = pytest.mark.django_db(transaction=True)
ANN = Payer.of(key="sk-ann", user="ann", tenant="team:red", project="")


@pytest.fixture(autouse=True)
def _budgets() -> None:
    for name, fields in {"all": {}, "users": {"scope": "user"}}.items():
        budget_open(Budget(name=name, period="month", limit=Decimal(10), **fields))


def held(worker: str = "w") -> uuid.UUID:
    request = uuid.uuid4()
    claim = Claim(
        request, timezone.now(), ANN, (Charge("p", "m", Decimal(1)),), "p/m", worker, first=True,
        endpoint="messages", tokens_in=100, tokens_out=50, estimate=Decimal("0.25"),
    )  # fmt: skip
    assert hold([claim]) == [()]
    return request


NOTHING = CallProgress(100, None, Decimal("0.05"))


def proof(folder: Path, calls: dict[uuid.UUID, CallProgress]) -> Proof:
    """The proof of a worker that has begun ``calls``."""
    begun = BegunCalls(folder, "w")
    begun.open()
    for request, progress in calls.items():
        begun.add(request, progress)
    result = proof_of(folder, "w")
    begun.close()
    return result


def test_a_call_that_may_have_begun_is_a_row_with_an_estimate(tmp_path: Path) -> None:
    called, uncalled = held(), held()
    assert calls_settle([called, uncalled], proof(tmp_path, {called: NOTHING})) == 1
    assert not BudgetHold.objects.exists()
    row = RequestRecord.objects.get()
    assert (row.pk, row.cost, row.usage_estimated) == (called, Decimal("0.25"), True)
    assert (row.error_code, row.endpoint, row.user_id) == (LOST, "messages", "ann")
    assert (row.tokens_in, row.tokens_out) == (100, 50)
    assert row.attempts[0]["estimated"]
    assert {usage.spent for usage in BudgetUsage.objects.all()} == {Decimal("0.25")}
    assert BudgetUsage.objects.count() == 2


def test_a_stream_costs_what_had_arrived(tmp_path: Path) -> None:
    request = held()
    calls_settle([request], proof(tmp_path, {request: CallProgress(90, 7, Decimal("0.078"))}))
    row = RequestRecord.objects.get()
    assert (row.cost, row.tokens_in, row.tokens_out) == (Decimal("0.078"), 90, 7)
    assert Decimal(row.attempts[0]["cost"]) == Decimal("0.078")
    assert {usage.spent for usage in BudgetUsage.objects.all()} == {Decimal("0.078")}


def answers(count: int, **fields: Any) -> None:
    RequestRecordFactory.create_batch(
        count, **{"provider": "p", "model": "m", "max_tokens": 60, "cost": 1} | fields
    )


def test_a_whole_answer_is_expected_to_be_as_long_as_most_in_progress(tmp_path: Path) -> None:
    request = held()
    # Three quarters of the time of calls in progress is that of answers of half their limit or
    # less, the others used all of it: most calls are short, but calls in progress less so.
    answers(50, tokens_out=15, latency_ms=1_000)
    answers(1, tokens_out=30, latency_ms=30_000)
    answers(1, status="error", tokens_out=0, latency_ms=20_000)
    # None of these was a whole answer of the model with a limit of this size.
    answers(40, tokens_out=60, latency_ms=9_000, streamed=True)
    answers(40, tokens_out=60, latency_ms=9_000, cache_hit=True)
    answers(40, tokens_out=900, latency_ms=9_000, max_tokens=900)
    answers(40, tokens_out=60, latency_ms=9_000, model="other")
    calls_settle([request], proof(tmp_path, {request: NOTHING}))
    row = RequestRecord.objects.get(pk=request)
    assert row.tokens_out == 25
    assert row.cost == Decimal("0.15")


def test_a_model_that_does_not_keep_to_limits_is_expected_not_to(tmp_path: Path) -> None:
    request = held()
    answers(30, tokens_out=180, latency_ms=1_000)
    calls_settle([request], proof(tmp_path, {request: NOTHING}))
    row = RequestRecord.objects.get(pk=request)
    assert row.tokens_out == 150
    assert row.cost == Decimal("0.65")


def test_where_few_answers_are_known_the_limit_counts(tmp_path: Path) -> None:
    request = held()
    answers(29, tokens_out=15, latency_ms=1_000)
    calls_settle([request], proof(tmp_path, {request: NOTHING}))
    assert RequestRecord.objects.get(pk=request).cost == Decimal("0.25")


def test_a_request_that_is_recorded_is_not_recorded_twice() -> None:
    request = held()
    calls_settle([request], Proof())
    held_again = BudgetHold(
        request_id=request, account=Budget.objects.get(name="all").accounts.get(),
        start=timezone.now(), amount=1, model="p/m", worker="w",
    )  # fmt: skip
    held_again.save()
    assert calls_settle([request], Proof()) == 0
    assert not BudgetHold.objects.exists()
    assert RequestRecord.objects.count() == 1


def test_a_living_worker_keeps_what_it_holds(tmp_path: Path) -> None:
    calls = BegunCalls(tmp_path, "w")
    calls.add(held(), NOTHING)
    assert lost_calls_settle(tmp_path, Journal(tmp_path / "journal")) == 0
    assert BudgetHold.objects.count() == 2
    calls.close()


def test_without_a_proof_a_hold_ends_once_no_request_can_be_in_progress(tmp_path: Path) -> None:
    held()
    journal = Journal(tmp_path / "journal")
    assert lost_calls_settle(tmp_path, journal) == 0
    long_ago = timezone.now() - LONGEST_REQUEST - timedelta(minutes=1)
    BudgetHold.objects.update(made_at=long_ago)
    assert lost_calls_settle(tmp_path, journal) == 1
    assert RequestRecord.objects.get().cost == Decimal("0.25")


def test_nothing_is_settled_while_records_wait_in_the_journal(tmp_path: Path) -> None:
    held()
    BudgetHold.objects.update(made_at=timezone.now() - 2 * LONGEST_REQUEST)
    worker_heartbeat("w")
    folder = tmp_path / "journal"
    folder.mkdir()
    (folder / "other.jsonl").write_text("")
    assert lost_calls_settle(tmp_path, Journal(folder)) == 0
    assert BudgetHold.objects.count() == 2


def test_a_full_disk_leaves_the_proof_that_the_worker_died(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request, other = held(), held()
    calls = BegunCalls(tmp_path, "w")
    calls.open()
    monkeypatch.setattr(begun_calls.os, "pwrite", lambda *_: 3)
    calls.add(request, NOTHING)
    monkeypatch.undo()
    assert proof_of(tmp_path, "w").dead is False
    assert calls._file is not None
    os.close(calls._file)  # as when the worker is killed
    proof = proof_of(tmp_path, "w")
    assert proof.dead
    assert proof.may_have_begun(other)
    assert lost_calls_settle(tmp_path, Journal(tmp_path / "journal")) == 2
    assert not BudgetHold.objects.exists()
