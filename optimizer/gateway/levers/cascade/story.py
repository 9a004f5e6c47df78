"""What a cascade did, in words and in data: for the decision, its pages, and what is learned."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from optimizer.domain.analyzed_request import AnalyzedRequest
from optimizer.domain.levers import LeverTrial
from optimizer.gateway.levers.cascade.plan import CascadePlan
from optimizer.gateway.levers.cascade.walk import Walk
from routing.learning.posterior import logit
from routing.models import ModelRef, RoutingDecision


def planned(plan: CascadePlan) -> dict[str, Any]:
    """Return what is known before the arm is drawn, as the ledger stores it with the trial."""
    cascade = plan.cascade
    return {
        "cheap": str(cascade.cheap.ref),
        "strong": str(cascade.strong.ref),
        "checked": cascade.checking.label,
        "passes": round(cascade.passes, 4),
        "kept": round(cascade.kept, 4),
        "after": round(cascade.escalated, 4),
        "cost": str(cascade.cost.normalize()),
    }


def cascaded(decision: RoutingDecision, plan: CascadePlan) -> RoutingDecision:
    """Return ``decision`` as that of a cascade, before its first call: the cheap model's."""
    cascade = plan.cascade
    cheap, strong = cascade.cheap.ref, cascade.strong.ref
    reasons = {
        plan.alone.ref: "would have answered alone",
        strong: "answers if a check of the first answer fails",
        cheap: "answers first, and its answer is checked",
    }
    metadata = {
        **decision.metadata,
        "cost_estimate": cascade.cost,
        "quality_score": round(cascade.quality, 4),
        "candidates": [
            {**one, "chosen": ref == cheap, "reason": reasons[ref]}
            if (ref := ModelRef(one["provider"], one["model"])) in reasons
            else one
            for one in decision.metadata["candidates"]
        ],
    }
    if (guarantee := metadata.get("guarantee")) is not None and "outside" not in guarantee:
        kept = {name: value for name, value in guarantee.items() if name != "instead_of"}
        # What the cascade serves is what the guarantee is about, whichever model it comes from.
        metadata["guarantee"] = {**kept, "expected": round(cascade.quality, 4)}
    words = (
        f"{decision.reasoning} A cascade is expected to reach {cascade.quality:.2f} for "
        f"${cascade.cost:.6f} instead of ${plan.alone.cost:.6f}: {cheap} answers first, and "
        f"{strong} if a check of its answer ({', '.join(cascade.checking.names)}) fails."
    )
    return replace(
        decision, provider=cheap.provider, model=cheap.model, reasoning=words, metadata=metadata
    )


def recorded(
    walk: Walk, trial: LeverTrial, analyzed: AnalyzedRequest, decision: RoutingDecision
) -> tuple[AnalyzedRequest, RoutingDecision]:
    """Return request and decision as they are to be recorded after the walk, or its failure."""
    request = analyzed.request
    done = replace(trial, detail={**planned(walk.plan), **_done(walk)})
    trials = tuple(done if one.lever == trial.lever else one for one in request.trials)
    analyzed = replace(analyzed, request=replace(request, trials=trials))
    made, words = cascaded(decision, walk.plan), _words(walk)
    cascade = walk.plan.cascade
    served = cascade.strong if walk.served == "strong" else cascade.cheap
    metadata = {**made.metadata, "cascade": _as_metadata(walk, words)}
    if walk.strong_failed:
        metadata["fallback_reason"] = f"{cascade.strong.ref} did not answer"
    return analyzed, replace(
        made,
        provider=served.provider,
        model=served.model,
        reasoning=f"{made.reasoning} {words}",
        fallback_used=made.fallback_used or walk.strong_failed,
        metadata=metadata,
    )


def _done(walk: Walk) -> dict[str, Any]:
    done: dict[str, Any] = {"checks": {one.check: one.result for one in walk.verdicts}}
    if walk.verdicts:
        done["escalated"] = walk.escalated
    if walk.served:
        done["served"] = walk.served
    if walk.served and walk.verdicts:
        done["shift"] = _shift(walk)
    if walk.first_failed:
        done["first_failed"] = True
    return done


def _shift(walk: Walk) -> float:
    """Return how much better the served model's answers are here than its usual ones, in logits.

    A check selects them, so their ratings say less of the model than those of its other answers.
    """
    cascade = walk.plan.cascade
    if walk.served == "strong":
        return round(logit(cascade.escalated) - logit(cascade.strong.quality), 4)
    if walk.escalated:
        return 0.0  # it failed its check: nobody knows how such answers are
    return round(logit(cascade.kept) - logit(cascade.cheap.quality), 4)


def _as_metadata(walk: Walk, words: str) -> dict[str, Any]:
    cascade = walk.plan.cascade
    alone = walk.plan.alone
    return {
        "cheap": {"provider": cascade.cheap.provider, "model": cascade.cheap.model},
        "strong": {"provider": cascade.strong.provider, "model": cascade.strong.model},
        "alone": {"provider": alone.provider, "model": alone.model, "expected_cost": alone.cost},
        "passes": round(cascade.passes, 4),
        "checks": [
            {"check": one.check, "result": one.result, "reason": one.reason}
            for one in walk.verdicts
        ],
        "escalated": walk.escalated,
        "served": walk.served,
        "summary": words,
    }


def _words(walk: Walk) -> str:
    cascade = walk.plan.cascade
    cheap, strong = cascade.cheap.ref, cascade.strong.ref
    if walk.first_failed:
        return f"{cheap} did not answer, so {strong} was asked."
    if not walk.verdicts:
        return f"{cheap} was asked; the request ended before its answer was checked."
    stopped = next((one for one in walk.verdicts if one.result != "passed"), None)
    if stopped is None:
        checks = ", ".join(one.check for one in walk.verdicts)
        return f"The answer of {cheap} passed its checks ({checks})."
    how = "failed" if stopped.result == "failed" else "could not be decided"
    reason = f" ({stopped.reason})" if stopped.reason else ""
    check = f"The check “{stopped.check}” of the answer of {cheap}"
    words = f"{check} {how}{reason}, so {strong} was asked."
    if walk.strong_failed:
        return f"{words} No other model answered, so the answer of {cheap} was given all the same."
    return words
