"""The entry point of routing: choose a strategy and check its decision.

An error in a strategy never fails the client's request.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import replace
from typing import Any

from routing.adjustments.guarantee import GuaranteeSource, apply_guarantee
from routing.adjustments.preference import prefer_rule_model
from routing.adjustments.sessions import keep_session_model, prefer_long_context
from routing.adjustments.stickiness import stay_with_cached_model
from routing.adjustments.variants import note_variant
from routing.analysis import analyze_prompt
from routing.eligibility import find_eligible, within_latency
from routing.models import (
    CONFIDENCES,
    STRATEGIES,
    Candidate,
    NoEligibleModel,
    OptionSource,
    PromptAnalysis,
    RoutingContext,
    RoutingDecision,
)
from routing.strategies.base import Situation, Strategy
from routing.strategies.complexity import ComplexityStrategy

logger = logging.getLogger(__name__)


class InvalidDecision(Exception):
    """A strategy chose a model that is not eligible, or returned an unknown value."""


class RoutingEngine:
    """Decides which model answers a request.

    ``strategies`` maps names to strategies. ``auto_route`` selects "hybrid", otherwise
    "complexity" decides. If a strategy fails, the decision is complexity's choice with
    ``fallback_used=True``.
    """

    def __init__(
        self,
        options: OptionSource,
        strategies: dict[str, Strategy],
        *,
        complexity: ComplexityStrategy | None = None,
        guarantees: GuaranteeSource | None = None,
    ) -> None:
        self._guarantees = guarantees
        self._options = options
        self._strategies = strategies
        self._complexity = complexity or ComplexityStrategy()

    def analyze(self, prompt: str) -> PromptAnalysis:
        """Return the pattern, complexity, tier and estimated input tokens of ``prompt``."""
        return analyze_prompt(prompt)

    def route(
        self,
        context: RoutingContext,
        *,
        auto_route: bool = False,
        strategy: str | None = None,
        analysis: PromptAnalysis | None = None,
    ) -> RoutingDecision:
        """Return the decision for ``context``; ``strategy`` takes precedence over ``auto_route``.

        Raises :class:`NoEligibleModel` if no model meets the hard constraints, and no
        other error.
        """
        analysis = analysis or self.analyze(context.prompt)
        only, source = context.only, self._options
        options = source.options() if only is None else source.named(only)
        situation = find_eligible(options, context, analysis)
        if context.max_latency is not None:
            situation = within_latency(situation, context.max_latency)
        name = strategy or ("hybrid" if auto_route else "complexity")
        try:
            decision = self._strategies[name].decide(situation)
            self._validate(decision, situation)
            decision = self._adjusted(decision, situation)
        except NoEligibleModel:
            raise
        except Exception as error:  # noqa: BLE001
            decision = self._fall_back(situation, name, error)
        if context.variants is not None:
            decision = note_variant(decision, situation)
        reasoning = decision.reasoning
        if situation.note:
            reasoning = f"{reasoning} {situation.note}"
        return RoutingDecision(
            decision.provider,
            decision.model,
            decision.confidence,
            decision.strategy_used,
            reasoning,
            decision.fallback_used,
            self._complete(decision, situation),
        )

    def _adjusted(self, decision: RoutingDecision, situation: Situation) -> RoutingDecision:
        context = situation.context
        if context.session is not None:
            decision = keep_session_model(decision, situation, context.session)
        elif context.cached_conversation is not None:
            decision = stay_with_cached_model(decision, situation)
        if context.turn == "compaction":
            decision = prefer_long_context(decision, situation)
        if self._guarantees is not None and self._guarantees.active is not None:
            decision = apply_guarantee(decision, situation, self._guarantees.guarantee())
        if context.effect.preferred is not None:
            decision = prefer_rule_model(decision, situation)
        return decision

    def _fall_back(self, situation: Situation, name: str, error: Exception) -> RoutingDecision:
        # Record the error's type and place, never its message, which may contain the prompt.
        reason = f"{name} strategy failed: {type(error).__name__}"
        logger.warning("%s at %s; complexity decides instead", reason, _place_of(error))
        if situation.context.variants is not None:
            # Whatever offers other ways to ask models may be what failed.
            situation = replace(situation, context=replace(situation.context, variants=None))
        decision = self._complexity.decide(situation)
        return replace(
            decision,
            strategy_used="hybrid_fallback" if name == "hybrid" else "complexity",
            fallback_used=True,
            metadata={**decision.metadata, "fallback_reason": reason},
        )

    @staticmethod
    def _validate(decision: RoutingDecision, situation: Situation) -> None:
        chosen = (decision.provider, decision.model)
        for option in situation.eligible:
            if (option.provider, option.model) == chosen:
                break
        else:
            raise InvalidDecision("the chosen model is not eligible")
        if decision.confidence not in CONFIDENCES:
            raise InvalidDecision("unknown confidence")
        if decision.strategy_used not in STRATEGIES:
            raise InvalidDecision("unknown strategy")
        if not decision.reasoning:
            raise InvalidDecision("no reasoning given")

    @staticmethod
    def _complete(decision: RoutingDecision, situation: Situation) -> dict[str, Any]:
        """Return the decision's metadata with the fields that every decision has.

        ``fallback_chain`` lists the models to try if the chosen one fails: in complexity's
        order, unless the strategy set its own ``order``. ``baseline_chain`` lists the models
        that complexity would have used, best first. ``propensity`` is the probability with
        which this model was chosen: 1 without exploration.
        """
        analysis = situation.analysis
        baseline = [{"provider": o.provider, "model": o.model} for o in situation.chain]
        metadata: dict[str, Any] = {"explored": False, "propensity": 1.0, **decision.metadata}
        fallbacks = list(metadata.pop("order", baseline))
        with suppress(ValueError):
            fallbacks.remove({"provider": decision.provider, "model": decision.model})
        candidates: list[Candidate] = list(metadata.get("candidates", ()))
        for option, reason in situation.excluded:
            candidates.append(situation.unestimated(option, chosen=False, reason=reason))
        metadata |= {
            "pattern": analysis.pattern,
            "complexity": analysis.complexity,
            "tier": analysis.tier,
            "token_count": analysis.token_count,
            "candidates": list(map(Candidate.as_dict, candidates)),
            "fallback_chain": fallbacks,
            "baseline_chain": baseline,
        }
        if applied := situation.context.effect.applied:
            metadata["rules"] = list(applied)
        if situation.context.max_latency is not None:
            metadata["max_latency"] = situation.context.max_latency
        return metadata


def _place_of(error: BaseException) -> str:
    trace = error.__traceback__
    if trace is None:
        return "unknown place"
    while trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_globals.get('__name__', '?')}:{trace.tb_lineno}"
