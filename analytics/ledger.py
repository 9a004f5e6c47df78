"""The ledger: every request's record, committed before its answer leaves.

Concurrent requests share a transaction (group commit, through
:class:`analytics.batching.Batcher`). When the database cannot be written, the
entry goes to a journal on disk and is replayed later; when neither can, the
answer is not delivered.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal

from django.db import Error, InterfaceError, OperationalError, connection, transaction
from django.db.models import F, Model, Sum

from analytics.batching import Batcher
from analytics.journal import Journal
from analytics.models import CachedResponse, DailyTotal, RequestRecord, RoutingMetric

logger = logging.getLogger(__name__)

_REPLACED_ON_CONFLICT = [
    field.name
    for field in CachedResponse._meta.concrete_fields
    if field.name not in {"id", "cache_key", "hit_count", "last_hit_at"}
]
_ZERO = Decimal(0)


class LedgerUnavailable(Exception):
    """Neither the database nor the journal could take the record."""


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One request's rows, written together or not at all."""

    request: RequestRecord
    decision: RoutingMetric | None = None
    cache_store: CachedResponse | None = None

    def rows(self) -> list[Model]:
        return [row for row in (self.request, self.decision, self.cache_store) if row is not None]


@dataclass(frozen=True, slots=True)
class Receipt:
    """Proof that an entry is durable. ``total_cost_today`` is USD for the UTC day,
    ``None`` when the entry waits in the journal and the sum is not known."""

    total_cost_today: Decimal | None


class Ledger:
    """Writes entries in groups. ``close`` flushes what is queued."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._replay_due = bool(journal.pending())
        self._batcher: Batcher[LedgerEntry, Receipt] = Batcher("ledger-writer", self._write)

    async def record(self, entry: LedgerEntry) -> Receipt:
        """Returns once ``entry`` is durable. Raises :class:`LedgerUnavailable`."""
        return await self._batcher.call(entry)

    @property
    def journal_backlog(self) -> bool:
        """Whether entries wait on disk for the database."""
        return self._replay_due

    def close(self) -> None:
        self._batcher.close()

    def _write(self, entries: Sequence[LedgerEntry]) -> Sequence[Receipt | Exception]:
        try:
            if self._replay_due:
                self._replay()
            total = self._commit(entries)
            return [Receipt(total)] * len(entries)
        except (OperationalError, InterfaceError) as error:
            return self._write_to_journal(entries, error)
        except Error as error:
            if len(entries) == 1:
                logger.error("A ledger entry was refused: %s", type(error).__name__)
                return [LedgerUnavailable("the record was refused by the database")]
            # One bad row must not cost its neighbours their answers.
            return [result for entry in entries for result in self._write([entry])]

    @staticmethod
    def _commit(entries: Sequence[LedgerEntry]) -> Decimal:
        try:
            return write_entries(entries)
        except (OperationalError, InterfaceError):
            # The server may have dropped an idle connection: one more try on a new one.
            connection.close()
            return write_entries(entries)

    def _write_to_journal(
        self, entries: Sequence[LedgerEntry], error: Exception
    ) -> Sequence[Receipt | Exception]:
        connection.close()
        try:
            self._journal.append([entry.rows() for entry in entries])
        except OSError as disk_error:
            logger.critical(
                "Neither the database (%s) nor the journal (%s) can be written",
                type(error).__name__,
                type(disk_error).__name__,
            )
            return [LedgerUnavailable("the record could not be stored")] * len(entries)
        self._replay_due = True
        logger.warning(
            "The database cannot be written (%s); %d records wait in the journal",
            type(error).__name__,
            len(entries),
        )
        return [Receipt(None)] * len(entries)

    def _replay(self) -> None:
        for path in self._journal.pending():
            replayed = 0
            for rows in self._journal.read(path):
                replayed += write_missing(_entry_of(rows))
            path.unlink(missing_ok=True)
            logger.info("Replayed %d records from the ledger journal", replayed)
        self._replay_due = False


def _entry_of(rows: list[Model]) -> LedgerEntry:
    by_type = {type(row): row for row in rows}
    request = by_type[RequestRecord]
    decision = by_type.get(RoutingMetric)
    store = by_type.get(CachedResponse)
    assert isinstance(request, RequestRecord)
    assert decision is None or isinstance(decision, RoutingMetric)
    assert store is None or isinstance(store, CachedResponse)
    return LedgerEntry(request, decision, store)


def write_missing(entry: LedgerEntry) -> bool:
    """Write ``entry`` unless it is already in the ledger; whether it was written."""
    if RequestRecord.objects.filter(pk=entry.request.pk).exists():
        return False
    write_entries([entry])
    return True


def write_entries(entries: Sequence[LedgerEntry]) -> Decimal:
    """Write all entries in one transaction; today's total cost in USD after them."""
    with transaction.atomic():
        stores = {e.cache_store.cache_key: e.cache_store for e in entries if e.cache_store}
        if stores:
            CachedResponse.objects.bulk_create(
                stores.values(),
                update_conflicts=True,
                unique_fields=["cache_key"],
                update_fields=_REPLACED_ON_CONFLICT,
            )
        RequestRecord.objects.bulk_create([e.request for e in entries])
        decisions = [e.decision for e in entries if e.decision]
        if decisions:
            RoutingMetric.objects.bulk_create(decisions)
        _count_hits(entries)
        _add_to_totals(entries)
        return total_cost_on(datetime.now(UTC).date())


def total_cost_on(day: date) -> Decimal:
    """USD spent on a UTC day, all requests whose price is known."""
    return DailyTotal.objects.filter(date=day).aggregate(total=Sum("cost"))["total"] or _ZERO


def _count_hits(entries: Sequence[LedgerEntry]) -> None:
    hits: dict[str, list[datetime]] = defaultdict(list)
    for entry in entries:
        if entry.request.cache_hit:
            hits[entry.request.cache_key].append(entry.request.created_at)
    # In one order everywhere, so that two workers never wait for each other in a circle.
    for key, times in sorted(hits.items()):
        CachedResponse.objects.filter(cache_key=key).update(
            hit_count=F("hit_count") + len(times), last_hit_at=max(times)
        )


def _add_to_totals(entries: Sequence[LedgerEntry]) -> None:
    groups: dict[tuple[date, str, str, str], list[LedgerEntry]] = defaultdict(list)
    for entry in entries:
        request = entry.request
        key = (
            request.created_at.astimezone(UTC).date(),
            request.provider,
            request.model,
            request.strategy,
        )
        groups[key].append(entry)
    for (day, provider, model, strategy), members in sorted(groups.items()):
        total = _locked_total(day, provider, model, strategy)
        for entry in members:
            _add(total, entry)
        total.save()


def _locked_total(day: date, provider: str, model: str, strategy: str) -> DailyTotal:
    # Read, add and write under a lock rather than add in SQL: SQLite would add as binary floats.
    key = {"date": day, "provider": provider, "model": model, "strategy": strategy}
    total = DailyTotal.objects.select_for_update().filter(**key).first()
    if total is None:
        DailyTotal.objects.bulk_create([DailyTotal(**key)], ignore_conflicts=True)
        total = DailyTotal.objects.select_for_update().get(**key)
    return total


def _add(total: DailyTotal, entry: LedgerEntry) -> None:
    request, decision = entry.request, entry.decision
    total.requests += 1
    total.errors += request.status == RequestRecord.Status.ERROR
    total.cache_hits += request.cache_hit
    total.unpriced += request.cost is None
    total.tokens_in += request.tokens_in
    total.tokens_out += request.tokens_out
    total.cost += request.cost or _ZERO
    if decision is not None:
        total.routing_saved += decision.routing_saved or _ZERO
        total.cache_saved += decision.cache_saved or _ZERO
        if decision.routing_saved is not None:
            total.baseline_cost += decision.baseline_cost or _ZERO


