"""Keeping the promise: what is not sure enough goes to the reference model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Protocol

from routing.adjustments.substitution import substitute
from routing.guarantee.calibration import Calibration, Promise
from routing.models import RoutingDecision
from routing.strategies.base import Situation

COVERED = frozenset({"learning", "hybrid", "hybrid_fallback"})
"""The strategies whose choices the promise is about."""


@dataclass(frozen=True, slots=True)
class Guarantee:
    """The promise, the (provider, model) that it is about, and how it is kept for now."""

    reference: tuple[str, str]
    promise: Promise
    calibration: Calibration


class GuaranteeSource(Protocol):
    """Where routing reads the guarantee in force, if any. Must answer from memory."""

    def guarantee(self) -> Guarantee | None: ...


def keep_promise(
    decision: RoutingDecision, situation: Situation, guarantee: Guarantee | None
) -> RoutingDecision:
    """``decision``, or the reference's where the decision's model is not sure enough.

    Choices by complexity alone and models that a client names are the client's
    own; so is a request that the reference cannot serve.
    """
    if guarantee is None or decision.strategy_used not in COVERED:
        return decision
    reference = guarantee.reference
    chosen = (decision.provider, decision.model)
    expected = _expected_of(decision)
    threshold = guarantee.calibration.threshold
    kept: dict[str, Any] = {"threshold": threshold, "expected": expected}
    sure = expected is not None and threshold is not None and expected >= threshold
    if sure or chosen == reference:
        return replace(decision, metadata={**decision.metadata, "guarantee": kept})
    option = next((o for o in situation.eligible if (o.provider, o.model) == reference), None)
    if option is None:
        outside = {**kept, "outside": "the reference model cannot serve this request"}
        return replace(decision, metadata={**decision.metadata, "guarantee": outside})
    if threshold is None:
        why = f"{guarantee.calibration.samples} compared answers are too few to be sure of another"
    elif expected is None:
        why = "nothing is known of how good another would be"
    else:
        why = f"{expected:.2f} expected of {'/'.join(chosen)} is below the {threshold:.2f} promised"
    kept["instead_of"] = {"provider": decision.provider, "model": decision.model}
    substituted = substitute(
        decision,
        situation,
        option,
        because=f"{option.ref} answers for the guarantee's sake: {why}.",
        lost="not sure enough for the guarantee",
        won="the guarantee's reference",
        guarantee=kept,
    )
    return replace(substituted, confidence="high")


def _expected_of(decision: RoutingDecision) -> float | None:
    """The quality expected of the chosen model, also where it was chosen for another reason."""
    for candidate in decision.metadata.get("candidates", []):
        if (candidate.provider, candidate.model) == (decision.provider, decision.model):
            return candidate.expected_quality
    return None
