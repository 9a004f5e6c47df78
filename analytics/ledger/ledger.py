"""The ledger: the record of every request, committed before its answer is delivered.

Concurrent requests share a transaction (group commit, through
:class:`analytics.database.batcher.Batcher`). If the database cannot be written, the entry goes
to a journal on disk and is replayed later; if neither can be written, the answer is not
delivered.
"""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from operator import attrgetter
from uuid import UUID

from django.db import OperationalError, connection, transaction
from django.db.models import Model

from analytics.budgets.claims import Claim, Cost, Release
from analytics.budgets.holding import Refusals, book, hold, release
from analytics.database.batcher import Batcher, batched
from analytics.database.bulk_write import RowWriter, execute_many
from analytics.database.circuit_breaker import DATABASE_UNAVAILABLE, DatabaseCircuit
from analytics.deferred.outcomes import DeferredOutcome, outcomes_write
from analytics.ledger.daily_totals import Decided, TenantTotals, total_cost_on, totals_add
from analytics.ledger.journal import Journal
from analytics.ledger.refusals import REFUSED, refusals_add, refusals_to_write
from analytics.ledger.rollups import ON_TIME, mark_late
from analytics.ledger.seals import rows_seal
from analytics.ledger.session_states import SessionTurn, session_turns_write
from analytics.ledger.sessions import sessions_add
from analytics.ledger.write_health import WriteHealth, write_probe
from analytics.models import CachedResponse, RequestRecord, RoutingMetric
from analytics.privacy.masking import Mask, mask_prompts
from routing.values import frozen

logger = logging.getLogger(__name__)

_REQUESTS = RowWriter(RequestRecord)
_DECISIONS = RowWriter(RoutingMetric)
_ANSWERS = RowWriter(CachedResponse, unique="cache_key", kept=("hit_count", "last_hit_at"))
_REQUEST = attrgetter("request")
_SESSION = attrgetter("request.session_id")
_OUTCOME = attrgetter("outcome")
_REPLAYED_TOGETHER = 200
_REPLAY_AGAIN_SECONDS = 60.0


class LedgerUnavailable(Exception):
    """Neither the database nor the journal could take the record."""


class BudgetsUnavailable(Exception):
    """The database is unavailable, so no money can be held."""


@frozen
class LedgerEntry:
    """The rows of one request, written together or not at all.

    ``session_state`` is what its session remembers of it. An outage may lose that. ``outcome`` is
    how the deferred request ended that it answers; while the database is unavailable, that is
    done again.
    """

    request: RequestRecord
    decision: RoutingMetric | None = None
    cache_store: CachedResponse | None = None
    session_state: SessionTurn | None = None
    outcome: DeferredOutcome | None = None

    def rows(self) -> list[Model]:
        """Return the rows that the entry has."""
        return [row for row in (self.request, self.decision, self.cache_store) if row is not None]


Observer = Callable[[LedgerEntry], object]
"""A function that is called with each entry once it is recorded."""


@frozen
class Receipt:
    """Proof that an entry is durable.

    ``total_cost_today`` is the USD spent on this UTC day: by the tenant of the request, or by
    all where it has none. It is ``None`` if the entry waits in the journal and the sum is
    unknown.
    """

    total_cost_today: Decimal | None


_Work = Callable[[], object]
_Item = LedgerEntry | Claim | Release | _Work | None
_Result = Receipt | Refusals


class Ledger:
    """Writes entries in groups.

    ``mask`` is applied to prompts before they are written. ``close`` writes all queued entries.
    """

    def __init__(self, journal: Journal, mask: Mask | None = None) -> None:
        self._journal = journal
        self._mask = mask
        self._replay_due = bool(journal.pending())
        self.database = DatabaseCircuit()
        self.health = WriteHealth(journal, self.database)
        self._replay_at = 0.0
        self._unreleased: set[UUID] = set()
        self._tenants = TenantTotals()
        self._batcher: Batcher[_Item, _Result] = Batcher("ledger-writer", self._write)

    async def record(self, entry: LedgerEntry) -> Receipt:
        """Write ``entry``, and return once it is durable. Raises :class:`LedgerUnavailable`."""
        receipt = await self._batcher.call(entry)
        assert isinstance(receipt, Receipt)
        return receipt

    async def hold(self, claim: Claim) -> Refusals:
        """Hold money for a call, and return the refusals: none if the money is held.

        The money is released once the request is recorded. Raises :class:`BudgetsUnavailable`.
        """
        refusals = await self._batcher.call(claim)
        assert isinstance(refusals, tuple)
        return refusals

    async def release(self, request_id: UUID) -> None:
        """Give back what is held for a request that ended and has no further cost.

        It comes after all holds and records of the request that were queued before it. If the
        database is unavailable, the money is given back once it is available again.
        """
        await self._batcher.call(Release(request_id))

    def run(self, work: _Work) -> None:
        """Queue ``work`` on the database, behind everything that was queued before it.

        It is not waited for. It is left out while the database is unavailable or records wait in
        the journal, and its errors are logged.
        """
        self._batcher.submit(work)

    async def catch_up(self) -> None:
        """Replay the journal and release what waits, if the database is available again.

        While the last commit is one that failed, a probe is written.
        """
        if self._replay_due or self._unreleased or self.health.database_in_doubt:
            await self._batcher.call(None)

    @property
    def journal_backlog(self) -> bool:
        """Return whether entries wait on disk for the database."""
        return self._replay_due

    def abort_stuck_wait(self) -> None:
        """End a wait for a database that hangs. Call this about every second."""
        if self.database.abort_stuck_wait():
            logger.warning("The database does not respond; the ledger stops waiting for it")

    def close(self) -> None:
        """Write all queued entries, and end the thread."""
        self._batcher.close()

    def _write(self, items: Sequence[_Item]) -> Sequence[_Result | Exception]:
        """Return one result per item; an item of ``None`` only asks for a replay."""
        entries: list[LedgerEntry] = []
        claims: list[Claim] = []
        works: list[_Work] = []
        for item in items:
            if isinstance(item, LedgerEntry):
                entries.append(item)
            elif isinstance(item, Claim):
                claims.append(item)
            elif isinstance(item, Release):
                self._unreleased.add(item.request_id)
            elif item is not None:
                works.append(item)
        if self._mask is not None:
            for entry in entries:
                mask_prompts(entry.request, entry.cache_store, self._mask)
        # Entries come before claims: recording a request releases the money held for it.
        written = self._write_entries(entries) if entries or not claims else ()
        if len(entries) == len(items):
            return written
        receipts, refusals = iter(written), iter(self._hold(claims) if claims else ())
        self._release()
        for work in works:
            self._do(work)
        return [
            next(refusals if isinstance(item, Claim) else receipts)
            if isinstance(item, (Claim, LedgerEntry))
            else Receipt(None)
            for item in items
        ]

    def _hold(self, claims: Sequence[Claim]) -> Sequence[Refusals | Exception]:
        if not self.database.is_open:
            try:
                return self.database.ask(lambda: hold(claims))
            except DATABASE_UNAVAILABLE as error:
                self._log_unavailable(error)
            except Exception as error:  # must not fail the entries of the same batch
                logger.error("Budgets cannot be checked", exc_info=error)
        return [BudgetsUnavailable("budgets cannot be checked")] * len(claims)

    def _release(self) -> None:
        # An entry in the journal is not counted yet, so its money stays held until it is.
        if not self._unreleased or self._replay_due or self.database.is_open:
            return
        requests = frozenset(self._unreleased)
        try:
            self.database.ask(lambda: release(requests))
        except DATABASE_UNAVAILABLE as error:
            self._log_unavailable(error)
        except Exception as error:  # must not fail the entries of the same batch
            logger.error("Held money cannot be released now", exc_info=error)
        else:
            self._unreleased -= requests

    def _do(self, work: _Work) -> None:
        if self._replay_due or self.database.is_open:
            return
        try:
            self.database.ask(work)
        except DATABASE_UNAVAILABLE as error:
            self._log_unavailable(error)
        except Exception as error:  # must not fail the entries of the same batch
            logger.error("Work on the ledger cannot be done now", exc_info=error)

    def _write_entries(self, entries: Sequence[LedgerEntry]) -> Sequence[Receipt | Exception]:
        if self.database.is_open:
            return self._write_to_journal(entries)
        try:
            if self.health.database_in_doubt:
                self._write_probe()
            if self._replay_due and time.monotonic() >= self._replay_at:
                self._try_to_replay()
            total = self.database.ask(lambda: write_entries(entries)) if entries else None
            return self._receipts(entries, total)
        except DATABASE_UNAVAILABLE as error:
            return self._without_database(entries, error)
        except Exception as error:  # one bad row must not fail the other entries
            if self._refuses_all():
                return self._without_database(entries, error)
            if len(entries) == 1:
                logger.error("The database refused a ledger entry", exc_info=error)
                return [LedgerUnavailable("the record was refused by the database")]
            return [result for entry in entries for result in self._write_entries([entry])]

    def _without_database(
        self, entries: Sequence[LedgerEntry], error: Exception
    ) -> Sequence[Receipt | Exception]:
        self._log_unavailable(error)
        return self._write_to_journal(entries)

    def _refuses_all(self) -> bool:
        """Return whether the database refuses any row, such as after a right was withdrawn."""
        try:
            self._write_probe()
        except Exception:  # noqa: BLE001 - the caller logs the error of its own rows
            return True
        return False

    def _write_probe(self) -> None:
        self.database.ask(write_probe)
        self.health.database_wrote()

    def _receipts(self, entries: Sequence[LedgerEntry], total: Decimal | None) -> Sequence[Receipt]:
        requests = [entry.request for entry in entries if entry.request.tenant]
        if not requests:
            return [Receipt(total)] * len(entries)
        sums: Mapping[str, Decimal] = {}
        try:
            sums = self.database.ask(lambda: self._tenants.add(requests))
        except Exception as error:  # the entries are written, whatever their sums are
            logger.warning("What a tenant has spent today cannot be read", exc_info=error)
        return [
            Receipt(sums.get(entry.request.tenant) if entry.request.tenant else total)
            for entry in entries
        ]

    def _log_unavailable(self, error: Exception) -> None:
        self.health.database_failed()
        if self.database.should_log():
            logger.warning(
                "The database cannot be written (%s); records wait in the journal",
                type(error).__name__,
            )

    def _write_to_journal(self, entries: Sequence[LedgerEntry]) -> Sequence[Receipt | Exception]:
        if not entries:
            return []
        # The database may rest because of a hold, so that no record has failed before.
        self._replay_due = True
        try:
            self._journal.append([entry.rows() for entry in entries])
        except OSError as error:
            self.health.journal_failed()
            logger.critical(
                "Neither the database nor the journal (%s) can be written", type(error).__name__
            )
            return [LedgerUnavailable("the record could not be stored")] * len(entries)
        return [Receipt(None)] * len(entries)

    def _try_to_replay(self) -> None:
        try:
            self._replay()
        except DATABASE_UNAVAILABLE:
            raise
        except Exception as error:
            # An error of the journal must not fail every request.
            self._replay_at = time.monotonic() + _REPLAY_AGAIN_SECONDS
            logger.error("The ledger journal cannot be replayed now", exc_info=error)

    def _replay(self) -> None:
        replayed = 0
        for path in self._journal.pending():
            with self._journal.replaying(path) as entries:
                for group in batched(map(_entry_of, entries), _REPLAYED_TOGETHER):
                    replayed += self._replay_group(group)
        self._replay_due = False
        logger.info("Replayed %d records from the ledger journal", replayed)

    def _replay_group(self, group: Sequence[LedgerEntry]) -> int:
        try:
            return self.database.ask(lambda: write_missing(group))
        except DATABASE_UNAVAILABLE:
            raise
        except Exception as error:
            if self._refuses_all():
                raise OperationalError("the database refuses all rows") from error
            if len(group) > 1:
                return sum(self._replay_group([entry]) for entry in group)
            logger.error(
                "The database refused a record of the journal; it is set aside", exc_info=error
            )
            self._journal.set_aside(group[0].rows())
            return 0


def _entry_of(rows: list[Model]) -> LedgerEntry:
    by_type = {type(row): row for row in rows}
    request = by_type[RequestRecord]
    decision = by_type.get(RoutingMetric)
    store = by_type.get(CachedResponse)
    assert isinstance(request, RequestRecord)
    assert decision is None or isinstance(decision, RoutingMetric)
    assert store is None or isinstance(store, CachedResponse)
    return LedgerEntry(request, decision, store)


def write_missing(entries: Sequence[LedgerEntry]) -> int:
    """Write the entries that are not in the ledger yet, and return their number."""
    ids = [entry.request.pk for entry in entries]
    known = set(RequestRecord.objects.filter(pk__in=ids).values_list("pk", flat=True))
    missing = [entry for entry in entries if entry.request.pk not in known]
    if missing:
        write_entries(missing)
    return len(missing)


def write_entries(entries: Sequence[LedgerEntry]) -> Decimal:
    """Write all entries in one transaction, and return today's total cost after it, in USD.

    Refused requests are part of no total but those of refusals.
    """
    refused = [entry.request for entry in entries if entry.request.status == REFUSED]
    if refused:
        entries = [entry for entry in entries if entry.request.status != REFUSED]
    with transaction.atomic():
        if entries:
            _write_admitted(entries)
        if refused:
            _write_refused(refused)
        return total_cost_on(datetime.now(UTC).date())


def _write_admitted(entries: Sequence[LedgerEntry]) -> None:
    answers: dict[str, CachedResponse] = {}
    decisions: list[RoutingMetric] = []
    pairs: list[Decided] = []
    charged: list[RequestRecord] = []
    hits: dict[str, list[datetime]] = defaultdict(list)
    times: list[datetime] = []
    for entry in entries:
        request, decision, answer = entry.request, entry.decision, entry.cache_store
        if answer is not None:
            answers[answer.cache_key] = answer
        if decision is not None:
            decisions.append(decision)
        if request.cache_hit:
            hits[request.cache_key].append(request.created_at)
        elif not request.replayed:  # the money of a replayed request was not spent here
            charged.append(request)
        pairs.append((request, decision))
        times.append(request.created_at)
    _ANSWERS.write(answers.values())
    _REQUESTS.write(map(_REQUEST, entries))
    _DECISIONS.write(decisions)
    if hits:
        _count_hits(hits)
    if min(times) < datetime.now(UTC) - ON_TIME:
        mark_late(times)
    rows_seal(pairs)
    if charged:
        book(map(Cost.of_record, charged))
    if in_sessions := list(filter(_SESSION, entries)):
        _write_sessions(in_sessions)
    outcomes_write(filter(None, map(_OUTCOME, entries)))
    # The totals come last: from here on, the commits of all other workers wait for this one.
    totals_add(pairs)


def _write_sessions(entries: Sequence[LedgerEntry]) -> None:
    sessions_add([(entry.request, entry.decision) for entry in entries])
    if turns := [entry.session_state for entry in entries if entry.session_state is not None]:
        session_turns_write(turns)


def _write_refused(refused: Sequence[RequestRecord]) -> None:
    refused = refusals_to_write(refused)
    _REQUESTS.write(refused)
    rows_seal((request, None) for request in refused)
    refusals_add(refused)


def _count_hits(hits: Mapping[str, Sequence[datetime]]) -> None:
    # All workers lock rows in the same order, so that they cannot deadlock.
    when = connection.ops.adapt_datetimefield_value
    execute_many(
        "UPDATE response_cache SET hit_count = hit_count + %s, last_hit_at = %s"
        " WHERE cache_key = %s",
        [[len(times), when(max(times)), key] for key, times in sorted(hits.items())],
    )
