"""Everybody who is told of a request once it is recorded."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from analytics.ledger.ledger import LedgerEntry

logger = logging.getLogger(__name__)

Observer = Callable[[LedgerEntry], None]


class Observers:
    """Told one after the other; what one of them cannot do is said, and harms nobody."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        self._observers = observers

    def notify(self, entry: LedgerEntry) -> None:
        for observer in self._observers:
            try:
                observer(entry)
            except Exception as error:  # the answer is paid for and recorded: it goes out
                logger.error("A request could not be counted", exc_info=error)
