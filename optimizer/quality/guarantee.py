"""The guarantee in force; its threshold is recalibrated as comparisons come in."""

from __future__ import annotations

from typing import Protocol

from analytics.quality.guarantee_pairs import Floats
from routing.adjustments.guard import Guarantee
from routing.guarantee.calibration import NO_EVIDENCE, Promise, calibrate

Model = tuple[str, str]


class Pairs(Protocol):
    """A source of compared answers."""

    def latest(self, reference: Model) -> int:
        """Return a number that grows with every pair."""
        ...

    def compared(self, reference: Model) -> tuple[Floats, Floats]:
        """Return (n,) expected qualities and (n,) losses, in the order of their arrival."""
        ...


class ActiveGuarantee:
    """Keeps the guarantee in memory; ``refresh`` reads the database: not for the event loop."""

    def __init__(self, reference: Model, promise: Promise, pairs: Pairs) -> None:
        self._pairs = pairs
        self._calibrated_at = -1
        self._guarantee = Guarantee(reference, promise, NO_EVIDENCE)

    def guarantee(self) -> Guarantee:
        """Return the guarantee with its latest calibration."""
        return self._guarantee

    def refresh(self) -> None:
        """Calibrate again if there are new comparisons."""
        current = self._guarantee
        latest = self._pairs.latest(current.reference)
        if latest == self._calibrated_at:
            return
        scores, losses = self._pairs.compared(current.reference)
        self._calibrated_at = latest
        calibration = calibrate(scores, losses, current.promise)
        self._guarantee = Guarantee(current.reference, current.promise, calibration)
