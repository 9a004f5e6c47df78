"""The ledger as a machine: whatever happens in whatever order, each record is there once."""

from __future__ import annotations

import tempfile
from decimal import Decimal
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from django.db import OperationalError
from django.db.models import Sum
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from analytics.ledger import ledger as ledger_module
from analytics.ledger.journal import Journal
from analytics.ledger.ledger import Ledger, LedgerEntry, LedgerUnavailable, Receipt
from analytics.models import DailyTotal, RequestRecord
from optimizer.domain.identifiers import new_request_id
from tests.factories import RequestRecordFactory
from tests.patience import PATIENCE

costs = st.decimals(min_value=0, max_value=10, places=10)


class LedgerMachine(RuleBasedStateMachine):
    """``told`` is what callers were told is durable."""

    def __init__(self) -> None:
        super().__init__()
        RequestRecord.objects.all().delete()
        DailyTotal.objects.all().delete()
        self.told: dict[Any, Decimal] = {}
        self.away: Any = None
        self.full: Any = None
        self._folder = tempfile.TemporaryDirectory()

    @initialize()
    def begin(self) -> None:
        self.ledger = Ledger(Journal(Path(self._folder.name)))

    def _entry(self, cost: Decimal) -> LedgerEntry:
        return LedgerEntry(RequestRecordFactory.build(id=new_request_id(), cost=cost))

    @rule(amounts=st.lists(costs, min_size=1, max_size=5))
    def record(self, amounts: list[Decimal]) -> None:
        entries = [self._entry(cost) for cost in amounts]
        futures = [self.ledger._batcher.submit(entry) for entry in entries]
        for entry, future in zip(entries, futures, strict=True):
            try:
                assert isinstance(future.result(PATIENCE), Receipt)
            except LedgerUnavailable:
                assert self.away is not None
                assert self.full is not None
            else:
                self.told[entry.request.pk] = entry.request.cost

    @rule()
    def database_goes(self) -> None:
        if self.away is None:
            gone = mock.patch.object(
                ledger_module, "write_entries", side_effect=OperationalError("away")
            )
            self.away = gone
            gone.start()

    @rule()
    def database_returns(self) -> None:
        if self.away is not None:
            self.away.stop()
            self.away = None
            self.ledger.database.reset()

    @rule()
    def disk_fills(self) -> None:
        if self.full is None:
            self.full = mock.patch.object(Journal, "_append_lines", side_effect=OSError(28, "full"))
            self.full.start()

    @rule()
    def disk_is_freed(self) -> None:
        if self.full is not None:
            self.full.stop()
            self.full = None

    @rule()
    def catch_up(self) -> None:
        self.ledger._batcher.submit(None).result(PATIENCE)

    @rule()
    def crash(self) -> None:
        """Its memory is gone, its journal is not."""
        self.ledger.close()
        self.ledger = Ledger(Journal(Path(self._folder.name)))

    @invariant()
    def nothing_is_there_twice_or_unasked(self) -> None:
        known = list(RequestRecord.objects.values_list("pk", "cost"))
        assert dict(known) == {pk: self.told[pk] for pk, _ in known}

    @invariant()
    def days_add_up(self) -> None:
        totals = DailyTotal.objects.aggregate(requests=Sum("requests", default=0))
        assert totals["requests"] == RequestRecord.objects.count()
        spent = sum((t.cost for t in DailyTotal.objects.all()), Decimal(0))
        assert spent == sum(RequestRecord.objects.values_list("cost", flat=True), Decimal(0))

    def teardown(self) -> None:
        try:
            self.disk_is_freed()
            self.database_returns()
            if hasattr(self, "ledger"):
                self.ledger.database.reset()
                self.ledger._replay_at = 0.0
                self.catch_up()
                assert set(RequestRecord.objects.values_list("pk", flat=True)) == set(self.told)
                self.days_add_up()
                self.ledger.close()
        finally:
            self._folder.cleanup()


@pytest.mark.django_db(transaction=True)
def test_whatever_happens_each_record_is_there_once() -> None:
    from hypothesis.stateful import run_state_machine_as_test

    run_state_machine_as_test(
        LedgerMachine, settings=settings(max_examples=25, stateful_step_count=20, deadline=None)
    )
