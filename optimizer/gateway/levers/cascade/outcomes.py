"""What recorded cascades say, kept in memory for the decisions to come."""

from __future__ import annotations

import time
from collections.abc import Callable

from analytics.quality.cascades import cascade_outcomes
from routing.cascades import NOTHING_LEARNED, CascadeLearning

_READ_AGAIN_SECONDS = 300.0


class CascadeOutcomes:
    """The outcomes of the latest cascades, read again every five minutes.

    They are read only while ``in_use`` says so. ``refresh`` reads the database, so do not call it
    on the event loop.
    """

    def __init__(self, in_use: Callable[[], bool] = lambda: True) -> None:
        self._in_use = in_use
        self.learned: CascadeLearning = NOTHING_LEARNED
        self._read_at = float("-inf")

    def refresh(self) -> None:
        """Read the outcomes, if that was long ago."""
        now = time.monotonic()
        if self._in_use() and now - self._read_at >= _READ_AGAIN_SECONDS:
            self.learned = CascadeLearning.of(cascade_outcomes())
            self._read_at = now
