"""Observers, which are called with each request once it is recorded."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from analytics.ledger.ledger import LedgerEntry

logger = logging.getLogger(__name__)

Observer = Callable[[LedgerEntry], None]


class Observers:
    """Calls observers in order; an error of one is logged and does not affect the others."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        self._observers = observers

    def notify(self, entry: LedgerEntry) -> None:
        """Call every observer with ``entry``."""
        for observer in self._observers:
            try:
                observer(entry)
            except Exception as error:  # the answer is paid for and recorded, so it must be sent
                logger.error("A request could not be counted", exc_info=error)
