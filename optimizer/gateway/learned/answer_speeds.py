"""How fast routing expects models to answer, learned from the ledger."""

from __future__ import annotations

import time
from collections.abc import Callable

from analytics.reports.answer_speeds import AnswerSpeeds, timed_answers
from routing.answer_speed import AnswerSpeed
from routing.models import ModelRef

_READ_AGAIN_SECONDS = 300.0


class LearnedSpeeds:
    """What is known of the speed of models, read again every five minutes.

    ``refresh`` reads the database, so do not call it on the event loop.
    """

    def __init__(self) -> None:
        self._speeds = AnswerSpeeds()
        self.known = False
        """Whether the speed of any model is known."""
        self._read_at = float("-inf")

    def refresh(self) -> None:
        """Read the latest answers, if that was long ago."""
        now = time.monotonic()
        if now - self._read_at >= _READ_AGAIN_SECONDS:
            self._speeds = AnswerSpeeds(timed_answers())
            self.known = self._speeds.any
            self._read_at = now

    def at(self, effort: str) -> Callable[[ModelRef], AnswerSpeed | None]:
        """Return a function from a model to its speed at this effort of reasoning."""
        speeds = self._speeds

        def speed(ref: ModelRef) -> AnswerSpeed | None:
            return speeds.of(ref, effort)

        return speed
