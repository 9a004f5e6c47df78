"""The quality guarantee: whether its latest calibration keeps the promise."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from analytics.alerts.reading import Reading
from analytics.models import AlertRule
from analytics.reports.rollup_coverage import day_of
from routing.adjustments.guarantee import Guarantee
from routing.guarantee.calibration import window_of

_LEAST_ROUTED = 0.05
"""A guarantee that routes fewer requests than this share has no effect but its cost."""


def guarantee_reading(rule: AlertRule, now: datetime, guarantee: Guarantee | None) -> Reading:
    """Return the state of the guarantee in force: 1 while it drifts or falls short, else 0.

    It drifts once the loss has come to exceed the promise, until answers that were compared since
    then are enough for a new threshold. It falls short while as many answers were compared as the
    promise needs, and hardly a request may be routed.
    """
    today = day_of(now).date()
    if guarantee is None:
        return Reading(rule, today, None, passed=False, text="no guarantee is in force.")
    calibration, promise = guarantee.calibration, guarantee.promise
    promised = f"at most {promise.tolerance:g} below {guarantee.reference}"
    hardly = calibration.routed < _LEAST_ROUTED
    drifts = calibration.doubt and hardly
    enough = calibration.samples >= window_of(promise)
    short = not drifts and enough and hardly
    if drifts:
        text = (
            f"quality has changed, and is no longer surely {promised}. The reference answers "
            f"nearly all that it covers; {calibration.samples} answers were compared since."
        )
    elif short:
        text = (
            f"the guarantee falls short: by {calibration.samples} compared answers, routed answers "
            f"are not {promised}. The reference answers nearly all that it covers."
        )
    elif calibration.threshold is None:
        text = f"{calibration.samples} compared answers are too few yet to route any request."
    else:
        text = (
            f"quality is {promised}: the loss was {calibration.loss:.4f} over "
            f"{calibration.samples} compared answers, and is surely at most "
            f"{calibration.bound:.4f}; {calibration.routed:.0%} of requests are routed."
        )
    passed = drifts or short
    return Reading(rule, today, Decimal(int(passed)), passed, text, calm=not passed)
