"""The guarantee in force; its threshold is recalibrated as comparisons come in."""

from __future__ import annotations

from functools import partial

from analytics.quality import guarantee_pairs
from optimizer.shared.snapshot import Snapshot
from routing.adjustments.guarantee import Guarantee
from routing.guarantee.calibration import NO_EVIDENCE, Promise, calibrate_now
from routing.models import ModelRef


class GuaranteeInForce:
    """The guarantee that routing keeps now; ``active`` is ``None`` while there is none."""

    def __init__(self, active: ActiveGuarantee | None = None) -> None:
        self.active = active

    def guarantee(self) -> Guarantee | None:
        """Return the guarantee with its latest calibration, or ``None``."""
        active = self.active
        return active.guarantee() if active is not None else None

    def refresh(self) -> None:
        """Calibrate again if there are new comparisons. Reads the database."""
        active = self.active
        if active is not None:
            active.refresh()


class ActiveGuarantee:
    """Keeps the guarantee in memory; ``refresh`` reads the database: not for the event loop."""

    def __init__(self, reference: ModelRef, promise: Promise) -> None:
        self.reference = reference
        self._uncalibrated = Guarantee(reference, promise, NO_EVIDENCE)
        self._calibrated = Snapshot(self._calibrate, partial(guarantee_pairs.latest, reference))

    def guarantee(self) -> Guarantee:
        """Return the guarantee with its latest calibration."""
        return self._calibrated.value or self._uncalibrated

    def refresh(self) -> None:
        """Calibrate again if there are new comparisons."""
        self._calibrated.refresh()

    def _calibrate(self) -> Guarantee:
        reference, promise = self._uncalibrated.reference, self._uncalibrated.promise
        scores, losses = guarantee_pairs.compared(reference, promise)
        return Guarantee(reference, promise, calibrate_now(scores, losses, promise))
