"""Keep the guarantee: choices with too low an expected quality go to the reference model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Protocol

from routing.adjustments.substitution import substitute
from routing.guarantee.calibration import Calibration, Promise
from routing.models import ModelRef, RoutingDecision
from routing.strategies.base import Situation

COVERED = frozenset({"learning", "hybrid", "hybrid_fallback"})
"""The strategies whose choices the guarantee covers."""


@dataclass(frozen=True, slots=True)
class Guarantee:
    """The promise, the reference (provider, model), and the calibration in force."""

    reference: ModelRef
    promise: Promise
    calibration: Calibration


class GuaranteeSource(Protocol):
    """Where routing reads the guarantee in force; ``active`` is ``None`` while there is none."""

    @property
    def active(self) -> object | None:
        """Return what keeps the guarantee, or ``None``."""
        ...

    def guarantee(self) -> Guarantee | None:
        """Return the guarantee in force, or ``None``. It must answer from memory."""
        ...


def apply_guarantee(
    decision: RoutingDecision, situation: Situation, guarantee: Guarantee | None
) -> RoutingDecision:
    """Return ``decision``, or the reference model if the chosen model is not good enough.

    The guarantee does not cover choices by complexity alone, models that a client names,
    and requests that the reference model cannot serve.
    """
    if guarantee is None or decision.strategy_used not in COVERED:
        return decision
    reference = guarantee.reference
    chosen = (decision.provider, decision.model)
    expected = _expected_quality(decision)
    threshold = guarantee.calibration.threshold
    details: dict[str, Any] = {"threshold": threshold, "expected": expected}
    good_enough = expected is not None and threshold is not None and expected >= threshold
    if good_enough or (chosen == reference and not _reasons_less(decision, situation)):
        return replace(decision, metadata={**decision.metadata, "guarantee": details})
    option = next((o for o in situation.eligible if (o.provider, o.model) == reference), None)
    if option is None:
        outside = {**details, "outside": "the reference model cannot serve this request"}
        return replace(decision, metadata={**decision.metadata, "guarantee": outside})
    if threshold is None and guarantee.calibration.doubt:
        why = "the latest compared answers leave the promise in doubt"
    elif threshold is None:
        why = f"{guarantee.calibration.samples} compared answers are too few to trust another model"
    elif expected is None:
        why = f"there is no estimate of the quality of {'/'.join(chosen)}"
    else:
        why = (
            f"the expected quality of {'/'.join(chosen)} is {expected:.2f}, "
            f"below the guarantee's threshold of {threshold:.2f}"
        )
    details["instead_of"] = {"provider": decision.provider, "model": decision.model}
    substituted = substitute(
        _with_reference_as_asked(decision, situation, reference),
        situation,
        option,
        because=f"The guarantee requires {option.ref}: {why}.",
        lost="not good enough for the guarantee",
        won="the guarantee's reference model",
        guarantee=details,
    )
    return replace(substituted, confidence="high")


def _reasons_less(decision: RoutingDecision, situation: Situation) -> bool:
    """Return whether the chosen model is asked to reason otherwise than the request asks."""
    return situation.context.variants is not None and any(
        (candidate.provider, candidate.model) == (decision.provider, decision.model)
        and candidate.effort != situation.context.effort
        for candidate in decision.metadata.get("candidates", [])
    )


def _with_reference_as_asked(
    decision: RoutingDecision, situation: Situation, reference: ModelRef
) -> RoutingDecision:
    """Return ``decision`` with the reference asked to reason as the request asks: so it is judged.

    Its service tier is another matter: it does not change the answer.
    """
    if situation.context.variants is None:
        return decision
    candidates = [
        candidate._replace(effort=situation.context.effort)
        if (candidate.provider, candidate.model) == reference
        else candidate
        for candidate in decision.metadata.get("candidates", [])
    ]
    return replace(decision, metadata={**decision.metadata, "candidates": candidates})


def _expected_quality(decision: RoutingDecision) -> float | None:
    """Return the chosen model's expected quality (0-1), whatever it was chosen for."""
    for candidate in decision.metadata.get("candidates", []):
        if (candidate.provider, candidate.model) == (decision.provider, decision.model):
            return candidate.expected_quality
    return None
