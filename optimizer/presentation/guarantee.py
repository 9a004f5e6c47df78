"""The guarantee as text, the same for the terminal and the admin."""

from __future__ import annotations

from routing.adjustments.guarantee import Guarantee


def guarantee_lines(guarantee: Guarantee) -> list[str]:
    """Return what is promised, and how the promise is kept at present."""
    promise, calibration = guarantee.promise, guarantee.calibration
    promised = (
        f"Promise: on average at most {promise.tolerance:g} below "
        f"{'/'.join(guarantee.reference)}, with {1 - promise.delta:.0%} confidence."
    )
    state = (
        f"{calibration.samples} compared answers are too few: "
        "the reference answers everything for now."
    )
    if calibration.doubt:
        state = (
            "The latest compared answers leave the promise in doubt, as quality has changed: "
            "the reference answers everything until it is certain again."
        )
    if calibration.threshold is not None:
        state = (
            f"Requests with an expected quality of {calibration.threshold:.2f} or more are routed, "
            f"{calibration.routed:.0%} of requests; the reference answers the rest. This keeps the "
            f"loss at {calibration.bound:.4f} or less; over {calibration.samples} compared answers "
            f"it was {calibration.loss:.4f}."
        )
    return [promised, state]
