"""The guarantee in force: its threshold chosen anew as comparisons come in."""

from __future__ import annotations

from typing import Protocol

from analytics.quality.guarantee_pairs import Floats
from routing.adjustments.guard import Guarantee
from routing.guarantee.calibration import NO_EVIDENCE, Promise, calibrate

Model = tuple[str, str]


class Pairs(Protocol):
    """Where compared answers are read."""

    def latest(self, reference: Model) -> int:
        """Grows with every pair."""
        ...

    def compared(self, reference: Model) -> tuple[Floats, Floats]:
        """(n,) expected qualities and (n,) losses, in the order in which they came."""
        ...


class ActiveGuarantee:
    """Answers from memory; ``refresh`` reads the comparisons: not for the event loop."""

    def __init__(self, reference: Model, promise: Promise, pairs: Pairs) -> None:
        self._pairs = pairs
        self._seen = -1
        self._guarantee = Guarantee(reference, promise, NO_EVIDENCE)

    def guarantee(self) -> Guarantee:
        return self._guarantee

    def refresh(self) -> None:
        """Calibrate on what is known now, where that is more than before."""
        now = self._guarantee
        latest = self._pairs.latest(now.reference)
        if latest == self._seen:
            return
        scores, losses = self._pairs.compared(now.reference)
        self._seen = latest
        found = calibrate(scores, losses, now.promise)
        self._guarantee = Guarantee(now.reference, now.promise, found)
