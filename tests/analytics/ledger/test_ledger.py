"""The ledger: grouped, exact, durable, safe between workers."""

from __future__ import annotations

import resource
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from django.db import IntegrityError, OperationalError
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from analytics.budgets.claims import Claim, Payer
from analytics.ledger import ledger as ledger_module
from analytics.ledger.daily_totals import total_cost_on
from analytics.ledger.journal import Journal
from analytics.ledger.ledger import Ledger, LedgerEntry, LedgerUnavailable, write_entries
from analytics.models import CachedResponse, DailyTotal, RequestRecord, RoutingMetric
from tests.factories import CachedResponseFactory, RequestRecordFactory, RoutingMetricFactory
from tests.patience import PATIENCE

pytestmark = pytest.mark.django_db(transaction=True)
COST = Decimal("0.0000000003")


def entry(**fields: object) -> LedgerEntry:
    request = RequestRecordFactory.build(**{"cost": COST, **fields})
    decision = RoutingMetricFactory.build(request=request)
    return LedgerEntry(request, decision)


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "journal")


@pytest.fixture
def ledger(journal: Journal):
    ledger = Ledger(journal)
    yield ledger
    ledger.close()


def record(ledger: Ledger, item: LedgerEntry):
    return ledger._batcher.submit(item).result(timeout=PATIENCE)


def test_a_receipt_means_the_rows_are_there(ledger: Ledger) -> None:
    item = entry()
    receipt = record(ledger, item)
    assert receipt.total_cost_today == COST
    assert RequestRecord.objects.get().pk == item.request.pk
    assert RoutingMetric.objects.get().request_id == item.request.pk


def test_concurrent_entries_share_transactions_and_none_is_lost(ledger: Ledger) -> None:
    first_in, go = threading.Event(), threading.Event()
    batches: list[int] = []
    process = ledger._batcher._process

    def watched(items):
        batches.append(len(items))
        first_in.set()
        go.wait(10)
        return process(items)

    ledger._batcher._process = watched
    futures = [ledger._batcher.submit(entry())]
    first_in.wait(10)
    futures += [ledger._batcher.submit(entry()) for _ in range(99)]
    go.set()
    receipts = [future.result(timeout=PATIENCE) for future in futures]
    assert batches == [1, 99]
    assert RequestRecord.objects.count() == 100
    assert max(r.total_cost_today for r in receipts) == COST * 100
    assert DailyTotal.objects.get().cost == COST * 100


def test_many_workers_add_to_the_same_totals_exactly(tmp_path: Path) -> None:
    ledgers = [Ledger(Journal(tmp_path / str(n))) for n in range(4)]

    def work(ledger: Ledger) -> None:
        for _ in range(25):
            record(ledger, entry())

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, ledgers))
    for ledger in ledgers:
        ledger.close()
    total = DailyTotal.objects.get()
    assert (total.requests, total.cost) == (100, COST * 100)
    assert RequestRecord.objects.count() == 100


@given(st.lists(st.decimals(0, 5, places=10), min_size=1, max_size=20))
@hypothesis_settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_totals_are_the_sum_of_their_rows_to_the_last_place(costs: list[Decimal]) -> None:
    DailyTotal.objects.all().delete()
    write_entries([entry(cost=cost) for cost in costs])
    assert total_cost_on(datetime.now(UTC).date()) == sum(costs)


def test_a_refused_row_does_not_cost_its_neighbours_their_records(
    ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    twice = entry()
    record(ledger, twice)
    held = [entry(), twice, entry()]
    results = ledger._write(held)
    assert [isinstance(r, LedgerUnavailable) for r in results] == [False, True, False]
    assert RequestRecord.objects.count() == 3
    assert "refused" in caplog.text


def test_hits_are_counted_on_their_entry(ledger: Ledger) -> None:
    cached = CachedResponseFactory()
    ledger._write([entry(cache_hit=True, cache_key=cached.cache_key) for _ in range(3)])
    cached.refresh_from_db()
    assert cached.hit_count == 3
    assert cached.last_hit_at is not None


def test_a_new_answer_replaces_the_entry_and_keeps_its_hits(ledger: Ledger) -> None:
    old = CachedResponseFactory(hit_count=5, vote_count=3, invalidated_at=datetime.now(UTC))
    new = CachedResponseFactory.build(prompt=old.prompt, response="Another.")
    ledger._write([LedgerEntry(RequestRecordFactory.build(), None, new)])
    stored = CachedResponse.objects.get()
    assert (stored.response, stored.hit_count, stored.vote_count) == ("Another.", 5, 0)
    assert stored.invalidated_at is None


class TestWhenTheDatabaseIsAway:
    @pytest.fixture
    def away(self, monkeypatch: pytest.MonkeyPatch):
        def fail(entries: object) -> Decimal:
            raise OperationalError("database is locked")

        monkeypatch.setattr(ledger_module, "write_entries", fail)
        return monkeypatch

    def spill(self, ledger: Ledger, away: pytest.MonkeyPatch, count: int = 5) -> list[LedgerEntry]:
        items = [entry() for _ in range(count)]
        assert all(r.total_cost_today is None for r in ledger._write(items))
        away.undo()
        return items

    def test_entries_wait_on_disk_and_are_replayed_by_the_next_start(
        self, ledger: Ledger, journal: Journal, away: pytest.MonkeyPatch
    ) -> None:
        items = self.spill(ledger, away)
        assert ledger.journal_backlog
        successor = Ledger(journal)
        record(successor, entry())
        successor.close()
        assert not successor.journal_backlog
        assert RequestRecord.objects.count() == 6
        assert DailyTotal.objects.get().cost == COST * 6
        stored = RoutingMetric.objects.get(pk=items[0].request.pk)
        assert stored.actual_cost == COST
        assert journal.pending() == []

    def test_a_replay_that_was_cut_off_may_be_repeated(
        self, ledger: Ledger, journal: Journal, away: pytest.MonkeyPatch
    ) -> None:
        items = self.spill(ledger, away)
        write_entries(items[:2])
        record(ledger, entry())
        ledger.database.reset()
        ledger._write([None])
        assert RequestRecord.objects.count() == 6
        assert DailyTotal.objects.get().requests == 6

    def test_a_line_cut_off_by_a_crash_is_skipped(
        self, ledger: Ledger, journal: Journal, away: pytest.MonkeyPatch
    ) -> None:
        self.spill(ledger, away)
        with journal.pending()[0].open("a") as file:
            file.write('"[{\\"model')
        ledger.database.reset()
        ledger._write([None])
        assert RequestRecord.objects.count() == 5

    def test_a_refused_line_is_set_aside_and_blocks_nobody(
        self, ledger: Ledger, journal: Journal, away: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        items = self.spill(ledger, away)
        real = ledger_module.write_entries

        def refuses_one(entries):
            if any(e.request.pk == items[2].request.pk for e in entries):
                raise IntegrityError("refused")
            return real(entries)

        away.setattr(ledger_module, "write_entries", refuses_one)
        ledger.database.reset()
        ledger._write([None])
        assert RequestRecord.objects.count() == 4
        assert str(items[2].request.pk) in (tmp_path / "journal" / "refused.txt").read_text()
        assert not ledger.journal_backlog

    @pytest.mark.parametrize("damage", [b"\xff\xfe\x00\n", b'"[]"\n', b"[1]\n", b"null\n"])
    def test_a_damaged_journal_keeps_nobody_from_being_recorded(
        self,
        ledger: Ledger,
        journal: Journal,
        away: pytest.MonkeyPatch,
        tmp_path: Path,
        damage: bytes,
    ) -> None:
        self.spill(ledger, away)
        with journal.pending()[0].open("ab") as file:
            file.write(damage)
        ledger.database.reset()
        receipt = record(ledger, entry())
        assert receipt.total_cost_today == COST * 6
        assert RequestRecord.objects.count() == 6
        assert (tmp_path / "journal" / "refused.txt").exists()

    def test_a_journal_that_cannot_be_replayed_waits_and_keeps_nobody_else(
        self,
        ledger: Ledger,
        journal: Journal,
        away: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        self.spill(ledger, away)

        def unreadable(path: Path) -> None:
            raise PermissionError(13, "Permission denied")

        away.setattr(journal, "replaying", unreadable)
        ledger.database.reset()
        assert record(ledger, entry()).total_cost_today == COST
        assert "cannot be replayed" in caplog.text
        assert ledger.journal_backlog
        assert len(journal.pending()) == 1

    def test_records_wait_that_only_a_hold_sent_to_the_journal(
        self, ledger: Ledger, journal: Journal, away: pytest.MonkeyPatch
    ) -> None:
        def fail(claims: object) -> None:
            raise OperationalError("database is locked")

        away.setattr(ledger_module, "hold", fail)
        payer = Payer.of(key="", user="ann", tenant="", project="")
        claim = Claim(uuid.uuid4(), datetime.now(UTC), payer, (), "p/m", "w", first=True)
        ledger._write([claim])
        # The database rests because of the hold: nobody has tried to write a record.
        item = entry()
        ledger._write([item])
        assert len(journal.pending()) == 1
        assert ledger.journal_backlog
        away.undo()
        ledger.database.reset()
        # What nobody works on is settled behind the records that wait, which may be its own.
        done: list[int] = []
        ledger._write([lambda: done.append(RequestRecord.objects.count())])
        assert done == [1]
        assert journal.pending() == []

    def test_nobody_waits_for_the_database_again_and_again(
        self, ledger: Ledger, away: pytest.MonkeyPatch
    ) -> None:
        calls = []

        def fail(entries: object) -> Decimal:
            calls.append(entries)
            raise OperationalError("database is locked")

        away.setattr(ledger_module, "write_entries", fail)
        for _ in range(5):
            ledger._write([entry()])
        assert len(calls) <= 2


def test_a_journal_line_written_while_another_worker_replays_is_not_lost(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.append([entry().rows()])
    done = threading.Event()

    def append_more() -> None:
        journal.append([entry().rows()])
        done.set()

    with journal.replaying(journal.pending()[0]) as entries:
        writer = threading.Thread(target=append_more)
        writer.start()
        assert not done.wait(0.2)
        assert len(list(entries)) == 1
    writer.join(10)
    with journal.replaying(journal.pending()[0]) as entries:
        assert len(list(entries)) == 1


def test_who_comes_late_to_a_replay_takes_no_line_written_after_it(tmp_path: Path) -> None:
    """A third worker waits for the file, which is replayed, removed, and begun anew meanwhile."""
    journal = Journal(tmp_path)
    journal.append([entry().rows()])
    (path,) = journal.pending()
    opened, written = threading.Event(), threading.Event()
    read: list[int] = []

    class Late(Journal):
        def _lock(self, descriptor: int) -> None:
            opened.set()
            assert written.wait(10)
            super()._lock(descriptor)

    def replay_late() -> None:
        with Late(tmp_path).replaying(path) as entries:
            read.append(len(list(entries)))

    late = threading.Thread(target=replay_late)
    with journal.replaying(path) as entries:
        late.start()
        assert opened.wait(10)
        assert len(list(entries)) == 1
    newer = entry()
    journal.append([newer.rows()])
    written.set()
    late.join(10)
    assert read == [0]
    with journal.replaying(path) as entries:
        assert [rows[0].pk for rows in entries] == [newer.request.pk]


def test_a_line_that_a_full_disk_cut_off_spoils_no_other(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    first, lost, last = entry(), entry(), entry()
    journal.append([first.rows()])
    (path,) = journal.pending()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 100, limits[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            journal.append([lost.rows()])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    journal.append([last.rows()])
    with journal.replaying(path) as entries:
        assert [rows[0].pk for rows in entries] == [first.request.pk, last.request.pk]
    assert not list(tmp_path.iterdir())
