"""The options of the lever "batch"."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from optimizer.domain.deadlines import MAX_DEADLINE_SECONDS

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LaneOptions:
    """When requests may wait, and how long for what. Times are seconds.

    A request may wait if its deadline is ``min_deadline`` away or more. A batch is sent once its
    oldest request has waited for ``gather_seconds``, or once it has ``most_in_batch``. It is
    looked at every ``poll_seconds``. ``fallback_seconds`` before a deadline the batch is
    cancelled, and requests without an answer get calls of their own; ``last_call_seconds``
    before it they do even if the batch has not ended.
    """

    min_deadline: float = 3600.0
    gather_seconds: float = 300.0
    most_in_batch: int = 5_000
    poll_seconds: float = 60.0
    fallback_seconds: float = 1800.0
    last_call_seconds: float = 900.0
    calls_at_once: int = 4


def lane_options(given: Mapping[str, Any]) -> LaneOptions:
    """Return the options that an operator has set, without those that are out of bounds."""
    known: dict[str, Any] = {}
    for field in fields(LaneOptions):
        value = given.get(field.name)
        if value is None:
            continue
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        # Times beyond the longest deadline say nothing, and may be none that a clock can count.
        if not number or not 0 <= value <= MAX_DEADLINE_SECONDS:
            logger.warning(
                "The batch lever's option %s is no number from 0 to %d",
                field.name, MAX_DEADLINE_SECONDS,
            )  # fmt: skip
            continue
        known[field.name] = max(1, int(value)) if isinstance(field.default, int) else float(value)
    return LaneOptions(**known)
