"""The guarantee in words, the same for terminal and admin."""

from __future__ import annotations

from routing.adjustments.guard import Guarantee


def said(guarantee: Guarantee) -> list[str]:
    """What is promised, and how it is kept for now."""
    promise, found = guarantee.promise, guarantee.calibration
    promised = (
        f"Promised: on average at most {promise.tolerance:g} below "
        f"{'/'.join(guarantee.reference)}, with {1 - promise.delta:.0%} confidence."
    )
    kept = (
        f"{found.samples} compared answers are too few: the reference answers everything for now."
    )
    if found.threshold is not None:
        kept = (
            f"Answers expected to be of {found.threshold:.2f} or more are routed, "
            f"{found.routed:.0%} of requests; the reference answers the rest. So the loss is at "
            f"most {found.bound:.4f}; it was {found.loss:.4f} over {found.samples} of them."
        )
    return [promised, kept]
