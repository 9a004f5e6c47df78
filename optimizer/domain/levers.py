"""Levers: the ways to spend less beside the choice of a model, and the trials that measure them."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Literal

from providers.values import frozen

Mode = Literal["off", "on", "prove"]
MODES: tuple[Mode, ...] = ("off", "on", "prove")
Arm = Literal["treated", "control"]

LEVERS: dict[str, str] = {
    "effort": "Asks models to reason less where the turn is mechanical.",
    "flex": "Uses a provider's slower and cheaper tier where the deadline allows it.",
    "batch": "Gathers requests that may wait for hours, and sends them as batches.",
    "cascade": "Lets a cheap model answer first, and a stronger one if a check fails.",
    "compression": "Sends long tool results and logs shortened; the model can ask for the rest.",
    "cache_marks": "Asks providers to cache conversations where the client did not.",
    "response_cache": "Gives the same answer to the same question.",
    "semantic_cache": "Gives the same answer to questions of the same meaning.",
    "short_answers": "Asks for short answers where a rule says so.",
}
"""Each lever by its name, with what it does."""

SWITCHED_BY_SETTINGS = {
    "cache_marks": "PROMPT_CACHING",
    "response_cache": "RESPONSE_CACHE",
    "semantic_cache": "SEMANTIC_CACHE",
}
"""Levers with a setting of their own, which is their mode until somebody sets one."""

DRAWN_BY_REQUEST = frozenset({"response_cache", "semantic_cache", "batch"})
"""Levers whose arm each request has of its own; for others a whole session has one.

Conversations that begin alike count as one session, so the same question asked twice would
always be left alone, or never; and so would all the requests of a nightly job.
"""

RAMP_SHARE = 0.5
"""Share of requests left alone while a lever ramps up: scores then tell most about harm."""


@frozen
class LeverTrial:
    """One use of a lever on a request that it would change, or its omission for comparison.

    ``propensity`` was the probability of "treated", 0-1. ``expected`` is the cost in USD that the
    request was expected to have without the lever, known before the arm was drawn, ``None`` if
    unknown. ``joint`` requests are left alone by all levers, so that what they save together can
    be measured. ``detail`` is a small JSON object of the lever's own.
    """

    lever: str
    arm: Arm
    propensity: float
    expected: Decimal | None = None
    joint: bool = False
    detail: Mapping[str, Any] | None = None

    @property
    def treated(self) -> bool:
        """Return whether the lever is used."""
        return self.arm == "treated"

    def as_json(self) -> dict[str, Any]:
        """Return the trial as the ledger stores it, without what it does not have."""
        fields: dict[str, Any] = {**(self.detail or {}), "arm": self.arm, "p": self.propensity}
        if self.expected is not None:
            fields["x"] = str(self.expected)
        if self.joint:
            fields["joint"] = True
        return fields
