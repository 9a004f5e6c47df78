"""Whether a record could be stored now: from the outcomes of writes and the space that is left."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest
from django.db import InternalError, OperationalError, ProgrammingError

from analytics.database.circuit_breaker import DatabaseCircuit
from analytics.ledger import ledger as ledger_module
from analytics.ledger import write_health
from analytics.ledger.journal import Journal
from analytics.ledger.ledger import Ledger, LedgerEntry
from analytics.ledger.write_health import WriteHealth, write_probe
from analytics.models import RequestRecord
from tests.factories import RequestRecordFactory
from tests.patience import PATIENCE


def health_of(folder: Path) -> WriteHealth:
    return WriteHealth(Journal(folder / "journal"), DatabaseCircuit())


@pytest.fixture
def no_journal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Journal, "writable", lambda self: False)


class Disk:
    """Free and total blocks of a mebibyte."""

    f_frsize = 1024 * 1024

    def __init__(self, free: int, total: int = 100_000) -> None:
        self.f_bavail, self.f_blocks = free, total


def test_one_place_for_records_is_enough(tmp_path: Path) -> None:
    health = health_of(tmp_path)
    health.database_failed()
    health.look()
    assert health.can_record
    assert health.reasons() == []


@pytest.mark.usefixtures("no_journal")
def test_without_database_and_journal_nothing_is_recorded_until_a_commit(tmp_path: Path) -> None:
    health = health_of(tmp_path)
    health.look()
    assert health.can_record
    health.database_failed()
    health.look()
    assert not health.can_record
    assert health.reasons()
    health.database_wrote()
    assert health.can_record


def test_a_failed_write_to_the_journal_counts_at_once(tmp_path: Path) -> None:
    health = health_of(tmp_path)
    health.database_failed()
    health.journal_failed()
    assert not health.can_record
    health.look()  # a probe file can be written
    assert health.can_record


@pytest.mark.usefixtures("no_journal")
def test_a_write_that_is_stuck_puts_the_database_in_doubt(tmp_path: Path) -> None:
    health = health_of(tmp_path)
    health._database._waiting_on = object()
    health._database._since = time.monotonic()
    health.look()
    assert health.can_record
    health._database._since -= 2
    health.look()
    assert not health.can_record


def test_a_disk_that_hangs_takes_no_records(tmp_path: Path) -> None:
    health = health_of(tmp_path)
    health.look()
    health.database_failed()
    assert health.can_record
    assert health._looked_at is not None
    health._looked_at -= 3
    health.decide()
    assert not health.can_record


@pytest.mark.parametrize(
    ("disk", "records"),
    [(Disk(65), True), (Disk(63), False), (Disk(1, total=16), True), (Disk(0, total=16), False)],
)
def test_space_is_kept_free_for_the_records_of_calls_that_are_under_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, disk: Any, records: bool
) -> None:
    monkeypatch.setattr(os, "statvfs", lambda place: disk)
    health = health_of(tmp_path)
    health.database_failed()
    health.look()
    assert health.can_record is records


def test_sqlite_needs_space_for_its_own_commits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write_health, "_sqlite_folder", lambda: tmp_path)
    monkeypatch.setattr(os, "statvfs", lambda place: Disk(1))
    health = health_of(tmp_path)
    health.look()
    assert not health.can_record
    assert str(tmp_path) in health.reasons()[-1]


@pytest.mark.django_db
def test_nobody_ever_sees_a_probe() -> None:
    write_probe()
    assert not RequestRecord.objects.exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("error", [OperationalError, InternalError, ProgrammingError])
def test_what_a_database_that_refuses_all_rows_must_record_waits_in_the_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    """It may only read after a failover, or a right was withdrawn."""

    def refuses(*_: object) -> None:
        raise error("no writes here")

    ledger = Ledger(Journal(tmp_path / "journal"))
    monkeypatch.setattr(ledger_module, "write_entries", refuses)
    monkeypatch.setattr(ledger_module, "write_probe", refuses)
    record = RequestRecordFactory.build()
    receipt = ledger._batcher.submit(LedgerEntry(record)).result(timeout=PATIENCE)
    assert receipt.total_cost_today is None
    assert ledger.health.database_in_doubt
    monkeypatch.undo()
    ledger.database.reset()
    ledger._batcher.submit(None).result(timeout=PATIENCE)
    ledger.close()
    assert RequestRecord.objects.get().pk == record.pk
    assert not ledger.health.database_in_doubt
