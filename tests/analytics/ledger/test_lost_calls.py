"""What nobody will finish is given back if no call began; else it is a row with an estimate."""

from __future__ import annotations

import os
import uuid
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from django.utils import timezone

from analytics.budgets import begun_calls
from analytics.budgets.begun_calls import BegunCalls, proof_of
from analytics.budgets.claims import Charge, Claim, Payer
from analytics.budgets.holding import hold
from analytics.budgets.opening import budget_open
from analytics.budgets.workers import LONGEST_REQUEST, worker_heartbeat
from analytics.ledger.journal import Journal
from analytics.ledger.lost_calls import LOST, calls_settle, lost_calls_settle
from analytics.models import Budget, BudgetHold, BudgetUsage, RequestRecord

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


def test_a_call_that_may_have_begun_is_a_row_with_an_estimate() -> None:
    called, uncalled = held(), held()
    assert calls_settle([called, uncalled], lambda request: request == called) == 1
    assert not BudgetHold.objects.exists()
    row = RequestRecord.objects.get()
    assert (row.pk, row.cost, row.usage_estimated) == (called, Decimal("0.25"), True)
    assert (row.error_code, row.endpoint, row.user_id) == (LOST, "messages", "ann")
    assert (row.tokens_in, row.tokens_out) == (100, 50)
    assert row.attempts[0]["estimated"]
    assert {usage.spent for usage in BudgetUsage.objects.all()} == {Decimal("0.25")}
    assert BudgetUsage.objects.count() == 2


def test_a_request_that_is_recorded_is_not_recorded_twice() -> None:
    request = held()
    calls_settle([request], lambda _: True)
    held_again = BudgetHold(
        request_id=request, account=Budget.objects.get(name="all").accounts.get(),
        start=timezone.now(), amount=1, model="p/m", worker="w",
    )  # fmt: skip
    held_again.save()
    assert calls_settle([request], lambda _: True) == 0
    assert not BudgetHold.objects.exists()
    assert RequestRecord.objects.count() == 1


def test_a_living_worker_keeps_what_it_holds(tmp_path: Path) -> None:
    calls = BegunCalls(tmp_path, "w")
    calls.add(held())
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
    monkeypatch.setattr(begun_calls.os, "write", lambda *_: 3)
    calls.add(request)
    monkeypatch.undo()
    assert proof_of(tmp_path, "w").dead is False
    assert calls._file is not None
    os.close(calls._file)  # as when the worker is killed
    proof = proof_of(tmp_path, "w")
    assert proof.dead
    assert proof.may_have_begun(other)
    assert lost_calls_settle(tmp_path, Journal(tmp_path / "journal")) == 2
    assert not BudgetHold.objects.exists()
