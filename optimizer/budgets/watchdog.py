"""Settles what is held for requests that nobody works on any more.

Every way out of a request settles what it holds. Should one be missed, the money must not stay
held until the end of its period, so the holds of this worker are compared with its requests in
progress, on a thread and beside the requests.
"""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path
from uuid import UUID

from analytics.budgets.begun_calls import proof_of
from analytics.ledger.ledger import Ledger
from analytics.ledger.lost_calls import calls_settle
from analytics.models import BudgetHold
from optimizer.budgets.reservations import Budgets

logger = logging.getLogger(__name__)


class HoldWatchdog:
    """Compares the holds of this worker with its requests. Use it on one thread.

    ``calls`` is the folder with the proof of which calls began.
    """

    def __init__(self, budgets: Budgets, ledger: Ledger, calls: Path) -> None:
        self._budgets = budgets
        self._ledger = ledger
        self._calls = calls
        self._suspects: frozenset[UUID] = frozenset()
        self._needed = False

    def look(self) -> int:
        """Settle the holds without an owner, if they had none the last time; return how many.

        It reads the database. The settling waits in the ledger's queue, behind what the
        requests have queued before, and is not waited for.
        """
        self._needed |= self._budgets.any
        if not self._needed:
            return 0
        held = BudgetHold.objects.filter(worker=self._budgets.worker).order_by()
        orphans = frozenset(
            request
            for request in held.values_list("request_id", flat=True).distinct()
            if not self._owned(request)
        )
        abandoned, self._suspects = orphans & self._suspects, orphans
        if abandoned:
            logger.warning("Money was held for %d requests that have ended", len(abandoned))
            proof = proof_of(self._calls, self._budgets.worker)
            self._ledger.run(partial(calls_settle, abandoned, proof))
        return len(abandoned)

    def _owned(self, request: UUID) -> bool:
        reservation = self._budgets.in_progress.get(request)
        return reservation is not None and reservation.owned
