"""What one lever saved on the requests that it changed, from a random share that it left alone.

The saving of the treated requests is what they would have cost without the lever, as the control
predicts it (:mod:`routing.evaluation.arm_prediction`), less what they did cost. It is about these
requests, not about all that may ever come. Requests that all levers left alone (the joint
control) are no part of it. Requests that had no chance of being left alone are not measured:
nothing is known of what they would have cost.

Quality is the mean score of the treated answers less that of the control's, over answers with a
score; each arm's weigh by the odds of being in the other. Failures are no scores, so a failed
request counts by its cost alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from routing.evaluation.arm_prediction import ArmUnits, expected_total, predicted_total
from routing.evaluation.clustered import Floats, TooFewClusters
from routing.evaluation.weighed_ratings import weighed_difference

FEWEST_KNOWN = 0.5
"""Share of requests whose expected cost must be known for it to be used."""

SavingVerdict = Literal["saves", "costs more", "not shown", "too few"]
QualityVerdict = Literal["better", "worse", "not shown", "too few"]


@dataclass(frozen=True, slots=True)
class TrialRows:
    """The eligible requests of one lever, each array of shape (n,).

    ``cost`` in USD (NaN: unknown), ``treated`` whether the lever was used, ``propensity`` its
    probability, ``unit`` names what the arm was drawn for, ``expected`` is the cost in USD that was
    expected before (NaN: unknown), ``joint`` whether all levers left it alone, and ``score``
    0-1 (NaN: none).
    """

    cost: Floats
    treated: NDArray[np.bool_]
    propensity: Floats
    unit: NDArray[Any]
    expected: Floats
    joint: NDArray[np.bool_]
    score: Floats

    def of(self, which: NDArray[np.bool_]) -> TrialRows:
        """Return some of the rows."""
        return TrialRows(
            self.cost[which], self.treated[which], self.propensity[which], self.unit[which],
            self.expected[which], self.joint[which], self.score[which],
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class IntervalOf:
    """A figure with its 95 % interval."""

    value: float
    low: float
    high: float

    def times(self, factor: float) -> IntervalOf:
        """Return it in another unit; ``factor`` is not negative."""
        return IntervalOf(self.value * factor, self.low * factor, self.high * factor)


@dataclass(frozen=True, slots=True)
class LeverEffect:
    """What a lever did; ``None`` and a reason in ``refused`` where the requests cannot say.

    ``eligible`` requests are all but the joint control's; ``unmeasured`` of them had no chance of
    being left alone, and ``unpriced`` have no known cost. ``saving`` is USD in total of the
    ``measured`` treated requests, ``per_request`` of each, ``share_saved`` of what they would have
    cost. ``control_cost`` is USD that the control would have saved, and ``quality`` points of 0-1.
    """

    eligible: int
    treated: int
    measured: int
    control: int
    unmeasured: int
    unpriced: int
    saving: IntervalOf | None = None
    share_saved: IntervalOf | None = None
    control_cost: IntervalOf | None = None
    quality: IntervalOf | None = None
    scored: tuple[int, int] = (0, 0)
    refused: str = ""

    @property
    def per_request(self) -> IntervalOf | None:
        """Return the saving of one treated request in USD."""
        return None if self.saving is None else self.saving.times(1 / max(self.measured, 1))

    @property
    def verdict(self) -> SavingVerdict:
        """Return what the saving's interval shows."""
        if self.saving is None:
            return "too few"
        if self.saving.low > 0:
            return "saves"
        return "costs more" if self.saving.high < 0 else "not shown"

    @property
    def quality_verdict(self) -> QualityVerdict:
        """Return what the interval of quality shows."""
        if self.quality is None:
            return "too few"
        if self.quality.low > 0:
            return "better"
        return "worse" if self.quality.high < 0 else "not shown"


@dataclass(frozen=True, slots=True)
class LeversTogether:
    """What all levers saved together, in USD, and how each one's part adds up to it.

    ``remainder`` is what the levers save together beyond the sum of what each saves: they act on
    one another. ``total`` is ``None`` where the joint control is too small; then the sum stands.
    """

    total: IntervalOf | None
    sum: IntervalOf
    remainder: IntervalOf | None
    refused: str = ""


def lever_effect(rows: TrialRows) -> LeverEffect:
    """Return what one lever saved, and what it did to quality."""
    own = rows.of(~rows.joint)
    known = np.isfinite(own.cost)
    chance = own.propensity < 1
    used = own.of(known & chance)
    treated, control = _units(used, used.treated), _units(used, ~used.treated)
    counts: dict[str, Any] = {
        "eligible": len(own.cost),
        "treated": int(own.treated.sum()),
        "measured": int(used.treated.sum()),
        "control": int((~own.treated).sum()),
        "unmeasured": int((~chance).sum()),
        "unpriced": int((~known).sum()),
    }
    quality, scored = _quality(own.of(chance))
    try:
        predicted = predicted_total(treated, control)
    except TooFewClusters as error:
        refused = str(error) if chance.any() else "no request was left alone for comparison"
        return LeverEffect(**counts, quality=quality, scored=scored, refused=refused)
    spent = float(treated.totals.sum())
    saving = IntervalOf(predicted.total - spent, predicted.low - spent, predicted.high - spent)
    return LeverEffect(
        **counts,
        saving=saving,
        share_saved=_share(saving, spent),
        control_cost=_control_cost(saving, treated, control),
        quality=quality,
        scored=scored,
    )


def levers_together(rows: TrialRows, effects: list[LeverEffect]) -> LeversTogether:
    """Return what all levers saved together.

    ``rows`` are the requests that any lever would change, each once: ``treated`` where it is not
    in the joint control, with the propensity of that. The bounds of sums are those of independent
    estimates (MOVER; Zou & Donner, "Construction of confidence limits about effect measures",
    2008).
    """
    parts = [effect.saving for effect in effects if effect.saving is not None]
    total_of_parts = _sum(parts)
    all_rows = TrialRows(
        rows.cost, rows.treated, rows.propensity, rows.unit, rows.expected,
        np.zeros(len(rows.cost), dtype=np.bool_), rows.score,
    )  # fmt: skip
    together = lever_effect(all_rows)
    if together.saving is None:
        return LeversTogether(None, total_of_parts, None, together.refused)
    remainder = _sum([together.saving, IntervalOf(
        -total_of_parts.value, -total_of_parts.high, -total_of_parts.low
    )])  # fmt: skip
    return LeversTogether(together.saving, total_of_parts, remainder)


def _sum(parts: list[IntervalOf]) -> IntervalOf:
    value = sum(part.value for part in parts)
    below = sqrt(sum((part.value - part.low) ** 2 for part in parts))
    above = sqrt(sum((part.high - part.value) ** 2 for part in parts))
    return IntervalOf(value, value - below, value + above)


def _units(rows: TrialRows, which: NDArray[np.bool_]) -> ArmUnits:
    """Return the units of the rows of one arm; a unit whose propensity changed counts as two."""
    some = rows.of(which)
    if not len(some.cost):
        empty = np.zeros(0)
        return ArmUnits(empty, empty, None, empty)
    _, unit = np.unique(some.unit, return_inverse=True)
    propensities, of_row = np.unique(some.propensity, return_inverse=True)
    _, first, place = np.unique(
        unit * len(propensities) + of_row, return_index=True, return_inverse=True
    )
    treated = some.propensity[first]
    odds = np.where(some.treated[first], (1 - treated) / treated, treated / (1 - treated))
    if len(propensities) == 1:
        odds = np.ones(len(first))

    def summed(values: Floats) -> Floats:
        return np.bincount(place, weights=values).astype(np.float64)

    counts, totals = summed(np.ones(len(some.cost))), summed(some.cost)
    known = _expected(rows)
    expected = None if known is None else summed(known[which])
    # In an order of their own, so that the same requests give the same interval.
    keys = (odds, counts, totals) if expected is None else (odds, expected, counts, totals)
    order = np.lexsort(keys)
    return ArmUnits(
        counts[order], totals[order], None if expected is None else expected[order], odds[order]
    )


def _expected(rows: TrialRows) -> Floats | None:
    """Return the expected costs, the mean standing in for unknown ones."""
    known = np.isfinite(rows.expected)
    if not known.any() or known.mean() < FEWEST_KNOWN:
        return None
    return np.maximum(np.where(known, rows.expected, rows.expected[known].mean()), 0.0)


def _share(saving: IntervalOf, spent: float) -> IntervalOf | None:
    """Return the saving as a share of what the requests would have cost, which has its error."""
    ends = [spent + part for part in (saving.value, saving.low, saving.high)]
    if min(ends) <= 0:
        return None
    value, low, high = (1 - spent / end for end in ends)
    return IntervalOf(value, low, high)


def _control_cost(saving: IntervalOf, treated: ArmUnits, control: ArmUnits) -> IntervalOf:
    value = float(control.totals.sum()) - expected_total(control, treated)
    factor = float(control.counts.sum() / treated.counts.sum())
    return IntervalOf(
        value,
        value - (saving.value - saving.low) * factor,
        value + (saving.high - saving.value) * factor,
    )


def _quality(rows: TrialRows) -> tuple[IntervalOf | None, tuple[int, int]]:
    rated = rows.of(np.isfinite(rows.score))
    treated = rated.treated
    scored = int(treated.sum()), int((~treated).sum())
    compared = weighed_difference(
        rated.score,
        np.where(treated, 1.0, 0.0),
        np.where(treated, 0.0, rated.propensity / (1 - rated.propensity)),
        {"session": rated.unit},
    )
    return (None if compared is None else IntervalOf(*compared)), scored
