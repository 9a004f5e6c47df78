"""Recorded outcomes in memory, so that a decision never waits for the database."""

from __future__ import annotations

import logging
from collections.abc import Callable

from django.db import Error, connection

from routing.learning.posterior import PRIOR_STRENGTH, Posterior
from routing.models import Evidence, EvidenceKey

logger = logging.getLogger(__name__)


class EvidenceTable:
    """A snapshot of all outcomes, replaced as a whole at each refresh.

    ``load`` reads the database; it runs on a thread, never on the event loop.
    ``strength`` is the weight of an expectation against outcomes, in ratings.
    """

    def __init__(
        self,
        load: Callable[[], dict[EvidenceKey, Evidence]],
        strength: float = PRIOR_STRENGTH,
    ) -> None:
        self._load = load
        self._strength = strength
        self._snapshot = Posterior({}, strength)
        self._readable = True

    def posterior(self) -> Posterior:
        """Return the current snapshot."""
        return self._snapshot

    def refresh(self) -> None:
        """Replace the snapshot with the current outcomes.

        If the database cannot be read, the last snapshot stays and a warning is logged once.
        """
        try:
            self._snapshot = Posterior(self._load(), self._strength)
        except Error as error:
            connection.close()  # the next refresh opens a new one
            if self._readable:
                kind = type(error).__name__
                logger.warning("Outcomes cannot be read (%s); the last ones stay", kind)
            self._readable = False
        else:
            self._readable = True
