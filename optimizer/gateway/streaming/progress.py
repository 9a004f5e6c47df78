"""Notes how much of a stream has arrived in the proof of its call, which outlives the worker.

A stream costs what its provider wrote until the connection was cut. Should this worker be killed,
another one then records what had arrived, instead of all that the request allows.
"""

from __future__ import annotations

import time

from optimizer.budgets.reservation import Reservation
from providers.events import Event, ToolCallStarted, UsageReported
from providers.token_estimates import estimate_thousandths

_NOTE_SECONDS = 0.05
"""The pause between two notes: what arrives meanwhile is not noted if the worker is killed."""


class StreamProgress:
    """The tokens of a stream so far: as estimated or, if they are more, as reported."""

    def __init__(self, reservation: Reservation) -> None:
        self._reservation = reservation
        self._texts: list[str] = []
        self._thousandths = self._reported = 0
        self._due = 0.0

    def add(self, event: Event) -> None:
        """Count ``event``, and note the tokens if the last note is long enough ago."""
        if isinstance(event, UsageReported):
            self._reported = max(self._reported, event.usage.output_tokens)
        elif isinstance(event, ToolCallStarted):
            self._texts.append(event.name)
        elif text := getattr(event, "text", ""):
            self._texts.append(text)
        now = time.monotonic()
        if now >= self._due:
            self._due = now + _NOTE_SECONDS
            self._thousandths += estimate_thousandths("".join(self._texts))
            self._texts.clear()
            tokens = max(-(-self._thousandths // 1000), self._reported)
            self._reservation.note_output(tokens)
